"""Tables whose columns line up, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def plain_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Rows of cells as text, columns two blanks apart; columns of `left` begin in line, the others end in line."""
    return "\n".join("  ".join(row).rstrip() for row in _padded(rows, left))


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table that can be read as plain text too: the first row is its header.

    The first column is aligned left; the others, numbers, are aligned right.
    """
    header, *body = _padded(rows, left=(0,), narrowest=3)
    dashes = ["-" * (len(cell) - 1) for cell in header]
    rule = [f":{dashes[0]}", *(f"{more}:" for more in dashes[1:])]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *body)]


def _padded(rows: Sequence[Sequence[str]], left: Collection[int], narrowest: int = 0) -> list[list[str]]:
    """The rows with every cell as wide as its column, which has at least `narrowest` characters."""
    widths = [max(narrowest, *map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
