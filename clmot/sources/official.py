"""The official archives of MOTChallenge as data: where they are, how large, how to know them, what they make.

Licence of all of them: CC BY-NC-SA 3.0 (attribution, no commercial use, share alike). No account is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OFFICIAL_URL = "https://motchallenge.net/data"
"""The folder that holds the archives; `$CLMOT_OFFICIAL_URL` names a mirror of the same files instead."""

LICENCE = "CC BY-NC-SA 3.0"


@dataclass(frozen=True)
class OfficialArchive:
    """One file of the official site."""

    about: int
    """Bytes as announced; right to some percent."""
    size: int | None = None
    """Bytes exactly; None: not known."""
    sha256: str | None = None
    """In hex; None: not known. The checksums inside the zip must do then."""
    frames: float = 1.0
    """Bytes of the frames that are kept, per byte of the archive, at most. JPEGs do not shrink in a zip."""


ARCHIVES: Mapping[str, OfficialArchive] = {
    "MOT15.zip": OfficialArchive(about=1_300_000_000),
    "MOT16.zip": OfficialArchive(
        about=1_954_509_127,
        size=1_954_509_127,
        sha256="b944a7ddf0fbce8742a238b9717658d26a8810ab8595e94ba7b0d9ffad3a291b",
    ),
    "MOT17Labels.zip": OfficialArchive(
        about=10_107_022,
        size=10_107_022,
        sha256="0aa79322e91583369f42f17c4d79a0b145380d8732487bba59272048dc82b2b9",
    ),
    "MOT17.zip": OfficialArchive(about=5_500_000_000, frames=1 / 3),  # every frame three times
    "MOT20.zip": OfficialArchive(
        about=5_028_926_248,
        size=5_028_926_248,
        sha256="ebcf0e3d44e4f50b5357d24817e5db485d777633d1b8ca9e8380d1c8437dbdd7",
    ),
}

RECIPES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "MOT15": (("MOT15.zip",),),
    # MOT17 has MOT16's frames: its labels alone make 2.0 GB of 5.5 GB.
    "MOT17": (("MOT16.zip", "MOT17Labels.zip"), ("MOT17.zip",)),
    "MOT20": (("MOT20.zip",),),
}
"""Benchmark -> the sets of archives that make it, the preferred one first."""
