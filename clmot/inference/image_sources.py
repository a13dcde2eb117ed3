"""The images of anything that can be tracked: videos, streams, cameras, folders of images, arrays.

Every image has the time at which it was taken, as far as the source tells.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clmot.addresses import is_address
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES, OTHER_IMAGES, is_video
from clmot.images import read_image
from clmot.motchallenge.frame_names import frame_files, numbered
from clmot.motchallenge.sequence import IMAGE_DIR, SEQINFO_FILE, read_seqinfo
from clmot.pictures import UnreadablePicture, picture_size
from clmot.problems import warn_or_refuse
from clmot.videos import CLOCK, Video, upright

DEFAULT_RATE = 30.0
"""Frames per second of images that nobody says a rate of."""
Source = str | os.PathLike[str] | int | Iterable[NDArray[np.uint8]] | Sequence[str]


@dataclass(frozen=True, eq=False)
class SourceImage:
    """One image of a source."""

    number: int
    """From 1, as the film counts, also where frames are left out."""
    time: float
    """Seconds since the first."""
    pixels: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]]
    """(H, W, 3) BGR; or what reads them, so that another thread than the one that finds the files may."""

    @functools.cached_property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) BGR.

        Raises:
            InputError: it cannot be read.
        """
        return self.pixels() if callable(self.pixels) else self.pixels


class ImageSource:
    """Images of one film, read once, in order."""

    def __init__(
        self,
        name: str,
        frame_rate: float,
        read: Callable[[ImageSource], Iterator[SourceImage]],
        length: int | None = None,
        every: int = 1,
        close: Callable[[], None] | None = None,
        live: bool = False,
    ) -> None:
        """A source that was opened.

        Args:
            name: what its results are called.
            frame_rate: frames per second, of all frames.
            read: gives the images that are wanted; tells of `trouble` and `damaged` here.
            length: how many frames are expected; None: nobody says.
            every: only each n-th is wanted.
            close: lets go of what is open.
            live: the next image may come late, or because of what was seen in this one: it is not asked for ahead.
        """
        self.name, self.frame_rate, self.every = name, frame_rate, every
        self.length = None if length is None else -(-length // every)
        """How many images to expect; the truth may be another."""
        self.trouble = ""
        """What broke it off; empty: it came to its end."""
        self.damaged = 0
        """Pieces that could not be decoded."""
        self.live = live
        self.again: Callable[[], ImageSource] | None = None
        """Opens the same once more; None: what has passed is gone."""
        self._read, self._close = read, close

    def __iter__(self) -> Iterator[SourceImage]:
        for one in self._read(self):
            one.image  # noqa: B018 (what cannot be read is told where it comes)
            yield one

    def unread(self) -> Iterator[SourceImage]:
        """The same, where images may be read later, by whoever asks for `image`."""
        return self._read(self)

    def wants(self, number: int) -> bool:
        """Whether this frame is one to look at."""
        return (number - 1) % self.every == 0

    def close(self) -> None:
        """Let go of the file or the connection."""
        if self._close is not None:
            self._close()


def open_images(source: Source, fps: float | None = None, every: int = 1) -> ImageSource:
    """Open anything that can be tracked.

    Args:
        source: a video file, a folder of images (or a sequence's, with `img1/`), a glob or list of images, an http or
            rtsp address, a camera's number, or any iterable of arrays (H, W, 3) BGR.
        fps: frames per second of images, which do not say, or in place of what a video says.
        every: take every n-th frame.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    if every < 1:
        raise InputError(f"every {every} frames: should be at least 1.")
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{fps} frames per second: should be above 0.")
    images = _opened(source, fps, every)
    if not images.live:
        images.again = functools.partial(_opened, source, fps, every)
    return images


def _opened(source: Source, fps: float | None, every: int) -> ImageSource:
    if isinstance(source, int) or (isinstance(source, str) and source.isdecimal() and not Path(source).exists()):
        return _camera(int(source), fps, every)
    if isinstance(source, str) and is_address(source):
        return _video(source, fps, every)
    if isinstance(source, str | os.PathLike):
        return _path(Path(source), fps, every)
    items = list(source) if isinstance(source, list | tuple) else source
    if isinstance(items, list) and items and all(isinstance(item, str | os.PathLike) for item in items):
        return _images([Path(str(item)) for item in items], fps, every)
    return _arrays(items, fps, every)


def first_size(source: Source) -> tuple[int, int]:
    """(width, height) of a source's first image.

    Raises:
        InputError: it holds none.
    """
    images = open_images(source)
    try:
        for one in images:
            return one.image.shape[1], one.image.shape[0]
    finally:
        images.close()
    raise InputError(f"{images.name} holds no frame that can be decoded: export it again, as .mp4 with H.264 say.")


def _path(path: Path, fps: float | None, every: int) -> ImageSource:
    if path.is_dir():
        folder = path / IMAGE_DIR if (path / IMAGE_DIR).is_dir() else path
        files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise InputError(
                f"{path} holds no image ({', '.join(IMAGE_SUFFIXES)}): name a folder of frames, or a video."
            )
        return _images(files, fps, every, path.resolve().name)
    if path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return _images([path], fps, every)
        if path.suffix.lower() in OTHER_IMAGES and not is_video(path):
            raise InputError(f"{path} is an image of a kind that is not read: convert it to .png or .jpg.")
        return _video(str(path), fps, every)
    files = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    if not files:
        raise InputError(
            f"{path} does not exist: expected a video, a folder of images, an address or a camera's number."
        )
    if len(files) == 1:
        return _path(files[0], fps, every)
    return _images(files, fps, every)


def _refuse_several(path: Path) -> None:
    """Refuse a file of an image that holds a film: all but its first picture would be passed over."""
    from PIL import Image

    with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
        count = getattr(image, "n_frames", 1)
        if count > 1:
            raise InputError(
                f"{path} holds {count} pictures, and of a file called so one is read: convert it to a video "
                "(`ffmpeg -i IN OUT.mp4`) or to a folder of images."
            )


def _images(files: Sequence[Path], fps: float | None, every: int, name: str | None = None) -> ImageSource:
    """Images as frames of one film, numbered by their names where these have numbers."""
    wrong = [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    if wrong:
        raise InputError(f"{wrong[0]} is no image ({', '.join(IMAGE_SUFFIXES)}): name the frames of one film alone.")
    if len(files) == 1:
        _refuse_several(files[0])
    folder = files[0].parent
    by_name = {file.name: file for file in files}
    frames: dict[int, Path] = dict(enumerate(sorted(files), 1))
    if len({file.parent for file in files}) == 1 and all(numbered(file.stem) for file in files):
        frames = {n: by_name[file] for n, file in frame_files(by_name, str(folder), warn_or_refuse).names.items()}
    rate = fps or _stated_rate(folder) or DEFAULT_RATE

    def read(source: ImageSource) -> Iterator[SourceImage]:
        for number, file in frames.items():
            if source.wants(number):
                yield SourceImage(number, (number - 1) / rate, functools.partial(_whole_image, file))

    return ImageSource(name or folder.resolve().name, rate, read, max(frames), every)


def _whole_image(path: Path) -> NDArray[np.uint8]:
    """`read_image`, which makes up what is missing of a picture that is cut off, of a whole one."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        try:
            picture_size(stream)
        except UnreadablePicture as error:
            raise InputError(f"{path} {error}: get it again, or leave it out.") from None
    return read_image(path)


def _stated_rate(folder: Path) -> float | None:
    """Of the seqinfo.ini with a folder of frames, or beside it."""
    for path in (folder / SEQINFO_FILE, folder.parent / SEQINFO_FILE):
        if path.is_file():
            return read_seqinfo(path).frame_rate
    return None


def _arrays(images: Any, fps: float | None, every: int) -> ImageSource:
    try:
        length = len(images) if hasattr(images, "__len__") else None
        items = iter(images)
    except TypeError:
        raise InputError(f"{type(images).__name__} is no source: expected a path or images (H, W, 3) BGR.") from None
    rate = fps or DEFAULT_RATE

    def read(source: ImageSource) -> Iterator[SourceImage]:
        for number, image in enumerate(items, 1):
            if source.wants(number):
                yield SourceImage(number, (number - 1) / rate, image)

    return ImageSource("images", rate, read, length, every, live=length is None)


def _camera(number: int, fps: float | None, every: int) -> ImageSource:
    """A camera of this machine, by OpenCV, which knows every system's."""
    import time

    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(number)
    cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise InputError(f"camera {number} cannot be opened: check that it is there, free and allowed to be read.")
    stated = capture.get(cv2.CAP_PROP_FPS)
    rate = fps or (stated if np.isfinite(stated) and 0 < stated < CLOCK else DEFAULT_RATE)

    def read(source: ImageSource) -> Iterator[SourceImage]:
        begin, count = time.monotonic(), 0
        while True:
            fetched, image = capture.read()
            if not fetched or image is None:
                source.trouble = "the camera gives no more images"
                return
            count += 1
            if source.wants(count):
                yield SourceImage(count, time.monotonic() - begin, np.asarray(image, np.uint8))

    return ImageSource(f"camera{number}", rate, read, None, every, capture.release, live=True)


def _video(location: str, fps: float | None, every: int) -> ImageSource:
    """A file or a stream."""
    video = Video(location)
    rate = fps or video.rate
    if rate is None:
        rate = DEFAULT_RATE
        print(f"the video does not say its frame rate; {rate:g} frames per second are assumed.", file=sys.stderr)
    interval = 1 / rate

    def read(source: ImageSource) -> Iterator[SourceImage]:
        clock = _Clock()
        for number, (stated, frame) in enumerate(video.frames(), 1):
            source.damaged = video.damaged
            time = _next_time(clock, stated if fps is None else None, interval)
            if source.wants(number):
                yield SourceImage(number, time, functools.partial(upright, frame))
        source.damaged, source.trouble = video.damaged, video.trouble

    name = _name_of(location) if video.live else Path(location).stem
    return ImageSource(name, rate, read, video.announced(rate), every, video.close, video.live)


@dataclass
class _Clock:
    """Of a video, which may begin anywhere, be set back, or say nothing."""

    begin: float = 0.0
    now: float | None = None


def _next_time(clock: _Clock, stated: float | None, interval: float) -> float:
    """Seconds since the first frame; what a frame says of its time counts if it is later than the last one's."""
    regular = 0.0 if clock.now is None else clock.now + interval
    if stated is None:
        clock.now = regular
        return regular
    if clock.now is None or stated - clock.begin <= clock.now:
        clock.begin = stated - regular
    clock.now = stated - clock.begin
    return clock.now


def _name_of(address: str) -> str:
    """`http://host/door.mp4?x=1` -> `door`."""
    stem = Path(address.split("://", 1)[1].split("?")[0]).stem
    return re.sub(r"[^\w.-]+", "_", stem) or "stream"
