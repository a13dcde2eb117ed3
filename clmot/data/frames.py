"""Training frames: images with boxes, nothing else. No identity can enter here: none is in `data/boxes`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clmot.data.images import letterbox, read_image
from clmot.data.strip import read_strip_report, read_training_boxes
from clmot.errors import InputError
from clmot.motchallenge.sequence import image_path, read_seqinfo


@dataclass(frozen=True)
class TrainingFrame:
    """One frame that training may look at."""

    image: Path
    film: str
    """`benchmark/sequence`, so that frame strides count within one film."""
    number: int
    boxes: NDArray[np.float32]
    """(N, 4) corners in image pixels; N may be 0."""


@dataclass(frozen=True)
class Batch:
    """Letterboxed frames of a batch, padded to the most boxes of any."""

    images: Tensor
    """(B, 3, H, W) uint8 RGB."""
    boxes: Tensor
    """(B, N, 4) float32 corners in input pixels; rows that are not `valid` are 0."""
    valid: Tensor
    """(B, N) bool."""
    content: Tensor
    """(B, 4) float32: where the image lies between the grey bars, corners in input pixels."""
    indices: tuple[int, ...]
    """Positions of the frames in the dataset."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.boxes.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.content.to(device, non_blocking=True),
            self.indices,
        )


def find_training_frames(
    frames_dir: str | os.PathLike[str], boxes_dir: str | os.PathLike[str], benchmarks: Sequence[str]
) -> list[TrainingFrame]:
    """All frames of the training ranges that `strip` recorded, those without people included.

    Args:
        frames_dir: `data/frames`, with a folder per benchmark.
        boxes_dir: `data/boxes`, with a folder per benchmark.
        benchmarks: the benchmarks that take part, in any order.

    Raises:
        InputError: a frame or a box file is missing or malformed, or there is no frame to train on at all.
    """
    found = []
    for benchmark in sorted(benchmarks):
        ranges = read_strip_report(Path(boxes_dir) / benchmark)
        for sequence in sorted(ranges):
            directory = Path(frames_dir) / benchmark / sequence
            info = read_seqinfo(directory / "seqinfo.ini")
            table = read_training_boxes(Path(boxes_dir) / benchmark / f"{sequence}.txt")
            corners = table.corners().astype(np.float32)
            starts = np.searchsorted(
                table.frame, np.arange(ranges[sequence].first, ranges[sequence].last + 2)
            )
            for offset, number in enumerate(range(ranges[sequence].first, ranges[sequence].last + 1)):
                image = image_path(directory, info, number)
                boxes = corners[starts[offset] : starts[offset + 1]]
                found.append(TrainingFrame(image, f"{benchmark}/{sequence}", number, boxes))
    if not found:
        raise InputError(
            f"{boxes_dir} holds no training frame of {', '.join(sorted(benchmarks))}: "
            "check `data.split`, and the report of the strip stage."
        )
    return found


class FrameDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Decodes and letterboxes training frames; no randomness, so workers change nothing but the speed."""

    def __init__(self, frames: Sequence[TrainingFrame], input_size: tuple[int, int]) -> None:
        """`input_size` is the network's (width, height)."""
        self.frames = frames
        self.input_size = input_size

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        frame = self.frames[index]
        image = read_image(frame.image)
        canvas, fit = letterbox(image, self.input_size)
        height, width = image.shape[:2]
        content = fit.to_input(np.array([0, 0, width, height], np.float32))
        # BGR to RGB and channels first, in one copy.
        pixels = torch.from_numpy(np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)))
        return {
            "image": pixels,
            "boxes": torch.from_numpy(fit.to_input(frame.boxes).astype(np.float32)),
            "content": torch.from_numpy(content),
            "index": index,
        }


def collate(items: Sequence[dict[str, Any]]) -> Batch:
    """Stack items of `FrameDataset`, padding their boxes."""
    most = max(len(item["boxes"]) for item in items)
    boxes = torch.zeros(len(items), most, 4)
    valid = torch.zeros(len(items), most, dtype=torch.bool)
    for row, item in enumerate(items):
        count = len(item["boxes"])
        boxes[row, :count] = item["boxes"]
        valid[row, :count] = True
    return Batch(
        torch.stack([item["image"] for item in items]),
        boxes,
        valid,
        torch.stack([item["content"] for item in items]),
        tuple(item["index"] for item in items),
    )


def epoch_order(
    frames: Sequence[TrainingFrame], epoch: int, stride: int, batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Batches of frame indices for one epoch, shuffled.

    Every `stride`-th frame of each film takes part, starting `epoch` frames later than in epoch 0: neighbours
    in time show almost the same, so a stride buys variety per second of training. A last batch of a single
    frame is merged into the one before (batch statistics of one frame are noise).
    """
    first: dict[str, int] = {}
    for frame in frames:
        first.setdefault(frame.film, frame.number)
    chosen = [i for i, f in enumerate(frames) if (f.number - first[f.film] - epoch) % stride == 0]
    if not chosen:  # films shorter than the stride
        chosen = list(range(len(frames)))
    shuffled = [chosen[i] for i in torch.randperm(len(chosen), generator=generator).tolist()]
    batches = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        lonely = batches.pop()
        batches[-1] += lonely
    return batches
