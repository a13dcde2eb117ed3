"""YAML as frozen dataclasses: every mistake is one sentence that names the file, the line, the key and the way out.

This module knows how such a file is read, not which keys there are: those are the fields of a dataclass, and every
field must be given. A field's type is a dataclass (a section), `bool`, `int`, `float`, `str`, `int | str`, a `Literal`
of words, or a tuple of one of these (a list); `Annotated[..., Bounds(...)]` limits its value.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml

from clmot.addresses import without_secrets
from clmot.errors import InputError
from clmot.wording import one_line


@dataclass(frozen=True)
class Bounds:
    """What a number (or every item of a list) may be; `None` leaves that side open."""

    low: float | None = None
    """Lowest value."""
    high: float | None = None
    """Highest value."""
    above: float | None = None
    """The value must be greater than this."""
    below: float | None = None
    """The value must be less than this."""
    choices: tuple[str, ...] = ()
    """The words that may be used; empty: any."""
    non_empty: bool = False
    """Whether a list needs an item."""


def compose(text: str, name: str) -> yaml.Node:
    """The nodes of one YAML document. Each knows its line and `name`, the file's, for error messages.

    Raises:
        InputError: it is not YAML, or holds nothing.
    """
    try:
        loader = yaml.SafeLoader(text)
        loader.name = name
        root = loader.get_single_node()
    except RecursionError:
        raise InputError(f"{name} is not valid YAML (its brackets are nested too deep): write it again.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"{where} is not valid YAML ({problem}): mend that line.") from None
    if root is None:
        raise InputError(f"{name} is empty: it should hold `key: value` lines.")
    return root


def merge(base: yaml.Node, overrides: yaml.Node) -> yaml.Node:
    """`base` with the values of `overrides`, section by section.

    Keys that `base` does not have are kept, and so is a key that is set twice: `Reader` refuses them.
    """
    if not (isinstance(base, yaml.MappingNode) and isinstance(overrides, yaml.MappingNode)):
        return overrides
    known = {str(key.value) for key, _ in base.value}
    changes: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    wrong = []
    for key, value in overrides.value:
        if str(key.value) in known and str(key.value) not in changes:
            changes[str(key.value)] = key, value
        else:
            wrong.append((key, value))
    pairs = []
    for key, value in base.value:
        new_key, new_value = changes.get(str(key.value), (key, value))
        pairs.append((new_key, merge(value, new_value)))
    return yaml.MappingNode(base.tag, [*pairs, *wrong], overrides.start_mark, overrides.end_mark)


def plain(node: yaml.Node) -> Any:
    """The value of a node in plain Python.

    Raises:
        ValueError: nothing: it has a tag of someone's own, or is a date that does not exist.
    """
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, RecursionError, LookupError) as error:
        raise ValueError(str(error)) from None


class Reader:
    """Builds a dataclass from nodes, and remembers where each value was."""

    def __init__(self, kind: type[Any], example: str) -> None:
        """Read the dataclass `kind`; `example` names the file that has a line for every key."""
        self.kind = kind
        self.example = example
        self.places: dict[str, str] = {}
        """`params.yaml:12` for each dotted name that was read; `data.extra[0].name` for a section in a list."""

    def read(self, root: yaml.Node) -> Any:
        """An instance of `kind`.

        Raises:
            InputError: a key is missing, unknown or given twice, or a value may not be what it is.
        """
        return self._section(self.kind, root, "")

    def _section(self, kind: type[Any], node: yaml.Node, prefix: str) -> Any:
        """Build dataclass `kind` from the mapping `node`; `prefix` is the dotted name so far."""
        if not isinstance(node, yaml.MappingNode):
            what = f"'{prefix}'" if prefix else "the file"
            raise InputError(f"{_where(node)}: {what} should be a section of `key: value` lines.")
        hints = typing.get_type_hints(kind, include_extras=True)
        given: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key not in hints:
                dotted = _join(prefix, key)
                raise InputError(f"{_where(key_node)}: unknown key '{dotted}'{self._nearest(key, prefix)}")
            if key in given:
                raise InputError(f"{_where(key_node)}: '{_join(prefix, key)}' is set twice; keep one of the lines.")
            given[key] = value_node
        for key in hints:
            if key not in given:
                raise InputError(
                    f"{_where(node)}: '{_join(prefix, key)}' is missing; {self.example} has an example of every line."
                )
        return kind(**{key: self._value(hints[key], value, _join(prefix, key)) for key, value in given.items()})

    def _value(self, hint: Any, node: yaml.Node, key: str) -> Any:
        self.places[key] = _where(node)
        bounds = Bounds()
        if typing.get_origin(hint) is Annotated:
            hint, bounds = typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            return self._section(typing.cast("type[Any]", hint), node, key)
        if typing.get_origin(hint) is tuple:
            return self._list(typing.get_args(hint), bounds, node, key)
        return _leaf(hint, bounds, node, key)

    def _list(self, items: tuple[Any, ...], bounds: Bounds, node: yaml.Node, key: str) -> tuple[Any, ...]:
        """A list, of as many values as `items` has types, or (its last is `...`) of any number of the first."""
        sections, fixed = dataclasses.is_dataclass(items[0]), items[-1] is not Ellipsis
        if not isinstance(node, yaml.SequenceNode):
            form = "of sections, each begun by a dash" if sections else "like [a, b]"
            raise _wrong(node, key, f"should be a list {form}, got {_shown(node)}.")
        if fixed and len(node.value) != len(items):
            raise _wrong(node, key, f"should have {len(items)} values, got {len(node.value)}.")
        if bounds.non_empty and not node.value:
            raise _wrong(node, key, "is empty; name at least one.")
        if sections:
            return tuple(self._value(items[0], item, f"{key}[{place}]") for place, item in enumerate(node.value))
        kinds = items if fixed else items[:1] * len(node.value)
        return tuple(_leaf(kind, bounds, item, key) for kind, item in zip(kinds, node.value, strict=True))

    def _nearest(self, key: str, prefix: str) -> str:
        """'; did you mean ...' for an unknown key: its neighbours first, then the same key in another section."""
        names = list(_all_names(self.kind, ""))
        section = re.sub(r"\[\d+\]", "[]", prefix)  # all sections of a list have the same keys
        neighbours = [n.rpartition(".")[2] for n in names if n.rpartition(".")[0] == section]
        close = difflib.get_close_matches(key, neighbours, n=1, cutoff=0.6)
        if close:
            return f"; did you mean '{_join(prefix, close[0])}'?"
        elsewhere = [n for n in names if n.rpartition(".")[2] == key]
        if elsewhere:
            return f"; it belongs at '{min(elsewhere, key=lambda n: '[]' in n)}'."
        return f"; known here are {', '.join(neighbours)}."


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"loss": {"temperature": 0.5}}` -> ("loss.temperature", 0.5), ...; lists are leaves."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, _join(prefix, key))
    else:
        yield prefix, value


def _leaf(hint: Any, bounds: Bounds, node: yaml.Node, key: str) -> Any:
    """Convert one value and check it against its limits."""
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else bounds.choices
    expected, convert = KINDS.get(hint, ("text", _text))
    expected = f"one of {', '.join(choices)}" if choices else expected
    try:
        if not isinstance(node, yaml.ScalarNode):
            raise ValueError
        value = convert(node)
    except (ValueError, OverflowError):
        raise _wrong(node, key, f"should be {expected}, got {_shown(node)}.") from None
    if choices and value not in choices:
        close = difflib.get_close_matches(value, choices, n=1, cutoff=0.6)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        raise _wrong(node, key, f"should be {expected}, got {_shown(node)}{hint}")
    for words, limit, holds in (
        ("at least", bounds.low, operator.ge),
        ("at most", bounds.high, operator.le),
        ("above", bounds.above, operator.gt),
        ("below", bounds.below, operator.lt),
    ):
        if limit is not None and not isinstance(value, str) and not holds(value, limit):
            raise _wrong(node, key, f"should be {words} {limit:g}, got {value:g}.")
    return value


def _flag(node: yaml.ScalarNode) -> bool:
    return _of_type(plain(node), bool)


def _whole(node: yaml.ScalarNode) -> int:
    return _of_type(plain(node), int)


def _number(node: yaml.ScalarNode) -> float:
    value = plain(node)
    if isinstance(value, str) and node.style is None:
        value = float(value)  # YAML 1.1 reads 1e-4 (no dot) as text; people and other YAML tools mean a number
    number = float(_of_type(value, int, float))
    if not math.isfinite(number):
        raise ValueError
    return number


def _text(node: yaml.ScalarNode) -> str:
    if node.tag != "tag:yaml.org,2002:str" or not _is_plain(node.value):
        raise ValueError
    return str(node.value)


def _name(node: yaml.ScalarNode) -> int | str:
    value = _of_type(plain(node), int, str)
    if isinstance(value, str) and not _is_plain(value):
        raise ValueError
    return typing.cast("int | str", value)


def _is_plain(text: str) -> bool:
    """Whether text can be a name or a path: there is some, without control characters, and it is Unicode."""
    return bool(text) and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def _of_type(value: Any, *kinds: type[Any]) -> Any:
    """`value` if it is of one of these types exactly: true is no number.

    Raises:
        ValueError: it is not.
    """
    if type(value) not in kinds:
        raise ValueError
    return value


KINDS: dict[Any, tuple[str, Callable[[yaml.ScalarNode], Any]]] = {
    bool: ("true or false", _flag),
    int: ("a whole number", _whole),
    float: ("a number", _number),
    str: ("text", _text),
    int | str: ("a name or a whole number (in quotes where YAML takes a name for something else)", _name),
}
"""What a value of each type is called, and what makes it (ValueError, OverflowError: it is none)."""


def _wrong(node: yaml.Node, key: str, problem: str) -> InputError:
    return InputError(f"{_where(node)}: '{key}' {problem}")


def _where(node: yaml.Node) -> str:
    return f"{node.start_mark.name}:{node.start_mark.line + 1}"


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"'{one_line(without_secrets(node.value))}'" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a section"


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _all_names(kind: type[Any], prefix: str) -> Iterable[str]:
    """Dotted names of all sections and values; those of a list of sections once, as `data.extra[].name`."""
    for key, hint in typing.get_type_hints(kind).items():
        dotted = _join(prefix, key)
        yield dotted
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
        if dataclasses.is_dataclass(inner):
            yield from _all_names(typing.cast("type[Any]", inner), dotted if inner is hint else f"{dotted}[]")
