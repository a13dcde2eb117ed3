"""`clmot profile`: list the profiles and compare params.yaml with them, or put one in its place."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.files import write_text
from clmot.params import PARAMS_FILE, Params, load_params
from clmot.profiles import Profile, changed_values, nearest_profile, read_profiles
from clmot.wording import listed


def add_command(commands: Any) -> None:
    """Add `profile` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "profile",
        help="list the profiles and how params.yaml differs from them, or put one in its place",
        description="Check params.yaml, name the profile that it is nearest to, and list what differs. With a NAME, "
        "replace params.yaml by that profile; one with changes of your own is left alone.",
        epilog="example: clmot profile film",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="mini (the default), or a file of profiles/")
    parser.add_argument("--force", action="store_true", help="replace params.yaml even if changes in it are lost")
    parser.set_defaults(action=lambda given: profile(given.name, given.force))


def profile(name: str | None, force: bool = False) -> None:
    """Put a profile in place (see `use_profile`), or without a name describe params.yaml."""
    if name is None:
        if force:
            raise InputError(
                "--force is for replacing params.yaml: name a profile, as in `clmot profile mini --force`."
            )
        describe_params()
    else:
        use_profile(name, force)


def describe_params() -> None:
    """List the profiles, say that params.yaml is valid, which profile it is nearest to, and in which values it differs.

    Raises:
        InputError: it, or a profile, is not valid.
    """
    profiles = read_profiles()
    current = load_params()
    width = max(map(len, profiles))
    for name, found in profiles.items():
        print(f"{name:{width}}  {found.about}")
    nearest, changes = nearest_profile(current, profiles)
    print(f"\n{PARAMS_FILE} is valid; it is profile '{nearest}'{' with these changes:' if changes else '.'}")
    _print_changes(changes)


def use_profile(name: str, force: bool = False) -> None:
    """Replace params.yaml by a profile, and say which values changed.

    A params.yaml with values of no profile is someone's work, so it is only replaced by `force`.

    Raises:
        InputError: there is no such profile, it is not valid, or params.yaml holds changes (without `force`).
    """
    profiles = read_profiles()
    if name not in profiles:
        close = difflib.get_close_matches(name, profiles, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(profiles)}."
        raise InputError(f"there is no profile '{name}': {hint}")
    current = _replaceable(name, profiles, force)
    write_text(PARAMS_FILE, profiles[name].text)
    print(f"{PARAMS_FILE} is now profile '{name}'.")
    if current is not None:
        _print_changes(changed_values(current, profiles[name].params))


def _replaceable(name: str, profiles: dict[str, Profile], force: bool) -> Params | None:
    """The params that profile `name` may replace; None: there are none, or (with `force`) they are not valid.

    Raises:
        InputError: they may not be replaced.
    """
    if not Path(PARAMS_FILE).exists():
        return None
    try:
        current = load_params()
    except InputError as error:
        if force:
            return None
        raise InputError(
            f"{error} So {PARAMS_FILE} cannot be compared with the profiles; `clmot profile {name} --force` replaces "
            "it all the same."
        ) from None
    nearest, changes = nearest_profile(current, profiles)
    if changes and not force:
        raise InputError(
            f"{PARAMS_FILE} differs from profile '{nearest}' in {listed(changes)}: keep a copy of it, then "
            f"`clmot profile {name} --force` replaces it."
        )
    return current


def _print_changes(changes: dict[str, tuple[Any, Any]]) -> None:
    for key, (old, new) in changes.items():
        print(f"  {key}: {old} -> {new}")
