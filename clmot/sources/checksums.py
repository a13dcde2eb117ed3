"""Whether a zip is whole, and if not, where it is damaged."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from pathlib import Path

from clmot.progress import byte_progress
from clmot.sources.partial_file import Range

_DIRECTORY = 16 << 20
"""Bytes at the end of a zip in which its directory is sought, when it cannot be read."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex, behind a progress bar."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as stream,
        byte_progress(path.stat().st_size, f"checking {path.name.removesuffix('.partial')}") as bar,
    ):
        while block := stream.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def damaged_ranges(path: Path) -> tuple[Range, ...]:
    """Where a zip is damaged, as its own checksums tell; empty: it is sound.

    Each range is an entry with the header before it, or the directory at the end. Damage that no checksum
    covers (dates, attributes) is not seen.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            directory = (archive.start_dir, size)
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            ends = [*(entry.header_offset for entry in entries[1:]), archive.start_dir]
            if any(not 0 <= e.header_offset < end for e, end in zip(entries, ends, strict=True)):
                return (directory,)
            damaged: list[Range] = []
            with byte_progress(archive.start_dir, f"checking {path.name.removesuffix('.partial')}") as bar:
                for entry, end in zip(entries, ends, strict=True):
                    if not _is_sound(archive, entry):
                        damaged.append((entry.header_offset, end))
                    bar.update(end - entry.header_offset)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, EOFError):
        return ((max(0, size - _DIRECTORY), size),)
    # The checksum itself may be what is wrong, and it is in the directory.
    return (*damaged, directory) if damaged else ()


def _is_sound(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(entry) as stream:
            while stream.read(1 << 20):
                pass
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError):
        return False
    except (NotImplementedError, RuntimeError):
        return True  # compressed or encrypted in a way that Python cannot undo: extraction will say so
    except Exception as error:  # bz2 and lzma have errors of their own
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return False
    return True
