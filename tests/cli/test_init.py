"""A project of one's own, made from the installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import clmot
from clmot.cli.init import VERSION_FILE, with_package
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.params import load_params

ROOT = Path(__file__).parents[2]


def test_stages_depend_on_the_version_and_on_nothing_that_is_not_there(tmp_path: Path) -> None:
    text = (ROOT / "dvc.yaml").read_text()
    before, after = yaml.safe_load(text)["stages"], yaml.safe_load(with_package(text))["stages"]
    for name, stage in before.items():
        kept = [dep for dep in stage["deps"] if not dep.startswith("clmot/")]
        assert [dep for dep in after[name]["deps"] if dep != VERSION_FILE] == kept
        assert after[name]["deps"].count(VERSION_FILE) == 1
        assert {key: stage[key] for key in stage if key != "deps"} == {
            key: after[name][key] for key in after[name] if key != "deps"
        }


def test_a_project_is_laid_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(["init", "mine"])
    project = tmp_path / "mine"
    load_params(project / "params.yaml")
    assert [path.name for path in (project / "detections").iterdir()] == ["README.md"]
    assert (project / VERSION_FILE).read_text().strip() == clmot.__version__
    for name in ("config", "plots.html"):
        assert (project / ".dvc" / name).read_bytes() == (ROOT / ".dvc" / name).read_bytes()
    # DVC reads the pipeline, and finds every file that is not made by a stage.
    stages = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "scenes"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert stages.returncode == 0, stages.stderr
    assert "scenes" in stages.stdout
    assert "deleted" not in stages.stdout.partition("changed outs")[0]
    with pytest.raises(InputError, match="has something in it"):
        run(["init", "mine"])
