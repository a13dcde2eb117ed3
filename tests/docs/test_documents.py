"""README and docs say what is true: commands, links, figures, rooms and params are those of the repository."""

from __future__ import annotations

import doctest
import functools
import hashlib
import importlib
import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from documents import DOCUMENTS, ROOT, Block, blocks, commands

from clmot.cli.main import command_line
from clmot.params import load_params
from tools.readme_numbers import COUNT, SCORES, renewed
from tools.site_pages import EXTERNAL, params_page, read_params

README = ROOT / "README.md"
SHELL_BLOCKS = [block for path in DOCUMENTS for block in blocks(path, "sh")]
PYTHON_BLOCKS = [block for path in DOCUMENTS for block in blocks(path, "python")]
REASONS = re.compile(r"not run: .*(download|GPU|server|part of `make test`)")


def name_of(block: Block) -> str:
    return f"{block.document}: {block.text.splitlines()[0][:40]}"


def test_the_readme_is_short() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) <= 1300
    assert len(text.splitlines()) <= 140


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=name_of)
def test_every_block_says_who_runs_it(block: Block) -> None:
    if by := re.fullmatch(r"run by (\S+)", block.mark):
        text = (ROOT / by[1]).read_text(encoding="utf-8")
        assert block.document in text or all(command in text for command in block.commands)
    else:
        assert block.mark == "run" or REASONS.match(block.mark), "run, run by FILE, or not run: WHY"


@pytest.mark.parametrize(("document", "command"), sorted(set(commands())))
def test_every_command_exists(document: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its program, its options, and the params it sets."""
    words = shlex.split(command)
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    elif program == "clmot":
        try:
            command_line().parse_args(words[1:])
        except SystemExit:
            said = capsys.readouterr().err
            # A sentence may name a command without what it takes.
            assert "arguments are required" in said, f"{document}: {command}: {said}"
        for option, value in pairwise(words):
            assert option != "--set" or "=" in value or (ROOT / value).is_file()
    elif program == "dvc":
        names = load_params(ROOT / "params.yaml").flat()
        changes = [value for option, value in pairwise(words) if option == "-S"]
        assert {change.partition("=")[0] for change in changes} <= set(names)
        assert words[1] in ("exp", "repro", "add", "queue", "plots", "push", "pull", "remote", "commit")
    else:
        assert program in ("mkdir", "cp", "python", "mlflow", "curl")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_that_are_to_be_run_exist(document: Path) -> None:
    named = set(
        re.findall(r"python -m ((?:tools|benchmarks|stages|clmot)[\w.]*\w)", document.read_text(encoding="utf-8"))
    )
    assert [name for name in sorted(named) if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


def test_params_named_in_prose_exist() -> None:
    """`loss.temperature`, `views.*`, and `train.views=3` are params; a dotted name of another kind is not meant."""
    names = load_params(ROOT / "params.yaml").flat()
    sections = {name.split(".")[0] for name in names if "." in name}
    wrong = []
    for path in DOCUMENTS:
        prose = path.read_text(encoding="utf-8")
        for section, rest in re.findall(r"`(\w+)\.([\w.]+)(?:[=:][^`]*)?`", prose):
            known = any(name == f"{section}.{rest}" or name.startswith(f"{section}.{rest}.") for name in names)
            file = rest in ("yaml", "safetensors", "json")
            if section in sections and not known and not file:
                wrong.append(f"{path.name}: {section}.{rest}")
    assert not wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text)
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_figures_of_the_readme_are_those_of_the_repository() -> None:
    text = README.read_text(encoding="utf-8")
    new = renewed(text)
    advice = "renew them: python -m tools.readme_numbers"
    written, counted = [[(row[2], int(row[3])) for row in COUNT.finditer(t)] for t in (text, new)]
    assert written[0][0] == "params.yaml"
    for (name, said), (_, lines) in zip(written, counted, strict=True):
        assert abs(said - lines) <= 0.1 * lines, f"{name} has {lines} lines, the README says {said}: {advice}"
    assert SCORES.findall(text)
    assert [row[0] for row in SCORES.finditer(text)] == [row[0] for row in SCORES.finditer(new)], advice


def test_committed_figures_are_what_the_pipeline_gave_by_these_params() -> None:
    """`make repro` gives what README and docs show, on a machine like the one it ran on."""
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for out in stages["evaluate"]["outs"]:
        if not out["md5"].endswith(".dir"):
            written = (ROOT / out["path"]).read_bytes()
            assert hashlib.md5(written).hexdigest() == out["md5"], f"{out['path']} is not what `evaluate` wrote"
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, stage in stages.items():
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            now = functools.reduce(lambda section, part: section[part], key.split("."), params)
            assert now == value, f"'{key}' is not as it was when {name} ran: run `dvc repro`"


def test_the_architecture_names_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "clmot").glob("*/__init__.py")}
    table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").split("## The rooms")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)/`", table, re.MULTILINE)) == rooms
    ground = {path.stem for path in (ROOT / "clmot").glob("*.py")} - {"__init__", "__main__"}
    assert set(re.findall(r"`(\w+)`", table.split("the ground floor")[0])) == ground


def test_the_params_page_has_every_param_and_its_meaning() -> None:
    entries = list(read_params((ROOT / "params.yaml").read_text(encoding="utf-8")))
    leaves = {name: value for name, value, _ in entries if value}
    assert set(leaves) == set(load_params(ROOT / "params.yaml").flat())
    page = params_page()
    for section, entry in {("loss", "temperature"), ("track", "confidence"), ("loss", "detection.focal_alpha")}:
        row = re.search(rf"^\| `{re.escape(entry)}` \| `(.*?)` \| (.+?) \| (\w+) \|$", page, re.MULTILINE)
        assert row, f"{section}.{entry}"
        assert row[1] == leaves[f"{section}.{entry}"]
    assert re.search(r"^\| `threads` \| .* \| nothing \|$", page, re.MULTILINE)


def test_comments_above_and_below_a_param() -> None:
    text = "# Title\na:  # of a\n  # above\n  b:  # beside\n  - 1\n  - 2\n  c: 3  # like\n  # 3 or 4\nd: 1\n"
    assert list(read_params(text)) == [
        *(("a", "", "of a"), ("a.b", "[1, 2]", "above beside"), ("a.c", "3", "like 3 or 4")),
        ("d", "1", ""),
    ]


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=name_of)
def test_python_examples(block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    random = np.random.default_rng(0)
    boxes = np.array([[10.0, 10, 50, 120], [200, 15, 240, 130]])
    given = (boxes, np.array([0.9, 0.8]), random.normal(size=(2, 16)))
    names = {"frames": [given, given], **dict(zip(("boxes", "scores", "embeddings"), given, strict=True))}
    exec(compile(block.text, block.document, "exec"), names)
    assert "[1 2]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "file",
    [path for path in sorted((ROOT / "clmot").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")],
    ids=lambda path: path.stem,
)
def test_examples_in_docstrings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("html", "refused"),
    [
        ('<script src="https://cdn.example.org/a.js">', True),
        ("<img alt=x src=//example.org/a.png>", True),
        ('<link rel="stylesheet" href="https://fonts.example.org/css">', True),
        ('<a href="https://example.org">', False),
        ('<script src="assets/a.js">', False),
        ('<link rel="stylesheet" href="assets/a.css">', False),
    ],
)
def test_a_page_that_loads_from_another_host_is_refused(html: str, refused: bool) -> None:
    assert bool(EXTERNAL.search(html)) is refused
