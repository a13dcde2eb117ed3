"""Tables whose columns line up."""

from __future__ import annotations

from clmot.tables import markdown_rows, plain_table

ROWS = [["name", "n", "says"], ["a", "1200", "-"], ["longer", "7", "more"]]


def test_as_text() -> None:
    assert plain_table(ROWS, left=(0, 2)).splitlines() == [
        "name       n  says",
        "a       1200  -",
        "longer     7  more",
    ]
    assert plain_table(ROWS).splitlines()[1] == "a       1200     -"


def test_as_markdown() -> None:
    assert markdown_rows(ROWS) == [
        "| name   |    n | says |",
        "| :----- | ---: | ---: |",
        "| a      | 1200 |    - |",
        "| longer |    7 | more |",
    ]
    assert markdown_rows([["a", "b"]])[1] == "| :-- | --: |", "Markdown wants three characters"
