"""Films that are finished, so that they are not tracked again: by another command, or by a new film beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clmot.files import content_hash, write_json

FOLDER = ".finished"


def film_key(film: str | list[str], decides: Mapping[str, Any]) -> str:
    """The hash of a film and of all else that decides its tracks.

    Args:
        film: a file, a folder or images; known by its files' places, sizes and times: gigabytes are not read for it.
        decides: by name, as texts.
    """
    files = [Path(one) for one in ([film] if isinstance(film, str) else film)]
    listed = [at for file in files for at in (sorted(file.rglob("*")) if file.is_dir() else [file]) if at.is_file()]
    seen = [(str(at.resolve()), at.stat().st_size, at.stat().st_mtime_ns) for at in listed]
    return content_hash(json.dumps([seen, dict(decides)], sort_keys=True))


def finished(out: Path, name: str, key: str) -> str | None:
    """What was said of a film's tracks in the folder `out` that were made with this key and are all there; None: there
    are none."""
    try:
        noted = json.loads((out / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        whole = noted["key"] == key and all((out / file).is_file() for file in noted["files"])
        return str(noted["said"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_finished(out: Path, name: str, key: str, said: str, files: list[str]) -> None:
    """Note a film's tracks in the folder `out` as finished."""
    (out / FOLDER).mkdir(exist_ok=True)
    write_json(out / FOLDER / f"{name}.json", {"key": key, "said": said, "files": files})
