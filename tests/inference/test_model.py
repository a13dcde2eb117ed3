"""A model in a folder: what `clmot.load` makes of it, and that everything that tracks says the same."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from small_network import SIZE, save_small_network

import clmot
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.given_detections import GivenDetections
from clmot.inference.model import Model
from clmot.inference.pipeline import NetworkDetections
from clmot.inference.session import lowest_used
from clmot.inference.track_frames import track_frames
from clmot.model_description import ModelDescription, read_description, write_description
from clmot.models.crop_encoder import CropConfig, CropEncoder
from clmot.models.crop_weights import save_crop_encoder
from clmot.motchallenge.annotations import AnnotationTable, format_results, read_detections, write_results
from clmot.params import TrackParams

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
FRAMES = 8
CROP = CropConfig("mobilenetv2_100", (16, 32), (8,), 2, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PARAMS = TrackParams(confidence=0.05, recorded_confidence=0.01, new_track_confidence=0.05, min_box_area=0, max_aspect=9)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A network of random weights, which finds people everywhere."""
    folder = tmp_path / "project" / "models" / "tracker"
    save_small_network(folder)
    return folder


@pytest.fixture
def frames(tmp_path: Path) -> list[Path]:
    """Noise with two coloured people."""
    folder = tmp_path / "film"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        image = noise.integers(0, 90, (96, 128, 3), np.uint8)
        image[20:70, 10 + 3 * number : 30 + 3 * number] = (40, 200, 220)
        image[30:80, 90 - 3 * number : 110 - 3 * number] = (220, 60, 60)
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)
    return sorted(folder.iterdir())


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    rows = []
    for number in range(1, FRAMES + 1):
        rows.append(f"{number},-1,{11 + 3 * number},21,20,50,0.9\n{number},-1,{91 - 3 * number},31,20,50,0.8\n")
        rows.append(f"{number},-1,60,60,9,9,0.001\n")
    path = tmp_path / "film.txt"
    path.write_text("".join(rows))
    return path


def text_of(found: object) -> str:
    return format_results(found.frame, found.identity, found.boxes, found.scores)  # type: ignore[attr-defined]


def test_a_film_is_tracked_as_the_stage_does(model_folder: Path, frames: list[Path], tmp_path: Path) -> None:
    loaded = clmot.load(model_folder, changes=[(yaml.safe_dump({"track": dataclasses.asdict(PARAMS)}), "here")])
    assert loaded.network is not None
    source = NetworkDetections(loaded.network, SIZE, PARAMS.max_objects, CPU)
    stage = text_of(track_frames(source, frames, PARAMS, 30))
    assert len(stage.splitlines()) > FRAMES
    assert loaded.track(tmp_path / "film").to_mot() == stage
    assert loaded.track(cv2.imread(str(path)) for path in frames).to_mot() == stage
    session = loaded.session(fps=30)
    rows = [session.update(cv2.imread(str(path)), time=number / 30) for number, path in enumerate(frames)]
    assert sum(len(row) for row in rows) == len(stage.splitlines())


def test_given_boxes_are_tracked_as_the_stage_does(frames: list[Path], boxes: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, table = CropEncoder(CROP).eval(), read_detections(boxes)
    params = dataclasses.replace(PARAMS, association="calibrated")
    source = CropEmbeddings(GivenDetections(table), encoder, CPU, lowest_used(params))
    stage = text_of(track_frames(source, frames, params, 30))
    assert {line.split(",")[1] for line in stage.splitlines()} == {"1", "2"}
    made = Model(params, CPU, encoder=encoder)
    assert made.track(tmp_path / "film", boxes=table).to_mot() == stage
    session, rows = made.session(fps=30), []
    for number, path in enumerate(frames, 1):
        there = table.in_frames(number, number)
        frame = session.update(cv2.imread(str(path)), there.corners(), there.confidence)
        rows.append(format_results(np.full(len(frame), number), frame.identities, frame.boxes, frame.scores))
    assert "".join(rows) == stage


def test_the_command_writes_what_the_stage_would(
    model_folder: Path, frames: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    changes = [f"--set=track.{name}={value}" for name, value in (("confidence", 0.05), ("new_track_confidence", 0.05))]
    run(["track", str(tmp_path / "film"), "--model", str(model_folder), "-o", str(out), "--device", "cpu", *changes])
    params = TrackParams(confidence=0.05, new_track_confidence=0.05)
    loaded = clmot.load(model_folder)
    assert loaded.network is not None
    found = track_frames(NetworkDetections(loaded.network, SIZE, params.max_objects, CPU), frames, params, 30)
    write_results(tmp_path / "stage.txt", found.frame, found.identity, found.boxes, found.scores)
    assert (out / "film.txt").read_bytes() == (tmp_path / "stage.txt").read_bytes()
    assert "8 frames" in capsys.readouterr().out


def test_thresholds_are_those_of_the_project_and_go_along_when_packed(model_folder: Path, tmp_path: Path) -> None:
    project = model_folder.parent.parent
    assert clmot.load(model_folder).params == TrackParams()
    text = (ROOT / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("lost_seconds: 1.0 ", "lost_seconds: 2.5 "))
    (project / "dvc.yaml").write_text("stages: {}\n")
    (project / "metrics").mkdir()
    (project / "metrics" / "summary.json").write_text(json.dumps({"MOT17": {"IDF1": 0.7, "FP": 3}}))
    assert clmot.load(model_folder).params.lost_seconds == 2.5
    out = tmp_path / "packed"
    run(["pack", str(model_folder), str(out)])
    assert clmot.load(out).params.lost_seconds == 2.5
    card = (out / "MODEL_CARD.md").read_text()
    assert "MOT17/IDF1: 0.7" in card
    assert "no part has seen any" in card
    assert read_description(out).trained_on == {"a/b": 4}
    run(["pack", str(model_folder), str(out)])  # a model may be replaced
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists and is no model"):
        run(["pack", str(model_folder), str(tmp_path / "mine")])


def test_a_card_says_that_identities_were_seen(tmp_path: Path) -> None:
    description = ModelDescription(SIZE, "fairmot.pth", 0, "head", 1, seen_identities=("it began with fairmot.pth",))
    write_description(tmp_path, description)
    assert "**seen**: it began with fairmot.pth" in (tmp_path / "MODEL_CARD.md").read_text()
    assert read_description(tmp_path) == description


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"input_size": 3}', "{" * 5000])
def test_a_description_that_is_none_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match="does not describe a model"):
        read_description(tmp_path)


def test_what_has_no_detector_asks_for_boxes(frames: list[Path], tmp_path: Path, model_folder: Path) -> None:
    torch.manual_seed(0)
    save_crop_encoder(model_folder, CropEncoder(CROP))
    write_description(model_folder, ModelDescription(SIZE, "random", 0, "crop", 3))
    loaded = clmot.load(model_folder)
    with pytest.raises(InputError, match="no detector that was trained"):
        next(loaded.track(tmp_path / "film"))
    with pytest.raises(ValueError, match="no detector"):
        loaded.session().update(np.zeros((9, 9, 3), np.uint8))


def test_no_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model's folder.*--learn"):
        clmot.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("image", "boxes", "scores", "message"),
    [
        (np.zeros((9, 9, 3)), [], [], "uint8"),
        (np.zeros((9, 9, 2), np.uint8), [], [], "BGR"),
        (np.zeros((9, 9, 3), np.uint8), [[0, 0, 5, 5]], [0.5, 0.5], "1 boxes, but 2 scores"),
        (np.zeros((9, 9, 3), np.uint8), [[0, 0, 5, np.nan]], [0.5], "finite"),
    ],
)
def test_what_a_session_cannot_take_is_said(image: object, boxes: object, scores: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(PARAMS, CPU).session().update(image, boxes, scores)  # type: ignore[arg-type]


def test_collectors_take_what_is_left() -> None:
    table = AnnotationTable.empty()
    images = [np.zeros((20, 30, 3), np.uint8)] * 3
    tracking = Model(PARAMS, CPU).track(images, boxes=table, fps=10)
    assert next(tracking).number == 1
    frame = tracking.to_pandas()
    assert list(frame.columns) == ["frame", "time", "identity", "x1", "y1", "x2", "y2", "score"]
    assert list(tracking) == []


def test_importing_the_package_loads_no_torch_and_tracking_no_dvc() -> None:
    code = """
import sys
import clmot
assert not {"torch", "numpy"} & set(sys.modules), "import clmot should cost nothing"
assert "load" in dir(clmot) and clmot.TrackParams().confidence
clmot.load
heavy = {"dvc", "mlflow", "motmetrics", "trackeval"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
