"""`clmot export`: write a model in the formats of other tools."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from clmot.errors import InputError

ENDINGS = {
    "onnx": ".onnx",
    "boxmot": ".onnx",
    "ultralytics": ".onnx",
    "roboflow": "",
    "npz": ".npz",
    "pth": ".pth",
    "mlflow": "",
}
"""Forms, and how their files end."""
BY_ENDING = {".onnx": "onnx", ".npz": "npz", ".pth": "pth"}


def add_command(commands: Any) -> None:
    """Add `export` to the subcommands (argparse's) of `clmot`."""
    export = commands.add_parser(
        "export",
        help="write a model as ONNX, for MLflow, as a .pth, or a film's embeddings",
        description="Write a model as ONNX (of frames and boxes, or of crops as BoxMOT or ultralytics give them), as a "
        ".pth that the tools of the original code read, or as a folder that MLflow serves, and say how it is used.",
        epilog="example: clmot export models/tracker tracker.onnx",
    )
    export.add_argument("model", type=Path, help="its folder, say models/tracker")
    export.add_argument("out", type=Path, help="the file to write, ending in .onnx, .npz or .pth; for mlflow a folder")
    export.add_argument("--to", choices=tuple(ENDINGS), help="the form (default: by the file's ending)")
    export.add_argument("--film", type=Path, help="for npz: a sequence, with its seqinfo.ini")
    export.add_argument("--boxes", type=Path, help="for npz: its boxes, MOTChallenge rows")
    export.set_defaults(action=lambda given: export_model(given.model, given.out, given.to, given.film, given.boxes))


def export_model(
    directory: Path, out: Path, form: str | None = None, film: Path | None = None, boxes: Path | None = None
) -> None:
    """Write the model in `directory`, and say how the file is used.

    Args:
        directory: of the model.
        out: the file.
        form: of `ENDINGS`; None: by the ending of `out`.
        film, boxes: whose embeddings `npz` holds.

    Raises:
        InputError: `out` does not end as the form does, there is no such model, or the form cannot hold it.
    """
    form = form or BY_ENDING.get(out.suffix)
    if form == "roboflow":
        raise InputError(
            "roboflow's reid builds networks that give the mean of timm's last map, and this project's encoder reads "
            "maps of several strides in stripes, so a folder of weights cannot hold it: in Python "
            f'`clmot.reid("{directory}")` has the `extract_embeddings(detections, frame)` that is asked for there.'
        )
    if form is None or out.suffix != ENDINGS[form]:
        if form == "mlflow":
            raise InputError(f"{out}: MLflow's form of a model is a folder: name it without an ending.")
        wanted = ".onnx, .npz or .pth" if form is None else ENDINGS[form]
        raise InputError(f"{out}: should end in {wanted}, by which other tools know such files.")
    if (form == "npz") != (film is not None and boxes is not None) or (film is None) != (boxes is None):
        raise InputError("--film and --boxes say whose embeddings an .npz holds: name both for it, and for it alone.")
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
    if form == "mlflow":
        from clmot.export.mlflow_model import write_mlflow_model

        write_mlflow_model(directory, out)
        print(
            f"{out} is written. `mlflow models serve -m {shlex.quote(str(out))} --env-manager local -p 5002` starts it."
        )
        return
    if film is not None and boxes is not None:
        from clmot.export.embedding_files import export_npz

        count = export_npz(directory, out, film, boxes)
        print(f"{out} is written: frame, box, score and embedding of {count} boxes. Named <sequence>.npz, in a folder,")
        print("it is what `track.embedding: FOLDER` takes.")
        return
    from clmot.export.onnx_files import export_onnx
    from clmot.params import load_params

    params = load_params()
    lines = export_onnx(directory, out, form, params.model.input_size, params.track.max_objects)
    print("\n  ".join([f"{out} is written.", *lines]))
