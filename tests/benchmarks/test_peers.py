"""The benchmark of other people's trackers, which are played by stand-ins here."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from benchmarks import peer_trackers, peers

IMAGE = np.zeros((40, 40, 3), np.uint8)
BOXES = np.array([[1, 2, 11, 22, 0.9], [15, 2, 25, 22, 0.8]])


class Tracker:
    """Gives every box its row as identity, and remembers what embeddings it was given."""

    def __init__(self, reid_model=None, use_embeddings=True, **options):
        self.reid_model, self.use_embeddings, self.options, self.seen = reid_model, use_embeddings, options, []

    def update(self, detections, image):
        assert detections.shape[1] == 6
        if self.use_embeddings:
            self.seen.append(self.reid_model.get_features(detections[:, :4], image))
        rows = [[*row[:4], at + 1, row[4], row[5], at] for at, row in enumerate(detections)]
        return np.array(rows) if rows else np.array([])


@pytest.fixture(autouse=True)
def boxmot(monkeypatch):
    module = ModuleType("boxmot")
    module.BotSort = module.StrongSort = module.DeepOcSort = Tracker
    monkeypatch.setitem(sys.modules, "boxmot", module)


def test_a_tracker_is_asked_as_it_asks_back() -> None:
    asked = []

    def look(frame, image, boxes):
        asked.append((frame, boxes.tolist()))
        return np.eye(2, dtype=np.float32)[: len(boxes)]

    tracker = peer_trackers.start("BoxMOT BotSort", look, {"frame_rate": 6.9})
    assert tracker.tracker.options["frame_rate"] == 7
    found = tracker.update(3, IMAGE, BOXES)
    np.testing.assert_allclose(found, [[*BOXES[0, :4], 1, 0.9], [*BOXES[1, :4], 2, 0.8]])
    assert asked == [(3, BOXES[:, :4].tolist())]
    assert tracker.update(4, IMAGE, BOXES[:0]).shape == (0, 6)
    without = peer_trackers.start("BoxMOT BotSort", None, {"frame_rate": 25})
    assert without.tracker.use_embeddings is False


def test_boxes_are_embedded_once() -> None:
    asked = []

    def look(frame, image, boxes):
        asked.extend(boxes[:, 0].tolist())
        return boxes[:, :1].astype(np.float32)

    remembered = peer_trackers.Remembered(look)
    for rows in ([0], [1, 0], [0, 1]):
        found = remembered(1, IMAGE, BOXES[rows, :4])
        np.testing.assert_array_equal(found[:, 0], BOXES[rows, 0])
    assert asked == [1, 15]
    remembered(2, IMAGE, BOXES[:1, :4])
    assert asked == [1, 15, 1]


def test_middles_become_corners() -> None:
    np.testing.assert_array_equal(peer_trackers.corners([[6, 12, 10, 20, 0]]), [[1, 2, 11, 22]])


def test_the_page_has_means_and_their_deviation() -> None:
    def runs(*values):
        return [{"IDF1": value, "HOTA": value / 2} for value in values]

    results = {
        "door": {"BoxMOT BotSort": {"none": runs(50, 60), "ours": runs(70, 80)}},
        "yard": {"BoxMOT BotSort": {"none": runs(30, 40)}},
    }
    page = peers.page({"results": results, "packages": ["boxmot==25.0.0"], "drops": 2, "share": 0.03})
    row = next(line for line in page.splitlines() if line.startswith("| BoxMOT BotSort"))
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert cells == ["45.0 ± 7.1 / 22.5", "-", "-", "-", "-"]  # only what every film has
    assert "75.0 ± 7.1 / 37.5" in page
    assert "without another 3 % of the boxes" in page
    assert "boxmot 25.0.0" in page
