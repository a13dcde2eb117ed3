"""`clmot ...`: what people do outside the pipeline."""

from __future__ import annotations

import argparse
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from clmot import __version__
from clmot.cli import ablation, check, clean, compare, evaluate, export, init, pack, profile, show, submit, track
from clmot.errors import InputError, run_as_script

GROUPS: Mapping[str, Sequence[ModuleType]] = {
    "your films": (track,),
    "your data and results": (check, evaluate, submit),
    "models": (pack, export),
    "the pipeline": (init, profile, show, clean),
    "experiments": (ablation, compare),
}
"""In the order in which the help lists them. What needs torch is imported by a command when it runs: the others, and
the help, answer at once."""
SHELLS = ("bash", "zsh")


def main() -> None:
    """The `clmot` command."""
    run_as_script(lambda: run(None))


def run(arguments: Sequence[str] | None) -> None:
    """Carry out one command line (None: the process's own).

    Raises:
        InputError: what was asked for cannot be done; nothing was changed.
    """
    given = command_line().parse_args(arguments)
    if given.project is not None:
        if not given.project.is_dir():
            raise InputError(f"--project {given.project} is no folder: name the one with params.yaml.")
        os.chdir(given.project)
    given.action(given)


def command_line() -> argparse.ArgumentParser:
    """All commands with their arguments; each sets `action`, which takes what was given."""
    parser = argparse.ArgumentParser(
        prog="clmot",
        description="Tracking people, learnt from boxes without identities.",
        formatter_class=_Grouped,
    )
    parser.add_argument("--version", action="version", version=f"clmot {__version__}")
    parser.add_argument(
        "--project", type=Path, metavar="FOLDER", help="work as if started there, as `git -C` does (default: here)"
    )
    parser.add_argument(
        "--completion", action=_Completion, choices=SHELLS, help="print a script that completes commands, and leave"
    )
    commands = _Commands(parser.add_subparsers(required=True, metavar="COMMAND", help="see below"))
    listed = []
    for title, modules in GROUPS.items():
        listed.append(f"\n{title}:")
        for module in modules:
            module.add_command(commands)
            name, said = list(commands.told.items())[-1]
            listed.append(f"  {name:<10}{said}")
    parser.epilog = "\n".join([*listed, "", "`clmot COMMAND --help` says more and has an example."]).lstrip()
    return parser


class _Grouped(argparse.RawDescriptionHelpFormatter):
    """Without argparse's list of the commands, which is one piece; the epilog has them in groups."""

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action, None, None]:
        yield from ()


class _Commands:
    """The subcommands of argparse, and what each does."""

    def __init__(self, commands: Any) -> None:
        self.commands = commands
        self.told: dict[str, str] = {}
        """Name -> what it does."""

    def add_parser(self, name: str, *, help: str, **options: Any) -> argparse.ArgumentParser:
        self.told[name] = help
        made: argparse.ArgumentParser = self.commands.add_parser(name, help=help, **options)
        return made


class _Completion(argparse.Action):
    """Print the script and leave, as `--help` does."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: Any, option_string: str | None = None
    ) -> NoReturn:
        import shtab  # what DVC has for its own

        print(shtab.complete(parser, shell=values))
        parser.exit()


if __name__ == "__main__":
    main()
