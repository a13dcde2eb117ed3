"""MkDocs hooks: pages of the site that are made from files outside docs/, and links that fit both Git and the site.

The first page is the README, the page of params is params.yaml with its own comments, and every table of results is a
page. A link that leads to another file of the repository (code, a licence) is plain text on the site.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "params.yaml": "params.md",
}
"""Files of the repository, and the page of the site that each becomes."""
LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
"""A relative link in Markdown: its text, file and anchor."""
PARAM = re.compile(r"( *)(\w+):(?: +(\[[^#]*\]|[^\s#]+))? *(?:# *(.*))?")
"""A line of params.yaml: indentation, name, value, comment."""
BENCHMARKS = re.compile(r"\$\{(data\.\w+)\}")
"""A param that a stage is multiplied by or named after in dvc.yaml."""
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\ssrc=["']?(?:https?:)?//|<link\b[^>]*"stylesheet"[^>]*//"""
)
"""What a browser would fetch from another host."""


def pages() -> dict[str, str]:
    """Every file outside docs/ that is on the site, and its place there."""
    results = [*ROOT.glob("metrics/*"), *ROOT.glob("experiments/results/*")]
    measured = sorted(path for path in results if path.suffix in (".md", ".svg"))
    return PAGES | {path.relative_to(ROOT).as_posix(): f"measured/{path.name}" for path in measured}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for source, place in pages().items():
        if source == "params.yaml":
            files.append(File.generated(config, place, content=params_page()))
        else:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    there = pages()
    here = {place: source for source, place in there.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def turned(link: re.Match[str]) -> str:
        text, file, anchor = link.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), file))
        place = there.get(target) or (target[len("docs/") :] if target.startswith("docs/") else None)
        if place:
            return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{anchor or ''})"
        if not (ROOT / target).exists():
            raise PluginError(f"{here} links to {file}, which does not exist.")
        return text

    return LINK.sub(turned, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would load something from another host: the site works offline."""
    if found := EXTERNAL.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {output[found.start() : found.end() + 60]}")
    return output


def params_page() -> str:
    """params.yaml as a table for each of its sections: value, meaning, and the first stage that a change re-runs."""
    stages = {
        name: [*filter(lambda param: isinstance(param, str), stage.get("params", [])), *BENCHMARKS.findall(str(stage))]
        for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items()
    }
    lines = [
        "# Params",
        "",
        "Every number and switch that decides a result, as in `params.yaml`. The values are the default's; the last",
        "column is the first stage that runs again when a value changes. The stages after it follow.",
    ]
    heads = ["| param | default | meaning | re-runs from |", "|:--|:--|:--|:--|"]
    for name, value, meaning in read_params((ROOT / "params.yaml").read_text(encoding="utf-8")):
        if not value and "." not in name:
            lines += ["", f"## {name}", "", *([meaning[:1].upper() + meaning[1:] + ".", ""] if meaning else [])]
            lines += heads
            continue
        if not value:
            continue  # a section within a section: its params carry its name
        first = next(
            (stage for stage, read in stages.items() if any(f"{name}.".startswith(f"{p}.") for p in read)), "nothing"
        )
        if "." not in name:
            lines += ["", f"## {name}", "", *heads]
        lines.append(f"| `{name.partition('.')[2] or name}` | `{value}` | {meaning.replace('|', '&#124;')} | {first} |")
    return "\n".join(lines) + "\n"


def read_params(text: str) -> Iterator[tuple[str, str, str]]:
    """Every line of params.yaml that names something: dotted name, value as written ("" for a section), comment.

    Lists have a line for each item. A comment on lines of its own belongs to the param below it if that is indented
    alike, else to the one above.
    """
    found: list[list[str]] = []
    loose: list[tuple[int, str]] = []
    path: list[str] = []
    for line in text.splitlines():
        if comment := re.match(r"( *)#+ *(.*)", line):
            loose.append((len(comment[1]), comment[2]))
        elif item := re.match(r" *- (.*)", line):
            found[-1][1] = f"[{', '.join([*filter(None, [found[-1][1][1:-1]]), item[1]])}]"
        elif param := PARAM.fullmatch(line):
            depth = len(param[1]) // 2
            path = [*path[:depth], param[2]]
            above = [comment for indent, comment in loose if indent == len(param[1])] if found else []
            if found:
                found[-1][2] = " ".join([found[-1][2], *(c for indent, c in loose if indent != len(param[1]))]).strip()
            found.append([".".join(path), param[3] or "", " ".join([*above, param[4] or ""]).strip()])
            loose = []
    return (tuple(entry) for entry in found)  # type: ignore[misc]
