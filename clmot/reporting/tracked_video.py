"""A video of what is tracked, written while it is found: boxes, numbers, and the way that everyone came."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.inference.session import TrackedFrame
from clmot.reporting.drawing import draw_tracks, identity_colour
from clmot.reporting.track_pictures import CODEC, FINEST_RATE, fitted

QUALITY = "23"
"""x264's `crf`: clean to look at; boxes are in the table."""
SPEED = "veryfast"
"""x264's `preset`: a small share of the time that tracking takes."""
KEY_SECONDS = 2
"""Between frames that need no other: there a player may jump to, and there the file is whole so far."""
TICKS = 90_000
"""A second's, in the video's clock."""
TRAIL_SECONDS = 2.0
"""Of everyone's way that are drawn."""


class Trails:
    """Where everyone's feet were lately."""

    def __init__(self, seconds: float = TRAIL_SECONDS) -> None:
        self.seconds = seconds
        self._ways: dict[int, deque[tuple[float, int, int]]] = {}

    def draw(self, frame: TrackedFrame) -> NDArray[np.uint8]:
        """A copy of the frame's image with boxes, numbers and trails, each identity in its colour."""
        for identity, (x1, _, x2, y2) in zip(frame.identities.tolist(), frame.boxes.tolist(), strict=True):
            self._ways.setdefault(identity, deque()).append((frame.time, round((x1 + x2) / 2), round(y2)))
        for identity, way in list(self._ways.items()):
            while way and way[0][0] < frame.time - self.seconds:
                way.popleft()
            if not way:
                del self._ways[identity]
        canvas = draw_tracks(frame.image, frame.boxes, frame.identities)
        line = max(1, round(min(canvas.shape[:2]) / 400))
        for identity, way in self._ways.items():
            if len(way) > 1:
                points = np.array([[x, y] for _, x, y in way], np.int32).clip(-20_000, 20_000)
                cv2.polylines(canvas, [points], False, identity_colour(identity), line, cv2.LINE_AA)
        return canvas


class TrackedVideo:
    """An H.264 .mp4 in pieces, each whole in itself: what is written can be played whatever ends the writing, and the
    memory that it takes does not grow.

    Frames are shown for as long as they lasted. All have the first one's size.
    """

    def __init__(self, path: Path, frame_rate: float) -> None:
        """`frame_rate` is frames per second, roughly."""
        self.path = path
        self.frame_rate = min(max(frame_rate, 1.0), 240.0)
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> TrackedVideo:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        options = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
        self._container = av.open(str(self.path.absolute()), "w", format="mp4", options=options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, image: NDArray[np.uint8], time: float) -> None:
        """Write an image (H, W, 3) BGR that is shown from `time` (seconds) on.

        Raises:
            InputError: x264 takes no video of that size.
        """
        try:
            if self._stream is None:
                self._begin(*image.shape[:2])
            self._last = max(self._last + 1, round(time * TICKS))
            frame = av.VideoFrame.from_ndarray(fitted(image, self._stream.width, self._stream.height), format="bgr24")
            frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
            self._container.mux(self._stream.encode(frame))
        except (av.error.ExternalError, av.error.ArgumentError) as error:
            height, width = image.shape[:2]
            raise InputError(
                f"{self.path} cannot be written: x264 takes no video of {width} x {height} pixels ({error}); "
                "`--no-video` writes the tracks alone."
            ) from None

    def _begin(self, height: int, width: int) -> None:
        rate = max(Fraction(self.frame_rate).limit_denominator(FINEST_RATE), Fraction(1, FINEST_RATE))
        options = {"crf": QUALITY, "preset": SPEED, "bf": "0"}  # pictures of others to come would shift all times
        self._stream = self._container.add_stream(CODEC, rate=rate, options=options)
        self._stream.width, self._stream.height = (max(2, side // 2 * 2) for side in (width, height))
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.codec_context.gop_size = max(1, round(KEY_SECONDS * self.frame_rate))
