"""Bring the line counts of the README's reading order up to date: `python -m tools.count_lines`."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
ROW = re.compile(r"^(\| \[[^\]]+\]\(([^)]+)\) \| )(\d+)( \|)", re.MULTILINE)
"""A row of the reading order: its file, then its number of lines."""


def counted(text: str, root: Path) -> str:
    """The README's text with every row's count as the file in `root` has it."""
    return ROW.sub(lambda row: f"{row[1]}{len((root / row[2]).read_text(encoding='utf-8').splitlines())}{row[4]}", text)


if __name__ == "__main__":
    README.write_text(counted(README.read_text(encoding="utf-8"), README.parent), encoding="utf-8")
