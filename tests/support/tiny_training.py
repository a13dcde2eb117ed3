"""What a training needs, a thousand times smaller: a network, frames with people, and batches of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from clmot.data.frames import Batch, FrameDataset, TrainingFrame, collate
from clmot.models.decode import gather_cells
from clmot.motchallenge.sequence import SequenceInfo, write_seqinfo

INPUT_SIZE = (96, 64)
SMALL_NETWORK: dict[str, object] = {
    "model.backbone": "lcnet_050",
    "model.neck_channels": [8, 8, 8, 8],
    "model.head_channels": 8,
    "model.embedding_dim": 8,
    "model.input_size": list(INPUT_SIZE),
}
"""Params of the smallest real network, by dotted name."""


def training_folder(root: Path, film: str, length: int, rows: Sequence[str], suffix: str = ".jpg") -> Path:
    """`data/training/MOT17` with one film whose frames 1 to `length` train; the frames that are not there are empty
    files. The folder of the film."""
    folder = root / "data" / "training" / "MOT17" / film
    (folder / "img1").mkdir(parents=True, exist_ok=True)
    for number in range(1, length + 1):
        (folder / "img1" / f"{number:06d}{suffix}").touch()
    write_seqinfo(folder / "seqinfo.ini", SequenceInfo(film, "img1", 30.0, length, 40, 30, suffix))
    (folder / "boxes.txt").write_text("".join(f"{row}\n" for row in rows))
    (folder / "forgiven.txt").touch()
    sequences = {film: {"frames": [1, length], "kept": len(rows), "dropped": {}}}
    (folder.parent / "strip.json").write_text(json.dumps({"benchmark": "MOT17", "sequences": sequences}))
    return folder


class TinyTracker(nn.Module):
    """A network with the one-shot tracker's outputs and a thousandth of its weights."""

    def __init__(self, embedding_dim: int = 8, identities: int = 0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        widths = {"hm": 1, "wh": 2, "reg": 2, "id": embedding_dim}
        self.heads = nn.ModuleDict({name: nn.Conv2d(8, width, 1) for name, width in widths.items()})
        self.classifier = nn.Linear(embedding_dim, identities) if identities else None

        self.projection = nn.Identity()

    def features(self, images):
        return self.body(images)

    def read(self, features, heads):
        return {name: self.heads[name](features) for name in heads}

    def read_at(self, features, cells, heads):
        return {name: gather_cells(values, cells) for name, values in self.read(features, heads).items()}


def film_of(
    folder: Path,
    counts: Sequence[int],
    film: str = "MOT17/film",
    seed: int = 0,
    step: float = 1.0,
    identities: bool = False,
) -> list[TrainingFrame]:
    """Frames of 90x70 pixels; number n shows the first `counts[n]` people of a crowd that walks `step` pixels a frame.

    Everybody is a plain rectangle of a colour of their own, so that a box can be told from its pixels.
    """
    random = np.random.default_rng(seed)
    most = max(counts, default=0)
    size = np.stack([random.uniform(8, 14, most), random.uniform(14, 26, most)], 1)
    corner = random.uniform(0, 1, (most, 2)) * ([90, 70] - size)
    direction = random.choice([-1.0, 1.0], (most, 2)) * [1, 0.3]
    colours = random.integers(0, 256, (most, 3))
    frames = []
    for number, count in enumerate(counts, 1):
        image = random.integers(90, 110, (70, 90, 3)).astype(np.uint8)
        low = corner[:count] + direction[:count] * step * (number - 1)
        boxes = np.concatenate([low, low + size[:count]], 1).astype(np.float32)
        for (x1, y1, x2, y2), colour in zip(np.rint(boxes).astype(int).tolist(), colours, strict=False):
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), [int(c) for c in colour], cv2.FILLED)
        path = folder / f"{film.replace('/', '-')}-{number}.png"
        cv2.imwrite(str(path), image)
        known = np.arange(count) if identities else None
        frames.append(TrainingFrame(path, film, number, boxes, known))
    return frames


def batch_of_film(frames: Sequence[TrainingFrame], previous_min_iou: float | None = None) -> Batch:
    """All frames as one batch."""
    dataset = FrameDataset(frames, INPUT_SIZE, previous_min_iou)
    return collate([dataset[index] for index in range(len(frames))])
