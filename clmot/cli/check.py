"""`clmot check`: say what data hold, and everything that is wrong with them."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any) -> None:
    """Add `check` to the subcommands (argparse's) of `clmot`."""
    judge = commands.add_parser(
        "check",
        help="say what data hold, and everything that is wrong with them",
        description="Read archives, sequences, films, sets of images or results of your own as the pipeline would, and "
        "say what they hold and what is wrong with them. Exits with 0 if they can be used, with 2 if not.",
        epilog="example: clmot check my_films/door.mp4",
    )
    judge.add_argument("data", help="a zip, sequence, set of images, or results; or a folder of them")
    judge.add_argument("--images", help="the folder that a set's images are in, where it is not found")
    judge.add_argument("--format", choices=("jde", "crowdhuman", "coco", "yolo"), help="of a set of images")
    judge.add_argument("--classes", nargs="+", help="names or numbers of the classes that are tracked")
    judge.add_argument("--all", action="store_true", help="every problem, not only the first of each kind")
    judge.add_argument("--json", action="store_true", help="print JSON: what they hold, and every problem")
    judge.set_defaults(action=check_data)


def check_data(given: argparse.Namespace) -> None:
    """Say what data hold and what is wrong with them.

    Raises:
        InputError: they cannot be used as they are.
    """
    # Loads what reads images; the other commands need not wait for it.
    from clmot.check.judge import check

    classes = tuple(int(c) if c.isdecimal() else c for c in given.classes) if given.classes else None
    check(given.data, given.images, given.format, classes, given.all, given.json)
