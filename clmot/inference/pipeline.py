"""From the frames of a video to tracks: read, detect, associate.

Where detections come from is a function of the frame (`DetectionSource`); the network is one such source, others are in
sources.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clmot.images import STRIDE, Letterbox, letterbox, read_image
from clmot.models.decode import boxes_at, find_peaks
from clmot.models.network import OneShotTracker
from clmot.params import TrackParams
from clmot.progress import progress
from clmot.tracking.calibrated import start_tracker
from clmot.tracking.camera import CameraMotion
from clmot.tracking.linking import TrackLinker

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


@dataclass(frozen=True, eq=False)
class SequenceTracks:
    """The tracks of a sequence, a row for each box, ordered by frame and identity; and what they cost."""

    frame: NDArray[np.int64]
    """(R,) from 1"""
    identity: NDArray[np.int64]
    """(R,) from 1"""
    boxes: NDArray[np.float64]
    """(R, 4) x1 y1 x2 y2 in image pixels"""
    scores: NDArray[np.float64]
    """(R,)"""
    frames: int
    """Number of frames that were tracked, those without tracks included."""
    network_seconds: float
    """From decoded images to detections; reading files is not in it."""
    association_seconds: float
    """From detections to tracks."""
    camera_seconds: float
    """Estimating the camera's motion; 0 with `camera_motion: false`."""


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


def track_frames(
    source: DetectionSource,
    frames: Sequence[Path],
    params: TrackParams,
    frame_rate: float,
    description: str = "track",
) -> SequenceTracks:
    """Track through images in order; frames count from 1.

    Args:
        source: gives the detections of each frame.
        frames: the images.
        params: association.
        frame_rate: frames per second.
        description: text before the progress bar.

    Raises:
        InputError: an image is missing or unreadable.
    """
    tracker = start_tracker(params, frame_rate)
    linker = TrackLinker(params, frame_rate) if params.link == "offline" else None
    camera = CameraMotion() if params.camera_motion else None
    numbers, identities, boxes, scores = [], [], [], []
    network_seconds = association_seconds = camera_seconds = 0.0
    for number, path in enumerate(progress(frames, description, total=len(frames), unit="frame"), start=1):
        image = read_image(path)
        begin = time.perf_counter()
        found = source(number, image)
        detected = time.perf_counter()
        moved = None if camera is None else camera.update(image, found.boxes[found.scores >= params.confidence])
        followed = time.perf_counter()
        tracks = tracker.update(found.boxes, found.scores, found.embeddings, moved)
        if linker is not None:
            linker.see(number, tracks, found.embeddings)
        network_seconds += detected - begin
        camera_seconds += followed - detected if camera is not None else 0.0
        association_seconds += time.perf_counter() - followed
        numbers.append(np.full(len(tracks), number))
        identities.append(tracks.identities)
        boxes.append(tracks.boxes)
        scores.append(tracks.scores)
    frame = np.concatenate([np.zeros(0, np.int64), *numbers])
    identity = np.concatenate([np.zeros(0, np.int64), *identities])
    order = np.arange(len(frame))
    if linker is not None:
        begin = time.perf_counter()
        identity, order = linker.joined(frame, identity)
        association_seconds += time.perf_counter() - begin
    return SequenceTracks(
        frame=frame[order],
        identity=identity[order],
        boxes=np.concatenate([np.zeros((0, 4)), *boxes])[order],
        scores=np.concatenate([np.zeros(0), *scores])[order],
        frames=len(frames),
        network_seconds=network_seconds,
        association_seconds=association_seconds,
        camera_seconds=camera_seconds,
    )
