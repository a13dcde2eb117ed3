"""Videos and streams, decoded by PyAV: every codec that FFmpeg reads, AV1 among them.

Nothing that a container says of its number of frames is believed. Pictures are turned as players show them: phones
write the turn beside the frames.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from clmot.addresses import is_address, without_secrets
from clmot.errors import InputError
from clmot.files import stand_in
from clmot.wording import one_line

CLOCK = 1000.0
"""A "rate" from here on is the clock of the container, as recorders of browsers write it."""
_MOST_ATOMS = 100  # of a file; a dozen kinds are usual
PATIENCE = 20.0
"""Seconds without a byte after which a stream counts as broken off."""


class Video:
    """An open video or stream, decoded once, in order."""

    def __init__(self, location: str) -> None:
        """Open a file, or an address in a network.

        Raises:
            InputError: it is not there, is no video, or its name is no text.
        """
        import av  # heavy

        shown, live = without_secrets(location), is_address(location)
        options = {"rtsp_transport": "tcp"} if location.lower().startswith("rtsp") else {}
        # As `file:` the whole path starts no protocol, and `%d` in a name is no pattern.
        place = location if live else f"file:{os.path.abspath(location)}"
        try:
            place.encode()
        except UnicodeEncodeError:
            raise InputError(f"{location!a} is no name in UTF-8: rename the file or the folder.") from None
        if not (live or os.access(location, os.R_OK)):
            raise InputError(f"{shown} cannot be read: check that it is there and its permissions.")
        try:
            self._container: Any = av.open(place, options=options, timeout=PATIENCE if live else None)
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = one_line(_reason(error))
            if live:
                raise InputError(f"{shown} cannot be reached: {reason}; `ffprobe` tells more.") from None
            raise InputError(f"{shown} {_why_unreadable(location, reason)}.") from None
        self._stream: Any = self._container.streams.best("video")  # no cover of a sound
        if self._stream is None:
            self.close()
            raise InputError(f"{shown} holds no pictures: expected a video.")
        self._stream.thread_type = "SLICE" if live else "AUTO"  # threads of whole frames give them later
        self.live = live
        self.trouble = ""
        """What broke it off; empty: it came to its end."""
        self.damaged = 0
        """Pieces that could not be decoded."""

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._container.close()

    @property
    def rate(self) -> float | None:
        """Frames per second, on average, as the container states them; None: it does not."""
        stream = self._stream
        stated = (float(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate)
        return next((rate for rate in stated if 0 < rate < CLOCK), None)

    def announced(self, rate: float) -> int | None:
        """How many frames the container announces, by their number or by its length at `rate`; None: neither."""
        import av

        by_length = round(self._container.duration / av.time_base * rate) if self._container.duration else 0
        return self._stream.frames or (0 if self.live else by_length) or None

    @property
    def codec(self) -> str:
        """What the pictures are coded with."""
        return str(self._stream.codec_context.codec.canonical_name)

    def frames(self) -> Iterator[tuple[float | None, Any]]:
        """Time in seconds (None: unknown) and picture of every frame; see `upright`.

        What cannot be decoded is counted in `damaged`; what ends the frames early is `trouble`.
        """
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except av.error.InvalidDataError:
                self.damaged += 1
                continue
            except (av.FFmpegError, OSError) as error:
                self.trouble = one_line(_reason(error))
                packets, frames = iter(()), self._held_back()
            for frame in frames:
                yield self._time(frame), frame

    def _time(self, frame: Any) -> float | None:
        if frame.pts is None:
            return None
        # What a decoder held back when the connection was cut has no clock of its own.
        return float(frame.time if frame.time_base else frame.pts * self._stream.time_base)

    def _held_back(self) -> list[Any]:
        """What the decoder has not given yet, because pictures that are shown before may come after."""
        import av

        with contextlib.suppress(av.FFmpegError, EOFError):
            return list(self._stream.codec_context.decode(None))
        return []


def _why_unreadable(path: str, reason: str) -> str:
    """What is wrong with a file that FFmpeg does not open, and what to do, as the rest of a sentence about it."""
    with open(path, "rb") as stream:
        start = stream.read(512)
        instead = stand_in(start)
        if not start:
            return "is empty: copy it again, or record it again"
        if instead:
            return f"is {instead}: get the video itself"
        if start[4:8] == b"ftyp" and b"moov" not in _atoms(stream):
            return (
                "was cut off before its index was written (it has no moov atom), so no program knows where its frames "
                "are: get the whole file"
            )
    return (
        f"is not a video that can be read (damaged, cut off, or in an unknown format; {reason}): export it again, as "
        ".mp4 with H.264 for instance"
    )


def _atoms(stream: BinaryIO) -> set[bytes]:
    """The kinds of the outermost pieces of an MP4 or MOV file."""
    found: set[bytes] = set()
    at = 0
    while len(found) < _MOST_ATOMS:
        stream.seek(at)
        head = stream.read(16)
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:], "big") if size == 1 else size
        if len(head) < 8 or size < 8:  # the end, or a piece that goes on to it
            return found | {head[4:8]}
        found.add(head[4:8])
        at += size
    return found


def upright(frame: Any) -> NDArray[np.uint8]:
    """A picture (PyAV's frame) as players show it: (H, W, 3) BGR."""
    image = frame.to_ndarray(format="bgr24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
