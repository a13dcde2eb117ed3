"""Writing outputs so that they are whole or absent, and byte-identical for identical content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def staged_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty directory beside `target`; on success it takes `target`'s place, on failure it vanishes.

    An existing `target` stays untouched until the new content is complete.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        aside.chmod(0o755)  # mkdtemp gives 0700, which would make shared results unreadable to others
        yield aside
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        if target.exists():
            target.rename(old)
        aside.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextlib.contextmanager
def staged_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on success it is renamed to `target`, on failure removed."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield aside
        os.replace(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8, line feeds) to `target`, whole or not at all."""
    with staged_file(target) as aside:
        aside.write_bytes(text.encode("utf-8"))


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with a final newline; keys keep their order; nan and inf are refused."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


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


def dvc_root() -> Path:
    """The folder that outlives temporary copies of the workspace.

    DVC sets `$DVC_ROOT` to the original repository even when an experiment runs in a copy of it; without DVC
    it is the current folder. MLflow's store, archives and checkpoints live below it.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()
