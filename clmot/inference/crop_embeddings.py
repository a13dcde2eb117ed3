"""Detections of any source with the crop encoder's embeddings."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from clmot.cut_boxes import cut_boxes
from clmot.inference.pipeline import Detections, DetectionSource, Image
from clmot.models.crop_encoder import CropEncoder


class EncodedBoxes:
    """What boxes look like to the crop encoder."""

    def __init__(self, encoder: CropEncoder, device: torch.device) -> None:
        """Put the encoder on the device, where boxes are cut and encoded, those of a frame in one batch."""
        self.encoder = encoder.to(device).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Embeddings (N, D) of boxes (N, 4), corners in image pixels."""
        if not len(boxes):
            return np.zeros((0, self.encoder.config.dimension), np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).to(self.device).permute(2, 0, 1).float()
        corners = torch.from_numpy(boxes).to(self.device, torch.float32)
        crops = cut_boxes(pixels, corners, self.encoder.config.input_size) / 255
        return self.encoder(crops).float().cpu().numpy()


class CropEmbeddings:
    """A source whose boxes are those of another one, and whose embeddings the crop encoder's."""

    def __init__(self, source: DetectionSource, encoder: CropEncoder, device: torch.device, floor: float) -> None:
        """Put the encoder on the device, ready to look.

        Args:
            source: finds the boxes.
            encoder: stays on `device`.
            device: where boxes are cut and encoded, those of a frame in one batch.
            floor: detections scored below are of no use to anybody, and are left out.
        """
        self.source = source
        self.embed = EncodedBoxes(encoder, device)
        self.floor = floor

    def __call__(self, frame: int, image: Image) -> Detections:
        """The boxes of a frame, in the order of the source."""
        found = self.source(frame, image)
        rows = found.scores >= self.floor
        boxes, scores = found.boxes[rows], found.scores[rows]
        return dataclasses.replace(found, boxes=boxes, scores=scores, embeddings=self.embed(image, boxes))
