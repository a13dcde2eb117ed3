"""Embeddings of a film's boxes as a file, which tracking reads again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from small_encoder import save_small_encoder

import clmot
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.inference.embeddings import StoredEmbeddings
from clmot.motchallenge.splits import FrameRange


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, a film of three frames and its boxes; the second frame has none."""
    save_small_encoder(tmp_path / "model")
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "door/img1").mkdir(parents=True)
    random = np.random.default_rng(0)
    for frame in range(1, 4):
        cv2.imwrite(str(tmp_path / f"door/img1/{frame:06d}.png"), random.integers(0, 256, (90, 120, 3), np.uint8))
    (tmp_path / "door/seqinfo.ini").write_text(
        "[Sequence]\nname=door\nimDir=img1\nframeRate=10\nseqLength=3\nimWidth=120\nimHeight=90\nimExt=.png\n"
    )
    (tmp_path / "boxes.txt").write_text("3,-1,5,5,30,60,0.5,-1,-1,-1\n1,-1,11,6,20,50,0.9,-1,-1,-1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "model"


def test_tracking_reads_what_was_written(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["export", "model", "door.npz", "--film", "door", "--boxes", "boxes.txt"])
    assert "2 boxes" in capsys.readouterr().out
    with np.load("door.npz") as stored:
        assert stored["frame"].tolist() == [1, 3]
        np.testing.assert_allclose(stored["box"][0], [10, 5, 30, 55])
        np.testing.assert_allclose(np.linalg.norm(stored["embedding"].astype(float), axis=1), 1, atol=1e-2)
    image = cv2.imread("door/img1/000003.png")
    box = np.array([[4.0, 4, 34, 64]])
    found = StoredEmbeddings(Path("door.npz"), FrameRange(1, 3))(3, image, box)
    np.testing.assert_allclose(found, clmot.reid(model, device="cpu").get_features(box, image), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["out.npz"], "--film and --boxes"),
        (["out.npz", "--film", "door"], "--film and --boxes"),
        (["out.onnx", "--film", "door", "--boxes", "boxes.txt"], "for it alone"),
        (["folder", "--to", "roboflow"], "extract_embeddings"),
        (["out.txt"], "should end in"),
    ],
)
def test_what_cannot_be_written(model: Path, options: list[str], word: str) -> None:
    with pytest.raises(InputError, match=word):
        run(["export", "model", *options])
    assert not list(Path().glob("out*"))


def test_a_box_beyond_the_film(model: Path) -> None:
    Path("boxes.txt").write_text("4,-1,5,5,30,60,0.5,-1,-1,-1\n")
    with pytest.raises(InputError, match="frame 4"):
        run(["export", "model", "door.npz", "--film", "door", "--boxes", "boxes.txt"])
    assert not Path("door.npz").exists()
