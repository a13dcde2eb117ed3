"""Writing outputs so that they are whole or absent, and byte-identical for identical content."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clmot.errors import InputError, at

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""How files with images end, in lower case: of films' frames and of sets of images."""
OTHER_IMAGES = (".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".dng", ".raw", ".npy")
"""The same of images that are not read, to be named."""

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".f4v", ".avi", ".divx", ".mkv", ".webm", ".ogv", ".mpg", ".mpeg"),
    *(".m2v", ".vob", ".ts", ".mts", ".m2ts", ".mxf", ".wmv", ".asf", ".flv", ".dav", ".gif", ".y4m"),
    *(".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc"),  # as cameras write them, without a container
)
"""How files with videos end, in lower case."""

PACKED = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstandard"),
    (0, b"7z\xbc\xaf", "7z"),
    (0, b"Rar!", "RAR"),
    (257, b"ustar", "tar"),
)
"""Where files that are packed otherwise than as a zip say so, with what, and the name of that."""

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def is_video(path: str | Path) -> bool:
    """Whether a file is called as videos are."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


@contextlib.contextmanager
def staged_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty directory beside `target`; on success it takes `target`'s place, on failure it vanishes.

    An existing `target` stays untouched until the new content is complete. What earlier processes left beside
    it because they were killed is removed first, for it may be as large as the result.
    """
    target = Path(target)
    with _directory_beside(target) as aside:
        replaced = aside.with_suffix(".old")
        aside.chmod(0o777 & ~_umask())  # mkdtemp gives 0700, which would make shared results unreadable to others
        yield aside
        try:
            if target.exists():
                target.rename(replaced)
            aside.rename(target)
        except BaseException:
            if replaced.exists() and not target.exists():
                replaced.rename(target)
            raise
        for old in target.parent.glob(f".{glob.escape(target.name)}.*.old"):
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def staged_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path of `target`'s name to write to; on success it is moved to `target`, on failure removed.

    An existing `target` stays untouched until then. What killed processes left beside it is removed first.
    """
    target = Path(target)
    with _directory_beside(target) as folder:
        # In a locked folder, not a locked file: how a writer opens or replaces its file is its own business.
        yield folder / target.name
        os.replace(folder / target.name, target)


@contextlib.contextmanager
def _directory_beside(target: Path) -> Iterator[Path]:
    """An empty directory that this process holds a lock on, for a block; at its end it is gone, if it has its name yet.

    The kernel drops the lock when the process dies, however it dies: so others can tell what is abandoned.

    Raises:
        OSError: the system refuses to write, whatever library was told so; it names a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent, glob.escape(target.name))
    aside, handle = _locked_directory_beside(target)
    try:
        yield aside
    except BaseException as error:
        if (named := at(error, target)) is not error:
            raise named from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked_directory_beside(target: Path) -> tuple[Path, int | None]:
    while True:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            handle = _lock(aside)
        except (BlockingIOError, FileNotFoundError):
            continue  # between the two lines another process took it for abandoned
        except OSError:
            return aside, None  # a file system without locks: no one removes what is left there
        if aside.exists():
            return aside, handle
        os.close(handle)


def _umask() -> int:
    """What new files and folders withhold from others. Systems tell it to those who set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def remove_abandoned(directory: Path, pattern: str = "*") -> None:
    """Remove what killed processes left in `directory`, never what a living one writes there.

    Args:
        directory: where they wrote.
        pattern: of the names of the files and folders that they meant to write (as in `Path.glob`).
    """
    for left in sorted(directory.glob(f".{pattern}.*.partial")):
        handle = lock_directory(left)
        if handle is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(handle)


def lock_directory(directory: Path) -> int | None:
    """An open handle that holds the directory's lock; None where another process does, or locks are unknown.

    It is the caller's to close.
    """
    try:
        return _lock(directory)
    except OSError:
        return None


def _lock(directory: Path) -> int:
    """An open handle that holds the lock.

    Raises:
        BlockingIOError: another process holds it.
        OSError: there is no such directory, or there are no locks here.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), os.fspath(directory))
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def read_bytes(path: str | os.PathLike[str], expected: str = "check the file") -> bytes:
    """The content of a file.

    Raises:
        InputError: it is not there or cannot be read; the sentence ends with what was `expected`.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: {expected}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {expected}.") from None


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8, line feeds) to `target`, whole or not at all."""
    with staged_file(target) as aside:
        aside.write_bytes(text.encode("utf-8"))


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with a final newline; keys keep their order; nan and inf are refused."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def require_space(needs: Iterable[tuple[str | os.PathLike[str], int]], what: str) -> None:
    """Refuse to begin what the disks cannot hold.

    Args:
        needs: (path, bytes) to be written there; the paths need not exist. Those on one disk add up.
        what: begins the sentence, "MOT20.zip and its frames".

    Raises:
        InputError: a disk has less room than is needed on it.
    """
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for path, size in needs:
        absolute = Path(path).absolute()
        there = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
        device = there.stat().st_dev
        needed[device] = needed.get(device, 0) + size
        places.setdefault(device, there)
    for device, size in needed.items():
        free = shutil.disk_usage(places[device]).free
        if free < size:
            raise InputError(
                f"{what} needs {size / 1e9:.2f} GB in {places[device]} but its disk has {free / 1e9:.2f} GB left: "
                "free some and run again (nothing that was there is lost)."
            )


def link_files(pairs: Sequence[tuple[Path, Path]], what: str) -> None:
    """Give every first file of the pairs the second as another name; where that is impossible, copy it and say so once.

    Args:
        pairs: (file, new name); what has a new name must not be written to, only replaced.
        what: what the files are, for the message.

    Raises:
        InputError: they have to be copied, and the disk has no room for them.
    """
    copied = False
    for number, (source, target) in enumerate(pairs):
        refusal = _link(source, target)
        if refusal is None:
            continue
        if not copied:
            size = sum(file.stat().st_size for file, _ in pairs[number:])
            require_space([(target.parent, size)], f"a copy of the {what}")
            print(f"note: the {what} are copied, because they cannot be linked ({refusal}).", file=sys.stderr)
            copied = True
        shutil.copyfile(source, target)


def _link(source: Path, target: Path) -> str | None:
    """Make a hard link; why the system refused, or None."""
    try:
        os.link(os.path.realpath(source), target)  # a link to a symbolic link would be none to the content
    except FileNotFoundError:
        raise
    except OSError as error:
        return error.strerror or str(error)
    return None


def content_hash(*parts: str | bytes | os.PathLike[str]) -> str:
    """SHA-256 (hex) of the parts in order: text and bytes as they are, a path as the content found there.

    A directory counts as the sorted relative names of its files with their contents.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str | bytes):
            digest.update(part.encode() if isinstance(part, str) else part)
        else:
            path = Path(part)
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            for file in files:
                digest.update(file.relative_to(path).as_posix().encode())
                with file.open("rb") as stream:
                    for block in iter(lambda: stream.read(1 << 20), b""):
                        digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()


def user_path(text: str | os.PathLike[str], start: Path) -> Path:
    """A path as the user wrote it: a relative one begins at `start`, `~` and `~name` are home folders.

    Raises:
        InputError: it begins with the home folder of a user whom this computer does not know.
    """
    written = os.fspath(text)
    expanded = os.path.expanduser(written)
    if expanded == written and written.startswith("~"):
        raise InputError(
            f"'{written}' begins with {written.split('/')[0]}, which is no user's home folder here: write the whole "
            f"path, or ./{written} for a name that begins with ~."
        )
    return start / expanded


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder except hidden ones and those of hidden folders. Links are followed, but not in circles:
    what is below a folder comes once, the files of one that is linked to as well each time."""
    seen: set[str] = set()
    for directory, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        above = os.path.realpath(os.path.dirname(directory))
        if real in seen and f"{above}{os.sep}".startswith(f"{real}{os.sep}"):
            folders.clear()
            continue
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        seen.add(real)
        yield from (Path(directory, file) for file in sorted(files) if not file.startswith("."))


def dvc_root() -> Path:
    """The folder that outlives temporary copies of the workspace.

    DVC sets `$DVC_ROOT` to the original repository even when an experiment runs in a copy of it; without DVC
    it is the current folder. MLflow's store, archives and checkpoints live below it.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def stand_in(start: bytes) -> str:
    """What a file is that came in the place of the one that was meant, by its first 512 bytes; empty for others."""
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS (`git lfs pull` fetches the file itself)"
    packed = next((kind for at, magic, kind in PACKED if start[at:].startswith(magic)), None)
    return f"a compressed file ({packed}; unpack it)" if packed else ""
