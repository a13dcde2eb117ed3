"""README and docs as tests see them: their blocks of commands, and what is said of who runs each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:\.venv/bin/)?(?:clmot|dvc|make) [^`]*)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: str
    """Its file, from the repository's root."""
    kind: str
    """`sh`, `python`, ..., as the fence says."""
    text: str
    mark: str
    """The comment on the line before the fence: `run`, `run by FILE` or `not run: WHY`; "" without one."""

    @property
    def commands(self) -> list[str]:
        """Its lines, with continued ones joined and without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in (re.sub(r"\s+#.*", "", line).strip() for line in lines) if line]


def blocks(document: Path, kind: str) -> list[Block]:
    """The blocks of one kind in a document, in order."""
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(ROOT).as_posix()
    return [
        Block(name, found["kind"], found["text"], found["mark"] or "")
        for found in BLOCK.finditer(text)
        if found["kind"] == kind
    ]


def commands() -> list[tuple[str, str]]:
    """Every command of every document, also those within sentences: document, command.

    Not those of the changelog, which also tells what is gone.
    """
    documents = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
    found = [(block.document, line) for path in documents for block in blocks(path, "sh") for line in block.commands]
    for path in documents:
        prose = BLOCK.sub("", path.read_text(encoding="utf-8"))
        found += [(path.relative_to(ROOT).as_posix(), " ".join(line.split())) for line in INLINE.findall(prose)]
    return found
