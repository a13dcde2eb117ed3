"""Archives of a few tiny frames in the official layouts, made whole or broken on purpose."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 48, 32


@cache
def jpeg(shade: int = 100) -> bytes:
    """A grey image of WIDTH x HEIGHT."""
    ok, data = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), shade, np.uint8))
    assert ok
    return data.tobytes()


def seqinfo(name: str, length: int, **changes: str) -> str:
    """The text of a seqinfo.ini; a change to an empty string leaves the key out."""
    keys = {
        "name": name,
        "imDir": "img1",
        "frameRate": "25",
        "seqLength": str(length),
        "imWidth": str(WIDTH),
        "imHeight": str(HEIGHT),
        "imExt": ".jpg",
    }
    keys.update(changes)
    return "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in keys.items() if value)


def gt_rows(length: int, people: int = 2, columns: int = 9) -> str:
    """Ground truth in which `people` stand still for `length` frames, a row of class 3 among them."""
    lines = []
    for identity in range(1, people + 1):
        for frame in range(1, length + 1):
            tail = "1,1,0.8" if columns == 9 else "1,-1,-1,-1"
            lines.append(f"{frame},{identity},{identity * 5},4,6.5,12,{tail}")
    if columns == 9:
        lines += [f"{frame},{people + 1},30,4,9,6,0,3,1" for frame in range(1, length + 1)]
    return "\n".join(lines) + "\n"


def sequence_files(
    folder: str, length: int, *, gt: str | None = "", info: str | None = "", images: bool = True
) -> dict[str, bytes]:
    """Entries of one sequence below `folder`; `gt`/`info`: "" makes them, None leaves them out."""
    name = folder.rsplit("/", 1)[-1]
    files: dict[str, bytes] = {}
    if info is not None:
        files[f"{folder}/seqinfo.ini"] = (info or seqinfo(name, length)).encode()
    if gt is not None:
        files[f"{folder}/gt/gt.txt"] = (gt or gt_rows(length)).encode()
    if images:
        files |= {f"{folder}/img1/{n:06d}.jpg": jpeg(90 + n) for n in range(1, length + 1)}
    return files


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip with these entries in this order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def damage(path: Path, member: str) -> Path:
    """Change one stored byte of a member, so that its checksum no longer fits."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as archive:
        info = archive.getinfo(member)
    name_length, extra_length = struct.unpack_from("<HH", content, info.header_offset + 26)
    start = info.header_offset + 30 + name_length + extra_length
    content[start + info.compress_size // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
