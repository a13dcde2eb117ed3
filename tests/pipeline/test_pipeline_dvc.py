"""The pipeline under DVC itself, at its smallest: what runs, what does not, and what comes back from the cache."""

from __future__ import annotations

import importlib
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from dvc_project import BENCHMARKS, RUNNING, TRACKING, Project

from clmot.errors import InputError

pytestmark = pytest.mark.slow

STAGES = ("pretrain", "train")


def test_everything_is_there_and_nothing_runs_twice(project: Project, tmp_path: Path) -> None:
    assert project.dvc("repro") == set()
    assert project.git("status", "--porcelain") == ""
    summary = json.loads((project.folder / "metrics/summary.json").read_text())
    assert list(summary) == ["mean", *BENCHMARKS]
    assert "| MOT17" in (project.folder / "metrics/table.md").read_text()
    assert any(rows for name, rows in project.outs("tracks").items() if name.endswith(".txt"))
    assert "MOT17.MOTA" in project.call("dvc", "metrics", "show").stdout
    plots = json.loads(project.call("dvc", "plots", "show", "--json").stdout)
    assert not plots.get("errors")
    assert len(plots["data"]) == 7
    assert all(plot["content"] for drawn in plots["data"].values() for plot in drawn)
    project.call("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_bytes()
    assert b'<meta charset="utf-8">' in page, "a browser takes the plots' minus signs for Latin-1"
    assert page.index(b"<script src=") < page.index(b"window.vegaEmbed") < page.index(b"var spec")
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
    assert {"MOT15/MOTA", "MOT17/IDF1", "pretrain/loss", "train/embedding"} <= set(run.data.metrics)
    assert run.data.params["loss.temperature"] == "0.2"


def test_experiments_run_what_depends_on_their_params(project: Project) -> None:
    before = project.outs("data", "models", "tracks", "metrics")
    changed = ("-S", "loss.temperature=0.1", "-S", "track.match_threshold=0.3")
    assert project.dvc("exp", "run", *changed) == {"train", *TRACKING}
    assert project.outs("models/tracker") != {k: v for k, v in before.items() if k.startswith("models/tracker")}

    back = ("-S", "loss.temperature=0.2", "-S", "track.match_threshold=0.4")
    assert project.dvc("exp", "run", *back) == {"evaluate"}, "models and tracks come from the cache"
    assert project.outs("data", "models", "tracks", "metrics") == before

    runs = project.runs()
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    assert [run.data.params["loss.temperature"] for run in runs] == ["0.2", "0.1", "0.2"]
    assert [run.data.params["track.match_threshold"] for run in runs] == ["0.4", "0.3", "0.4"]
    of = [{stage: {m for m in run.data.metrics if m.startswith(f"{stage}/")} for stage in STAGES} for run in runs]
    assert [bool(found["pretrain"]) for found in of] == [True, False, False], "what the cache has is not copied"
    assert [bool(found["train"]) for found in of] == [True, True, False]
    scores = [set(run.data.metrics).difference(*found.values()) for run, found in zip(runs, of, strict=True)]
    assert scores[0]
    assert scores == [scores[0]] * 3
    assert all(run.info.run_name.startswith(f"{run.data.tags['DVC_EXP_NAME']}: ") for run in runs[1:])
    assert {run.data.tags["DVC_EXP_NAME"] for run in runs[1:]} <= set(project.experiments())


def test_rewriting_every_identity_retrains_nothing(project: Project) -> None:
    """The identity wall: what training sees does not change by a byte when all identities do.

    With a tracking server that is down, which may cost a warning and nothing else.
    """
    boxes = project.outs("data/training", "data/held_out")
    models = project.outs("models")
    generator = np.random.default_rng(0)
    for path in sorted((project.folder / "data/gt").rglob("gt.txt")):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        fresh = generator.permutation(len(rows)) + 1000
        for row, identity in zip(rows, fresh, strict=True):
            row[1] = str(identity)
        path.unlink()  # a link into DVC's cache: to be replaced, never written through
        path.write_text("".join(",".join(row) + "\n" for row in rows))
    project.call("dvc", "commit", "--force", *(f"download@{name}" for name in BENCHMARKS))

    project.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    known = len(project.runs())
    done = project.call("dvc", "repro")
    assert set(RUNNING.findall(done.stdout + done.stderr)) == {*(f"strip@{name}" for name in BENCHMARKS), "evaluate"}
    assert done.stderr.count("warning: MLflow does not record this stage") == 1
    assert len(project.runs()) == known
    assert project.outs("data/training", "data/held_out") == boxes
    assert project.outs("models") == models


def test_a_typo_costs_one_sentence_and_no_result(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.folder / "params.yaml"
    text = path.read_text()
    models = project.outs("models")
    path.write_text(text.replace("temperature:", "temprature:"))
    line = 1 + path.read_text().splitlines().index(next(t for t in path.read_text().splitlines() if "temprature" in t))
    sentence = f"error: params.yaml:{line}: unknown key 'loss.temprature'; did you mean 'loss.temperature'?"

    done = project.call("python", "-m", "stages.index", expect=2)
    assert done.stderr.strip() == sentence
    monkeypatch.chdir(project.folder)
    for stage in ("scenes", "download MOT15", "strip MOT15", "index", "pretrain", "train", "track MOT15", "evaluate"):
        name, *arguments = stage.split()
        monkeypatch.setattr("sys.argv", [name, *arguments])
        with pytest.raises(InputError, match=re.escape(sentence.removeprefix("error: "))):
            importlib.import_module(f"stages.{name}").main()
    assert project.outs("models") == models

    under_dvc = project.call("dvc", "repro", expect=None)
    assert under_dvc.returncode != 0
    assert sentence in under_dvc.stderr
    assert "Traceback" not in under_dvc.stderr
    path.write_text(text)
    assert project.dvc("repro") == set(), "the cache has what DVC put away before the stage failed"
    assert project.outs("models") == models


def test_queued_experiments(project: Project) -> None:
    """They run in copies of the project, beside each other; results and MLflow's runs come home."""
    for value in ("0.4", "0.6"):  # of which evaluate alone depends
        project.call("dvc", "exp", "run", "--queue", "-S", f"evaluate.iou_threshold={value}")
    try:
        project.call("dvc", "queue", "start", "--jobs", "2")
        deadline = time.monotonic() + 1200
        while re.search("Queued|Running", status := project.call("dvc", "queue", "status").stdout):
            assert time.monotonic() < deadline, status
            time.sleep(5)
    finally:
        project.call("dvc", "queue", "stop", expect=None)
    assert len(re.findall("Success", status)) == 2, status
    finished = {run.data.params["evaluate.iou_threshold"]: run.info.status for run in project.runs()}
    assert finished == {"0.5": "FINISHED", "0.4": "FINISHED", "0.6": "FINISHED"}
    assert len(project.experiments()) == 2
    assert project.git("status", "--porcelain") == ""
