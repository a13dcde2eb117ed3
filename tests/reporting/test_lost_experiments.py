"""An experiment that someone deleted, and runs whose process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clmot.params import parse_params
from clmot.reporting.mlflow_run import PROCESS_TAG, WORKSPACE_TAG, training_run

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
PARAMS = parse_params(TEXT)
OTHER = parse_params(TEXT.replace("\nseed: 0", "\nseed: 1"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with its tables, which take seconds to make."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture
def client(tmp_path: Path, made: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mlflow.db").write_bytes(made)
    return MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def an_epoch(params: Any = PARAMS) -> None:
    with training_run(params, "train") as log:
        log(1, {"loss": 1.0})


def runs(client: Any, name: str = "clmot") -> list[Any]:
    experiment = client.get_experiment_by_name(name)
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


@pytest.mark.parametrize("name", ["clmot", "mine", 'Ann\'s "best"'])
def test_a_deleted_experiment_is_restored_and_that_is_said(
    client: Any, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    client.delete_experiment(client.create_experiment(name))
    an_epoch()
    said = f"note: MLflow's experiment '{name}' had been deleted; it is restored, for this run.\n"
    assert capsys.readouterr().err == said
    an_epoch(OTHER)
    assert capsys.readouterr().err == ""
    assert [run.data.metrics["train/loss"] for run in runs(client, name)] == [1.0, 1.0]


def test_where_it_cannot_be_restored_the_warning_says_what_can_be_done(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client.delete_experiment(client.create_experiment("clmot"))

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("mlflow.tracking.MlflowClient.restore_experiment", refuse)
    an_epoch()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "MLFLOW_EXPERIMENT_NAME" in said
    assert "mlflow gc" in said


@pytest.mark.parametrize("folder", ["Ann's", 'the "best"', 'Ann\'s "best"'])
def test_paths_with_quotes(folder: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / folder
    project.mkdir()
    (tmp_path / "mlflow.db").rename(project / "mlflow.db")
    monkeypatch.chdir(project)
    from mlflow.tracking import MlflowClient

    an_epoch()
    an_epoch(OTHER)
    found = runs(MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db"))
    assert [run.info.status for run in found] == ["KILLED", "RUNNING"]


def test_a_killed_experiment_is_marked_by_the_next_one_wherever_that_runs(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC's temporary folder of a killed experiment stays; that its process is gone tells that it is over."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    monkeypatch.setenv("DVC_EXP_NAME", "first")
    an_epoch()
    monkeypatch.chdir(tmp_path / "second")
    monkeypatch.setenv("DVC_EXP_NAME", "second")
    an_epoch()
    assert [run.info.status for run in runs(client)] == ["RUNNING", "RUNNING"], "its process lives"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    first = runs(client)[0]
    assert first.data.tags[PROCESS_TAG] == str(os.getppid())
    assert Path(first.data.tags[WORKSPACE_TAG]).exists()
    client.set_tag(first.info.run_id, PROCESS_TAG, str(gone.pid))
    an_epoch()  # also one that goes on with its own run
    assert runs(client)[0].info.status == "KILLED"
    assert "warning" not in capsys.readouterr().err
