"""Tracks that are kept until their film is over, when those of one person are joined (`track.link: offline`), or that
begin only then (`track.projection: film`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable
from contextlib import closing

import numpy as np

from clmot.inference.image_sources import ImageSource
from clmot.inference.session import TrackedFrame
from clmot.params import TrackParams
from clmot.tracking.linking import TrackLinker


class JoinedFilm:
    """Keeps a film's tracks, without its images: 48 bytes a box.

    The numbers are those that the stage `track` writes with `link: offline`. Frames whose images are wanted are decoded
    twice, as everyone's number is known only once the film is over.
    """

    def __init__(self, params: TrackParams, images: ImageSource) -> None:
        """Before the first frame is tracked."""
        self._linker = TrackLinker(params, images.frame_rate) if params.link == "offline" else None
        self.see = None if self._linker is None else self._linker.see
        """What the film's session is watched by."""
        self._frames: list[TrackedFrame] = []

    def keep(self, frames: Iterable[TrackedFrame]) -> None:
        """Keep tracked frames until they end. An error, or Ctrl-C, leaves those that came before."""
        for frame in frames:
            # An image of the same shape that takes no memory.
            blank = np.broadcast_to(np.uint8(0), frame.image.shape)
            self._frames.append(dataclasses.replace(frame, image=blank))

    def joined(self) -> Generator[TrackedFrame, None, None]:
        """The kept frames with the identities after joining; of their images the shape is right alone."""
        ends = np.cumsum([len(frame) for frame in self._frames])
        row = np.concatenate([np.zeros(0, np.int64), *(np.full(len(frame), frame.number) for frame in self._frames)])
        before = np.concatenate([np.zeros(0, np.int64), *(frame.identities for frame in self._frames)])
        identity, order = before, np.arange(len(row))
        if self._linker is not None:
            identity, order = self._linker.joined(row, before)
        for frame, end in zip(self._frames, ends.tolist(), strict=True):
            begin = end - len(frame)
            rows = order[begin:end]  # they stay in their frame
            at = rows - begin
            yield dataclasses.replace(frame, identities=identity[rows], boxes=frame.boxes[at], scores=frame.scores[at])

    def pictured(self, images: ImageSource) -> Generator[TrackedFrame, None, None]:
        """The same with their images, from the film opened again, which is closed in the end."""
        with closing(images):
            for frame, one in zip(self.joined(), images, strict=False):
                yield dataclasses.replace(frame, image=one.image)
