"""The pipeline under DVC itself, at its smallest: what runs, what does not, and what comes back from the cache."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc_project import BENCHMARKS, EVERYTHING, RUNNING, TRACKING, Project
from tiny_archive import sequence_files
from tiny_box_sets import write_image, write_set

from clmot.errors import InputError

pytestmark = pytest.mark.slow

STAGES = ("pretrain", "train")


def test_everything_is_there_and_nothing_runs_twice(project: Project) -> None:
    assert project.dvc("repro") == set()
    assert project.git("status", "--porcelain") == ""
    summary = json.loads((project.folder / "metrics/summary.json").read_text())
    assert list(summary) == ["mean", *BENCHMARKS]
    assert "| MOT17" in (project.folder / "metrics/table.md").read_text()
    assert "MOT17.MOTA" in project.call("dvc", "metrics", "show").stdout
    plots = json.loads(project.call("dvc", "plots", "show", "--json").stdout)
    assert not plots.get("errors")
    assert len(plots["data"]) == 7
    assert all(plot["content"] for drawn in plots["data"].values() for plot in drawn)
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
    assert {"MOT15/MOTA", "MOT17/IDF1", "pretrain/loss", "train/embedding"} <= set(run.data.metrics)
    assert run.data.params["loss.temperature"] == "0.2"


def test_experiments_run_what_depends_on_their_params(project: Project) -> None:
    before = project.outs("data", "models", "tracks", "metrics")
    assert project.dvc("exp", "run", "-S", "loss.temperature=0.1") == {"train", *TRACKING}
    assert project.dvc("exp", "run", "-S", "track.match_threshold=0.3") == TRACKING
    assert project.outs("models/tracker") != {k: v for k, v in before.items() if k.startswith("models/tracker")}

    back = ("-S", "loss.temperature=0.2", "-S", "track.match_threshold=0.4")
    assert project.dvc("exp", "run", *back) == {"evaluate"}, "models and tracks come from the cache"
    assert project.outs("data", "models", "tracks", "metrics") == before

    runs = project.runs()
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert [run.data.params["loss.temperature"] for run in runs] == ["0.2", "0.1", "0.1", "0.2"]
    assert [run.data.params["track.match_threshold"] for run in runs] == ["0.4", "0.4", "0.3", "0.4"]
    of = [{stage: {m for m in run.data.metrics if m.startswith(f"{stage}/")} for stage in STAGES} for run in runs]
    assert [bool(found["pretrain"]) for found in of] == [True, False, False, False], "what the cache has is not copied"
    assert [bool(found["train"]) for found in of] == [True, True, False, False]
    scores = [set(run.data.metrics).difference(*found.values()) for run, found in zip(runs, of, strict=True)]
    assert scores[0]
    assert scores == [scores[0]] * 4
    assert all(run.info.run_name.startswith(f"{run.data.tags['DVC_EXP_NAME']}: ") for run in runs[1:])
    names = project.call("dvc", "exp", "list", "--name-only").stdout.split()
    assert {run.data.tags["DVC_EXP_NAME"] for run in runs[1:]} <= set(names)


def test_rewriting_every_identity_retrains_nothing(project: Project) -> None:
    """The identity wall: what training sees does not change by a byte when all identities do."""
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

    assert project.dvc("repro") == {*(f"strip@{name}" for name in BENCHMARKS), "evaluate"}
    assert project.outs("data/training", "data/held_out") == boxes
    assert project.outs("models") == models


def test_extra_sets_are_looked_at_again_when_asked(tmp_path: Path) -> None:
    """DVC does not watch them: `-f` looks, and only another image or box changes what training depends on."""
    project = Project.cloned(tmp_path / "project")
    given = write_set(tmp_path / "sets", "jde")
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    entry = {"name": "mine", "format": "jde", "images": "../sets/images", "labels": "../sets/labels_with_ids"}
    params["data"]["extra"] = [{**entry, "weight": 0.5, "classes": [0]}]
    path.write_text(yaml.safe_dump(params, sort_keys=False))

    def training_waits_for() -> set[str]:
        status = json.loads(project.call("dvc", "status", "pretrain", "--json").stdout)
        causes = [cause for cause in status["pretrain"] if isinstance(cause, dict)]
        return {name for cause in causes for name in cause.get("changed deps", {}) if name == "data/extra"}

    before_it = {"scenes"} | {f"{stage}@{name}" for stage in ("download", "strip") for name in BENCHMARKS}
    assert project.dvc("repro", "index") == {"index", *before_it}
    assert project.dvc("repro", "index") == set()
    before, locked = project.outs("data/extra"), (project.folder / "dvc.lock").read_bytes()
    assert len(before) == 3
    write_set(tmp_path / "sets", "jde", identity=lambda n: 9 - n)
    assert project.dvc("repro", "-s", "-f", "index") == {"index"}
    assert (project.outs("data/extra"), (project.folder / "dvc.lock").read_bytes()) == (before, locked)

    write_image(Path(given.images) / "part" / "many.jpg", (64, 48), shade=200)
    assert project.dvc("repro", "index") == set()
    assert project.dvc("repro", "-s", "-f", "index") == {"index"}
    assert project.outs("data/extra") != before
    assert training_waits_for() == {"data/extra"}
    # An experiment in a copy of the project finds the same sets. A list is set as a whole.
    project.commit("with a set")
    again = ",".join(f"{key}:{value}" for key, value in entry.items())
    experiment = ("exp", "run", "--temp", "-S", f"data.extra=[{{{again},weight:2,classes:[0]}}]", "index")
    label = Path(given.labels) / "part" / "many.txt"
    label.write_text(label.read_text() + "0 1 0.5 nan 0.1 0.1\n")
    failed = project.call("dvc", *experiment, expect=None)
    assert failed.returncode != 0
    assert f"error: {label}:4: column 4 is 'nan', expected a finite number" in failed.stderr
    assert "Traceback" not in failed.stderr
    write_set(tmp_path / "sets", "jde")
    assert project.dvc(*experiment) == {"index"}
    assert len(project.call("dvc", "exp", "list", "--name-only").stdout.split()) == 1


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


def test_two_runs_from_clean_caches_are_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    """Also with a tracking server that is down, which may cost a warning and nothing else."""
    finished.git("clone", "-q", ".", str(tmp_path / "other"))  # what DVC caches does not travel with Git
    other = Project(tmp_path / "other")
    other.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    done = other.call("dvc", "repro")
    assert set(RUNNING.findall(done.stdout + done.stderr)) == EVERYTHING
    assert done.stderr.count("warning: MLflow does not record this stage") == 3
    assert not (other.folder / "mlflow.db").exists()
    one, two = (p.outs("data", "models", "tracks", "metrics") for p in (finished, other))
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []
    assert any(one[name] for name in one if name.startswith("tracks/") and name.endswith(".txt"))


def test_queued_experiments(project: Project) -> None:
    """They run in copies of the project, beside each other; results and MLflow's runs come home."""
    for value in ("0.3", "0.5"):
        project.call("dvc", "exp", "run", "--queue", "-S", f"track.match_threshold={value}")
    try:
        project.call("dvc", "queue", "start", "--jobs", "2")
        deadline = time.monotonic() + 1200
        while re.search("Queued|Running", status := project.call("dvc", "queue", "status").stdout):
            assert time.monotonic() < deadline, status
            time.sleep(2)
    finally:
        project.call("dvc", "queue", "stop", expect=None)
    assert len(re.findall("Success", status)) == 2, status
    finished = {run.data.params["track.match_threshold"]: run.info.status for run in project.runs()}
    assert finished == {"0.4": "FINISHED", "0.3": "FINISHED", "0.5": "FINISHED"}
    assert project.git("status", "--porcelain") == ""


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of films in a folder, split as the parameter says, whose data stages have run. What the others would
    make is put there: only whether they would run again is asked."""
    folder = tmp_path_factory.mktemp("trained")
    write_films(folder, "train/a", "train/b", "test/c")
    project = Project.cloned(folder)
    project.change("data", source="films", benchmarks=["MOT17"], split=request.param)
    assert project.dvc("repro", "index") == {"scenes", LOOKS, "strip@MOT17", "index"}
    for stage, outs in PRETENDED.items():
        for out in outs:
            path = folder / out
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"of {stage}\n")
    project.call("dvc", "commit", "--force", *PRETENDED)
    assert project.would_run() == set()
    return project


LOOKS = "download@MOT17"
"""DVC does not watch the folder that films come from; the stage looks again when it is told to."""
PRETENDED = {
    "pretrain": ["models/detector/history.csv"],
    "train": ["models/tracker/history.csv", "models/tracker/model.json"],
    "track@MOT17": ["tracks/MOT17/a.txt", "tracks/MOT17.detections/a", "tracks/MOT17.speed.json"],
    "evaluate": [
        f"metrics/{name}" for name in ("plots/roc.json", "sequences.csv", "speed.json", "summary.json", "table.md")
    ],
}


def write_films(folder: Path, *names: str) -> None:
    for name in names:
        truth = {"gt": None} if name.startswith("test/") else {}
        for path, data in sequence_files(f"films/{name}", 10, **truth).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


def add_test_film(project: Project) -> None:
    write_films(project.folder, "test/new")


def add_held_out_frame(project: Project) -> None:
    film = project.folder / "films" / "train" / "a"
    shutil.copy(film / "img1" / "000010.jpg", film / "img1" / "000011.jpg")
    ini = film / "seqinfo.ini"
    ini.write_text(ini.read_text().replace("seqLength=10", "seqLength=11"))
    with (film / "gt" / "gt.txt").open("a") as rows:
        rows.write("11,1,5,4,6,12,1,1,1\n")


def rewrite_identities(project: Project) -> None:
    for path in (project.folder / "films").rglob("gt.txt"):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text("".join(",".join([row[0], str(int(row[1]) + 70), *row[2:]]) + "\n" for row in rows))


def comment(*files: str) -> Callable[[Project], None]:
    def remarks(project: Project) -> None:
        for name in files:
            with (project.folder / name).open("a") as code:
                code.write("# A remark.\n")

    return remarks


def hardware(project: Project) -> None:
    project.change("hardware", device="auto", threads=2, workers=3)


def seed_of_no_scene(project: Project) -> None:
    project.change("data", synthetic={"frames": 77})


def temperature(project: Project) -> None:
    project.change("loss", temperature=0.1)


def boxes_of_a_detector(project: Project) -> None:
    (project.folder / "detections/a.txt").write_text("1,-1,5,4,6,12,0.9,-1,-1,-1\n")


def embeddings_of_boxes(project: Project) -> None:
    (project.folder / "detections/osnet").mkdir()
    (project.folder / "detections/osnet/a.npz").write_bytes(b"embeddings")


remarks = comment("clmot/errors.py", "clmot/cli/main.py", "clmot/reporting/drawing.py", "clmot/reporting/mlflow_run.py")
CHANGES: list[tuple[str, Callable[[Project], None], set[str], set[str]]] = [
    ("full", add_test_film, {LOOKS, "strip@MOT17", "index"}, {"track@MOT17", "evaluate"}),
    ("half", add_test_film, {LOOKS}, set()),
    ("half", add_held_out_frame, {LOOKS, "strip@MOT17", "index"}, {"track@MOT17", "evaluate"}),
    ("half", rewrite_identities, {LOOKS, "strip@MOT17"}, {"evaluate"}),
    ("half", hardware, set(), set()),
    ("half", seed_of_no_scene, {"scenes"}, set()),
    ("half", remarks, set(), set()),
    ("half", boxes_of_a_detector, {"strip@MOT17"}, {"track@MOT17", "evaluate"}),
    ("full", embeddings_of_boxes, {"strip@MOT17"}, {"track@MOT17", "evaluate"}),
    ("half", temperature, set(), {"train", "track@MOT17", "evaluate"}),
]


@pytest.mark.parametrize(
    ("trained", "change", "looked", "waiting"),
    CHANGES,
    indirect=["trained"],
    scope="module",
    ids=[f"{split}-{change.__name__}" for split, change, _, _ in CHANGES],
)
def test_a_change_runs_what_it_can_change(
    trained: Project, tmp_path: Path, change: Callable[[Project], None], looked: set[str], waiting: set[str]
) -> None:
    """The stages of the data really run again, `looked`; `waiting` are those that would run after them."""
    folder = tmp_path / "project"
    shutil.copytree(trained.folder, folder, symlinks=True)
    project = Project(folder)
    change(project)
    if LOOKS in looked:
        project.call("dvc", "repro", "-s", "-f", LOOKS)
    if looked:
        assert project.dvc("repro", "index") == looked - {LOOKS}
    assert project.would_run() == waiting
