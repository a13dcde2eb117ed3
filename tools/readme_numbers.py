"""Renew the README's figures from the repository: `python -m tools.readme_numbers`.

These are the line counts of the reading order, and the table of the last run (metrics/summary.json).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
COUNT = re.compile(r"^(\| \[[^\]]+\]\(([^)]+)\) \| )(\d+)( \|)", re.MULTILINE)
"""A row of the reading order: its file, then its number of lines."""
SCORES = re.compile(r"^(\| (MOT\d+), drawn \|).*", re.MULTILINE)
"""A row of the table of results: its benchmark, then MOTA, IDF1, HOTA, IDSW."""


def renewed(text: str) -> str:
    """The README's text with today's figures."""
    summary = json.loads((ROOT / "metrics/summary.json").read_text(encoding="utf-8"))

    def count(row: re.Match[str]) -> str:
        return f"{row[1]}{len((ROOT / row[2]).read_text(encoding='utf-8').splitlines())}{row[4]}"

    def scores(row: re.Match[str]) -> str:
        found = summary[row[2]]
        percents = " | ".join(f"{100 * found[name]:.1f}" for name in ("MOTA", "IDF1", "HOTA"))
        return f"{row[1]} {percents} | {found['IDSW']} |"

    return SCORES.sub(scores, COUNT.sub(count, text))


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
