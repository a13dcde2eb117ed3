"""`clmot pack`: a model as a folder that goes elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clmot.errors import InputError


def add_command(commands: Any) -> None:
    """Add `pack` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "pack",
        help="copy a model into a folder that explains itself, to hand over",
        description="Copy a trained model into a folder of its own, with the thresholds of tracking, where its data "
        "came from, the commit, licences, what was measured, and a card that says all this.",
        epilog="example: clmot pack models/tracker door-model",
    )
    parser.add_argument("model", type=Path, help="its folder, say models/tracker")
    parser.add_argument("out", type=Path, help="the folder to write; one that is there is replaced if it is a model")
    parser.set_defaults(action=lambda given: pack(given.model, given.out))


def pack(model: Path, out: Path) -> None:
    """Copy a model, see `clmot.models.pack`.

    Raises:
        InputError: there is no model, or `out` is something else.
    """
    if out.exists() and not (out / "model.json").is_file():
        raise InputError(f"{out} exists and is no model: name a folder that does not exist yet.")
    from clmot.models.pack import pack_model

    description = pack_model(model, out)
    seen = "; ".join(description.seen_identities) or "none"
    print(f"{out} is written (see {out / 'MODEL_CARD.md'}); identities that it has seen: {seen}.")
