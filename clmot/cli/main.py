"""`clmot ...`: what people do outside the pipeline."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from clmot import __version__
from clmot.cli import ablation, check, clean, evaluate, export, profile, show, submit
from clmot.errors import run_as_script

COMMANDS = (profile, show, export, ablation, clean, check, evaluate, submit)
"""In the order in which the help lists them. What needs torch is imported by a command when it runs: the others, and
the help, answer at once."""
# By name: not every system has every number.
REFUSALS = {
    *("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EEXIST"),
    *("ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG"),
}


def main() -> None:
    """The `clmot` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be bytes that are no text
    try:
        run_as_script(lambda: run(None))
        sys.stdout.flush()  # what a closed pipe refuses shows here, not when Python has left
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python flushes once more at its end, which must not fail again; 141 is
        # what shells show for a program that a closed pipe stopped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if errno.errorcode.get(error.errno or 0) not in REFUSALS:
            raise
        print(f"error: {refusal(error)}", file=sys.stderr)
        # What stdout still holds would be refused again when Python leaves, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None


def refusal(error: OSError) -> str:
    """What the system would not do, in one sentence for the user who named the path or whose disk is full."""
    path = Path(os.fsdecode(error.filename or "standard output"))
    for folder in (path, path.parent):  # what was asked for is drafted in a folder beside it
        if draft := re.fullmatch(r"\.(.+)\.[^.]+\.partial", folder.name):
            path = folder.with_name(draft[1])
    return f"{path}: {error.strerror or error}: name a place that exists, has room and may be written to."


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
