"""Under DVC itself: what a change runs again. Trainings are pretended where only that is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc_project import Project
from tiny_archive import sequence_files
from tiny_box_sets import write_image, write_set

pytestmark = pytest.mark.slow


def test_extra_sets_are_looked_at_again_when_asked(project: Project, tmp_path: Path) -> None:
    """DVC does not watch them: `-f` looks, and only another image or box changes what training depends on."""
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

    assert project.dvc("repro", "index") == {"index"}
    before, locked = project.outs("data/extra"), (project.folder / "dvc.lock").read_bytes()
    assert len(before) == 4
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
    assert len(project.experiments()) == 1


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


def hardware_and_remarks(project: Project) -> None:
    """All that runs nothing at once: what one of them ran would run."""
    project.change("hardware", device="auto", threads=2, workers=3)
    for room in ("errors", "cli/main", "reporting/drawing", "reporting/mlflow_run"):
        with (project.folder / f"clmot/{room}.py").open("a") as code:
            code.write("# A remark.\n")


def seed_of_no_scene(project: Project) -> None:
    project.change("data", synthetic={"frames": 77})


def temperature(project: Project) -> None:
    project.change("loss", temperature=0.1)


def threshold(project: Project) -> None:
    project.change("track", match_threshold=0.3)


def boxes_of_a_detector(project: Project) -> None:
    (project.folder / "detections/a.txt").write_text("1,-1,5,4,6,12,0.9,-1,-1,-1\n")


def embeddings_of_boxes(project: Project) -> None:
    (project.folder / "detections/osnet").mkdir()
    (project.folder / "detections/osnet/a.npz").write_bytes(b"embeddings")


CHANGES: list[tuple[str, Callable[[Project], None], set[str], set[str]]] = [
    ("full", add_test_film, {LOOKS, "strip@MOT17", "index"}, {"track@MOT17", "evaluate"}),
    ("half", add_test_film, {LOOKS}, set()),
    ("half", add_held_out_frame, {LOOKS, "strip@MOT17", "index"}, {"track@MOT17", "evaluate"}),
    ("half", rewrite_identities, {LOOKS, "strip@MOT17"}, {"evaluate"}),
    ("half", hardware_and_remarks, set(), set()),
    ("half", seed_of_no_scene, {"scenes"}, set()),
    ("half", boxes_of_a_detector, {"strip@MOT17"}, {"track@MOT17", "evaluate"}),
    ("full", embeddings_of_boxes, {"strip@MOT17"}, {"track@MOT17", "evaluate"}),
    ("half", temperature, set(), {"train", "track@MOT17", "evaluate"}),
    ("half", threshold, set(), {"track@MOT17", "evaluate"}),
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
    if looked - {LOOKS}:  # else what follows says too that the data's stages would not run
        assert project.dvc("repro", "index") == looked - {LOOKS}
    assert project.would_run() == waiting
