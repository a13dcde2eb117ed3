"""Detections from files: their scores, their frames, and the cells where their embeddings are read."""

from __future__ import annotations

import functools
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clmot.errors import InputError
from clmot.images import fit_letterbox
from clmot.inference.given_detections import (
    GivenDetections,
    HeadEmbeddings,
    Recorder,
    given_detections,
    read_cells,
    usable_scores,
)
from clmot.inference.pipeline import Detections
from clmot.inference.recording import (
    RecordedDetections,
    read_embeddings,
    read_recording,
    write_recording,
)
from clmot.models.targets import make_targets
from clmot.motchallenge.annotations import AnnotationTable
from clmot.motchallenge.splits import FrameRange

CPU = torch.device("cpu")
SIZE = (64, 32)  # of the network's input
IMAGE = np.zeros((60, 100, 3), np.uint8)


class Numbered(nn.Module):
    """An embedding head whose vector in every cell is the cell's number and a one."""

    config = types.SimpleNamespace(embedding_dim=2)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def read_at(self, features: torch.Tensor, cells: torch.Tensor, heads: list[str]) -> dict[str, torch.Tensor]:
        self.asked.append(heads)
        return {"id": torch.stack((cells.float(), torch.ones(cells.shape)), -1)}


def table(rows: list[tuple[float, ...]]) -> AnnotationTable:
    """Rows of frame, x, y, w, h, confidence."""
    columns = np.array(rows, float).reshape(-1, 6)
    count = len(columns)
    return AnnotationTable(
        columns[:, 0].astype(np.int64),
        np.full(count, -1),
        columns[:, 1:5],
        columns[:, 5],
        np.ones(count, np.int64),
        np.ones(count),
    )


boxes_in_image = st.lists(
    st.tuples(*[st.floats(-30, 130, width=32)] * 2, *[st.floats(0, 80, width=32)] * 2), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(boxes_in_image)
def test_embeddings_are_read_where_training_reads_them(drawn: list[tuple[float, ...]]) -> None:
    """The cell of a box is that of the training target of the same box, also outside the image."""
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in drawn])
    fit, _ = fit_letterbox((100, 60), SIZE)
    in_input = torch.from_numpy(fit.to_input(boxes.astype(np.float32)))[None]
    targets = make_targets(in_input, torch.ones(1, len(boxes), dtype=torch.bool), SIZE, 0.7)
    assert read_cells(boxes, fit, SIZE).tolist() == targets.cells[0].tolist()
    rows = table([(3, x + 1, y + 1, w, h, 0.5) for x, y, w, h in drawn])
    found = GivenDetections(rows, HeadEmbeddings(Numbered(), SIZE, CPU))(3, IMAGE)
    assert found.embeddings is not None
    assert found.embeddings[:, 0].tolist() == targets.cells[0].tolist()


def test_boxes_come_in_the_order_of_the_file() -> None:
    model = Numbered()
    rows = table([(2, 11, 6, 4, 8, 0.25), (1, 1, 1, 4, 8, 1.0), (2, 5, 6, 4, 8, 0.75)])
    source = GivenDetections(rows, HeadEmbeddings(model, SIZE, CPU))
    second = source(2, IMAGE)
    np.testing.assert_array_equal(second.boxes, [[10, 5, 14, 13], [4, 5, 8, 13]])
    assert second.scores.tolist() == [0.25, 0.75]
    nobody = source(3, IMAGE)
    assert nobody.boxes.shape == (0, 4)
    assert nobody.embeddings is not None
    assert len(nobody.embeddings) == 0
    assert model.asked == [["id"]], "a frame without boxes costs no forward pass"


def test_without_embeddings_the_network_does_not_run() -> None:
    model = Numbered()
    found = GivenDetections(table([(1, 1, 1, 4, 8, 1)]))(1, IMAGE)
    assert found.embeddings is None
    assert model.asked == []


def test_scores_are_cut_off_and_not_rescaled() -> None:
    assert usable_scores(np.array([-1.0, -0.5, 0.3, 1.7, 64.0])).tolist() == [0, 0, 0.3, 1, 1]
    assert usable_scores(np.array([0.2, 0.4])).tolist() == [0.2, 0.4]
    assert usable_scores(np.array([-1.0, -1.0])).tolist() == [1, 1], "no score is stated"
    assert usable_scores(np.zeros(0)).tolist() == []


class TestFiles:
    """Frames 7 to 12 of a film of 12 are tracked."""

    FRAMES = FrameRange(7, 12)

    @pytest.fixture(autouse=True)
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DVC_ROOT", raising=False)
        (tmp_path / "mine").mkdir()
        return tmp_path

    def read(self, name: str = "MOT17-02") -> AnnotationTable:
        found = given_detections("mine", "MOT17", name, self.FRAMES, 12)
        assert found is not None
        return found

    def test_frames_are_those_of_the_film(self) -> None:
        Path("mine/MOT17-02.txt").write_text("6,-1,1,1,2,2,1\n12,-1,3,1,2,2,1\n7,-1,2,1,2,2,1\n")
        assert self.read().frame.tolist() == [6, 1]
        assert self.read().box[:, 0].tolist() == [3, 2]

    @pytest.mark.parametrize("corners", [True, False])
    def test_corners_in_the_place_of_sizes_are_refused(self, corners: bool) -> None:
        ends = [(30, 60), (130, 90), (190, 110), (90, 95)]
        rows = [(x - 25, y - 40, *((x, y) if corners else (25, 40))) for x, y in ends]
        text = "".join(f"{n},-1,{','.join(map(str, row))},1\n" for n, row in enumerate(rows, 7))
        Path("mine/a.txt").write_text(text)
        found = functools.partial(given_detections, "mine", "MOT17", "a", self.FRAMES, 12, size=(200, 120))
        if not corners:
            assert len(found()) == 4
            return
        with pytest.raises(InputError, match="are they the corners x2, y2"):
            found()

    def test_the_network_needs_no_file(self) -> None:
        assert given_detections("network", "MOT17", "MOT17-02", self.FRAMES, 12) is None

    @pytest.mark.parametrize("last", [6, 13])
    def test_files_numbered_otherwise_are_refused(self, last: int) -> None:
        """Results of the tracked part alone are usually numbered from 1."""
        Path("mine/MOT17-02.txt").write_text(f"1,-1,1,1,2,2,1\n{last},-1,1,1,2,2,1\n")
        with pytest.raises(InputError, match=rf"ends with frame {last}, but frames 7 to 12 .* within the film"):
            self.read()

    def test_a_detectors_suffix_is_fine_where_it_is_clear_whose(self) -> None:
        Path("mine/MOT17-02-SDP.txt").write_text("7,-1,2,1,2,2,1\n")
        assert len(self.read()) == 1
        Path("mine/MOT17-02-DPM.txt").write_text("")
        with pytest.raises(InputError, match=r"has MOT17-02-DPM\.txt, MOT17-02-SDP\.txt for MOT17-02"):
            self.read()
        Path("mine/MOT17-02.txt").write_text("")
        assert len(self.read()) == 0

    def test_an_absent_file_is_named_with_what_there_is(self) -> None:
        with pytest.raises(InputError, match=r"MOT17-02\.txt does not exist \(it has no \.txt\)"):
            self.read()
        Path("mine/MOT17-04.txt").write_text("")
        with pytest.raises(InputError, match=r"MOT17-02\.txt does not exist \(it has MOT17-04\)"):
            self.read()

    def test_a_folder_starts_where_the_project_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Experiments run in copies of the project, which have no such folder."""
        Path("mine/MOT17-02.txt").write_text("7,-1,2,1,2,2,1\n")
        (tmp_path / "copy").mkdir()
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))
        monkeypatch.chdir(tmp_path / "copy")
        assert len(self.read()) == 1

    def test_public_detections_beyond_a_shortened_film_are_left_out(self) -> None:
        Path("data/detections/MOT17").mkdir(parents=True)
        Path("data/detections/MOT17/MOT17-02.txt").write_text("7,-1,2,1,2,2,1\n13,-1,2,1,2,2,1\n")
        found = given_detections("public", "MOT17", "MOT17-02", self.FRAMES, 12)
        assert found is not None
        assert found.frame.tolist() == [1]


def recorded(count: int, dimension: int | None, seed: int = 0) -> RecordedDetections:
    rng = np.random.default_rng(seed)
    return RecordedDetections(
        np.sort(rng.integers(1, 9, count)).astype(np.int32),
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.random(count, np.float32),
        None if dimension is None else rng.normal(size=(count, dimension)).astype(np.float16),
    )


class TestRecording:
    @pytest.mark.parametrize("dimension", [None, 1, 8])
    @pytest.mark.parametrize("count", [0, 1, 50])
    def test_what_is_written_is_read(self, tmp_path: Path, count: int, dimension: int | None) -> None:
        detections = recorded(count, dimension)
        write_recording(tmp_path / "a", detections)
        found = read_recording(tmp_path / "a")
        for name in ("frame", "boxes", "scores"):
            np.testing.assert_array_equal(getattr(found, name), getattr(detections, name))
        rows = np.arange(count)[::-2]
        vectors = read_embeddings(tmp_path / "a", rows)
        if detections.embeddings is None:
            assert vectors is None
        else:
            np.testing.assert_array_equal(vectors, detections.embeddings[rows].astype(np.float32))

    def test_equal_detections_give_equal_bytes_of_the_stated_size(self, tmp_path: Path) -> None:
        write_recording(tmp_path / "a", recorded(1000, 64))
        write_recording(tmp_path / "b", recorded(1000, 64))
        data = (tmp_path / "a").read_bytes()
        assert data == (tmp_path / "b").read_bytes()
        assert len(data) == pytest.approx(1000 * (24 + 2 * 64), abs=400)

    def test_embeddings_are_read_a_block_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from clmot.inference import recording

        detections = recorded(50, 3)
        write_recording(tmp_path / "a", detections)
        monkeypatch.setattr(recording, "_BLOCK", 7)
        rows = np.array([49, 0, 13, 14, 14])
        assert detections.embeddings is not None
        np.testing.assert_array_equal(read_embeddings(tmp_path / "a", rows), detections.embeddings[rows])

    def test_the_recorder_keeps_what_scores_enough(self) -> None:
        frames = {
            1: Detections(np.eye(3, 4), np.array([0.9, 0.05, 0.04]), np.array([[3, 4], [0, 0], [1, 1.0]])),
            2: Detections(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 0))),
            3: Detections(np.ones((1, 4)), np.array([0.5]), np.array([[0.0, -2]])),
        }
        recorder = Recorder(0.05)
        for frame, found in frames.items():
            recorder(frame, found)
        kept = recorder.recorded()
        assert kept.frame.tolist() == [1, 1, 3]
        assert kept.scores.tolist() == pytest.approx([0.9, 0.05, 0.5])
        assert kept.embeddings is not None
        np.testing.assert_allclose(kept.embeddings, [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-3)

    def test_nothing_recorded(self) -> None:
        recorder = Recorder(0.5)
        recorder(1, Detections(np.eye(1, 4), np.array([0.1]), None))
        assert len(recorder.recorded()) == 0
        assert recorder.recorded().embeddings is None
