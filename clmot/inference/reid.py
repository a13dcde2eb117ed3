"""A trained model as the re-ID part of somebody else's tracker: `clmot.reid(folder)`.

Two ways of asking for the embeddings of boxes have spread, and one object answers both. The packages themselves are not
needed here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.errors import InputError
from clmot.hardware import pick_device
from clmot.inference.crop_embeddings import EncodedBoxes
from clmot.inference.pipeline import Image
from clmot.models.crop_weights import load_crop_encoder
from clmot.tracking.costs import normalised

LARGEST_BATCH = 256
"""Boxes that are cut and encoded together: as many as a crowded frame has."""


class ReId:
    """What boxes look like, as BoxMOT's and roboflow's trackers ask for it."""

    def __init__(self, embed: EncodedBoxes) -> None:
        self.embed = embed

    def get_features(self, xyxy: ArrayLike, frame: Image) -> NDArray[np.float32]:
        """BoxMOT's call: `BotSort(reid_model=clmot.reid("models/tracker"))`.

        Args:
            xyxy: boxes (N, 4) x1 y1 x2 y2 in pixels of the frame; further columns are not read.
            frame: (H, W, 3) uint8 BGR.

        Returns:
            (N, D), each of length 1, in the order of the boxes.

        Raises:
            InputError: these are no boxes, or this is no frame.
        """
        return self.extract_embeddings(xyxy, frame)

    def extract_embeddings(
        self, detections: Any, frame: Image, *, batch_size: int = LARGEST_BATCH
    ) -> NDArray[np.float32]:
        """Roboflow's call, with `supervision.Detections`.

        Args:
            detections: has the boxes as `xyxy`, or is an array of them, as `get_features` takes.
            frame: (H, W, 3) uint8 BGR.
            batch_size: boxes that are encoded together; decides nothing about their embeddings.

        Returns:
            (N, D), each of length 1, in the order of the boxes.

        Raises:
            InputError: these are no boxes, or this is no frame.
        """
        boxes = np.asarray(getattr(detections, "xyxy", detections), np.float64)
        boxes = boxes.reshape(len(boxes), -1) if boxes.size else np.zeros((0, 4))
        image = np.asarray(frame)
        if boxes.shape[1] < 4 or not np.isfinite(boxes[:, :4]).all():
            raise InputError(f"boxes should be (N, 4) finite numbers x1 y1 x2 y2, got an array {boxes.shape}.")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"a frame should be (height, width, 3) uint8 BGR, got {image.shape} {image.dtype}.")
        step = max(1, batch_size)
        parts = [self.embed(image, boxes[first : first + step, :4]) for first in range(0, max(1, len(boxes)), step)]
        return normalised(np.concatenate(parts))


def reid(folder: str | os.PathLike[str], *, device: str = "auto") -> ReId:
    """The re-ID part of a model, for other people's trackers.

    Args:
        folder: of a model with a crop encoder (`model.embedder: crop`).
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: there is no such model or device, or the model looks at whole frames and not at boxes.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder: expected a model's, say models/tracker after `dvc repro`.")
    encoder = load_crop_encoder(folder)
    if encoder is None:
        raise InputError(
            f"{folder} has no crop encoder, and other trackers give boxes to a re-ID model: train with "
            "'model.embedder: crop'."
        )
    return ReId(EncodedBoxes(encoder, pick_device(device)))
