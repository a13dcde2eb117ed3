"""Work of a GPU that is recorded once and played back: hundreds of small steps for the price of starting one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

WARM_UP = 3
"""Runs before the recording: kernels are compiled and chosen in them."""


class CapturedWork:
    """A function of a batch of images on a GPU, as CUDA graphs.

    A one-shot network is some hundred kernels that a GPU is done with sooner than Python has started the next one. A
    graph has them all started at once (Gray, Getting Started with CUDA Graphs, NVIDIA 2019). Each graph has memory of
    its own for what goes in and out, so that as many calls can be under way as there are threads.
    """

    def __init__(self, work: Callable[[torch.Tensor], torch.Tensor], device: torch.device) -> None:
        """`work`: (B, H, W, 3) uint8 on `device` -> a tensor there; it must not look at what it calculates."""
        self.work, self.device = work, device
        self._idle: dict[tuple[int, ...], list[_Graph]] = {}
        self._lock = threading.Lock()

    def __call__(self, images: Sequence[NDArray[np.uint8]], batch_size: int) -> NDArray[np.float32]:
        """The result for images (H, W, 3) of one size, a row each; in the calling thread's queue.

        Args:
            images: at most `batch_size`.
            batch_size: what is missing is filled with black: a film's end is calculated as its middle.

        Returns:
            The work's result, (B, ...) on the CPU.

        Raises:
            RuntimeError: the GPU's memory does not suffice, or the work failed there.
        """
        shape = (batch_size, *images[0].shape)
        with self._lock:  # recordings come one after the other
            idle = self._idle.setdefault(shape, [])
            graph = idle.pop() if idle else _Graph(self.work, shape, self.device)
        try:
            return graph.run(images)[: len(images)]
        finally:
            idle.append(graph)


class _Graph:
    """One recording."""

    def __init__(
        self, work: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], device: torch.device
    ) -> None:
        self.pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self.pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.work = work
        self.graph: torch.cuda.CUDAGraph | None = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.output = work(self.pixels)
        torch.cuda.current_stream(device).wait_stream(stream)
        torch.cuda.synchronize(device)
        try:
            # Other threads go on meanwhile: what they ask of the GPU is none of this recording's.
            with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
                self.output = work(self.pixels)
        except RuntimeError as error:  # some backbone waits for a result in the middle
            print(f"The network cannot be recorded as a CUDA graph, and runs slower: {error}", file=sys.stderr)
            self.graph = None
        self.result = torch.empty(self.output.shape, dtype=self.output.dtype, pin_memory=True)

    def run(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        places = self.pinned.numpy()
        for place, image in zip(places, images, strict=False):
            place[:] = image
        places[len(images) :] = 0
        self.pixels.copy_(self.pinned, non_blocking=True)
        if self.graph is None:
            self.output = self.work(self.pixels)
        else:
            self.graph.replay()
        self.result.copy_(self.output, non_blocking=True)
        torch.cuda.current_stream(self.pixels.device).synchronize()
        return self.result.numpy().copy()
