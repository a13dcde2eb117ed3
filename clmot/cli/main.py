"""`clmot ...`: what people do outside the pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clmot import __version__
from clmot.cli import ablation, check, clean, compare, evaluate, export, profile, show, submit
from clmot.errors import run_as_script

COMMANDS = (profile, show, export, compare, ablation, clean, check, evaluate, submit)
"""In the order in which the help lists them. What needs torch is imported by a command when it runs: the others, and
the help, answer at once."""


def main() -> None:
    """The `clmot` command."""
    run_as_script(lambda: run(None))


def run(arguments: Sequence[str] | None) -> None:
    """Carry out one command line (None: the process's own).

    Raises:
        InputError: what was asked for cannot be done; nothing was changed.
    """
    given = command_line().parse_args(arguments)
    given.action(given)


def command_line() -> argparse.ArgumentParser:
    """All commands with their arguments; each sets `action`, which takes what was given."""
    parser = argparse.ArgumentParser(prog="clmot", description="Tracking people, learnt from boxes without identities.")
    parser.add_argument("--version", action="version", version=f"clmot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for command in COMMANDS:
        command.add_command(commands)
    return parser


if __name__ == "__main__":
    main()
