"""Training frames: images with boxes. No identity is in `data/training`; the supervised baseline, and it alone, adds
them from `data/identities`, which is empty unless `strip.keep_identities` opened the wall."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from clmot.data.extra_sets import read_extra_sets
from clmot.data.tracklets import pairwise_iou
from clmot.data.training_folder import (
    BOXES_FILE,
    FORGIVEN_FILE,
    existing_images,
    read_identities,
    read_strip_report,
    read_training_boxes,
)
from clmot.errors import InputError
from clmot.images import letterbox, read_image
from clmot.motchallenge.sequence import SEQINFO_FILE, read_seqinfo


@dataclass(frozen=True)
class TrainingFrame:
    """One frame that training may look at."""

    image: Path
    film: str
    """`benchmark/sequence`, so that frame strides count within one film; `extra/set` for an image of no film."""
    number: int
    """In the film, or the line in the set's list of images."""
    boxes: NDArray[np.float32]
    """(N, 4) corners in image pixels; N may be 0."""
    identities: NDArray[np.int64] | None = None
    """(N,) numbers from 0, unique over all films, for the supervised baseline; None: nobody knows."""
    forgiven: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(M, 4) corners in image pixels: where finding something is no mistake."""
    weight: float | None = None
    """How often an image that is of no film is drawn in an epoch, on average; None: a frame of a film."""


@dataclass(frozen=True)
class Batch:
    """Letterboxed frames of a batch, padded to the most boxes of any."""

    images: Tensor
    """(B, 3, H, W) uint8 RGB, channels last in memory."""
    boxes: Tensor
    """(B, N, 4) float32 corners in input pixels; rows that are not `valid` are 0."""
    valid: Tensor
    """(B, N) bool."""
    forgiven: Tensor
    """(B, M, 4) float32 corners in input pixels where finding something is no mistake; padded with 0."""
    content: Tensor
    """(B, 4) float32: where the image lies between the grey bars, corners in input pixels."""
    identities: Tensor
    """(B, N) int64; -1 where unknown, which is everywhere but for the supervised baseline."""
    indices: tuple[int, ...]
    """Positions of the frames in the dataset."""
    part: tuple[slice, int] | None = None
    """Which frames of a larger batch these are, and how many that has; None: these are all."""
    previous: Batch | None = None
    """The frames before these, row n being the object of row n here, `valid` only where it was found again; None: not
    asked for. The first frame of a film stands before itself."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which a GPU copies while the CPU goes on.

        `DataLoader(pin_memory=True)` calls this by its name, and leaves a batch without it where it is.
        """
        return self._each(Tensor.pin_memory)

    def part_of(self, part: slice, frames: int) -> Batch:
        """The same batch as the `part` of one of so many frames."""
        previous = None if self.previous is None else self.previous.part_of(part, frames)
        return replace(self, part=(part, frames), previous=previous)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = change(value)
        if self.previous is not None:
            values["previous"] = self.previous._each(change)
        return Batch(**values)


def find_training_frames(
    training_dir: str | os.PathLike[str],
    benchmarks: Sequence[str],
    identities_dir: str | os.PathLike[str] | None = None,
    extra_dir: str | os.PathLike[str] | None = None,
) -> list[TrainingFrame]:
    """All frames of `data/training`, those without people included, then the extra images.

    Args:
        training_dir: `data/training`, with a folder per benchmark.
        benchmarks: the benchmarks that take part, in any order.
        identities_dir: `data/identities`, for the supervised baseline alone.
        extra_dir: `data/extra`: images that are of no film, and whose identities are unknown.

    Raises:
        InputError: a frame or a box file is missing or malformed, there is no frame to train on at all, or an extra
            image is not the one that was indexed.
    """
    found = []
    known = 0  # identities so far
    for benchmark in sorted(benchmarks):
        for sequence, frames in read_strip_report(Path(training_dir) / benchmark).items():
            directory = Path(training_dir) / benchmark / sequence
            table, forgiven = (read_training_boxes(directory / file) for file in (BOXES_FILE, FORGIVEN_FILE))
            corners, spared = table.corners().astype(np.float32), forgiven.corners().astype(np.float32)
            identities = None
            if identities_dir is not None:
                labels = read_identities(Path(identities_dir) / benchmark / f"{sequence}.txt", len(table))
                people, identities = np.unique(labels, return_inverse=True)
                identities, known = identities + known, known + len(people)
            for number, image in zip(frames, existing_images(directory, frames), strict=True):
                own, its = rows_of(table.frame, number), rows_of(forgiven.frame, number)
                people_of = None if identities is None else identities[own]
                name = f"{benchmark}/{sequence}"
                found.append(TrainingFrame(image, name, number, corners[own], people_of, spared[its]))
    if not found:
        raise InputError(
            f"{training_dir} holds no training frame of {', '.join(sorted(benchmarks))}: "
            "check `data.split`, and the report of the strip stage."
        )
    return found + (find_extra_frames(extra_dir) if extra_dir is not None else [])


def rows_of(frame: NDArray[np.int64], number: int) -> slice:
    """The rows of one frame, among rows of frames (N,) in order."""
    return slice(*np.searchsorted(frame, (number, number + 1)))


def frame_rates(training_dir: str | os.PathLike[str], frames: Sequence[TrainingFrame]) -> dict[str, float]:
    """Frames per second by the films' names; images of no film have none.

    Args:
        training_dir: `data/training`.
        frames: what trains.

    Raises:
        InputError: a seqinfo.ini cannot be read.
    """
    names = {frame.film for frame in frames if frame.weight is None}
    return {name: read_seqinfo(Path(training_dir) / name / SEQINFO_FILE).frame_rate for name in sorted(names)}


def find_extra_frames(extra_dir: str | os.PathLike[str]) -> list[TrainingFrame]:
    """The images of `data/extra`.

    Raises:
        InputError: the folder is absent or damaged, or an image is gone or has another size in bytes than when it was
            indexed (its whole content is looked at only there).
    """
    found = []
    for extra in read_extra_sets(extra_dir):
        for number, image in enumerate(extra.images, 1):
            path = extra.path(image)
            try:
                changed = "has changed" if path.stat().st_size != image.bytes else ""
            except OSError as error:
                changed = f"cannot be read ({error.strerror})"
            if changed:
                raise InputError(f"{path} {changed} since it was indexed: run `dvc repro -s -f index`, then go on.")
            found.append(
                TrainingFrame(path, f"extra/{extra.name}", number, image.boxes, None, image.forgiven, extra.weight)
            )
    return found


def count_identities(frames: Sequence[TrainingFrame]) -> int:
    """How many identities the frames show; 0 when nobody knows."""
    known = [frame.identities for frame in frames if frame.identities is not None and len(frame.identities)]
    return int(max(labels.max() for labels in known)) + 1 if known else 0


class FrameDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Decodes and letterboxes training frames; no randomness, so workers change nothing but the speed."""

    def __init__(
        self,
        frames: Sequence[TrainingFrame],
        input_size: tuple[int, int],
        previous_min_iou: float | None = None,
    ) -> None:
        """Prepare to read frames in any order.

        Args:
            frames: what to train on.
            input_size: the network's (width, height).
            previous_min_iou: every item brings the frame before as well, with its boxes in the order of the item's,
                matched at this IoU or more; None: it does not.
        """
        self.frames = frames
        self.input_size = input_size
        self.previous_min_iou = previous_min_iou
        # An image of no film has no frame before it.
        self.position = {(f.film, f.number): i for i, f in enumerate(frames) if f.weight is None}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        frame = self.frames[index]
        item = self._read(frame, frame.boxes, frame.forgiven)
        item["valid"] = torch.ones(len(frame.boxes), dtype=torch.bool)
        item["identities"] = (
            torch.full((len(frame.boxes),), -1) if frame.identities is None else torch.from_numpy(frame.identities)
        )
        item["index"] = index
        if self.previous_min_iou is not None:
            before = self.frames[self.position.get((frame.film, frame.number - 1), index)]
            boxes, found = carried_boxes(frame.boxes, before.boxes, self.previous_min_iou)
            known = torch.from_numpy(found)
            item["previous"] = self._read(before, boxes, before.forgiven[:0])  # it teaches no detection
            item["previous"]["boxes"][~known] = 0
            item["previous"] |= {
                "valid": known,
                "identities": item["identities"],
                "index": index,
            }
        return item

    def _read(self, frame: TrainingFrame, boxes: NDArray[np.float32], forgiven: NDArray[np.float32]) -> dict[str, Any]:
        image = read_image(frame.image, rgb=True)
        canvas, fit = letterbox(image, self.input_size)
        height, width = image.shape[:2]
        content = fit.to_input(np.array([0, 0, width, height], np.float32))
        return {
            # Channels stay last: putting them first costs a core as much as the resizing, and a GPU nothing.
            "image": torch.from_numpy(canvas),
            "boxes": torch.from_numpy(fit.to_input(boxes).astype(np.float32)),
            "forgiven": torch.from_numpy(fit.to_input(forgiven).astype(np.float32)),
            "content": torch.from_numpy(content),
        }


def carried_boxes(
    boxes: NDArray[np.float32], before: NDArray[np.float32], min_iou: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where the objects of a frame were one frame before, judged by overlap alone.

    Among the pairs that overlap enough, the assignment has the largest sum of IoUs. It is made on the boxes of the two
    images, before anything is mirrored or warped; the original compared boxes of which one side could be mirrored, and
    carried mostly wrong identities.

    Args:
        boxes: (N, 4) corners in the frame.
        before: (M, 4) corners in the frame before.
        min_iou: pairs below are no pairs.

    Returns:
        (N, 4) corners one frame before, 0 where unknown; (N,) bool where they are known.
    """
    carried, found = np.zeros_like(boxes), np.zeros(len(boxes), bool)
    iou = pairwise_iou(boxes, before)  # (N, M)
    # What is not allowed must not count: two poor pairs would outbid the one good pair between them.
    rows, cols = linear_sum_assignment(np.where(iou >= min_iou, iou, 0), maximize=True)
    enough = iou[rows, cols] >= min_iou
    carried[rows[enough]], found[rows[enough]] = before[cols[enough]], True
    return carried, found


def single_threaded(worker: int) -> None:
    """For the start of a `DataLoader`'s worker: one core each, whichever library does the work.

    torch sees to itself; OpenCV would start threads for all cores in every worker.
    """
    cv2.setNumThreads(0)


def collate(items: Sequence[dict[str, Any]]) -> Batch:
    """Stack items of `FrameDataset`, padding their boxes."""
    most, most_forgiven = (max(len(item[name]) for item in items) for name in ("boxes", "forgiven"))
    boxes, forgiven = torch.zeros(len(items), most, 4), torch.zeros(len(items), most_forgiven, 4)
    valid = torch.zeros(len(items), most, dtype=torch.bool)
    identities = torch.full((len(items), most), -1)
    for row, item in enumerate(items):
        count = len(item["boxes"])
        boxes[row, :count] = item["boxes"]
        forgiven[row, : len(item["forgiven"])] = item["forgiven"]
        valid[row, :count] = item["valid"]
        identities[row, :count] = item["identities"]
    return Batch(
        torch.stack([item["image"] for item in items]).permute(0, 3, 1, 2),
        boxes,
        valid,
        forgiven,
        torch.stack([item["content"] for item in items]),
        identities,
        tuple(item["index"] for item in items),
        previous=collate([item["previous"] for item in items]) if "previous" in items[0] else None,
    )


def epoch_order(
    frames: Sequence[TrainingFrame], epoch: int, stride: int, batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Batches of frame indices for one epoch, shuffled.

    Every `stride`-th frame of each film takes part, starting `epoch` frames later than in epoch 0: neighbours
    in time show almost the same, so a stride buys variety per second of training. Images of no film take part as often
    as their weight says. A last batch of a single frame is merged into the one before (batch statistics of one frame
    are noise), unless `batch_size` is 1.
    """
    films = [i for i, f in enumerate(frames) if f.weight is None]
    first: dict[str, int] = {}
    for i in films:
        first.setdefault(frames[i].film, frames[i].number)
    chosen = [i for i in films if (frames[i].number - first[frames[i].film] - epoch) % stride == 0]
    if not chosen:  # films shorter than the stride
        chosen = films
    chosen = chosen + draw_by_weight(frames, generator)
    shuffled = [chosen[i] for i in torch.randperm(len(chosen), generator=generator).tolist()]
    batches = [shuffled[i : i + batch_size] for i in range(0, len(shuffled), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        lonely = batches.pop()
        batches[-1] += lonely
    return batches


def draw_by_weight(frames: Sequence[TrainingFrame], generator: torch.Generator) -> list[int]:
    """Indices of the images of no film that take part in one epoch.

    Of a set of n images with weight w, each is drawn floor(w) times, and (w - floor(w)) * n of them, at random, once
    more; a fraction of an image is drawn with that probability, so that small sets get their share over the epochs.
    Nothing is drawn from the generator where there is no such set.
    """
    sets: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        if frame.weight is not None:
            sets.setdefault(frame.film, []).append(i)
    drawn = []
    for members in sets.values():
        whole, part = divmod(frames[members[0]].weight or 0.0, 1.0)
        chance = torch.rand(1, generator=generator, dtype=torch.float64).item()
        order = torch.randperm(len(members), generator=generator).tolist()
        more = int(round(part * len(members), 6) + chance)
        drawn += members * int(whole) + [members[i] for i in order[:more]]
    return drawn
