"""Videos, frame by frame.

Nothing that a container says of its number of frames is believed: phones, browsers and cut files state it wrongly. All
frames are decoded once to count them, and again to write them. Turned pictures (phones write the turn beside the
frames) are turned as players and annotation tools show them.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clmot.archives.extract import DEFAULT_FRAME_RATE
from clmot.errors import InputError
from clmot.problems import Problem, Report
from clmot.progress import progress

if TYPE_CHECKING:
    import cv2

JPEG_QUALITY = 95
"""0..100. Video has lost its finest detail already: at 95 nothing visible is lost on top, in a third of 100's bytes."""

MOST_FRAMES = 999_999
"""Names of frames have six digits."""

_SAMPLE_EVERY = 25  # frames of which one is encoded to tell how large all of them will be
_VARIES = 0.05  # of the stated rate: farther from it, the times of the frames are believed
_CLOCK = 1000.0  # a "rate" from here on is the clock of the container, as recorders of browsers write it


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
    with _opened(path) as capture:
        import cv2

        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = capture.get(cv2.CAP_PROP_FPS)
        total = int(announced) if 0 < announced <= MOST_FRAMES else None
        first, size, sizes, count, begin, end = b"", (0, 0), [], 0, 0.0, 0.0
        for count in progress(_grabbed(capture), f"count frames of {path.name}", total=total, unit="frame"):
            if count > MOST_FRAMES:
                raise InputError(f"{path} has more than {MOST_FRAMES} frames: cut it into several videos.")
            end = capture.get(cv2.CAP_PROP_POS_MSEC)
            if count % _SAMPLE_EVERY == 1:
                data, size_now = _retrieved(capture, path, count)
                sizes.append(len(data))
                if count == 1:
                    first, size, begin = data, size_now, end
    if not count:
        codec = _codec(path)
        named = f" (its codec is {codec}, which OpenCV does not read here)" if codec else ""
        raise InputError(
            f"{path} holds no frame that can be decoded{named}: export it again, as .mp4 with H.264 for instance "
            "(`ffmpeg -i IN -c:v libx264 OUT.mp4`)."
        )
    known = _average_rate(rate, count, end - begin)
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


def _codec(path: Path) -> str | None:
    """What the pictures of a video are coded with; None where FFmpeg does not know either."""
    import av  # heavy, and needed for this sentence alone

    with contextlib.suppress(av.FFmpegError, OSError, IndexError), av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.codec.canonical_name)
    return None


def _average_rate(stated: float, frames: int, milliseconds: float) -> float | None:
    """Frames per second; None where neither the container nor the frames tell.

    Args:
        stated: by the container.
        frames: how many there are.
        milliseconds: from the first to the last.
    """

    def meant(rate: float) -> bool:
        return math.isfinite(rate) and 0 < rate < _CLOCK

    timed = 1000 * (frames - 1) / milliseconds if milliseconds > 0 else math.nan
    if meant(timed) and not (meant(stated) and abs(timed - stated) <= _VARIES * stated):
        return timed
    return stated if meant(stated) else None


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
        self._stack = contextlib.ExitStack()
        self._capture: cv2.VideoCapture | None = None
        self._position = 0

    def jpeg(self, number: int) -> bytes:
        """Frame `number` (from 1) as the content of a JPEG file; the same bytes every time.

        Raises:
            InputError: it cannot be decoded any more, or is of another size than the first.
        """
        if number == 1:
            return self.measured.first
        if self._capture is None or number <= self._position:
            self.close()
            self._capture = self._stack.enter_context(_opened(self.path))
        while self._position < number:
            if not self._capture.grab():
                raise InputError(
                    f"{self.path} ends with frame {self._position}, but had {self.measured.frames} frames when they "
                    "were counted: it has changed since, so run again."
                )
            self._position += 1
        data, size = _retrieved(self._capture, self.path, number)
        if size != (self.measured.width, self.measured.height):
            raise InputError(
                f"{self.path}: frame {number} is {size[0]}x{size[1]}, but the first is {self.measured.width}x"
                f"{self.measured.height}: a film needs frames of one size, so export it again."
            )
        if number == self.measured.frames:
            self.close()
        return data

    def close(self) -> None:
        """Close the video."""
        self._stack.close()
        self._capture, self._position = None, 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """A video ready to decode, whose reader is released in the end."""
    # FFmpeg and OpenCV would print lines of their own about a file that is no video; one sentence of ours is enough.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    location = str(path.absolute())
    try:
        location.encode()
    except UnicodeEncodeError:  # bytes that are no text, which would crash OpenCV
        raise InputError(f"{str(path)!a} is no name in UTF-8: rename the file or the folder.") from None
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: check that it is there and its permissions.")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # FFmpeg is named: other backends would take `%d` in a name for a pattern. The whole path starts no protocol.
        capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise InputError(
                f"{path} is not a video that can be read (damaged, cut off, or in an unknown format): export it again, "
                "as .mp4 with H.264 for instance."
            )
        yield capture
    finally:
        capture.release()


def _grabbed(capture: cv2.VideoCapture) -> Iterator[int]:
    """1, 2, ... for every frame that can be decoded."""
    number = 0
    while capture.grab():
        number += 1
        yield number


def _retrieved(capture: cv2.VideoCapture, path: Path, number: int) -> tuple[bytes, tuple[int, int]]:
    """The frame that was grabbed last as JPEG, and its (width, height)."""
    import cv2

    fetched, image = capture.retrieve()
    if not fetched or image is None:
        raise InputError(f"{path}: frame {number} cannot be decoded: export the video again.")
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes(), (image.shape[1], image.shape[0])
