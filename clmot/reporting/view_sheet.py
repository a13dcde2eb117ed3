"""The views that training sees, as one picture: a look at what the contrast is told before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from clmot.data.frames import FrameDataset, TrainingFrame, collate, epoch_order
from clmot.data.views import make_views
from clmot.params import Params
from clmot.reporting.drawing import draw_tracks
from clmot.training.randomness import derived_generator

HEADING_HEIGHT = 22
"""Pixels above every view for the words that say what it is."""
GAP = 4
"""Pixels between the views."""
PAPER, INK = 255, (40, 40, 40)


@dataclass(frozen=True)
class FrameViews:
    """All views of one frame, as the network gets them."""

    frame: TrainingFrame
    names: tuple[str, ...]
    """(V,) what each view is."""
    images: NDArray[np.uint8]
    """(V, H, W, 3) BGR."""
    boxes: NDArray[np.float32]
    """(V, N, 4) corners in pixels of the view."""
    present: NDArray[np.bool_]
    """(V, N) whether object n is in the view."""


def first_training_views(params: Params, frames: Sequence[TrainingFrame], count: int) -> list[FrameViews]:
    """What the first steps of `train` look at: the same frames in the same order with the same random draws.

    Args:
        params: all of params.yaml.
        frames: all training frames, as `train` finds them.
        count: how many frames; fewer where an epoch has fewer.

    Raises:
        InputError: an image is missing or cannot be read.
    """
    train = params.train
    dataset = FrameDataset(frames, params.model.input_size, train.previous_min_iou if train.previous_frame else None)
    names = [f"view {number}" for number in range(1, train.views + 1)]
    if train.previous_frame:
        names += [f"the frame before, {name}" for name in names]
    order = epoch_order(
        frames,
        0,
        train.frame_stride,
        train.batch_size,
        derived_generator(params.seed, "train", "order", 0),
    )
    found: list[FrameViews] = []
    for step, indices in enumerate(order):
        if len(found) >= count:
            break
        batch = collate([dataset[index] for index in indices])
        views = make_views(batch, params.views, train.views, derived_generator(params.seed, "train", "views", 0, step))
        # RGB in 0..1, channels first, to what OpenCV draws into.
        pixels = views.images.flip(2).permute(0, 1, 3, 4, 2).mul(255).round().to(torch.uint8).numpy()
        for position, index in enumerate(indices):
            found.append(
                FrameViews(
                    frames[index],
                    tuple(names),
                    pixels[:, position],
                    views.boxes[:, position].numpy(),
                    views.present[:, position].numpy(),
                )
            )
    return found[:count]


def draw_sheet(rows: Sequence[FrameViews]) -> NDArray[np.uint8]:
    """One picture (height, width, 3) BGR: a row of views for every frame.

    Object n of a frame has one number and one colour in all its views: a number on different people in two views would
    be a wrong positive of the contrast.
    """
    return np.concatenate([_draw_row(row) for row in rows])


def _draw_row(row: FrameViews) -> NDArray[np.uint8]:
    cells = []
    for view, name in enumerate(row.names):
        shown = row.present[view]
        numbers = np.flatnonzero(shown) + 1
        picture = draw_tracks(row.images[view], row.boxes[view][shown], numbers)
        heading = f"{row.frame.film} frame {row.frame.number}: {name}, {len(numbers)} of {len(shown)} objects"
        cells.append(_with_heading(picture, heading))
    return np.concatenate(cells, axis=1)


def _with_heading(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A picture with a line of text above, made smaller where the picture is narrow, and a gap around."""
    height, width = picture.shape[:2]
    cell = np.full((HEADING_HEIGHT + height + GAP, width + GAP, 3), PAPER, np.uint8)
    cell[HEADING_HEIGHT : HEADING_HEIGHT + height, :width] = picture
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(0.45, (width - GAP) / wide)
    cv2.putText(cell, text, (2, HEADING_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return cell
