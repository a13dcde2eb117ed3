"""What is found in a frame, and the one-shot network as that which finds it.

Where detections come from is a function of the frame (`DetectionSource`); the network is one such source, others are in
given_detections.py and crop_embeddings.py. A `clmot.inference.session.Session` makes tracks of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clmot.images import STRIDE, Letterbox, letterbox
from clmot.models.decode import boxes_at, find_peaks
from clmot.models.network import OneShotTracker

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one frame."""

    boxes: NDArray[np.float64]
    """(N, 4) x1 y1 x2 y2 in image pixels"""
    scores: NDArray[np.float64]
    """(N,) in 0..1"""
    embeddings: NDArray[np.float32] | None
    """(N, D), not normalised; None: the source gives none"""


DetectionSource = Callable[[int, Image], Detections]
"""(number of the frame from 1, image (H, W, 3) BGR) -> its detections."""

EmbedBoxes = Callable[[Image, NDArray[np.float64]], "NDArray[np.float32] | None"]
"""(image (H, W, 3) BGR, boxes (N, 4) x1 y1 x2 y2) -> embeddings (N, D); None: there are none."""


def network_input(image: Image, input_size: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, Letterbox]:
    """An image (h, w, 3) BGR as the network sees it, (1, 3, H, W) RGB in 0..1 on `device`, and how it lies in there."""
    canvas, fit = letterbox(image, input_size)
    rgb = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1))  # (3, H, W)
    return torch.from_numpy(rgb).to(device)[None].float() / 255, fit


class NetworkDetections:
    """The one-shot network as a source of detections with embeddings."""

    def __init__(
        self,
        model: OneShotTracker,
        input_size: tuple[int, int],
        max_objects: int,
        device: torch.device,
        *,
        embeddings: bool = True,
    ) -> None:
        """Put the model on the device, ready to detect.

        Args:
            model: stays on `device`.
            input_size: width and height of the network's input.
            max_objects: peaks of the heatmap that are read.
            embeddings: whether to read the `id` head, where the model has one.
        """
        self.model = model.to(device).eval()
        self.input_size = input_size
        self.max_objects = max_objects
        self.device = device
        wanted = embeddings and model.config.embedding_dim > 0
        self.heads = ("wh", "reg", "id") if wanted else ("wh", "reg")

    @torch.inference_mode()
    def __call__(self, frame: int, image: Image) -> Detections:
        """The detections of one image, best first; `frame` is not needed."""
        pixels, fit = network_input(image, self.input_size, self.device)
        features = self.model.features(pixels)
        heatmap = self.model.read(features, ["hm"])["hm"]
        cells, scores = find_peaks(heatmap, self.max_objects)  # (1, K)
        found = self.model.read_at(features, cells, self.heads)
        corners = boxes_at(cells, heatmap.shape[-1], found["wh"], found["reg"])[0]
        boxes = np.asarray(fit.to_image(corners.double().cpu().numpy() * STRIDE), np.float64)
        embeddings = found["id"][0].float().cpu().numpy() if "id" in found else None  # (K, D)
        return Detections(boxes, scores[0].double().cpu().numpy(), embeddings)
