"""Videos, frame by frame.

Nothing that a container says of its number of frames is believed: phones, browsers and cut files state it wrongly. All
frames are decoded once to count them, and again to write them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clmot.archives.extract import DEFAULT_FRAME_RATE
from clmot.errors import InputError
from clmot.problems import Problem, Report
from clmot.progress import progress
from clmot.videos import CLOCK, Video, upright

JPEG_QUALITY = 95
"""0..100. Video has lost its finest detail already: at 95 nothing visible is lost on top, in a third of 100's bytes."""

MOST_FRAMES = 999_999
"""Names of frames have six digits."""

_SAMPLE_EVERY = 25  # frames of which one is encoded to tell how large all of them will be
_VARIES = 0.05  # of the stated rate: farther from it, the times of the frames are believed


@dataclass(frozen=True)
class Measured:
    """What decoding a whole video tells."""

    frames: int
    width: int
    """Pixels, as the picture is shown."""
    height: int
    """Pixels, as the picture is shown."""
    frame_rate: float
    """Frames per second, on average: the stated rate, or where the times of the frames are far from it, theirs."""
    rate_known: bool
    """False: neither the video nor the times of its frames tell it, and `DEFAULT_FRAME_RATE` was taken."""
    announced: int | None
    """What the container says of the number of frames, where it says more than there are: it was cut off or is damaged,
    and frames behind a damage count one too few; or its rate varies and the number follows from its length."""
    frame_bytes: int
    """Of a frame as JPEG, roughly."""
    first: bytes
    """The first frame as JPEG."""


def measure(path: Path) -> Measured:
    """Decode a whole video, to count its frames; a bar on a terminal shows how far it is.

    Raises:
        InputError: it cannot be read, or holds no frame, or more than `MOST_FRAMES`.
    """
    with Video(str(path)) as video:
        rate, codec = video.rate, video.codec
        total = video.announced(rate or DEFAULT_FRAME_RATE)
        first, size, sizes, count = b"", (0, 0), [], 0
        held: tuple[int, int] | None = None  # as the frames are stored, be they turned or not
        times: list[float] = []
        told = progress(video.frames(), f"count frames of {path.name}", total=total, unit="frame")
        for count, (time, frame) in enumerate(told, 1):
            if count > MOST_FRAMES:
                raise InputError(f"{path} has more than {MOST_FRAMES} frames: cut it into several videos.")
            times = [*times[:1], time] if time is not None else times
            held = held or (frame.width, frame.height)
            if (frame.width, frame.height) != held:
                raise InputError(_other_size(path, count, (frame.width, frame.height), held))
            if count % _SAMPLE_EVERY == 1:
                data, size_now = _encoded(frame)
                sizes.append(len(data))
                if count == 1:
                    first, size = data, size_now
    if not count:
        raise InputError(
            f"{path} holds no frame that can be decoded (its codec is {codec}): export it again, as .mp4 with H.264 "
            "for instance (`ffmpeg -i IN -c:v libx264 OUT.mp4`)."
        )
    known = _average_rate(rate, count, times[-1] - times[0] if times else 0.0)
    return Measured(
        frames=count,
        width=size[0],
        height=size[1],
        frame_rate=DEFAULT_FRAME_RATE if known is None else round(known, 3),
        rate_known=known is not None,
        announced=total if total is not None and total > count else None,
        frame_bytes=math.ceil(sum(sizes) / len(sizes)),
        first=first,
    )


def _other_size(path: Path, number: int, size: tuple[int, int], first: tuple[int, int]) -> str:
    return (
        f"{path}: frame {number} is {size[0]}x{size[1]}, but the first is {first[0]}x{first[1]}: a film needs frames "
        "of one size, so export it again, or cut it there."
    )


def _average_rate(stated: float | None, frames: int, seconds: float) -> float | None:
    """Frames per second; None where neither the container nor the frames tell.

    Args:
        stated: by the container.
        frames: how many there are.
        seconds: from the first to the last.
    """
    timed = (frames - 1) / seconds if seconds > 0 else None
    if timed and timed < CLOCK and not (stated and abs(timed - stated) <= _VARIES * stated):
        return timed
    return stated


def report_oddities(path: Path, measured: Measured, report: Report) -> None:
    """Tell `report` of what is unusual in a video that can still be used."""
    if not measured.rate_known:
        text = f"does not say its frame rate; {measured.frame_rate:g} frames per second are assumed"
        report(Problem("no frame rate", str(path), text, fatal=False))
    if measured.announced is not None:
        text = (
            f"announces {measured.announced} frames, but only {measured.frames} can be decoded and are used: its "
            "frame rate varies, or it is damaged and boxes after the damage are in the wrong frames; check with "
            "`clmot show views`"
        )
        report(Problem("fewer frames", str(path), text, fatal=False))


class FrameReader:
    """The frames of a video as JPEG files. Reading them in order decodes each once."""

    def __init__(self, path: Path, measured: Measured) -> None:
        """Nothing is opened before a frame is asked for, and nothing stays open after the last."""
        self.path = path
        self.measured = measured
        self._video: Video | None = None
        self._frames: Iterator[tuple[float | None, Any]] = iter(())
        self._position = 0

    def jpeg(self, number: int) -> bytes:
        """Frame `number` (from 1) as the content of a JPEG file; the same bytes every time.

        Raises:
            InputError: it cannot be decoded any more, or is of another size than the first.
        """
        if number == 1:
            return self.measured.first
        if self._video is None or number <= self._position:
            self.close()
            self._video = Video(str(self.path))
            self._frames = self._video.frames()
        frame = None
        while self._position < number:
            _, frame = next(self._frames, (None, None))
            if frame is None:
                raise InputError(
                    f"{self.path} ends with frame {self._position}, but had {self.measured.frames} frames when they "
                    "were counted: it has changed since, so run again."
                )
            self._position += 1
        data, size = _encoded(frame)
        if size != (self.measured.width, self.measured.height):
            raise InputError(_other_size(self.path, number, size, (self.measured.width, self.measured.height)))
        if number == self.measured.frames:
            self.close()
        return data

    def close(self) -> None:
        """Close the video."""
        if self._video is not None:
            self._video.close()
        self._video, self._position = None, 0


def _encoded(frame: Any) -> tuple[bytes, tuple[int, int]]:
    """A frame as JPEG, and its (width, height)."""
    import cv2

    image = upright(frame)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes(), (image.shape[1], image.shape[0])
