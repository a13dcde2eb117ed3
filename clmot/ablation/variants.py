"""A set of variants: what is compared with what, as people write it down in experiments/*.yaml."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clmot.ablation.experiment_name import SET_NAME, VARIANT_NAME
from clmot.errors import InputError
from clmot.params import Params, parse_params

KEYS = ("title", "seeds", "common", "variants")


@dataclass(frozen=True)
class Variant:
    """One row of the comparison."""

    name: str
    overrides: tuple[str, ...]
    """What it changes in params.yaml, as `dvc exp run -S` takes it: `loss.temperature=0.1`."""
    line: int
    """Its place in its file."""


@dataclass(frozen=True)
class VariantSet:
    """A file of variants; the first is what the others are compared with."""

    path: Path
    title: str
    seeds: tuple[int, ...]
    common: tuple[str, ...]
    """Overrides that come before those of every variant."""
    variants: tuple[Variant, ...]
    swept: str = ""
    """The param whose values the variants are, where they were made of one (`sweep`)."""

    @property
    def name(self) -> str:
        """By which its experiments and its table are known: the file's name without the ending."""
        return self.path.stem

    @property
    def option(self) -> tuple[str, str]:
        """What names it on the command line."""
        if not self.swept:
            return "--set", self.path.as_posix()
        values = (variant.overrides[0].partition("=")[2] for variant in self.variants)
        return "--sweep", f"{self.swept}={','.join(values)}"

    def overrides(self, variant: Variant) -> tuple[str, ...]:
        """All that `variant` changes, the common overrides first."""
        return (*self.common, *variant.overrides)

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            InputError: there is none; the nearest is named.
        """
        found = {variant.name: variant for variant in self.variants}
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(found)}."
            raise InputError(f"{self.path} has no variant '{name}': {hint}")
        return found[name]

    def params(self, variant: Variant, seed: int, base: str) -> Params:
        """The params of one experiment: those of the text `base` (params.yaml) with the overrides and the seed.

        Raises:
            InputError: an override is no `key=value`, or gives a key or value that params.yaml may not have.
        """
        where = f"{self.path}:{variant.line}: variant '{variant.name}'"
        where = f"--sweep {variant.overrides[0]}" if self.swept else where
        values = yaml.safe_load(base)
        for override in self.overrides(variant):
            key, value = _parsed(override, where)
            if key == "seed":
                raise InputError(
                    f"{where} sets the seed: name seeds with --seeds{'' if self.swept else f', or in {self.path}'}."
                )
            _replace(values, key, value, where)
        values["seed"] = seed
        try:
            return parse_params(yaml.safe_dump(values), "params")
        except InputError as error:
            reason = re.sub(r"^params(?::\d+)?: ", "", str(error))  # a line of no file the user has
            raise InputError(f"{where}: {reason}") from None


def read_set(path: str | os.PathLike[str]) -> VariantSet:
    """Read a file of variants.

    Raises:
        InputError: the file is absent, is not YAML, or does not hold what a set consists of.
    """
    path = Path(path)
    if not re.fullmatch(SET_NAME, path.stem):
        raise InputError(
            f"{path}: name the file with small letters, digits, '-' and '_', as in {path.parent}/mine.yaml."
        )
    root = _composed(path)
    entries = _mapping(root, str(path), "the file")
    for key, (line, _) in entries.items():
        if key not in KEYS:
            raise InputError(f"{path}:{line}: unknown key '{key}'; known are {', '.join(KEYS)}.")
    found = _mapping(entries["variants"][1], str(path), "'variants'") if "variants" in entries else {}
    if not found:
        state = "empty" if "variants" in entries else "missing"
        raise InputError(f"{path}: 'variants' is {state}: give each variant a name and a list of overrides.")
    for name, (line, _) in found.items():
        if not re.fullmatch(VARIANT_NAME, name):
            raise InputError(
                f"{path}:{line}: '{name}' should be letters, digits and single '-', '_', '+', '.' between them."
            )
    overrides = "a list like [loss.temperature=0.1, loss.off_centre=true]"
    whole = "a list of different whole numbers like [0, 1, 2]"
    return VariantSet(
        path,
        _checked(entries, "title", path, lambda value: isinstance(value, str) and value.strip(), "text", path.stem),
        tuple(_checked(entries, "seeds", path, _are_seeds, whole, (0,))),
        tuple(_checked(entries, "common", path, _are_overrides, overrides, ())),
        tuple(
            Variant(name, tuple(_checked(found, name, path, _are_overrides, overrides, ())), line)
            for name, (line, _) in found.items()
        ),
    )


def sweep(text: str) -> VariantSet:
    """A set of variants made of a param and some values: `loss.temperature=0.07,0.1,[0.2, 0.5]`.

    Raises:
        InputError: it is not that, or a value is there twice.
    """
    key, sign, values = text.partition("=")
    try:
        listed = yaml.compose(f"[{values}]", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        listed = None
    if not sign or not re.fullmatch(r"[A-Za-z_][\w.]*", key) or not isinstance(listed, yaml.SequenceNode):
        raise InputError(f"--sweep '{text}' should be a param and its values, like loss.temperature=0.07,0.1,0.2.")
    found = [f"[{values}]"[node.start_mark.index : node.end_mark.index] for node in listed.value]
    if len(found) < 2 or len(set(found)) != len(found) or not all(found):
        raise InputError(f"--sweep '{text}' should name two or more different values, like loss.temperature=0.1,0.2.")
    names = [_variant_name(f"{key.rpartition('.')[2]}-{value}") for value in found]
    names = [f"{name}-{place}" if names.count(name) > 1 else name for place, name in enumerate(names)]
    return VariantSet(
        path=Path("experiments", f"sweep-{re.sub(r'[^a-z0-9_]', '-', key.lower())}.yaml"),
        title=key,
        seeds=(0,),
        common=(),
        variants=tuple(Variant(name, (f"{key}={value}",), 0) for name, value in zip(names, found, strict=True)),
        swept=key,
    )


def _variant_name(text: str) -> str:
    """Part of the name of a Git reference: what may not be there becomes a dash."""
    return re.sub(r"[^A-Za-z0-9_+.-]+|[.](?=[.]|$)", "-", text).rstrip("-")


def _composed(path: Path) -> yaml.Node | None:
    """The file as YAML nodes, which know their lines."""
    try:
        text = path.read_text(encoding="utf-8")
        yaml.safe_load(text)  # unlike `compose`, it refuses tags that no one knows
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        known = ", ".join(sorted(found.as_posix() for found in path.parent.glob("*.yaml")))
        raise InputError(
            f"{path} does not exist{f'; there are {known}' if known else ''}: run from the project's folder, or name "
            "a file of variants."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): it should be a YAML text file.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"{where} is not valid YAML ({problem}): correct that line.") from None


def _mapping(node: yaml.Node | None, name: str, what: str) -> dict[str, tuple[int, yaml.Node]]:
    """`{key: (line, value)}` of a YAML mapping, in its order."""
    if not isinstance(node, yaml.MappingNode):
        where = f"{name}:{node.start_mark.line + 1}" if node is not None else name
        raise InputError(f"{where}: {what} should be `key: value` lines.")
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in found:
            raise InputError(f"{name}:{line}: '{key}' is there twice; keep one of them.")
        found[key] = (line, value_node)
    return found


def _checked(
    entries: dict[str, tuple[int, yaml.Node]],
    key: str,
    path: Path,
    good: Callable[[Any], Any],
    expected: str,
    default: Any,
) -> Any:
    """The value of a key; one that is no `good` one is refused."""
    if key not in entries:
        return default
    line, node = entries[key]
    value = yaml.SafeLoader("").construct_object(node, deep=True)
    if not good(value):
        raise InputError(f"{path}:{line}: '{key}' should be {expected}.")
    return value


def _are_overrides(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_seeds(value: Any) -> bool:
    whole = isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value)
    return bool(whole) and len(set(value)) == len(value)


def _parsed(override: str, where: str) -> tuple[str, Any]:
    """`loss.temperature=0.1` -> ("loss.temperature", 0.1)."""
    key, sign, text = override.partition("=")
    if not sign or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        raise InputError(f"{where}: '{override}' should be like loss.temperature=0.1.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"{where}: the value in '{override}' is not valid YAML.") from None
    if isinstance(value, str) and "," in value:
        # `dvc exp run` would make several experiments of it.
        raise InputError(f"{where}: '{override}' names several values; a variant has one ([a, b] is one list).")
    return key, value


def _replace(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set the dotted `key`; sections on its way that do not exist are made, for `parse_params` to refuse by name."""
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"{where}: unknown key '{key}': '{section}' is a value and no section.")
    values[last] = value
