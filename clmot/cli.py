"""`clmot ...`: what people do outside the pipeline."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clmot import __version__
from clmot.errors import InputError, run_as_script
from clmot.evaluation.command import add_command as add_evaluate
from clmot.files import write_text
from clmot.motchallenge.command import add_command as add_submit
from clmot.params import PARAMS_FILE, load_params

PROFILES = Path("profiles")


def main() -> None:
    """The `clmot` command."""
    run_as_script(lambda: run(None))


def run(arguments: Sequence[str] | None) -> None:
    """Carry out one command line (None: the process's own).

    Raises:
        InputError: what was asked for cannot be done; nothing was changed.
    """
    parser = argparse.ArgumentParser(
        prog="clmot", description="Tracking people, learnt from boxes without identities."
    )
    parser.add_argument("--version", action="version", version=f"clmot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    use = commands.add_parser("use", help="put a profile in place of params.yaml")
    use.add_argument("profile", help="a file of profiles/, without .yaml")
    use.add_argument("--force", action="store_true", help="even if changes in params.yaml are lost")
    use.set_defaults(action=lambda given: use_profile(given.profile, given.force))

    check = commands.add_parser("params", help="check params.yaml and say how it differs from the profiles")
    check.set_defaults(action=lambda given: describe_params())

    add_evaluate(commands)
    add_submit(commands)

    given = parser.parse_args(arguments)
    given.action(given)


def use_profile(name: str, force: bool = False) -> None:
    """Replace params.yaml by profiles/<name>.yaml, and say which values changed.

    A params.yaml with values of no profile is somebody's work, so it is only replaced by `force`.

    Raises:
        InputError: there is no such profile, it is not valid, or params.yaml holds changes (without `force`).
    """
    profiles = profile_values()
    if name not in profiles:
        close = difflib.get_close_matches(name, profiles, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(profiles)}."
        raise InputError(f"there is no profile '{name}' in {PROFILES}/: {hint}")
    current: dict[str, Any] = {}
    if Path(PARAMS_FILE).exists():
        try:
            current = load_params().flat()
        except InputError as error:
            if not force:
                raise InputError(
                    f"{error} As it stands {PARAMS_FILE} cannot be compared with the profiles; "
                    f"`clmot use {name} --force` replaces it all the same."
                ) from None
    if current and not force:
        nearest, changes = nearest_profile(current, profiles)
        if changes:
            raise InputError(
                f"{PARAMS_FILE} differs from profile '{nearest}' in {_listed(changes)}: keep a copy of it, "
                f"then `clmot use {name} --force` replaces it."
            )
    source = PROFILES / f"{name}.yaml"
    write_text(PARAMS_FILE, source.read_text(encoding="utf-8"))
    changes = _changes(current, profiles[name]) if current else []
    print(f"{PARAMS_FILE} is now profile '{name}'.")
    for key in changes:
        print(f"  {key}: {current[key]} -> {profiles[name][key]}")


def describe_params() -> None:
    """Say that params.yaml is valid, which profile it is nearest to, and in which values it differs.

    Raises:
        InputError: it, or a profile, is not valid.
    """
    current = load_params().flat()
    nearest, changes = nearest_profile(current, profiles := profile_values())
    print(f"{PARAMS_FILE} is valid; it is profile '{nearest}'{' with these changes:' if changes else '.'}")
    for key in changes:
        print(f"  {key}: {profiles[nearest][key]} -> {current[key]}")


def profile_values() -> dict[str, dict[str, Any]]:
    """The values of every profile by dotted name.

    Raises:
        InputError: there is no folder of profiles here, or one of them is not valid.
    """
    files = sorted(PROFILES.glob("*.yaml"))
    if not files:
        raise InputError(
            f"there is no {PROFILES}/*.yaml in {Path.cwd()}: run clmot from the project's folder."
        )
    return {file.stem: load_params(file).flat() for file in files}


def nearest_profile(current: dict[str, Any], profiles: dict[str, dict[str, Any]]) -> tuple[str, list[str]]:
    """The profile with the fewest values that differ from `current`, and the names of those."""
    differences = {name: _changes(current, values) for name, values in profiles.items()}
    nearest = min(differences, key=lambda name: len(differences[name]))
    return nearest, differences[nearest]


def _changes(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in one if one[key] != other[key]]


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:4])
    return shown if len(keys) <= 4 else f"{shown} and {len(keys) - 4} more"
