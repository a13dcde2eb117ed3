"""What a training has learnt, told by frames that do not train: loss and AP, from boxes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from clmot import ranks
from clmot.data.frames import Batch, TrainingFrame
from clmot.data.tracklets import pairwise_iou
from clmot.errors import InputError
from clmot.hardware import Setup
from clmot.images import STRIDE
from clmot.models.decode import boxes_at, find_peaks
from clmot.models.network import OneShotTracker
from clmot.ranking import average_precision, match_best_first
from clmot.training.recipe import TrainingFrames

LOSS, AP = "held_out_loss", "held_out_AP"
COLUMNS = (LOSS, AP)
"""Of a training's history; AP in 0..1."""
FOUND_FROM = 0.5
"""IoU from which a detection finds a box."""
PEAKS_A_BOX, LEAST_PEAKS = 2, 100
"""How many detections of a frame are looked at, by the most boxes that any frame has: AP needs few of those below."""


def hold_out(frames: Sequence[TrainingFrame], share: float) -> tuple[list[TrainingFrame], list[TrainingFrame]]:
    """The frames that train, and the last `share` of every film's (rounded up, never all), which do not.

    Neighbouring frames show almost the same, so what is held out is one piece of every film. Images of no film train.

    Raises:
        InputError: a share is asked for, and no film has two frames.
    """
    films: dict[str, list[TrainingFrame]] = {}
    for frame in frames:
        if frame.weight is None:
            films.setdefault(frame.film, []).append(frame)
    held = {
        (frame.film, frame.number)
        for one in films.values()
        for frame in one[len(one) - min(math.ceil(share * len(one)), len(one) - 1) :]
    }
    if share and not held:
        raise InputError(
            "params.yaml: 'held_out' asks for frames that do not train, but no film has more than one: set it to 0."
        )
    apart = [frame.weight is None and (frame.film, frame.number) in held for frame in frames]
    return (
        [frame for frame, aside in zip(frames, apart, strict=True) if not aside],
        [frame for frame, aside in zip(frames, apart, strict=True) if aside],
    )


def frames_and_held_out(
    frames: Sequence[TrainingFrame], share: float, input_size: tuple[int, int], previous_min_iou: float | None = None
) -> tuple[TrainingFrames, TrainingFrames | None]:
    """What trains and what is held out, as a `Recipe` takes them; the arguments are those of `hold_out` and
    `FrameDataset`, and so are the errors."""
    taught, held_out = (TrainingFrames(part, input_size, previous_min_iou) for part in hold_out(frames, share))
    return taught, held_out if len(held_out) else None


class FoundBoxes:
    """The detections of frames, held to their boxes; those on what is forgiven are neither right nor wrong."""

    def __init__(self) -> None:
        self.scores: list[NDArray[np.float32]] = []
        self.right: list[NDArray[np.bool_]] = []
        self.boxes = 0

    def add(self, model: OneShotTracker, batch: Batch, setup: Setup) -> None:
        """Run the network on whole frames, which are on its device."""
        most = max(LEAST_PEAKS, PEAKS_A_BOX * batch.boxes.shape[1])
        with setup.autocast():
            features = model.features(batch.images.float() / 255)
            heatmap = model.read(features, ["hm"])["hm"]
            cells, scores = find_peaks(heatmap, most)
            read = model.read_at(features, cells, ["wh", "reg"])
        found = STRIDE * boxes_at(cells, heatmap.shape[-1], read["wh"].float(), read["reg"].float())
        arrays = [tensor.cpu().numpy() for tensor in (found, scores, batch.boxes, batch.valid, batch.forgiven)]
        for boxes, score, true, valid, forgiven in zip(*arrays, strict=True):
            overlaps = pairwise_iou(true[valid], boxes)
            right = match_best_first(overlaps, np.full(len(overlaps), FOUND_FROM)) >= 0
            counts = right | ~(pairwise_iou(forgiven, boxes) >= FOUND_FROM).any(axis=0)
            self.right.append(right[counts])
            self.scores.append(score[counts])
            self.boxes += len(overlaps)

    def average_precision(self, device: torch.device) -> float:
        """Of the frames of all ranks, in 0..1; ranks talk from `device`."""
        scores, right = np.concatenate(self.scores), np.concatenate(self.right)
        together = ranks.gather_rows(torch.from_numpy(np.stack([scores, right], 1)).to(device), 0).cpu().numpy()
        boxes = int(ranks.total(torch.tensor(self.boxes, device=device)))
        return average_precision(together[:, 0], together[:, 1] > 0, boxes)
