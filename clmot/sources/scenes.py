"""`data/scenes.json`: which scenes the synthetic source draws; `null` for every other source.

A stage of its own, so that `download` depends on the seed only where the seed decides what is downloaded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from clmot.errors import InputError
from clmot.files import write_json

SYNTHETIC = "synthetic"
"""Word of `data.source`."""


def write_scenes(path: str | os.PathLike[str], source: str, seed: int, frames: int) -> None:
    """Write which scenes to draw for this `data.source`: those of `seed`, with so many frames each; or none."""
    write_json(path, {"seed": seed, "frames": frames} if source == SYNTHETIC else None)


def read_scenes(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(seed, frames) of the scenes; (0, 0) where there are none to draw.

    Raises:
        InputError: the file is absent or damaged.
    """
    try:
        scenes = json.loads(Path(path).read_bytes())
        return (int(scenes["seed"]), int(scenes["frames"])) if scenes else (0, 0)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run the scenes stage (`dvc repro`) first.") from None
    except (OSError, LookupError, TypeError, ValueError):
        raise InputError(f"{path} is not what the scenes stage writes: run the stage again.") from None
