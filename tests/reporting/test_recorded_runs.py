"""Runs read again from MLflow: compared in the terminal, and shown on its pages."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import types
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.evaluation.table import MEAN_METRICS
from clmot.params import parse_params
from clmot.profiles import described, differences
from clmot.reporting import mlflow_server
from clmot.reporting.mlflow_run import log_evaluation
from clmot.reporting.recorded_runs import latest_runs
from clmot.reporting.run_pages import VIEW, VIEW_TAG, address_of, compare_page, runs_page

TEXT = (Path(__file__).parents[2] / "clmot" / "default_params.yaml").read_text(encoding="utf-8")
WARMER = TEXT.replace("temperature: 0.2 ", "temperature: 0.3 ")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "table.md").write_text("| MOT17 |\n")
    return tmp_path


def record(text: str, score: float) -> str:
    """An evaluated run; what is said of where it is shown."""
    summary = {"mean": {"IDF1": score, "ReID_mAP": 0.25}, "MOT17": {"IDF1": score, "IDSW": 3}}
    return log_evaluation(parse_params(text), summary, pd.DataFrame(), "table.md", {}, {})


def test_runs_stand_beside_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = record(TEXT, 0.5)
    assert told.startswith("This run: mini.\n")
    assert told.endswith(":5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=scores")
    monkeypatch.setenv("DVC_EXP_NAME", "jolly-nail")
    record(WARMER, 0.625)
    monkeypatch.setenv("DVC_EXP_NAME", "ablation.temperature-0.3.seed0.0123abcd")
    record(WARMER, 0.625)

    experiment, runs = latest_runs(10)
    assert [one.name for one in runs] == [
        "mini",
        "jolly-nail: loss.temperature=0.3",
        "ablation.temperature-0.3.seed0.0123abcd",
    ]
    assert [one.means for one in runs] == [{"IDF1": score, "ReID_mAP": 0.25} for score in (0.5, 0.625, 0.625)]
    from mlflow.tracking import MlflowClient

    found = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").get_run(runs[1].id)
    assert found.data.tags["mlflow.note.content"] == "mini, loss.temperature=0.3"

    capsys.readouterr()
    run(["compare", "mini", "jolly-nail"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["run", "started", "what", "differs", "IDF1", "HOTA", "MOTA", "AssA", "ReID", "mAP"]
    assert said[1].split()[3:] == ["loss.temperature=0.2", "50.0", "-", "-", "-", "25.0"]
    assert said[2].split()[4:] == ["loss.temperature=0.3", "62.5", "-", "-", "-", "25.0"]
    assert said[-1].endswith(compare_page(address_of("sqlite:///"), experiment, [runs[0].id, runs[1].id]))

    run(["compare", "--last", "2", "--json"])
    both = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in both] == [runs[1].id, runs[2].id]
    assert all(one["differs"] == {} for one in both), "they have the same params"
    run(["compare", runs[0].id[:12], "--json"])
    assert json.loads(capsys.readouterr().out)[0]["name"] == "mini"
    with pytest.raises(InputError, match="has no run 'sad-nail': it has 'ablation"):
        run(["compare", "sad-nail"])

    all_runs, latest_two = mlflow_server.pages("http://127.0.0.1:5001")
    assert all_runs.split()[-1] == runs_page("http://127.0.0.1:5001", "1", view=True)
    query = parse_qs(urlsplit(latest_two.split()[-1].replace("/#", "")).query)
    assert json.loads(query["runs"][0]) == [runs[1].id, runs[2].id]
    assert json.loads(query["experiments"][0]) == [experiment]


def test_the_page_of_runs_has_their_scores_as_columns(folder: Path) -> None:
    """Of itself MLflow's table has names and times alone."""
    import mlflow.server
    from mlflow.tracking import MlflowClient

    record(TEXT, 0.5)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    kept = client.get_experiment("1").tags
    assert json.loads(kept[VIEW_TAG]) == {"selectedColumns": [f"metrics.`mean/{name}`" for name in MEAN_METRICS]}
    assert {"mean/IDF1", "mean/ReID_mAP"} <= set(client.search_runs(["1"])[0].data.metrics)
    scripts = Path(mlflow.server.__file__).parent.glob("js/build/static/js/main.*.js")
    known = "".join(script.read_text(encoding="utf-8") for script in scripts)
    share = parse_qs(urlsplit(runs_page("", "1", view=True).replace("/#", "")).query)
    missing = [name for name in (VIEW_TAG.removesuffix(VIEW), "selectedColumns", *share) if name not in known]
    assert not missing, "MLflow's pages have other names for it"


def test_where_a_view_cannot_be_kept_the_address_names_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    def refuse(*_: object) -> None:
        raise PermissionError("runs alone may be written")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    told = record(TEXT, 0.5)
    assert told.endswith("/runs?workflowType=machine_learning")
    assert "warning" not in capsys.readouterr().err
    assert mlflow_server.pages("http://127.0.0.1:5001")[0].endswith("/runs?workflowType=machine_learning")
    assert latest_runs(1)[1][0].status == "FINISHED"


def test_without_a_run_nothing_is_made(folder: Path) -> None:
    with pytest.raises(InputError, match="no run of this project yet: `make repro`"):
        run(["compare"])
    assert mlflow_server.pages("http://127.0.0.1:5000") == [
        "MLflow has no run of this project yet: `make repro` records one."
    ]
    assert not (folder / "mlflow.db").exists()


def test_a_server_shows_its_runs_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for server in ("http://127.0.0.1:5000", "https://runs.example.org"):
        for uri in (server, server.replace("//", "//me:s3/cr@et@") + "?key=s3cret"):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            mlflow_server.serve(5001)
            assert capsys.readouterr().out.endswith(f"open {server}\n")


def test_the_server_has_one_worker_and_the_port_that_was_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []

    class Server:
        returncode = 0

        def __init__(self, command: list[str], **options: Any) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(mlflow_server, "subprocess", types.SimpleNamespace(Popen=Server))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow_server.serve(port)
    (command,) = started
    assert command[1:4] == ["-m", "mlflow", "ui"]
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--port") + 1] == str(port)
    assert command[command.index("--backend-store-uri") + 1] == f"sqlite:///{folder}/mlflow.db"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="name another, as in `make mlflow PORT=5001`"):
            mlflow_server.serve(taken.getsockname()[1])
    assert len(started) == 1


def test_who_ends_the_command_ends_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server:
        returncode = None

        def __init__(self, *_: Any, **__: Any) -> None:
            self.told = False

        def wait(self) -> int:
            if not self.told:
                os.kill(os.getpid(), signal.SIGTERM)
            return 0

        def poll(self) -> int | None:
            return 0 if self.told else None

        def terminate(self) -> None:
            self.told = True
            ended.append(self)

    ended: list[Server] = []
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(mlflow_server, "subprocess", types.SimpleNamespace(Popen=Server))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        mlflow_server.serve(port)
    assert len(ended) == 1
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("word", ["0", "70000", "-1", "http"])
def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(sys, "argv", ["mlflow_server", word])
    with pytest.raises(InputError, match="is no port"):
        mlflow_server.main()


def test_a_run_is_described_by_what_differs(folder: Path) -> None:
    assert differences(parse_params(TEXT)) == ("mini", [])
    assert differences(parse_params(WARMER)) == ("mini", ["loss.temperature=0.3"])
    listed = TEXT.replace("  - MOT15\n", "").replace("  - MOT20\n", "")
    assert described(*differences(parse_params(listed))) == 'mini, data.benchmarks=["MOT17"]'
    (folder / "profiles").mkdir()
    (folder / "profiles" / "mine.yaml").write_text("loss: {temperature: warm}\n")
    assert differences(parse_params(WARMER)) == ("mini", ["loss.temperature=0.3"]), "though one profile is not valid"
