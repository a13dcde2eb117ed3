"""What a zip or a folder holds, file by file, so that the two are read alike.

A zip comes from elsewhere: entries that could leave their folder, that are links, that come twice, or that would
fill the disk are refused by name before anything is unpacked. A folder is the user's own and is believed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from clmot.errors import InputError
from clmot.files import stand_in, walk

# Frames hardly shrink in a zip and tables shrink some ten times: more than this is made to fill the disk.
HIGHEST_COMPRESSION = 200
"""How many times smaller an entry may be in the zip."""
HIGHEST_TOTAL_COMPRESSION = 50
"""The same for all that is extracted of a zip together."""
COMPRESSION_FREE = 1 << 20
"""Bytes of an entry that may shrink as they like; of a whole zip a thousand times that."""
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(UnicodeDecodeError, OverflowError),  # of names and of offsets
)
"""What `zipfile` raises where a zip is damaged; with bz2 also an `OSError` without a number. Where it does not know a
compression, a version or a patch it raises `NotImplementedError`, which readers here catch beside these."""
LARGEST_WHOLE = 1 << 28
"""Bytes of the largest file that is read into memory at once: a table, or one image."""


@dataclass(frozen=True)
class Entry:
    """One file of a zip or a folder."""

    source: Path
    """The zip or the folder."""
    name: str
    """Path in there, `MOT17/train/MOT17-02-DPM/gt/gt.txt`."""
    size: int
    """Bytes, unpacked."""
    stored: int
    """Bytes it takes where it is."""
    _open: Callable[[], IO[bytes]]

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its content as a stream. Raises an InputError that names the entry when its data are damaged."""
        with naming_damage(self.source, self.name), self._open() as stream:
            yield stream

    def read(self) -> bytes:
        """Its whole content. Raises as `open`, and when it is too large to be what it should be."""
        if self.size > LARGEST_WHOLE:
            raise InputError(
                f"{self.source}: {self.name} has {self.size / 1e9:.2f} GB, which is no table and no image: "
                "get the archive from a source you trust."
            )
        with self.open() as stream:
            return stream.read()


def refuse_stand_in(path: Path) -> None:
    """Raise an InputError for a file that is not what its name says, or is packed otherwise than as a zip."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        kind = stand_in(stream.read(512))
        if kind:
            raise InputError(
                f"{path} is {kind}, and no zip, folder or file of boxes: delete it, get what was meant and run again."
            )


@contextlib.contextmanager
def open_contents(source: Path) -> Iterator[Mapping[str, Entry]]:
    """The files of a zip or a folder by their names in there, for as long as the context lasts.

    Raises:
        InputError: there is no such zip or folder; it is not a zip, damaged, cut off or unsafe.
    """
    if source.is_dir():
        yield _in_folder(source)
    else:
        with _opened_zip(source) as archive:
            yield _safe_members(archive, source)


class Tree:
    """The files of a folder or of an open zip, looked into alike; hidden ones are left out."""

    def __init__(self, root: Path, members: Mapping[str, Entry]) -> None:
        """`members` as `open_contents` gives them."""
        self.root = root
        self.members = {name: members[name] for name in sorted(members) if not is_litter(name)}
        self.in_zip = not root.is_dir()

    @classmethod
    def of_folder(cls, folder: Path) -> Tree:
        """What a folder holds."""
        return cls(folder, _in_folder(folder))

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file for reading at any place of it; in a zip it is read whole, so that its checksum is looked at. Raises
        an InputError if it cannot be read."""
        with io.BytesIO(self.members[name].read()) if self.in_zip else self.members[name].open() as stream:
            yield cast("BinaryIO", stream)

    def below(self, folder: str) -> dict[str, Entry]:
        """The files below a folder ("": all) by their paths in there."""
        prefix = f"{folder}/" if folder else ""
        return {name[len(prefix) :]: entry for name, entry in self.members.items() if name.startswith(prefix)}

    def where(self, name: str) -> str:
        """How to call a file or folder in messages."""
        return f"{self.root}:{name}" if self.in_zip and name else str(self.root / name)


def is_litter(name: str) -> bool:
    """Whether file managers leave files of such a path in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _in_folder(folder: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in walk(folder):
        if path.is_file():
            name, size = path.relative_to(folder).as_posix(), path.stat().st_size
            entries[name] = Entry(folder, name, size, size, functools.partial(_open_file, path))
    return entries


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


@contextlib.contextmanager
def _opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as stream:
            start = stream.read(24)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expected a benchmark's zip there.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): expected a benchmark's zip.") from None
    if not start.startswith(b"PK"):
        refuse_stand_in(path)
        text = re.match(rb"[\x20-\x7e]{4,}", start)
        what = f"it starts with {text.group().decode()!r}" if text else "its first bytes are not a zip's"
        what = what if start else "it is empty"
        raise InputError(f"{path} is not a zip archive ({what}): delete it, fetch it again and run again.")
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGE, ValueError, NotImplementedError, OSError):
        raise InputError(
            f"{path} is cut off or damaged (a zip's directory is at its end, and there is none): "
            "delete it, fetch it again and run again."
        ) from None
    with archive:
        yield archive


@contextlib.contextmanager
def naming_damage(source: Path, name: str) -> Iterator[None]:
    """Turn what reading damaged data and writing to a full disk raise into a sentence that names the entry."""
    try:
        yield
    except DAMAGE as error:
        reason = "its checksum is wrong" if "CRC" in str(error) else "its data cannot be unpacked"
        raise InputError(
            f"{source} is damaged at {name} ({reason}): delete the archive, fetch it again and run again."
        ) from None
    except NotImplementedError:
        raise InputError(
            f"{source}: {name} is compressed in a way that Python cannot unpack: pack the archive again."
        ) from None
    except OSError as error:
        # bz2 says so of damaged data, and a seek to an impossible offset does.
        if error.errno in (None, errno.EINVAL):
            raise InputError(
                f"{source} is damaged at {name} (its data cannot be unpacked): "
                "delete the archive, fetch it again and run again."
            ) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"no space is left on the disk while extracting {name} of {source}: "
                "free some and run again (nothing that was there is lost)."
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(f"{source}: {name} cannot be read ({error.strerror}): change its permissions.") from None
        raise


def _safe_members(archive: zipfile.ZipFile, path: Path) -> dict[str, Entry]:
    """The files of the archive by name. Raises an InputError that names the first unsafe entry."""
    members: dict[str, Entry] = {}
    for info in archive.infolist():
        # `filename` was cut at a NUL; the original shows what the archive really says.
        name = info.orig_filename
        reason = _unsafe(name, info)
        if reason is None and not info.is_dir():
            name = "/".join(part for part in name.split("/") if part not in ("", "."))
            if name in members:
                reason = "it is there twice"
            opener = functools.partial(archive.open, info)
            members[name] = Entry(path, info.filename, info.file_size, info.compress_size, opener)
        if reason is not None:
            raise _refused(path, name, reason)
    in_order = sorted(archive.infolist(), key=lambda info: info.header_offset)
    for info, following in itertools.pairwise(in_order):
        if info.header_offset + info.compress_size > following.header_offset:
            raise _refused(path, following.orig_filename, "it overlaps another entry, as in a zip bomb")
    return members


def _refused(path: Path, name: str, reason: str) -> InputError:
    return InputError(
        f"{path} is refused because of its entry {name!r}: {reason}; get the archive from a source you trust."
    )


def _unsafe(name: str, info: zipfile.ZipInfo) -> str | None:
    """Why an entry must not be unpacked, or None."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "its path is absolute"
    if "\\" in name:
        return "its path has a backslash, as some programs for Windows write them (another packs it with /)"
    if ".." in name.split("/"):
        return "its path leads out of the archive's folder"
    if any(ord(character) < 32 for character in name):
        return "its name has control characters"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode == stat.S_IFLNK:
        return "it is a link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is neither a file nor a folder"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.file_size > COMPRESSION_FREE + HIGHEST_COMPRESSION * info.compress_size:
        return f"{info.compress_size} bytes would unpack to {info.file_size}, as in a zip bomb"
    return None
