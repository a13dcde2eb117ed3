"""Little videos of white rectangles that walk over a dark ground, with their boxes in every format."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from clmot.films.video import Measured

WIDTH, HEIGHT, FRAMES = 96, 64, 12
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
FORMATS = ("mot", "coco", "yolo")

Row = tuple[int, int, float, float, float, float]
"""Frame from 1, identity, x, y, w, h in pixels from 0."""


def walkers(frames: int = FRAMES) -> list[Row]:
    """Two people in every frame, far from each other."""
    people = [(7, 4, 8, 14, 24, 2), (9, 60, 20, 18, 32, -1)]
    return [
        (frame, identity, x + step * frame, y, w, h)
        for frame in range(1, frames + 1)
        for identity, x, y, w, h, step in people
    ]


def picture(rows: Sequence[Row], frame: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A frame: the boxes are white."""
    image = np.full((size[1], size[0], 3), 20, np.uint8)
    for number, _, x, y, w, h in rows:
        if number == frame:
            image[round(y) : round(y + h), round(x) : round(x + w)] = 230
    return image


def write_video(path: Path, frames: int = FRAMES, size: tuple[int, int] = (WIDTH, HEIGHT), rate: float = 25) -> Path:
    """The walkers as a video, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()]), rate, size)
    assert writer.isOpened()
    rows = walkers(frames)
    for frame in range(1, frames + 1):
        writer.write(picture(rows, frame, size))
    writer.release()
    return path


def write_boxes(
    video: Path,
    kind: str,
    rows: Sequence[Row] | None = None,
    *,
    identities: bool = True,
    first: int = 1,
    frames: int = FRAMES,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Path:
    """Boxes beside a video; `first` is what the format calls the first frame."""
    rows = walkers(frames) if rows is None else rows
    return {"mot": _mot, "coco": _coco, "yolo": _yolo}[kind](video, rows, identities, first, frames, size)


def write_film(path: Path, kind: str | None, frames: int = FRAMES, **options: bool | int) -> Path:
    """A video and its boxes."""
    write_video(path, frames)
    if kind is not None:
        write_boxes(path, kind, frames=frames, **options)  # type: ignore[arg-type]
    return path


def measured(frames: int = FRAMES, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Measured:
    """What decoding such a video would tell."""
    return Measured(frames, *size, 25.0, True, None, 1000, b"")


def encode(
    path: Path,
    frames: int = 12,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    times: list[float] | None = None,
) -> Path:
    """The walkers, coded as one likes; `times` in seconds, where frames come irregularly."""
    rows = walkers(frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(1, frames + 1):
            frame = av.VideoFrame.from_ndarray(picture(rows, number, size), format="bgr24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number - 1] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(video: Path) -> Path:
    """Write into an .mp4 that players shall turn its picture by a quarter, as phones do."""
    content = bytearray(video.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # behind the header's version, times, number, layer and volume
    assert struct.unpack_from(">3i", content, matrix) == (0x10000, 0, 0)
    struct.pack_into(">9i", content, matrix, 0, 0x10000, 0, -0x10000, 0, 0, HEIGHT << 16, 0, 0x40000000)
    video.write_bytes(content)
    return video


def _mot(video: Path, rows: Sequence[Row], identities: bool, first: int, frames: int, size: tuple[int, int]) -> Path:
    path = video.with_suffix(".txt")
    path.write_text(
        "".join(
            f"{frame},{identity if identities else -1},{x + 1!r},{y + 1!r},{w!r},{h!r},1,1,1\n"
            for frame, identity, x, y, w, h in rows
        )
    )
    return path


def _coco(video: Path, rows: Sequence[Row], identities: bool, first: int, frames: int, size: tuple[int, int]) -> Path:
    images = [
        {"id": 100 + n, "file_name": f"frame_{n + first:06d}.PNG", "width": size[0], "height": size[1]}
        for n in range(frames)
    ]
    annotations = [
        {
            "id": number,
            "image_id": 99 + frame,
            "category_id": 3,
            "bbox": list(box),
            "iscrowd": 0,
            **({"attributes": {"occluded": False, "track_id": identity}} if identities else {}),
        }
        for number, (frame, identity, *box) in enumerate(rows)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "person"}]}
    path = video.with_suffix(".json")
    path.write_text(json.dumps(content, indent=1))
    return path


def _yolo(video: Path, rows: Sequence[Row], identities: bool, first: int, frames: int, size: tuple[int, int]) -> Path:
    folder = video.with_name(f"{video.stem}_labels")
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[int, list[str]] = {1 - first: []} if first == 0 else {}
    for frame, identity, x, y, w, h in rows:
        numbers = ((x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1])
        tail = f" {identity}" if identities else ""
        lines.setdefault(frame, []).append(f"0 {' '.join(map(repr, numbers))}{tail}\n")
    for frame, text in lines.items():
        (folder / f"{video.stem}_{frame - 1 + first}.txt").write_text("".join(text))
    return folder
