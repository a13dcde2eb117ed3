"""The example of one's own films in docs/data.md, word for word; and what is said of boxes without identities."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_archive import tree
from tiny_films import FRAMES, walkers, write_boxes, write_film

from clmot.cli.main import run
from clmot.evaluation.score import METRICS
from clmot.motchallenge.sequence import read_manifest
from clmot.reporting import mlflow_run

ROOT = Path(__file__).parents[2]
STAGES = ("scenes", "download", "strip", "index", "pretrain", "train", "track", "evaluate")


def example() -> list[str]:
    """The commands below "Your own films"."""
    section = (ROOT / "docs/data.md").read_text().split("## Your own films")[1]
    (block,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    return block.splitlines()


class Project:
    """A folder with small params, in which commands are carried out; the stages run here, one after another."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.chdir(folder)
        monkeypatch.delenv("DVC_ROOT", raising=False)
        monkeypatch.setattr(mlflow_run, "training_run", lambda *_, **__: contextlib.nullcontext())
        monkeypatch.setattr(mlflow_run, "log_evaluation", lambda *_: None)
        self.monkeypatch = monkeypatch
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["model"] |= {"input_size": [64, 64], "neck_channels": [8, 8, 8, 8], "head_channels": 8}
        for training in ("pretrain", "train"):
            params[training] |= {"epochs": 1, "batch_size": 2}
        params["hardware"] |= {"device": "cpu", "workers": 0, "threads": 1}
        self.write(params)

    def write(self, params: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def command(self, line: str) -> None:
        """One line as a shell would take it; `dvc exp run` changes params and runs all stages."""
        program, *arguments = shlex.split(line)
        if program == ".venv/bin/clmot":
            run(arguments)
        elif program == ".venv/bin/dvc":
            assert arguments[:2] == ["exp", "run"]
            assert set(arguments[2::2]) == {"-S"}
            for change in arguments[3::2]:
                self.change(*change.split("="))
            self.stages()
        else:
            subprocess.run(line, shell=True, check=True)

    def change(self, name: str, value: str) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        section, key = name.split(".")
        assert key in params[section]
        params[section][key] = yaml.safe_load(value)
        self.write(params)

    def stages(self) -> None:
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        for stage in STAGES:
            arguments = ["MOT17"] if "matrix" in stages[stage] else []
            self.monkeypatch.setattr(sys, "argv", [stage, *arguments])
            importlib.import_module(f"stages.{stage}").main()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def test_the_example(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(Path("door.mp4"), "coco")
    *lines, last = example()
    for line in lines:
        project.command(line)
    printed = capsys.readouterr().out
    assert re.search(rf"^door +{FRAMES} +{2 * FRAMES} +2 +96x64 +25 +pedestrian: {2 * FRAMES}$", printed, re.M)
    assert "my_films can be used." in printed
    project.command(last)
    assert Path("tracks/MOT17/door.txt").is_file()
    summary = json.loads(Path("metrics/summary.json").read_text())
    assert set(METRICS) <= set(summary["MOT17"])
    assert "cannot be scored" not in Path("metrics/table.md").read_text()


def test_boxes_that_nobody_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """They train, byte for byte as with names; tracks on them get no number, and one sentence says so."""
    for name, identities in (("door", False), ("hall", True)):
        write_film(Path("my_films") / f"{name}.mp4", "yolo", identities=identities)
    run(["check", "my_films"])
    assert "without an identity: it can train, but its tracks cannot be scored" in capsys.readouterr().out
    project.change("data.source", "my_films")
    project.change("data.benchmarks", "[MOT17]")
    project.stages()
    table = Path("metrics/table.md").read_text()
    said = [line for line in table.splitlines() if "cannot be scored" in line]
    assert said == [
        "MOT17: the boxes of door have no identities in the ground truth, so tracks on them cannot be scored (no MOTA, "
        "IDF1, HOTA); AP, precision and recall need none, and count these boxes."
    ]
    assert list(pd.read_csv("metrics/sequences.csv").sequence) == ["hall"]
    both = json.loads(Path("metrics/summary.json").read_text())["MOT17"]
    assert "AP" in both
    assert "IDF1" in both

    boxes = tree(Path("data/training"))
    write_boxes(Path("my_films/hall.mp4"), "yolo", walkers(), identities=False)
    for stage in ("download", "strip", "evaluate"):
        arguments = ["MOT17"] if stage != "evaluate" else []
        project.monkeypatch.setattr(sys, "argv", [stage, *arguments])
        importlib.import_module(f"stages.{stage}").main()
    assert tree(Path("data/training")) == boxes
    assert [entry.name for entry in read_manifest(Path("data/gt/MOT17"))] == ["door", "hall"]
    row = next(line for line in Path("metrics/table.md").read_text().splitlines() if line.startswith("| MOT17"))
    assert set(row.replace("MOT17", "").split()) == {"|", "-"}
    alone = json.loads(Path("metrics/summary.json").read_text())["MOT17"]
    assert list(alone) == ["AP", "Precision", "Recall"]
    assert all(alone[name] == both[name] for name in alone)
