"""`clmot check` and the download stage agree on images that announce more pixels than anybody opens."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from tiny_archive import sequence_files

from clmot.archives.extract import extract_benchmark
from clmot.cli.main import run
from clmot.errors import InputError


def png(width: int, height: int) -> bytes:
    """The head and the end of a PNG of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (1_000_000, 1_000), (0, 5)])
@pytest.mark.parametrize("number", [1, 3, 4])
def test_both_refuse_it(size: tuple[int, int], number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "films" / "hall"
    for name, data in sequence_files("hall", 4).items():
        path = film.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (film / "img1" / f"{number:06d}.jpg").write_bytes(png(*size))
    with pytest.raises((InputError, SystemExit)):
        run(["check", str(tmp_path / "films")])
    said = capsys.readouterr()
    assert f"{number:06d}.jpg" in said.out + said.err
    with pytest.raises(InputError, match=f"{number:06d}.jpg"):
        extract_benchmark(film.parent, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")
    assert not (tmp_path / "frames").exists()
