"""Detections of any source with the crop encoder's embeddings."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from clmot.cut_boxes import cut_boxes
from clmot.inference.embeddings import Embedded
from clmot.inference.fast_network import channels_together
from clmot.inference.pipeline import DetectionSource, Image, Runner
from clmot.models.crop_encoder import CropEncoder

CROPS_STEP = 32
"""On a GPU a frame's crops are filled up to a multiple of this: for every new shape cuDNN chooses its kernels again."""


class EncodedBoxes:
    """What boxes look like to the crop encoder."""

    def __init__(self, encoder: CropEncoder, runner: Runner | torch.device) -> None:
        """Put the encoder on the device, where boxes are cut and encoded, those of a frame in one batch."""
        self.runner = runner if isinstance(runner, Runner) else Runner(runner)
        self.encoder = channels_together(encoder.to(self.runner.device).eval())

    def __call__(self, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Embeddings (N, D) of boxes (N, 4), corners in image pixels."""
        if not len(boxes):
            return np.zeros((0, self.encoder.config.dimension), np.float32)
        device = self.runner.device
        corners = boxes.astype(np.float32)
        if device.type == "cuda":
            corners = np.concatenate([corners, np.zeros((-len(boxes) % CROPS_STEP, 4), np.float32)])
        with self.runner():
            bgr = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)
            crops = cut_boxes(bgr.flip(0).float(), torch.from_numpy(corners).to(device), self.encoder.config.input_size)
            crops = (crops / 255).contiguous(memory_format=torch.channels_last)
            with self.runner.lowered():
                looks = self.encoder(crops)
            return self.runner.fetched(looks[: len(boxes)])


class CropEmbeddings(Embedded):
    """A source whose boxes are those of another one, and whose embeddings the crop encoder's."""

    def __init__(
        self, source: DetectionSource, encoder: CropEncoder, runner: Runner | torch.device, floor: float
    ) -> None:
        """Put the encoder on the device, ready to look.

        Args:
            source: finds the boxes.
            encoder: stays on the device.
            runner: how and where boxes are cut and encoded, those of a frame in one batch.
            floor: detections scored below are of no use to anybody, and are left out.
        """
        encoded = EncodedBoxes(encoder, runner)
        super().__init__(source, lambda _frame, image, boxes: encoded(image, boxes), floor)
