"""`clmot export`: write a model as a .pth of the original's."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from clmot.errors import InputError


def add_command(commands: Any) -> None:
    """Add `export` to the subcommands (argparse's) of `clmot`."""
    export = commands.add_parser(
        "export",
        help="write a model as a .pth that the original's tools read",
        description="Write a model as a .pth that the tools of the original code read, and say with which options.",
    )
    export.add_argument("model", type=Path, help="its folder, say models/tracker")
    export.add_argument("out", type=Path, help="the file to write, ending in .pth")
    export.set_defaults(action=lambda given: export_model(given.model, given.out))


def export_model(directory: Path, out: Path) -> None:
    """Write the model in `directory` as a .pth of the original, and say with which options that reads it.

    Raises:
        InputError: `out` is no .pth, there is no such model, or the original has no network like it.
    """
    if out.suffix != ".pth":
        raise InputError(f"{out}: should end in .pth, by which the original's tools know such files.")
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory} holds no model (config.json and model.safetensors): name a model's folder; "
            "`dvc repro` writes models/tracker."
        )
    # torch and timm take seconds to import, which the other commands need not wait for.
    from clmot.models.export import export_pth

    readers = export_pth(directory, out)
    print(f"{out} is written. With these options it is read by")
    for tool, options in readers.items():
        print(f"  {tool}: --load_model {shlex.quote(str(out))} {options}")
