"""Lists and counts in sentences."""

from __future__ import annotations

import pytest

from clmot.wording import counted, joined, listed, runs


@pytest.mark.parametrize(
    ("items", "words"),
    [([], "none"), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d"], "a, b, c and 1 more")],
)
def test_listed(items: list[str], words: str) -> None:
    assert listed(items, 3) == listed(dict.fromkeys(items), 3) == words


def test_joined() -> None:
    assert joined(["a"]) == "a"
    assert joined(seed for seed in (1, 2, 3)) == "1, 2 and 3"


def test_counted() -> None:
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_runs() -> None:
    assert runs([]) == []
    assert runs([1, 2, 3, 5, 8, 9]) == [(1, 3), (5, 5), (8, 9)]
