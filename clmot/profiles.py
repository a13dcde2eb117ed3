"""Profiles: params.yaml for other purposes, each written as what differs from the default.

The default is `clmot/default_params.yaml`, in which each param has one line: the value and a comment; lists are written
as DVC writes them. A profile,
`profiles/NAME.yaml`, holds the values that it changes, each with its reason. `mini` changes none: it is the default.
The default is part of the package, as params.yaml is the user's, who may commit it with other values; so is `film`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clmot.errors import InputError
from clmot.params import DEFAULT_FILE, Params, build_params, read_text
from clmot.typed_yaml import compose, merge, plain
from clmot.wording import listed

FOLDER = Path("profiles")
DEFAULT, FILM = "mini", "film"
FILM_FILE = DEFAULT_FILE.with_name("film_params.yaml")
"""Part of the package as well: `clmot track --learn` learns with it, in any folder."""


@dataclass(frozen=True)
class Profile:
    """One profile."""

    text: str
    """A whole params.yaml: the default's lines and comments, with this profile's values."""
    params: Params
    about: str
    """What it is for, in one line."""


def read_profiles() -> dict[str, Profile]:
    """Every profile by its name, the default first.

    Raises:
        InputError: one of them is not valid.
    """
    default = read_text(DEFAULT_FILE)
    files = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
    if DEFAULT in files:
        raise InputError(f"{files[DEFAULT]}: '{DEFAULT}' is the default's name, clmot/{DEFAULT_FILE.name}: rename it.")
    if FILM in files:
        raise InputError(f"{files[FILM]}: '{FILM}' is the name of clmot/{FILM_FILE.name}: rename it.")
    files = {DEFAULT: DEFAULT_FILE, FILM: FILM_FILE} | files
    return {name: make_profile(name, default, read_text(file), str(file)) for name, file in files.items()}


def make_profile(name: str, default: str, changes: str, file: str) -> Profile:
    """The profile `name` from the default's text and that of `file`, which holds what it changes.

    Raises:
        InputError: the file is not YAML, or has an unknown key or an impossible value; it is named with its line.
    """
    base, overrides = compose(default, f"{file} on clmot/{DEFAULT_FILE.name}"), compose(changes, file)
    params = build_params(merge(base, overrides))
    lines = default.splitlines()
    for key, old, new in sorted(_changed_leaves(base, overrides), key=lambda leaf: -leaf[0].start_mark.line):
        first = key.start_mark.line
        lines[first : _last_line(key, old) + 1] = _with_value(lines[first], key, old, _written(new, changes))
    header = _header(changes) or [f'# Profile "{name}".']
    text = "\n".join([*header, *lines[len(_header(default)) :]]) + "\n"
    about = re.sub(r'^# (Profile ".*?"[:.] ?)?', "", header[0])
    return Profile(text, params, about)


def nearest_profile(current: Params, profiles: dict[str, Profile]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The profile with the fewest values that differ from `current`, and those: `{key: (profile's, current)}`."""
    differences = {name: changed_values(profile.params, current) for name, profile in profiles.items()}
    nearest = min(differences, key=lambda name: len(differences[name]))
    return nearest, differences[nearest]


def changed_values(old: Params, new: Params) -> dict[str, tuple[Any, Any]]:
    """`{"loss.temperature": (0.2, 0.1)}`: what differs, by its dotted name."""
    after = new.flat()
    return {key: (value, after[key]) for key, value in old.flat().items() if value != after[key]}


def differences(params: Params) -> tuple[str, list[str]]:
    """The nearest profile, and what differs from it, as in `("mini", ["loss.temperature=0.1"])`."""
    try:
        profiles = read_profiles()
    except InputError:  # a profile of one's own that is not valid; the params are
        default = read_text(DEFAULT_FILE)
        profiles = {DEFAULT: make_profile(DEFAULT, default, default, str(DEFAULT_FILE))}
    nearest, changes = nearest_profile(params, profiles)
    told = [f"{key}={new if isinstance(new, str) else json.dumps(new)}" for key, (_, new) in changes.items()]
    return nearest, told


def described(profile: str, changes: Sequence[str], most: int = 8) -> str:
    """A run in words: the profile, and what differs from it.

    >>> described("mini", ["loss.temperature=0.1", "seed=1"], 1)
    'mini, loss.temperature=0.1 and 1 more'
    """
    return f"{profile}, {listed(changes, most)}" if changes else profile


def _header(text: str) -> list[str]:
    """The comment that a file begins with, up to an empty line, also one within it (`#`)."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return lines[:end]


def _changed_leaves(base: yaml.Node, overrides: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node, yaml.Node]]:
    """Keys and values of `base` with those that take their places. Every key of `overrides` is in `base`."""
    below = {key.value: (key, value) for key, value in base.value}
    for name, new in overrides.value:
        key, old = below[name.value]
        if isinstance(old, yaml.MappingNode):
            yield from _changed_leaves(old, new)
        else:
            yield key, old, new


def _last_line(key: yaml.Node, value: yaml.Node) -> int:
    """Of a value: a list has a line for each item below its key's, as DVC writes it, or is `[]`."""
    items = value.value if isinstance(value, yaml.SequenceNode) else []
    return int(items[-1].end_mark.line if items else key.end_mark.line)


def _written(node: yaml.Node, text: str) -> list[str]:
    """A value as DVC writes it: what comes behind its key, and the lines below. Spelt as in `text` (1e-4 remains 1e-4).

    Written otherwise, `dvc exp run -S`, which changes one param, would change the lines of every list.
    """
    if isinstance(node, yaml.SequenceNode) and node.value:
        items = [item for item in node.value if isinstance(item, yaml.ScalarNode)]
        if len(items) == len(node.value):
            return ["", *(f"- {text[item.start_mark.index : item.end_mark.index]}" for item in items)]
        return ["", *yaml.safe_dump(plain(node), sort_keys=False, width=float("inf")).splitlines()]
    if node.start_mark.line == node.end_mark.line:
        return [text[node.start_mark.index : node.end_mark.index]]
    return [str(yaml.safe_dump(plain(node), default_flow_style=True, sort_keys=False, width=float("inf"))).strip()]


def _with_value(line: str, key: yaml.Node, old: yaml.Node, new: list[str]) -> list[str]:
    """The line of a key with another value, and the lines below it; its comment remains in its column where there is
    room."""
    behind = key.end_mark.column + 1
    end = old.end_mark.column if old.start_mark.line == key.start_mark.line else behind
    value, *below = new
    code, comment = f"{line[:behind]} {value}".rstrip(), line[end:].lstrip()
    if comment:
        column = len(line) - len(comment)
        code = code.ljust(column if len(code) < column else len(code) + 2) + comment
    return [code, *(" " * key.start_mark.column + item for item in below)]
