"""The benchmark of many frames: its project has what the stages depend on."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks.download import make_project
from clmot.params import load_params

BEFORE = ("scenes", "download", "strip")
MADE = "data/"
"""What other stages make is there."""


def test_its_project_has_all_that_the_stages_read(tmp_path: Path) -> None:
    make_project(tmp_path, tmp_path / "archives")
    params = load_params(tmp_path / "params.yaml")
    assert (params.data.source, params.data.benchmarks) == (str(tmp_path / "archives"), ("MOT20",))
    stages = yaml.safe_load((tmp_path / "dvc.yaml").read_text())["stages"]
    deps = {dep for name in BEFORE for dep in stages[name].get("do", stages[name])["deps"]}
    read = {dep for dep in deps if not dep.startswith(MADE)}
    assert {"clmot/archives", "stages/download.py", "detections"} <= read
    assert [name for name in sorted(read) if not (tmp_path / name).exists()] == []
