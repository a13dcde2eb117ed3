"""Other people's trackers on a film, in an environment of their own: `python -m benchmarks.peer_trackers JOB.json`.

benchmarks/peers.py writes the job and scores what comes of it. Of this project only `clmot.reid` and the colour
histogram run here. The job: `frames` (paths), `frame_rate`, `boxes` (.npy: frame from 1, x1 y1 x2 y2, score), `drops`,
`share`, `model` (its folder), `onnx` (its crops for ultralytics), `rival` (.npz of stored embeddings, or null),
`looks`, `trackers`, `out` (folder).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import clmot
from clmot.errors import run_as_script
from clmot.images import read_image
from clmot.inference.embeddings import StoredEmbeddings, colour_histograms
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.splits import FrameRange

ULTRALYTICS = "ultralytics"
NONE, CONSTANT, COLOUR, RIVAL, OURS = "none", "constant", "colour", "rival", "ours"
CLASS = 0
"""Of every box: a person."""

Look = Callable[[int, NDArray[np.uint8], NDArray[np.float64]], NDArray[np.float32]]
"""(frame from 1, image BGR, boxes (N, 4) x1 y1 x2 y2) -> embeddings (N, D)."""


class Remembered:
    """Embeddings of boxes that were asked for before are not computed again: runs differ in a few boxes alone."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.known: dict[tuple[int, bytes], NDArray[np.float32]] = {}

    def __call__(self, frame: int, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """As the look's own; in the order of the boxes."""
        if not len(boxes):
            return np.zeros((0, 1), np.float32)
        keys = [(frame, row.tobytes()) for row in np.asarray(boxes, np.float32).round(1)]
        new = [row for row, key in enumerate(keys) if key not in self.known]
        if new:
            self.known.update(zip([keys[row] for row in new], self.look(frame, image, boxes[new]), strict=True))
        return np.stack([self.known[key] for key in keys])


class BoxmotLook:
    """An object as BoxMOT's trackers take it, which knows what frame it is asked about."""

    def __init__(self, look: Look) -> None:
        self.look, self.frame = look, 0

    def get_features(self, xyxy: Any, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """BoxMOT's call."""
        return self.look(self.frame, image, np.asarray(xyxy, np.float64)[:, :4])


class Boxmot:
    """One of BoxMOT's trackers, with its own default settings; DeepOcSort without its estimate of the camera's motion,
    which takes a quarter of a second a frame. Cameras that stand still have none."""

    def __init__(self, name: str, frame_rate: float, look: Look | None) -> None:
        import boxmot

        options: dict[str, Any] = {
            "BotSort": {"frame_rate": max(1, round(frame_rate))},
            "DeepOcSort": {"cmc_off": True},
        }
        options = options.get(name, {})
        self.look = None if look is None else BoxmotLook(look)
        if self.look is None:
            options["use_embeddings"] = False
        else:
            options["reid_model"] = self.look
        self.tracker = getattr(boxmot, name)(**options)

    def update(self, frame: int, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (N, 5) with scores -> rows x1 y1 x2 y2 identity score."""
        if self.look is not None:
            self.look.frame = frame
        found = self.tracker.update(np.column_stack([boxes, np.full(len(boxes), CLASS)]), image)
        return first_columns(found)


class Ultralytics:
    """One of ultralytics' trackers, with its own default settings."""

    def __init__(self, name: str, onnx: str, look: Look | None) -> None:
        """`look` is asked in the place of its re-ID model; it may be `UltralyticsOnnx`."""
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        settings = YAML.load(check_yaml(f"{name}.yaml"))
        settings |= {"with_reid": look is not None, "model": onnx, "device": "cpu"}
        self.tracker = TRACKER_MAP[name](IterableSimpleNamespace(**settings))
        self.frame = 0
        if isinstance(look, UltralyticsOnnx):
            look.encoder = look.encoder or self.tracker.encoder
        if look is not None:
            asked = look
            self.tracker.encoder = lambda image, boxes: list(asked(self.frame, image, corners(boxes)))

    def update(self, frame: int, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (N, 5) with scores -> rows x1 y1 x2 y2 identity score."""
        from ultralytics.engine.results import Boxes

        self.frame = frame
        rows = np.column_stack([boxes, np.full(len(boxes), CLASS)]).astype(np.float32)
        found = self.tracker.update(Boxes(rows, image.shape[:2]), image)
        return first_columns(found)


class UltralyticsOnnx(Remembered):
    """The exported file as ultralytics runs it: it cuts and resizes the boxes itself."""

    def __init__(self) -> None:
        super().__init__(self._asked)
        self.encoder: Any = None

    def _asked(self, frame: int, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        centres = np.column_stack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])
        return np.stack(self.encoder(image, centres.astype(np.float32)))


def first_columns(found: Any) -> NDArray[np.float64]:
    """The tracks of a frame (N, 6), of which a tracker may return none in any shape."""
    rows = np.asarray(found, np.float64)
    return rows[:, :6] if rows.size else np.zeros((0, 6))


def corners(boxes: Any) -> NDArray[np.float64]:
    """Middle, width, height (N, 4 or more) -> x1 y1 x2 y2 (N, 4)."""
    rows = np.asarray(boxes, np.float64)[:, :4]
    return np.column_stack([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2])


def make_looks(job: dict[str, Any], package: str) -> dict[str, Look | None]:
    """What boxes look like, in all ways that the job names."""
    looks: dict[str, Look | None] = {
        NONE: None,
        CONSTANT: lambda _frame, _image, boxes: np.ones((len(boxes), 2), np.float32),
        COLOUR: Remembered(lambda _frame, image, boxes: colour_histograms(image, boxes)),
    }
    if job["rival"]:
        looks[RIVAL] = StoredEmbeddings(Path(job["rival"]), FrameRange(1, len(job["frames"])))
    if package == ULTRALYTICS:
        looks[OURS] = UltralyticsOnnx()
    else:
        model = clmot.reid(job["model"], device="cpu")
        looks[OURS] = Remembered(lambda _frame, image, boxes: model.get_features(boxes, image))
    return {name: looks[name] for name in job["looks"] if name in looks}


def start(label: str, look: Look | None, job: dict[str, Any]) -> Any:
    """A tracker by its package and name, `BoxMOT BotSort`."""
    package, name = label.split()
    return Ultralytics(name, job["onnx"], look) if package == ULTRALYTICS else Boxmot(name, job["frame_rate"], look)


def track(tracker: Any, job: dict[str, Any], run: int) -> NDArray[np.float64]:
    """Rows frame, identity, x1 y1 x2 y2, score (R, 7) of one run, which leaves out some boxes."""
    table = np.load(job["boxes"])
    kept = table[np.random.default_rng([0, run]).random(len(table)) >= job["share"]]
    rows = [np.zeros((0, 7))]
    for frame, path in enumerate(job["frames"], start=1):
        found = tracker.update(frame, read_image(Path(path)), kept[kept[:, 0] == frame, 1:])
        rows.append(np.column_stack([np.full(len(found), frame), found[:, 4], found[:, :4], found[:, 5]]))
    return np.concatenate(rows)


def main() -> None:
    """See the module."""
    cv2.setNumThreads(1)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    looks = {
        package: make_looks(job, package) for package in dict.fromkeys(name.split()[0] for name in job["trackers"])
    }
    for label in job["trackers"]:
        for kind, look in looks[label.split()[0]].items():
            if kind == NONE and label.endswith("StrongSort"):
                continue  # It has no way without embeddings.
            for run in range(job["drops"]):
                out = Path(job["out"]) / f"{label}-{kind}-{run}.txt"
                if not out.exists():
                    rows = track(start(label, look, job), job, run)
                    write_results(out, rows[:, 0], rows[:, 1], rows[:, 2:6], rows[:, 6])
                    print(f"{out.stem}: {len(np.unique(rows[:, 1]))} identities", flush=True)


if __name__ == "__main__":
    run_as_script(main)
