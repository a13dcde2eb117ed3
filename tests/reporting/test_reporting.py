"""Runs in MLflow, and tracks drawn into frames."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_network import save_small_network

from clmot.params import Params, parse_params
from clmot.reporting.drawing import draw_tracks, identity_colour
from clmot.reporting.mlflow_run import _Watcher, log_evaluation, sqlite_uri, training_run, watched

TEXT = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
SUMMARY = {"MOT15": {"IDF1": 0.5, "IDSW": 3}, "MOT17": {"IDF1": 0.75, "IDSW": 0}}
SEQUENCES = pd.DataFrame({"benchmark": ["MOT17"], "sequence": ["MOT17-02"], "IDF1": [0.75]})


class Store:
    """A project folder with its own MLflow store, seen through MLflow's own client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "params.yaml").write_text(TEXT)
        (folder / "table.md").write_text("| MOT17 |\n")
        (folder / "MOT17.jpg").write_bytes(b"a picture")
        (folder / "detector.csv").write_text("epoch,loss,heatmap\n1,2.5,1\n2,2,0.5\n")
        (folder / "tracker.csv").write_text("epoch,loss,embedding\n1,3,1\n2,1,0.5\n3,0.5,0.25\n")
        self.params = parse_params(TEXT)

    @property
    def client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=sqlite_uri(self.folder / "mlflow.db"))

    def runs(self) -> list[Any]:
        """All runs, the oldest first."""
        experiment = self.client.get_experiment_by_name("clmot")
        found = self.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
        return list(found)

    def curve(self, run: Any, metric: str) -> dict[int, float]:
        points = self.client.get_metric_history(run.info.run_id, metric)
        assert len({point.step for point in points}) == len(points), "an epoch was reported twice"
        return {point.step: point.value for point in points}

    def artifacts(self, run: Any, folder: str = "") -> set[str]:
        return {item.path for item in self.client.list_artifacts(run.info.run_id, folder or None)}

    def evaluate(self, params: Params | None = None) -> None:
        log_evaluation(
            params or self.params,
            SUMMARY,
            SEQUENCES,
            self.folder / "table.md",
            {"MOT17": self.folder / "MOT17.jpg"},
            {"pretrain": self.folder / "detector.csv", "train": self.folder / "tracker.csv"},
        )

    def evaluate_trained(self) -> None:
        histories = {"train": self.folder / "models" / "tracker" / "history.csv"}
        log_evaluation(self.params, SUMMARY, SEQUENCES, self.folder / "table.md", {}, histories)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables made, which takes seconds: tests copy it."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    from mlflow.tracking import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Store(tmp_path)


def test_one_execution_is_one_run(store: Store) -> None:
    with training_run(store.params, "pretrain") as log:
        log(1, {"loss": 2.5, "heatmap": 1.0})
        (running,) = store.runs()
        assert running.info.status == "RUNNING"
        assert store.curve(running, "pretrain/loss") == {1: 2.5}, "epochs are there while training runs"
        log(2, {"loss": 2.0, "heatmap": 0.5})
    with training_run(store.params, "train") as log:
        for epoch, loss in enumerate((3.0, 1.0, 0.5), 1):
            log(epoch, {"loss": loss})
    store.evaluate()
    (run,) = store.runs()
    assert run.info.status == "FINISHED"
    assert run.data.params["loss.temperature"] == str(store.params.loss.temperature)
    assert run.data.params["data.benchmarks"] == '["MOT15", "MOT17", "MOT20"]'
    assert run.data.params["data.source"] == "synthetic"
    assert set(run.data.params) == set(store.params.flat())
    assert run.data.metrics["MOT17/IDF1"] == 0.75
    assert run.data.metrics["MOT15/IDSW"] == 3
    assert store.curve(run, "train/loss") == {1: 3.0, 2: 1.0, 3: 0.5}
    assert store.artifacts(run) == {"table.md", "sequences.csv", "params.yaml", "frames"}
    assert store.artifacts(run, "frames") == {"frames/MOT17.jpg"}
    assert run.info.artifact_uri.startswith((store.folder / "mlartifacts").as_uri())


def test_stages_from_the_cache_are_reported_from_their_histories(store: Store) -> None:
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
    store.evaluate()
    (run,) = store.runs()
    assert store.curve(run, "pretrain/loss") == {1: 2.5, 2: 2.0}
    assert store.curve(run, "train/loss") == {1: 3.0, 2: 1.0, 3: 0.5}
    assert store.curve(run, "train/embedding") == {1: 1.0, 2: 0.5, 3: 0.25}


def test_evaluation_alone_is_a_whole_run(store: Store) -> None:
    store.evaluate()
    store.evaluate()
    assert [run.info.status for run in store.runs()] == ["FINISHED", "FINISHED"]
    assert all(set(run.data.params) == set(store.params.flat()) for run in store.runs())


def test_an_experiment_goes_by_its_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two queued experiments run at once, in copies of the project; the store stays with the original."""
    monkeypatch.setenv("DVC_ROOT", str(store.folder))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0123abc")
    for name in ("first-try", "second-try"):
        copy = store.folder / ".dvc" / "tmp" / name
        copy.mkdir(parents=True)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("DVC_EXP_NAME", name)
        with training_run(store.params, "train") as log:
            log(1, {"loss": 1.0})
    assert [run.info.run_name for run in store.runs()] == ["first-try", "second-try"]
    assert [run.info.status for run in store.runs()] == ["RUNNING", "RUNNING"]
    store.evaluate()
    first, second = store.runs()
    assert (first.info.status, second.info.status) == ("RUNNING", "FINISHED")
    assert second.data.tags["DVC_EXP_NAME"] == "second-try"
    assert second.data.tags["DVC_EXP_BASELINE_REV"] == "0123abc"
    assert not (store.folder / ".dvc" / "tmp" / "first-try" / "mlflow.db").exists()


def test_experiments_of_a_set_can_be_grouped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the experiment's name alone, which is all that reaches a stage whoever started DVC's worker."""
    monkeypatch.setenv("DVC_EXP_NAME", "ablation.temperature-0.1.seed2.0123abcd")
    store.evaluate()
    monkeypatch.setenv("DVC_EXP_NAME", "jolly-nail")
    store.evaluate()
    ours, other = store.runs()
    tags = {"clmot.ablation": "ablation", "clmot.variant": "temperature-0.1", "clmot.seed": "2"}
    assert {name: ours.data.tags.get(name) for name in tags} == tags
    assert not set(tags) & set(other.data.tags)
    (found,) = store.client.search_runs(
        [ours.info.experiment_id], "tags.`clmot.ablation` = 'ablation' and tags.`clmot.variant` LIKE 'temp%'"
    )
    assert found.info.run_id == ours.info.run_id


def test_a_baseline_that_has_seen_identities_is_marked(store: Store) -> None:
    store.evaluate()
    text = TEXT.replace("keep_identities: false", "keep_identities: true")
    store.evaluate(parse_params(text.replace("embedding: nt_xent", "embedding: supervised")))
    assert [run.data.tags.get("baseline") for run in store.runs()] == [None, "supervised"]


def test_a_trained_tracker_is_a_model_of_its_run(store: Store) -> None:
    """With what it takes to serve it; and a run whose training came from the cache names it, and repeats no curve."""
    import mlflow.pyfunc

    out = store.folder / "models" / "tracker"
    save_small_network(out)
    (out / "history.csv").write_text("epoch,loss\n1,3.12346\n")
    with training_run(store.params, "train", out) as log:
        log(1, {"loss": 3.123456789})
    store.evaluate_trained()
    store.evaluate_trained()
    trained, cached = store.runs()
    (made,) = store.client.get_run(trained.info.run_id).outputs.model_outputs
    model = store.client.get_logged_model(made.model_id)
    assert (model.name, model.source_run_id, model.status) == ("tracker", trained.info.run_id, "READY")
    assert model.artifact_location.startswith((store.folder / "mlartifacts").as_uri())
    served = mlflow.pyfunc.load_model(model.artifact_location)
    (answer,) = served.predict(served.input_example)
    assert answer["identities"] == [1]
    (used,) = store.client.get_run(cached.info.run_id).inputs.model_inputs
    assert used.model_id == made.model_id
    assert store.curve(trained, "train/loss") == {1: 3.123456789}
    assert not [name for name in cached.data.metrics if name.startswith("train/")]
    assert cached.data.tags["clmot.train.from"] == trained.info.run_id


def test_a_model_that_cannot_be_written_costs_a_warning(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    out = store.folder / "damaged"
    out.mkdir()
    (out / "model.json").write_text("no model")
    with training_run(store.params, "train", out) as log:
        log(1, {"loss": 3.0})
    assert capsys.readouterr().err.startswith("warning: MLflow does not record this stage (")
    store.evaluate()
    assert [run.info.status for run in store.runs()] == ["FINISHED"]


@pytest.mark.parametrize(
    ("death", "status"), [("fault", "FAILED"), ("interrupt", "KILLED"), ("kill", "KILLED"), ("none", None)]
)
def test_a_stage_that_dies_before_it_reports_shows(
    store: Store, monkeypatch: pytest.MonkeyPatch, death: str, status: str | None
) -> None:
    deaths = {
        "fault": lambda: [][0],
        "interrupt": lambda: signal.raise_signal(signal.SIGINT),
        "kill": lambda: signal.raise_signal(signal.SIGTERM),
        "none": lambda: None,
    }
    monkeypatch.setenv("DVC_STAGE", "track@MOT17")
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with contextlib.suppress(IndexError, KeyboardInterrupt):
            watched(deaths[death])()
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert [run.info.status for run in store.client.search_runs(["1"])] == ([status] if status else [])


def test_a_run_begins_with_the_command_that_runs_it(store: Store) -> None:
    """One that only tracks, too: its tracking took place before the stage that reports."""
    command = store.folder / "dvc"
    program = "from clmot.params import load_params; from clmot.reporting.mlflow_run import training_run\n"
    program += "with training_run(load_params(), 'pretrain'): pass"
    command.write_text(
        "import subprocess, sys, time\n"
        f"time.sleep(1.5)\nsubprocess.run([sys.executable, '-c', {program!r}], check=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, str(command)], cwd=store.folder, env=environment, check=True, timeout=300)
    (run,) = store.runs()
    assert run.info.start_time < (store.folder / "mlflow.db").stat().st_mtime * 1000 - 1500


def test_git_is_told(store: Store) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q", "-b", "trunk")
    git("add", "params.yaml")
    git("commit", "-q", "-m", "params")
    store.evaluate()
    (run,) = store.runs()
    assert run.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert run.data.tags["mlflow.source.git.branch"] == "trunk"
    assert run.data.tags["mlflow.source.git.dirty"] == "false"


def die_after_one_epoch(params: Params, death: type[BaseException]) -> None:
    with training_run(params, "train") as log:
        log(1, {"loss": 3.0})
        raise death


@pytest.mark.parametrize(("death", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_resumed_training_continues_its_run(store: Store, death: type[BaseException], status: str) -> None:
    with pytest.raises(death):
        die_after_one_epoch(store.params, death)
    assert [run.info.status for run in store.runs()] == [status]
    with training_run(store.params, "train") as log:
        log(2, {"loss": 1.0})
    (run,) = store.runs()
    assert run.info.status == "RUNNING"
    assert store.curve(run, "train/loss") == {1: 3.0, 2: 1.0}


def test_a_training_from_the_start_gets_a_run_of_its_own(store: Store) -> None:
    with pytest.raises(MemoryError):
        die_after_one_epoch(store.params, MemoryError)
    with training_run(store.params, "train") as log:
        log(1, {"loss": 2.9})
        log(2, {"loss": 0.9})
    store.evaluate()
    old, new = store.runs()
    assert (old.info.status, new.info.status) == ("FAILED", "FINISHED")
    assert store.curve(old, "train/loss") == {1: 3.0}
    assert store.curve(new, "train/loss") == {1: 2.9, 2: 0.9, 3: 0.5}


def test_processes_that_start_together_make_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers of DVC's queue on a new project: both are recorded, and neither stumbles over the other's tables."""
    (tmp_path / "params.yaml").write_text(TEXT)
    program = """if True:
        import os, pathlib, sys, time
        import mlflow.tracking
        from clmot.params import load_params
        from clmot.reporting.mlflow_run import training_run
        pathlib.Path(sys.argv[1]).touch()
        while not all(pathlib.Path(name).exists() for name in ("worker-0", "worker-1")):
            time.sleep(0.01)
        os.environ["DVC_EXP_NAME"] = sys.argv[1]
        with training_run(load_params(), "pretrain") as log:
            log(1, {"loss": 1.0})
    """
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"worker-{number}"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for number in range(2)
    ]
    said = [worker.communicate(timeout=300)[1] for worker in workers]
    assert not any("MLflow does not record" in text for text in said), said
    monkeypatch.chdir(tmp_path)
    runs = Store(tmp_path).runs()
    assert {run.info.run_name for run in runs} == {"worker-0", "worker-1"}
    assert all(run.data.metrics["pretrain/loss"] == 1 for run in runs)


def test_runs_of_dead_processes_do_not_run_for_ever(store: Store) -> None:
    """A process that is killed outright cannot say so; the next execution in its folder does."""
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
    other = parse_params(TEXT.replace("\nseed: 0", "\nseed: 1"))
    assert other != store.params
    store.evaluate(other)
    assert [run.info.status for run in store.runs()] == ["KILLED", "FINISHED"]


@pytest.mark.parametrize("name", ["Ann's tracker", "mot%20tracker", "why?", "50% #1 + [a@b:c] é"])
def test_any_folder_may_hold_a_project(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = store.folder / name
    folder.mkdir()
    (folder / "mlflow.db").write_bytes((store.folder / "mlflow.db").read_bytes())
    monkeypatch.chdir(folder)
    before = set(store.folder.iterdir())
    other = Store(folder)
    other.evaluate()
    assert capsys.readouterr().err == ""
    assert set(store.folder.iterdir()) == before, "nothing is made beside it"
    assert (folder / "mlflow.db.lock").exists()
    (run,) = other.runs()
    assert run.info.status == "FINISHED"
    assert other.artifacts(run) == {"table.md", "sequences.csv", "params.yaml", "frames"}
    assert (folder / "mlartifacts").is_dir()


def test_a_new_store_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mot%20tracker?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    new = Store(folder)
    new.evaluate()
    assert "warning" not in capsys.readouterr().err
    assert [run.info.status for run in new.runs()] == ["FINISHED"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_database_that_cannot_be_opened_costs_a_warning_and_seconds(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.folder / "mlflow.db").unlink()
    (store.folder / "mlflow.db").mkdir()
    slept: list[float] = []
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", slept.append)
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
    said = capsys.readouterr().err
    assert said.startswith("warning: MLflow does not record this stage (")
    assert len(said.splitlines()) == 1
    assert sum(slept) < 5


def test_other_peoples_runs_are_let_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one server, and in a folder of the same name on another machine."""
    monkeypatch.setattr("platform.node", lambda: "theirs")
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
    monkeypatch.setattr("platform.node", lambda: "ours")
    store.evaluate()
    assert [run.info.status for run in store.runs()] == ["RUNNING", "FINISHED"]


def test_a_server_that_is_down_costs_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    started = time.monotonic()
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
        log(2, {"loss": 2.0})
    assert time.monotonic() - started < 60
    said = capsys.readouterr().err
    assert said.startswith("warning: MLflow does not record this stage (")
    assert len(said.splitlines()) == 1
    store.evaluate()
    assert "warning: MLflow" in capsys.readouterr().err


def test_a_store_that_breaks_on_the_way_costs_a_warning(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
        (store.folder / "mlflow.db").write_bytes(b"no database" * 1000)
        log(2, {"loss": 2.0})
        log(3, {"loss": 1.0})
    assert capsys.readouterr().err.count("warning: MLflow") == 1


@pytest.mark.parametrize("place", ["table.md/below", "s3://nobody/mlflow", "ftp://127.0.0.1:9/mlflow"])
def test_where_files_cannot_be_kept_a_run_ends_with_its_numbers(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is a file; a bucket that no one may write, or whose package is missing; a server that is down."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    location = place if "://" in place else (store.folder / place).as_uri()
    store.client.create_experiment("clmot", location)
    started = time.monotonic()
    store.evaluate()
    assert time.monotonic() - started < 60
    (run,) = store.runs()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["MOT17/IDF1"] == 0.75
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: MLflow does not keep the run's files (")


def test_what_goes_wrong_in_training_is_not_swallowed(store: Store) -> None:
    (store.folder / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ZeroDivisionError), training_run(store.params, "train"):
        _ = 1 / 0


def test_without_mlflow(store: Store) -> None:
    """On a GPU machine with torch alone, training runs all the same."""
    program = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from clmot.params import load_params\n"
        "from clmot.reporting.mlflow_run import training_run\n"
        "with training_run(load_params(), 'train') as log: log(1, {'loss': 1.0})\n"
        "print('trained')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr == "note: mlflow is not installed here, this run is not recorded in it\n"


def test_a_store_whose_driver_is_not_installed_costs_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database or an object store needs packages that MLflow does not bring."""
    monkeypatch.setattr(_Watcher, "_connect", lambda _: __import__("no_such_driver"))
    with training_run(store.params, "train") as log:
        log(1, {"loss": 3.0})
    assert capsys.readouterr().err == (
        "warning: MLflow does not record this stage (No module named 'no_such_driver')\n"
    )


def test_importing_the_watcher_does_not_import_mlflow() -> None:
    program = "import sys, clmot.reporting.mlflow_run; print('mlflow' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False False\n"


class TestDrawing:
    image = np.full((120, 160, 3), 90, np.uint8)

    def test_the_image_given_stays_as_it_is(self) -> None:
        before = self.image.copy()
        drawn = draw_tracks(self.image, np.array([[10.0, 30.0, 40.0, 90.0]]), np.array([7]))
        assert np.array_equal(self.image, before)
        assert drawn.shape == self.image.shape
        assert drawn.dtype == np.uint8
        assert not np.array_equal(drawn, before)

    def test_an_outline_has_its_identitys_colour(self) -> None:
        drawn = draw_tracks(self.image, np.array([[10.0, 30.0, 40.0, 90.0]]), np.array([7]))
        assert tuple(drawn[60, 10].tolist()) == identity_colour(7)
        assert tuple(drawn[60, 25].tolist()) == (90, 90, 90), "the inside stays to be seen"

    def test_no_tracks(self) -> None:
        assert np.array_equal(draw_tracks(self.image, np.zeros((0, 4)), np.zeros(0, np.int64)), self.image)

    def test_colours_are_stable_and_differ_between_neighbours(self) -> None:
        colours = np.array([identity_colour(n) for n in range(1, 200)])
        assert np.array_equal(colours, [identity_colour(n) for n in range(1, 200)])
        for step in (1, 2, 3, 4, 5):
            assert np.abs(colours[step:] - colours[:-step]).sum(axis=1).min() > 90

    @pytest.mark.parametrize(
        "box",
        [
            [-50.0, -50.0, 20.0, 20.0],
            [150.0, 110.0, 400.0, 300.0],
            [-1e9, -1e9, 1e9, 1e9],
            [500.0, 500.0, 510.0, 510.0],
            [30.0, 30.0, 30.0, 30.0],
        ],
    )
    def test_boxes_anywhere(self, box: list[float]) -> None:
        draw_tracks(self.image, np.array([box]), np.array([123456]))

    def test_labels_stay_within_the_image(self) -> None:
        """At the upper edge a label moves into its box, at the right edge to the left."""
        for box in ([100.0, 0.0, 159.0, 119.0], [155.0, 60.0, 200.0, 110.0]):
            drawn = draw_tracks(self.image, np.array([box]), np.array([888]))
            plate = (drawn == identity_colour(888)).all(axis=2)
            assert plate.sum() > 100

    def test_a_tiny_image(self) -> None:
        draw_tracks(np.zeros((4, 4, 3), np.uint8), np.array([[0.0, 0.0, 3.0, 3.0]]), np.array([12345]))

    def test_boxes_and_identities_belong_together(self) -> None:
        with pytest.raises(ValueError, match="2 boxes but 1 identities"):
            draw_tracks(self.image, np.zeros((2, 4)), np.array([1]))
