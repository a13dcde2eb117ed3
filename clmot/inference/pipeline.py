"""What is found in a frame, and the one-shot network as that which finds it.

Where detections come from is a function of the frame (`DetectionSource`); the network is one such source, others are in
given_detections.py and crop_embeddings.py. A `clmot.inference.session.Session` makes tracks of them, and
`clmot.inference.found_ahead` runs a source ahead of it: several frames at once on a CPU, batches of them on a GPU.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clmot.hardware import one_thread
from clmot.images import STRIDE, Letterbox, letterbox
from clmot.inference.captured import CapturedWork
from clmot.inference.fast_network import TracedOnce, fast_network
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
"""(number of the frame from 1, image (H, W, 3) BGR) -> its detections; threads may ask at once, in any order."""


@runtime_checkable
class BatchedSource(Protocol):
    """A source that a GPU serves better when it is asked for several frames together."""

    batch_size: int
    """Frames that are best asked for together; 1: one by one."""

    def prepare(self, frame: int, image: Image) -> Any:
        """What can be done of a frame alone, by a thread of many."""
        ...

    def detect(self, prepared: Sequence[Any]) -> list[Detections]:
        """The detections of frames that were prepared, at most `batch_size` of them."""
        ...


EmbedBoxes = Callable[[Image, NDArray[np.float64]], "NDArray[np.float32] | None"]
"""(image (H, W, 3) BGR, boxes (N, 4) x1 y1 x2 y2) -> embeddings (N, D); None: there are none."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """An image as it lies in the network's input."""

    canvas: Image
    """(H, W, 3) RGB"""
    fit: Letterbox


def fitted(image: Image, input_size: tuple[int, int]) -> Fitted:
    """An image (h, w, 3) BGR, fitted into the network's input (width, height)."""
    canvas, fit = letterbox(image, input_size)
    return Fitted(np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), np.uint8), fit)


def network_input(frames: Sequence[Fitted], device: torch.device) -> torch.Tensor:
    """Images as the network sees them: (B, 3, H, W) RGB in 0..1 on `device`, to which they go as bytes."""
    return as_input(torch.from_numpy(np.stack([frame.canvas for frame in frames])).to(device))


def as_input(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes (B, H, W, 3) RGB -> (B, 3, H, W) in 0..1, channels together in memory."""
    return pixels.permute(0, 3, 1, 2).float() / 255


class Runner:
    """How a network runs: where, in which arithmetic, and on a GPU in a queue of the calling thread's own, so that one
    thread's copies overlap with another's calculations."""

    def __init__(self, device: torch.device, precision: Literal["float32", "bfloat16"] = "float32") -> None:
        self.device = device
        self.precision = precision
        self._own = threading.local()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """A context in which the network runs."""
        with torch.inference_mode(), one_thread(self.device), self._stream():
            yield

    def lowered(self) -> torch.autocast:
        """A context in which convolutions and products are calculated in `precision`."""
        lower = self.precision != "float32"
        return torch.autocast(self.device.type, torch.bfloat16 if lower else None, enabled=lower)

    def fetched(self, tensor: torch.Tensor) -> NDArray[np.float32]:
        """A tensor as an array, in one copy; waits for no other thread's calculations."""
        tensor = tensor.float()
        if self.device.type != "cuda":
            return tensor.numpy()
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        host.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        return host.numpy()

    def _stream(self) -> Any:
        if self.device.type != "cuda":
            return contextlib.nullcontext()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self.device)
            self._own.stream.wait_stream(torch.cuda.default_stream(self.device))  # weights may be on their way
        return torch.cuda.stream(self._own.stream)


class _Maps(nn.Module):
    """Bytes (B, H, W, 3) RGB -> what all heads read, and the heatmap's logits; both float32."""

    def __init__(self, model: OneShotTracker, runner: Runner) -> None:
        super().__init__()
        self.model, self.runner = model, runner

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with self.runner.lowered():
            features = self.model.features(as_input(pixels))
        features = features.float()
        return features, self.model.read(features, ["hm"])["hm"]


class NetworkDetections:
    """The one-shot network as a source of detections with embeddings."""

    def __init__(
        self,
        model: OneShotTracker,
        input_size: tuple[int, int],
        max_objects: int,
        runner: Runner | torch.device,
        *,
        embeddings: bool = True,
        batch_size: int = 1,
    ) -> None:
        """Put the model on the device, ready to detect.

        Args:
            model: is copied where `fast_network` copies it.
            input_size: width and height of the network's input.
            max_objects: peaks of the heatmap that are read.
            runner: how the network runs; or where alone.
            embeddings: whether to read the `id` head, where the model has one.
            batch_size: frames that go through the network together on a GPU; a CPU takes each alone, as the last bits
                depend on who is beside it.
        """
        self.runner = runner if isinstance(runner, Runner) else Runner(runner)
        self.model = fast_network(model, self.runner.device)
        self.input_size = input_size
        self.max_objects = max_objects
        self.batch_size = batch_size if self.runner.device.type == "cuda" else 1
        wanted = embeddings and model.config.embedding_dim > 0
        self.heads = ("wh", "reg", "id") if wanted else ("wh", "reg")
        on_gpu = self.runner.device.type == "cuda"
        maps = _Maps(self.model, self.runner)
        # A network of another kind, as somebody may have, can do what no recording sees.
        self.maps = maps if on_gpu or not isinstance(model, OneShotTracker) else TracedOnce(maps)
        self.captured = CapturedWork(self.look, self.runner.device) if on_gpu else None

    def __call__(self, frame: int, image: Image) -> Detections:
        """The detections of one image, best first; `frame` is not needed."""
        return self._found([self.prepare(frame, image)], 1)[0]

    def prepare(self, frame: int, image: Image) -> Fitted:
        """An image, fitted into the network's input."""
        return fitted(image, self.input_size)

    def detect(self, prepared: Sequence[Fitted]) -> list[Detections]:
        """The detections of several images, each best first; a CPU calculates one after the other."""
        if self.runner.device.type == "cpu":
            return [self._found([one], 1)[0] for one in prepared]
        return self._found(prepared, self.batch_size)

    def _found(self, frames: Sequence[Fitted], batch_size: int) -> list[Detections]:
        with self.runner():
            if self.captured is not None:
                packed = self.captured([frame.canvas for frame in frames], batch_size)
            else:
                pixels = torch.from_numpy(np.stack([frame.canvas for frame in frames]))
                packed = self.runner.fetched(self.look(pixels.to(self.runner.device)))
        return [
            Detections(
                boxes=np.asarray(frame.fit.to_image(rows[:, :4].astype(np.float64) * STRIDE), np.float64),
                scores=rows[:, 4].astype(np.float64),
                embeddings=np.ascontiguousarray(rows[:, 5:]) if "id" in self.heads else None,
            )
            for frame, rows in zip(frames, packed, strict=True)
        ]

    def look(self, pixels: torch.Tensor) -> torch.Tensor:
        """Bytes (B, H, W, 3) RGB -> (B, K, 5 + D): corners in cells, score, embedding (where it is wanted)."""
        features, heatmap = self.maps(pixels)
        cells, scores = find_peaks(heatmap, self.max_objects)  # (B, K)
        found = self.model.read_at(features, cells, self.heads)
        corners = boxes_at(cells, heatmap.shape[-1], found["wh"], found["reg"])
        looks = [found["id"]] if "id" in found else []
        return torch.cat([corners, scores[..., None], *looks], dim=2)
