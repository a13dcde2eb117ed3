"""People cut from frames, with what boxes alone tell of who is who: the training data of the crop encoder.

Positives are boxes of one tracklet, up to some seconds apart; negatives are boxes of tracklets that exist at the same
moment somewhere in their lives, in other frames too. Boxes of tracklets that never met are neither. Later rounds join
tracklets that look alike and never met to groups (`regrouped`), which then give positives over longer times.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clmot.cut_boxes import cut_boxes
from clmot.data.crop_views import context_of
from clmot.data.frames import TrainingFrame
from clmot.data.tracklets import coexistence, link_boxes, merge_relation, pairwise_iou
from clmot.errors import InputError
from clmot.images import read_image
from clmot.params import CropParams, TrainingParams
from clmot.progress import progress

SHARPNESS = 1.25
"""Crops are kept at this times the encoder's resolution, for views that zoom in."""
BOXES_OF_A_FRAME = 8
"""Most boxes that a batch takes from one frame: other frames show the same people in other poses."""


def read_frame(frame: TrainingFrame) -> NDArray[np.uint8]:
    """A frame's image (H, W, 3) RGB, from its file."""
    return read_image(frame.image, rgb=True)


@dataclass(frozen=True)
class CropBatch:
    """Crops of a batch, and who is who among them."""

    crops: Tensor
    """(M, 3, h, w) uint8 RGB, boxes enlarged by `context_of`."""
    positive: Tensor
    """(M, M) bool: the same person, as far as boxes tell."""
    negative: Tensor
    """(M, M) bool: another person."""

    def to(self, device: torch.device) -> CropBatch:
        """The same batch on a device."""
        tensors = (getattr(self, field.name) for field in dataclasses.fields(self))
        return CropBatch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


@dataclass(frozen=True)
class FilmBoxes:
    """The boxes of one film that train, with their tracklets."""

    name: str
    first: int
    """Row of `TrainingCrops` at which they begin."""
    frame: NDArray[np.int64]
    """(R,)"""
    boxes: NDArray[np.float64]
    """(R, 4) corners in image pixels."""
    tracklet: NDArray[np.int64]
    """(R,) 0..T-1."""
    together: NDArray[np.bool_]
    """(T, T): who existed at the same moment."""
    group: NDArray[np.int64]
    """(T,) which tracklets count as one person, 0..G-1."""
    reach: float
    """Frames up to which boxes of one group are positives; infinite once groups are linked."""

    def regrouped(self, group: NDArray[np.int64]) -> FilmBoxes:
        """With tracklets joined to groups; positives then are any two boxes of a group."""
        return dataclasses.replace(self, group=group, reach=np.inf)

    def relations(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Positive and negative (M, M) among some rows (M,)."""
        group = self.group[self.tracklet[rows]]
        met = merge_relation(self.together, self.group)
        same_frame = self.frame[rows][:, None] == self.frame[rows]
        # Two boxes on one person are what a detector gives where its suppression is not strict.
        doubtful = same_frame & (pairwise_iou(self.boxes[rows], self.boxes[rows]) > 0.5)
        return group[:, None] == group, met[group][:, group] & ~doubtful


class TrainingCrops:
    """Boxes of films as `clmot.training.recipe.TrainingData`. An example is a box; half of a batch are the other half's
    positives."""

    def __init__(
        self,
        frames: Sequence[TrainingFrame],
        params: CropParams,
        rates: dict[str, float],
        read: Callable[[TrainingFrame], NDArray[np.uint8]] = read_frame,
    ) -> None:
        """Link the boxes to tracklets and cut them out; that reads every frame that is used once.

        Args:
            frames: films', and images of no film, in which every box is a tracklet of its own.
            params: section `crop`.
            rates: frames per second by the films' names.
            read: the image (H, W, 3) RGB of a frame; is asked film by film, in order.

        Raises:
            InputError: there is no box, or an image cannot be read.
        """
        self.params = params
        films: dict[str, list[TrainingFrame]] = {}
        for frame in frames:
            films.setdefault(frame.film, []).append(frame)
        self.films: list[FilmBoxes] = []
        chosen: list[tuple[TrainingFrame, NDArray[np.float64]]] = []
        count = 0
        for name, shown in sorted(films.items()):
            linked, used = _link(name, shown, params, rates.get(name), count)
            self.films.append(linked)
            chosen += used
            count += len(linked.frame)
        if not count:
            raise InputError("there is no box to learn people's looks from: see the report of the strip stage.")
        self.starts = np.array([film.first for film in self.films])
        self.crops = _cut(chosen, count, params, read)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> int:
        """The row itself: who is who is a matter of the batch."""
        return index

    def collate(self, items: Sequence[int]) -> CropBatch:
        """Crops and relations; boxes of different films are neither positive nor negative."""
        rows = np.array(items)
        film = np.searchsorted(self.starts, rows, side="right") - 1
        positive, negative = np.zeros((2, len(rows), len(rows)), bool)
        for number in np.unique(film):
            places = np.flatnonzero(film == number)
            one = self.films[number]
            cells = np.ix_(places, places)
            positive[cells], negative[cells] = one.relations(rows[places] - one.first)
        np.fill_diagonal(positive, False)
        return CropBatch(self.pixels(rows), torch.from_numpy(positive), torch.from_numpy(negative))

    def pixels(self, rows: NDArray[np.int64]) -> Tensor:
        """The crops (M, 3, h, w) uint8 of some rows."""
        return torch.from_numpy(self.crops[rows]).permute(0, 3, 1, 2)

    def batches(self, epoch: int, params: TrainingParams, generator: torch.Generator) -> list[list[int]]:
        """`crop.steps` batches of `train.batch_size` boxes and as many positives of theirs, from random frames."""
        random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        moments = [(film, rows) for film in self.films for rows in _by_frame(film)]
        return [self._batch(moments, params.batch_size, random) for _ in range(self.params.steps)]

    def _batch(
        self, moments: list[tuple[FilmBoxes, NDArray[np.int64]]], size: int, random: np.random.Generator
    ) -> list[int]:
        anchors: list[int] = []
        partners: list[int] = []
        for place in random.permutation(len(moments)):
            film, rows = moments[place]
            for row in random.permutation(rows)[: min(BOXES_OF_A_FRAME, size - len(anchors))]:
                same = np.flatnonzero(film.group[film.tracklet] == film.group[film.tracklet[row]])
                near = same[np.abs(film.frame[same] - film.frame[row]) <= film.reach]
                anchors.append(film.first + int(row))
                partners.append(film.first + int(random.choice(near)))
            if len(anchors) == size:
                break
        return anchors + partners

    def name(self, index: int) -> str:
        """`MOT17/MOT17-02 frame 7`."""
        film = self.films[int(np.searchsorted(self.starts, index, side="right")) - 1]
        return f"{film.name} frame {film.frame[index - film.first]}"

    def fingerprint(self) -> str:
        """Of boxes, tracklets and groups, and of the crops themselves."""
        digest = hashlib.sha256()
        for film in self.films:
            for array in (film.frame, film.boxes, film.tracklet, film.group):
                digest.update(np.ascontiguousarray(array).tobytes())
        for row in self.crops:
            digest.update(row.tobytes())
        return digest.hexdigest()


def _link(
    name: str, frames: Sequence[TrainingFrame], params: CropParams, rate: float | None, first: int
) -> tuple[FilmBoxes, list[tuple[TrainingFrame, NDArray[np.float64]]]]:
    """A film's boxes, thinned out in time, with the tracklets that all of them form; and the frames to cut from."""
    loose = rate is None  # images of no film: neighbours in their list have nothing in common
    frame = np.repeat([one.number for one in frames], [len(one.boxes) for one in frames])
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in frames)])
    tracklet = link_boxes(frame, boxes, params.min_iou, params.margin, max_gap=0 if loose else 1)
    step = 1 if rate is None else max(1, round(params.every_seconds * rate))
    begin = frames[0].number
    used = [one for one in frames if len(one.boxes) and (one.number - begin) % step == 0]
    kept = np.isin(frame, [one.number for one in used])
    together = coexistence(frame, tracklet)  # of whole tracklets: what is thinned out was seen all the same
    there, numbers = np.unique(tracklet[kept], return_inverse=True)
    film = FilmBoxes(
        name,
        first,
        frame[kept],
        boxes[kept],
        numbers.astype(np.int64),
        together[np.ix_(there, there)],
        np.arange(len(there)),
        0.0 if rate is None else params.gap_seconds * rate,
    )
    return film, [(one, one.boxes.astype(np.float64)) for one in used]


def _cut(
    chosen: Iterable[tuple[TrainingFrame, NDArray[np.float64]]],
    count: int,
    params: CropParams,
    read: Callable[[TrainingFrame], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    """The enlarged boxes (R, h, w, 3) RGB, in a file without a name: a long film has more of them than memory."""
    context = context_of(params.views)
    width, height = (round(side * SHARPNESS * context) for side in params.input_size)
    # The mapping keeps the file open, and the system removes it once nobody does.
    with tempfile.TemporaryFile() as file:
        crops: NDArray[np.uint8] = np.memmap(file, np.uint8, shape=(count, height, width, 3))
    row = 0
    for frame, boxes in progress(list(chosen), "cut", unit="frame"):
        image = torch.from_numpy(read(frame)).permute(2, 0, 1).float()
        low, high = boxes[:, :2], boxes[:, 2:]
        centre, half = (low + high) / 2, (high - low) / 2 * context
        enlarged = torch.from_numpy(np.concatenate([centre - half, centre + half], 1)).float()
        cut = cut_boxes(image, enlarged, (width, height)).round().clamp(0, 255).byte()
        crops[row : row + len(boxes)] = cut.permute(0, 2, 3, 1).numpy()
        row += len(boxes)
    return crops


def _by_frame(film: FilmBoxes) -> list[NDArray[np.int64]]:
    """The rows of each frame."""
    order = np.argsort(film.frame, kind="stable")
    starts = np.flatnonzero(np.diff(film.frame[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows)]
