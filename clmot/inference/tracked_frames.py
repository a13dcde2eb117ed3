"""Which images the split wants tracked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clmot.errors import InputError
from clmot.motchallenge.sequence import SEQINFO_FILE, image_path, read_manifest, read_seqinfo
from clmot.motchallenge.splits import SEQUENCE, FrameRange, Split


@dataclass(frozen=True)
class TrackedPart:
    """The part of a sequence that is tracked."""

    images: list[Path]
    frames: FrameRange
    """Their numbers in the film."""
    length: int
    """Frames of the whole film."""
    frame_rate: float
    """Frames per second."""
    size: tuple[int, int] | None = None
    """(Width, height) of its images in pixels; None: not known."""


def find_tracked_parts(directory: str | os.PathLike[str], split: Split) -> dict[str, TrackedPart]:
    """What the split wants tracked of each sequence in `data/frames/B`, by name. With `sequence` there may be none: the
    films that are held out may all be other benchmarks'.

    Raises:
        InputError: there is nothing to track, or the manifest or a seqinfo.ini cannot be read.
    """
    directory = Path(directory)
    found = {}
    for entry in read_manifest(directory):
        frames = split.tracking_range(entry)
        if frames is not None:
            sequence = directory / entry.name
            info = read_seqinfo(sequence / SEQINFO_FILE)
            images = [image_path(sequence, info, frame) for frame in frames]
            found[entry.name] = TrackedPart(images, frames, entry.frames, entry.frame_rate, (entry.width, entry.height))
    if not found and split.kind != SEQUENCE:
        raise InputError(
            f"'data.split: {split.kind}' tracks no frame of {directory}: take {directory.name} out of "
            "'data.benchmarks', or choose another split."
        )
    return found
