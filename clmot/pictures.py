"""Facts about an image file: its size, whether it is complete, and a fingerprint of its content."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

_ORIENTATION, _FIRST_TURNED = 0x0112, 5  # EXIF's tag, and the first of its values that swaps width and height
_LARGEST_FILE = 1 << 28  # bytes; no photograph is larger
_TAIL = 12  # bytes of a PNG's last chunk


class UnreadablePicture(Exception):
    """An image that cannot be used; the message says why, without its name."""


@dataclass(frozen=True)
class Picture:
    """One image file."""

    width: int
    """Pixels, as training reads it: turned as its EXIF orientation wants."""
    height: int
    bytes: int
    """Size of the file."""
    digest: str
    """First half of the SHA-256 of the file, in hex."""


def read_picture(path: Path) -> Picture:
    """Read a whole file, but decode no more than its header.

    Raises:
        UnreadablePicture: it cannot be read, is no image, or ends too early.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UnreadablePicture(f"has more than {_LARGEST_FILE >> 20} MiB, too many for an image")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(f"cannot be read ({error.strerror})") from None
    width, height = picture_size(io.BytesIO(data))
    return Picture(width, height, len(data), hashlib.sha256(data).hexdigest()[:32])


def picture_size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels of an image as training reads it, from its header; its end is looked at, its pixels
    are not decoded.

    Args:
        stream: the file, open for reading at any place of it.

    Raises:
        UnreadablePicture: it is no image, or ends too early.
    """
    try:
        with Image.open(stream) as image:
            size, kind, exif = image.size, image.format, image.info.get("exif")
    except Image.DecompressionBombError:
        raise UnreadablePicture("has more pixels than an image that is meant to be opened") from None
    except Exception:  # Pillow raises many kinds for a damaged header, none of which tells a user more
        empty = stream.seek(0, os.SEEK_END) == 0
        raise UnreadablePicture("is empty" if empty else "is not a readable image") from None
    if not _is_whole(stream, kind):
        raise UnreadablePicture("is cut off: its end is missing")
    if exif and _turned(exif):
        # Rare, and readers differ in how they turn: the one that training uses decides.
        stream.seek(0)
        turned = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR_BGR)
        if turned is None:
            raise UnreadablePicture("is not a readable image")
        return turned.shape[1], turned.shape[0]
    return size


def other_size(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    """What is said of a frame of (width, height) in a film whose first frame has another size."""
    return (
        f"is {size[0]}x{size[1]}, but the film's first frame is {wanted[0]}x{wanted[1]}: boxes would lie elsewhere; "
        "get the frames as they were labelled (a camera's EXIF orientation may turn one)"
    )


def check_picture(data: bytes) -> tuple[int, int]:
    """Look at the whole content of an image file: header, end and pixels; its `picture_size`.

    Raises:
        UnreadablePicture: it is no image, ends too early, or cannot be decoded.
    """
    size = picture_size(io.BytesIO(data))
    if not decodes(data):
        raise UnreadablePicture("cannot be decoded")
    return size


def decodes(data: bytes) -> bool:
    """Whether the content of an image file can be turned into pixels; an eighth of the resolution tells."""
    try:
        return bool(data) and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None
    except cv2.error:  # its header announces more pixels than OpenCV opens
        return False


def _is_whole(stream: BinaryIO, kind: str | None) -> bool:
    """Whether the mark that ends a JPEG or PNG is there; other kinds are believed."""
    if kind not in ("JPEG", "MPO", "PNG"):
        return True
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, end - _TAIL))
    tail = stream.read()
    if tail.endswith(b"\xff\xd9") or (kind == "PNG" and b"IEND" in tail):
        return True
    # Something may follow the image, and hold any mark: only its pixels tell, for which Pillow wants all of the data.
    stream.seek(0)
    try:
        with Image.open(stream) as image:
            image.load()
    except Exception:  # as above
        return False
    return True


def _turned(exif: bytes) -> bool:
    tags = Image.Exif()
    try:
        tags.load(exif)
        return int(tags.get(_ORIENTATION, 1)) >= _FIRST_TURNED
    except Exception:  # damaged EXIF data turn nothing
        return False
