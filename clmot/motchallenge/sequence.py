"""One film of a benchmark: its `seqinfo.ini`, the names of its frames, and the manifest of all films."""

from __future__ import annotations

import configparser
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.files import read_bytes, write_json, write_text
from clmot.wording import one_line

MANIFEST_FILE = "manifest.json"
RESERVED = (MANIFEST_FILE, "strip.json")
"""Files of ours beside the sequences of a benchmark."""
SEQINFO_FILE = "seqinfo.ini"
IMAGE_DIR = "img1"
SUBSETS = ("train", "test")

SLOWEST, FASTEST = 0.001, 10_000.0
"""Frames per second: a picture every quarter of an hour, and the fastest cameras."""
LONGEST_NAME = 200
"""Bytes of a sequence's name: file systems take 255, and its files and drafts are called after it."""
MOST_FRAMES = 999_999
"""Of one film: names of frames have six digits."""


@dataclass(frozen=True)
class SequenceInfo:
    """What `seqinfo.ini` says of one sequence."""

    name: str
    image_dir: str
    """Folder of the frames inside the sequence's own folder, `img1` in every official archive."""
    frame_rate: float
    """Frames per second."""
    length: int
    """Number of frames; they are numbered from 1."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    extension: str
    """Of the frames' file names, with the dot: `.jpg`."""


@dataclass(frozen=True)
class ManifestEntry:
    """One sequence as in `manifest.json`."""

    name: str
    """Name of the sequence's folder; MOT17's detector suffix is dropped (`MOT17-02`)."""
    subset: str
    """`train` or `test`: where the archive had it."""
    frames: int
    """Number of frames; they are numbered from 1."""
    width: int
    height: int
    frame_rate: float
    detectors: tuple[str, ...] = ()
    """MOT17 only: the detectors whose copies of this sequence the archive held, sorted."""


def read_seqinfo(path: str | os.PathLike[str]) -> SequenceInfo:
    """Read a `seqinfo.ini`; section and keys in any case.

    Raises:
        InputError: the file is absent or unreadable, lacks a key, or a value is impossible.
    """
    return parse_seqinfo(read_bytes(path, "every sequence needs its seqinfo.ini"), str(path))


def parse_seqinfo(data: bytes, name: str) -> SequenceInfo:
    """Read the content of a `seqinfo.ini`; `name` is used in error messages. Raises as `read_seqinfo`."""
    values = _Seqinfo(name, _seqinfo_section(data, name))
    extension = values.text("imExt")
    extension = extension if extension.startswith(".") else f".{extension}"
    if not re.fullmatch(r"\.[A-Za-z0-9]+", extension):
        raise InputError(f"{name}: 'imExt' should be like .jpg, got '{one_line(values.text('imExt'))}'.")
    return SequenceInfo(
        name=values.plain_name("name"),
        image_dir=values.plain_name("imDir"),
        frame_rate=values.rate("frameRate"),
        length=values.count("seqLength"),
        width=values.count("imWidth"),
        height=values.count("imHeight"),
        extension=extension,
    )


def _seqinfo_section(data: bytes, name: str) -> Mapping[str, str]:
    """Key, in lower case -> value."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text: expected the lines of a seqinfo.ini.") from None
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        if line is None and getattr(error, "errors", None):
            line = error.errors[0][0]  # type: ignore[attr-defined]
        where = f"{name}:{line}" if line else name
        raise InputError(f"{where}: expected a [Sequence] section of unique `key=value` lines.") from None
    sections = [section for section in parser.sections() if section.strip().lower() == "sequence"]
    if not sections:
        raise InputError(f"{name} has no [Sequence] section: it should start with that line.")
    return parser[sections[0]]  # configparser lowers the keys


@dataclass(frozen=True)
class _Seqinfo:
    """The values of a seqinfo.ini; every method raises an InputError that names the file and the key."""

    file: str
    values: Mapping[str, str]

    def text(self, key: str) -> str:
        value = self.values.get(key.lower(), "").strip()
        if not value:
            raise InputError(f"{self.file}: the key '{key}' is missing: add a line `{key}=...`.")
        return value

    def plain_name(self, key: str) -> str:
        # It ends up in paths: nothing in it may lead out of the sequence's folder.
        value = self.text(key).rstrip("/" if key == "imDir" else "")
        if not re.fullmatch(r"[^\\/:\x00-\x1f]+", value) or value in (".", ".."):
            text = f"'{key}' should be a plain name without slashes, got '{one_line(self.text(key))}'"
            raise InputError(f"{self.file}: {text}.")
        return value

    def number(self, key: str) -> float:
        try:
            value = float(self.text(key))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{self.file}: '{key}' should be a number above 0, got '{one_line(self.text(key))}'.")
        return value

    def rate(self, key: str) -> float:
        value = self.number(key)
        if not SLOWEST <= value <= FASTEST:
            text = f"'{key}' should be frames per second, {SLOWEST:g} to {FASTEST:g}, got '{one_line(self.text(key))}'"
            raise InputError(f"{self.file}: {text}.")
        return value

    def count(self, key: str) -> int:
        value = self.number(key)
        if value != int(value) or value > MOST_FRAMES:  # no image has more pixels a side either
            text = f"'{key}' should be a whole number below {MOST_FRAMES + 1}, got '{one_line(self.text(key))}'"
            raise InputError(f"{self.file}: {text}.")
        return int(value)


def format_seqinfo(info: SequenceInfo) -> str:
    """`info` as the text of an official `seqinfo.ini`."""
    rate = int(info.frame_rate) if info.frame_rate == int(info.frame_rate) else info.frame_rate
    return (
        f"[Sequence]\nname={info.name}\nimDir={info.image_dir}\nframeRate={rate}\nseqLength={info.length}\n"
        f"imWidth={info.width}\nimHeight={info.height}\nimExt={info.extension}\n"
    )


def write_seqinfo(path: str | os.PathLike[str], info: SequenceInfo) -> None:
    """Write `info` as an official `seqinfo.ini`, whole or not at all."""
    write_text(path, format_seqinfo(info))


def is_sequence_name(name: str) -> bool:
    """Whether files can be called after a sequence of this name everywhere: text without slashes, `:` and controls that
    is not too long, nor the name of a file of ours beside it."""
    # Surrogates are bytes that are no text.
    plain = re.fullmatch(r"[^\\/:\x00-\x1f\ud800-\udfff]+", name) is not None
    return plain and len(name.encode()) <= LONGEST_NAME and name.lower() not in RESERVED


def frame_name(frame: int, extension: str) -> str:
    """File name of frame `frame` (counted from 1): six digits and the extension."""
    return f"{frame:06d}{extension}"


def image_path(sequence_dir: str | os.PathLike[str], info: SequenceInfo, frame: int) -> Path:
    """Path of frame `frame` (counted from 1) of the sequence in `sequence_dir`."""
    return Path(sequence_dir) / info.image_dir / frame_name(frame, info.extension)


def read_manifest(directory: str | os.PathLike[str], stage: str = "download") -> list[ManifestEntry]:
    """The sequences of a benchmark, sorted by name, from `directory/manifest.json`.

    `data/frames/B` and `data/held_out/B` list every extracted sequence, `data/gt/B` those that have ground truth.

    Args:
        directory: where it is.
        stage: the stage that writes it, for messages.

    Raises:
        InputError: the manifest is absent or not one that `write_manifest` wrote.
    """
    path = Path(directory) / MANIFEST_FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run the {stage} stage (`dvc repro`) first.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): run the {stage} stage again.") from None
    try:
        entries = [_entry(item) for item in content["sequences"]]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is not a manifest of sequences: run the {stage} stage again.") from None
    return sorted(entries, key=lambda entry: entry.name)


def write_manifest(directory: str | os.PathLike[str], benchmark: str, entries: Iterable[ManifestEntry]) -> None:
    """Write `directory/manifest.json` with the entries sorted by name."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    write_json(
        Path(directory) / MANIFEST_FILE,
        {"benchmark": benchmark, "sequences": [dataclasses.asdict(entry) for entry in ordered]},
    )


def _entry(item: Any) -> ManifestEntry:
    if item["subset"] not in SUBSETS:
        raise ValueError(item["subset"])
    return ManifestEntry(
        name=str(item["name"]),
        subset=str(item["subset"]),
        frames=int(item["frames"]),
        width=int(item["width"]),
        height=int(item["height"]),
        frame_rate=float(item["frame_rate"]),
        detectors=tuple(str(detector) for detector in item["detectors"]),
    )
