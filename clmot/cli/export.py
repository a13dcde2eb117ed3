"""`clmot export`: write a model in the formats of other tools."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from clmot.errors import InputError

ENDINGS = {"onnx": ".onnx", "boxmot": ".onnx", "ultralytics": ".onnx", "pth": ".pth"}
"""Forms, and how their files end."""


def add_command(commands: Any) -> None:
    """Add `export` to the subcommands (argparse's) of `clmot`."""
    export = commands.add_parser(
        "export",
        help="write a model as ONNX, or as a .pth that the original's tools read",
        description="Write a model as ONNX (of frames and boxes, or of crops as BoxMOT or ultralytics give them), or "
        "as a .pth that the tools of the original code read, and say how the file is used.",
        epilog="example: clmot export models/tracker tracker.onnx",
    )
    export.add_argument("model", type=Path, help="its folder, say models/tracker")
    export.add_argument("out", type=Path, help="the file to write, ending in .onnx or .pth")
    export.add_argument("--to", choices=tuple(ENDINGS), help="the form (default: by the file's ending, onnx or pth)")
    export.set_defaults(action=lambda given: export_model(given.model, given.out, given.to))


def export_model(directory: Path, out: Path, form: str | None = None) -> None:
    """Write the model in `directory`, and say how the file is used.

    Args:
        directory: of the model.
        out: the file.
        form: of `ENDINGS`; None: by the ending of `out`.

    Raises:
        InputError: `out` does not end as the form does, there is no such model, or the form cannot hold it.
    """
    form = form or {".onnx": "onnx", ".pth": "pth"}.get(out.suffix)
    if form is None or out.suffix != ENDINGS[form]:
        wanted = ".onnx or .pth" if form is None else ENDINGS[form]
        raise InputError(f"{out}: should end in {wanted}, by which other tools know such files.")
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory} holds no model (config.json and model.safetensors): name a model's folder; "
            "`dvc repro` writes models/tracker."
        )
    # torch and timm take seconds to import, which the other commands need not wait for.
    if form == "pth":
        from clmot.models.export import export_pth

        readers = export_pth(directory, out)
        print(f"{out} is written. With these options it is read by")
        for tool, options in readers.items():
            print(f"  {tool}: --load_model {shlex.quote(str(out))} {options}")
        return
    from clmot.export.onnx_files import export_onnx
    from clmot.params import load_params

    params = load_params()
    lines = export_onnx(directory, out, form, params.model.input_size, params.track.max_objects)
    print("\n  ".join([f"{out} is written.", *lines]))
