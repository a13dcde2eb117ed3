"""`clmot clean`: remove the checkpoints of trainings that were cut off and that no one wants to resume."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.files import lock_directory


def add_command(commands: Any) -> None:
    """Add `clean` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "clean",
        help="remove checkpoints of trainings that were cut off",
        description="Remove what trainings that were cut off have left in .checkpoints/, and say how large it was. "
        "Such a training then starts again from its first epoch. One that runs now is left alone, and so are finished "
        "models: these are DVC's (`dvc gc`).",
        epilog="example: clmot clean --dry-run",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of .checkpoints/ (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.set_defaults(action=lambda given: clean(given.names, given.dry_run))


def clean(names: Sequence[str] = (), dry_run: bool = False) -> None:
    """Remove checkpoints, and print a line for each.

    Args:
        names: folders of .checkpoints/; none: all that are there.
        dry_run: only print.

    Raises:
        InputError: a name is of no folder there; nothing was removed then.
    """
    from clmot.training.resume import checkpoints_root  # loads torch; other commands need not wait for it

    root = checkpoints_root()
    there = {path.name: path for path in sorted(root.glob("*")) if path.is_dir()}
    for name in names:
        if name not in there:
            raise InputError(f"{root} holds no '{name}': it holds {', '.join(there) or 'nothing'}.")
    chosen = [there[name] for name in names or there]
    for folder in chosen:
        print(_clean_one(folder, dry_run))
    if not chosen:
        print(f"{root}: no checkpoints.")
    elif not dry_run and not any(root.iterdir()):
        root.rmdir()


def _clean_one(folder: Path, dry_run: bool) -> str:
    """Remove one folder unless a training runs in it; what became of it, in words."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    handle = lock_directory(folder)
    if handle is None:
        return f"{folder}: in use by a training that runs now, kept"
    try:
        if not dry_run:
            shutil.rmtree(folder)
    finally:
        os.close(handle)
    return f"{folder}: {size / 1e6:.1f} MB {'would be removed' if dry_run else 'removed'}"
