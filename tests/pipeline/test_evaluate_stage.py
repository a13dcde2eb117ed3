"""The evaluate stage: what it reads, writes, prints, and how it says that something is missing."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import yaml

from clmot.errors import InputError
from clmot.evaluation.observations import DETECTION_METRICS, EMBEDDING_METRICS
from clmot.evaluation.purity import PURITY_METRICS
from clmot.evaluation.score import COUNTS, METRICS
from clmot.inference.recording import RecordedDetections, write_recording
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.sequence import ManifestEntry, write_manifest

REPOSITORY = Path(__file__).parents[2]
LENGTH = 20
FIRST = LENGTH // 2 + 2  # of the half split's tracked frames
SEQUENCES = {"MOT15": ["TUD-Campus"], "MOT17": ["MOT17-04", "MOT17-09"]}
OUTS = ("summary.json", "sequences.csv", "table.md", "speed.json")

_spec = importlib.util.spec_from_file_location("evaluate_stage", REPOSITORY / "stages" / "evaluate.py")
assert _spec is not None
assert _spec.loader is not None
stage = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stage)


class Project:
    """A folder with params.yaml, ground truth and tracks, in which one of two people is tracked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        self.set(benchmarks=sorted(SEQUENCES), split="half", validation_sequences=[])
        for benchmark, names in SEQUENCES.items():
            for name in names:
                rows = []
                for frame in range(1, LENGTH + 1):
                    for identity, x in ((1, 10), (2, 300)):
                        tail = "1,-1,-1,-1" if benchmark == "MOT15" else "1,1,1.0"
                        rows.append(f"{frame},{identity},{x + frame},50,40,80,{tail}\n")
                gt = folder / "data" / "gt" / benchmark / name
                gt.mkdir(parents=True)
                (gt / "gt.txt").write_text("".join(rows))
                self.track(benchmark, name, range(1, LENGTH - FIRST + 2))
            entries = [ManifestEntry(name, "train", LENGTH, 640, 480, 25.0) for name in names]
            write_manifest(folder / "data" / "gt" / benchmark, benchmark, entries)
            (folder / "tracks" / f"{benchmark}.speed.json").write_text('{"frames_per_second": 12.5}')

    def set(self, **data: object) -> None:
        self.params["data"].update(data)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def track(self, benchmark: str, name: str, frames: range) -> None:
        """Write the tracks of the first person, exact, in the given frames of the tracked range."""
        x = np.array([10.0 + frame + FIRST - 1 for frame in frames]) - 1
        corners = np.column_stack([x, np.full(len(x), 49), x + 40, np.full(len(x), 129)]).reshape(-1, 4)
        path = self.folder / "tracks" / benchmark / f"{name}.txt"
        write_results(path, list(frames), [3] * len(x), corners, [0.9] * len(x))
        self.detect(benchmark, name, frames)

    def detect(self, benchmark: str, name: str, frames: range, *, embeddings: bool = True) -> None:
        """Write both people as detections, the second with a score that the tracker does not use."""
        rows = [(frame, x + frame + FIRST - 2, score) for frame in frames for x, score in ((10, 0.9), (300, 0.1))]
        frame, x, score = np.array(rows, np.float32).reshape(-1, 3).T
        boxes = np.column_stack([x, np.full(len(x), 49), x + 40, np.full(len(x), 129)]).astype(np.float32)
        vectors = np.where(score[:, None] > 0.5, (1, 0), (0, 1)).astype(np.float16) if embeddings else None
        path = self.folder / "tracks" / f"{benchmark}.detections" / f"{name}.safetensors"
        write_recording(path, RecordedDetections(frame.astype(np.int32), boxes, score, vectors))

    def out(self, name: str) -> str:
        return (self.folder / "metrics" / name).read_text()


@pytest.fixture
def reported(monkeypatch):
    """What the stage told MLflow."""
    calls: list[tuple] = []
    module = types.ModuleType("clmot.reporting.mlflow_run")

    def log_evaluation(*arguments: object) -> str:
        calls.append(arguments)
        return "Runs are shown there."

    module.log_evaluation = log_evaluation  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.fixture
def project(tmp_path, monkeypatch, reported) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def benchmarks_of(project: Project) -> dict[str, dict[str, float]]:
    """The summary without its mean."""
    found = json.loads(project.out("summary.json"))
    found.pop("mean")
    return found


def test_writes_summary_sequences_table_and_speed(project, capsys):
    stage.main()
    summary = json.loads(project.out("summary.json"))
    assert list(summary) == ["mean", "MOT15", "MOT17"]
    mean = summary.pop("mean")
    assert list(mean) == ["IDF1", "HOTA", "MOTA", "AssA", "ReID_mAP"]
    for name, value in mean.items():
        assert value == pytest.approx((summary["MOT15"][name] + summary["MOT17"][name]) / 2, abs=1e-6)
    for scores in summary.values():
        # Only one person's detections are used: there are no pairs of different people.
        assert tuple(scores) == (*METRICS, *PURITY_METRICS, "LooksDecide", *DETECTION_METRICS, "ReID_mAP")
        assert all(isinstance(scores[name], int) for name in COUNTS)
        assert [scores["MOTA"], scores["MOTP"], scores["IDF1"]] == [0.5, 1.0, 0.666667]
    tracked = LENGTH - FIRST + 1
    assert [summary["MOT15"]["FN"], summary["MOT17"]["FN"]] == [tracked, 2 * tracked]
    assert [summary["MOT15"]["MT"], summary["MOT17"]["ML"]] == [1, 2]

    rows = pd.read_csv(project.folder / "metrics" / "sequences.csv")
    assert list(rows.columns) == [
        "benchmark",
        "sequence",
        "frames",
        *METRICS,
        *PURITY_METRICS,
        *DETECTION_METRICS,
        "ReID_mAP",
    ]
    assert list(rows.sequence) == ["TUD-Campus", "MOT17-04", "MOT17-09"]
    assert set(rows.frames) == {tracked}

    table = project.out("table.md")
    header, _, first, second, *_ = table.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, first, second)]
    assert cells[0][:7] == ["Dataset", "MOTA", "MOTP", "IDF1", "IDSW", "MT", "ML"]
    assert cells[1][:7] == ["MOT15", "50.0", "100.0", "66.7", "0", "1", "1"]
    assert cells[2][0] == "MOT17"
    assert "| MOT15   | 100.0 |     100.0 |   50.0 |" in table.splitlines()
    assert "| MOT15   |    100.0 |" in table.splitlines()
    told = "Runs are shown there."
    assert capsys.readouterr().out == f"{table}\n{told}\n"
    assert json.loads(project.out("speed.json")) == {
        "MOT15": {"frames_per_second": 12.5},
        "MOT17": {"frames_per_second": 12.5},
    }


def test_a_supervised_baseline_says_so_first(project):
    stage.main()
    table, summary = project.out("table.md"), project.out("summary.json")
    assert "SUPERVISED" not in table
    project.params["loss"]["embedding"] = "supervised"
    project.params["strip"]["keep_identities"] = True
    project.set()
    stage.main()
    note = "**SUPERVISED BASELINE: the embedding learnt from identity labels (`loss.embedding: supervised`)."
    paragraphs = project.out("table.md").split("\n\n")
    assert paragraphs[1].startswith(note)
    assert paragraphs[1].endswith("**")
    assert "\n\n".join([paragraphs[0], *paragraphs[2:]]) == table
    assert project.out("summary.json") == summary


def test_repeated_runs_without_some_boxes_have_a_spread(project):
    project.params["evaluate"]["repeats"] = 4
    project.params["evaluate"]["drop"] = 0.4
    project.params["track"] |= {"confidence": 0.1, "new_track_confidence": 0.1, "min_box_area": 0}
    project.set()
    stage.main()
    summary = json.loads(project.out("summary.json"))["MOT17"]
    assert 0.3 < summary["IDF1_drop"] < 1
    assert 0 < summary["IDF1_drop_sd"] < 0.3
    assert "without 40 % of its boxes" in project.out("table.md")
    stage.main()
    assert json.loads(project.out("summary.json"))["MOT17"] == summary, "chance comes from the seed"
    project.params["seed"] = 1
    project.set()
    stage.main()
    assert json.loads(project.out("summary.json"))["MOT17"]["IDF1_drop"] != summary["IDF1_drop"]
    project.params["evaluate"]["drop"] = 1e-9  # 0 with repeats is refused
    project.set()
    stage.main()
    whole = json.loads(project.out("summary.json"))["MOT17"]
    assert whole["IDF1_drop_sd"] == 0
    assert whole["IDF1_drop"] > summary["IDF1_drop"], "both people, in every frame"


def test_controls_and_the_bound_are_marked(project):
    stage.main()
    table = project.out("table.md")
    assert "control" not in table
    for embedding, words in {
        "colour": "The embedding is a control, 'track.embedding: colour'",
        "theirs": "'track.embedding: theirs', not the network's",
        "oracle": "**A BOUND: the embedding is the true identity",
    }.items():
        project.params["track"]["embedding"] = embedding
        project.params["strip"]["held_out_identities"] = embedding == "oracle"
        project.set()
        stage.main()
        marked = project.out("table.md")
        assert words in marked
        assert marked != table
    assert marked.split("\n\n")[1].startswith("**A BOUND"), "before anything else is said"


def test_detections_and_embeddings_are_scored_before_association(project):
    project.params["track"]["confidence"] = 0.1
    project.set()
    stage.main()
    for scores in benchmarks_of(project).values():
        judged = (*DETECTION_METRICS, *EMBEDDING_METRICS)
        assert tuple(scores) == (*METRICS, *PURITY_METRICS, "LooksDecide", *judged, "Rho_distance", "Rho_height")
        assert [scores[name] for name in (*judged, "Purity")] == [1.0] * 8
    assert "MOT17" in project.out("table.md").split("TPR@FAR 1e-1")[1]


def test_without_embeddings_their_metrics_are_absent(project):
    for benchmark, names in SEQUENCES.items():
        for name in names:
            project.detect(benchmark, name, range(1, 10), embeddings=False)
    stage.main()
    assert "ReID_mAP" not in json.loads(project.out("summary.json"))["mean"]
    for scores in benchmarks_of(project).values():
        assert tuple(scores) == (*METRICS, *PURITY_METRICS, *DETECTION_METRICS)
    assert "ReID" not in project.out("table.md")
    assert "ReID" not in project.out("sequences.csv")


def test_where_one_sequence_has_embeddings_the_others_have_empty_cells(project):
    project.detect("MOT15", "TUD-Campus", range(1, 10), embeddings=False)
    stage.main()
    rows = pd.read_csv(project.folder / "metrics" / "sequences.csv")
    assert rows["ReID_mAP"].isna().tolist() == [True, False, False]
    summary = json.loads(project.out("summary.json"))
    assert "ReID_mAP" not in summary["MOT15"]
    assert "ReID_mAP" in summary["MOT17"]
    assert list(summary["mean"]) == ["IDF1", "HOTA", "MOTA", "AssA"], "a mean over some would be another's"
    last = [line for line in project.out("table.md").splitlines() if line.startswith("| MOT15")][-1]
    assert last.rstrip(" |").endswith("-")


@pytest.mark.parametrize("harm", ["absent", "damaged", "another", "short"])
def test_detections_that_cannot_be_read_name_the_stage_to_run(project, harm):
    path = project.folder / "tracks/MOT17.detections/MOT17-04.safetensors"
    path.unlink()
    if harm == "damaged":
        path.write_bytes(b"no tensors")
    if harm == "another":
        safetensors.numpy.save_file({"weights": np.zeros(3)}, path)
    if harm == "short":  # numbers that no one wrote would be taken for the last embedding
        boxes, frame, scores = np.zeros((2, 4), np.float32), np.ones(2, np.int32), np.ones(2, np.float32)
        vectors = np.ones((1, 2), np.float16)
        write_recording(path, RecordedDetections(frame, boxes, scores, vectors))
    with pytest.raises(InputError, match=r"MOT17-04\.safetensors does not (exist|hold).*track stage"):
        stage.main()
    assert not (project.folder / "metrics").exists()


def test_the_table_says_when_boxes_were_given(project):
    stage.main()
    assert "given to the tracker" not in project.out("table.md")
    project.params["track"]["detections"] = "truth"
    project.set()
    stage.main()
    assert "The boxes were given to the tracker, 'track.detections: truth'" in project.out("table.md")


def test_the_classes_that_trained_are_scored_and_the_table_says_so(project):
    """Whoever trained on cars, which MOT17 gives the flag 0, is scored on cars."""
    project.set(benchmarks=["MOT17"])
    for name in SEQUENCES["MOT17"]:
        truth = project.folder / "data" / "gt" / "MOT17" / name / "gt.txt"
        rows = [line.split(",") for line in truth.read_text().splitlines()]
        cars = [",".join([*row[:6], "0", "3", *row[8:]]) for row in rows if row[1] == "1"]  # the one who is tracked
        truth.write_text("\n".join([*cars, *(",".join(row) for row in rows if row[1] == "2")]) + "\n")
    found = {}
    for classes in ([1], [3], [1, 3]):
        project.params["strip"]["classes"] = classes
        project.set()
        stage.main()
        found[tuple(classes)] = benchmarks_of(project)["MOT17"], project.out("table.md")
    assert [scores["IDF1"] for scores, _ in found.values()] == [0, 1, pytest.approx(2 / 3)]
    assert [scores["Recall"] for scores, _ in found.values()] == [0, 1, 0.5]  # the other one's score is too low
    assert "Scored is what trained" not in found[1,][1]
    assert "Scored is what trained, the boxes of class car (3) as one kind" in found[3,][1]
    assert "class pedestrian (1) and car (3) as one kind" in found[1, 3][1]


def test_a_second_run_gives_the_same_bytes(project):
    """Nothing is appended to what an earlier run left."""
    stage.main()
    first = [project.out(name) for name in OUTS]
    stage.main()
    assert [project.out(name) for name in OUTS] == first
    files = [
        path.relative_to(project.folder / "metrics") for path in project.folder.glob("metrics/**/*") if path.is_file()
    ]
    curves = ("benchmarks", "precision_recall", "roc", "similarities")
    assert sorted(map(str, files)) == sorted([*OUTS, *(f"plots/{name}.csv" for name in curves)])


def test_only_the_tracked_half_is_scored(project):
    """Ground truth of training frames is neither missed nor matched; results count from 1 in their half."""
    project.set(benchmarks=["MOT15"])
    stage.main()
    assert json.loads(project.out("summary.json"))["MOT15"]["FN"] == LENGTH - FIRST + 1


def test_empty_results_score_zero(project):
    for name in SEQUENCES["MOT17"]:
        project.track("MOT17", name, range(0))
    stage.main()
    scores = json.loads(project.out("summary.json"))["MOT17"]
    assert [scores[name] for name in METRICS if name not in COUNTS] == [0.0] * 6
    assert scores["FN"] == 2 * 2 * (LENGTH - FIRST + 1)


def test_missing_results_name_the_stage_to_run(project):
    (project.folder / "tracks" / "MOT17" / "MOT17-09.txt").unlink()
    with pytest.raises(InputError, match=r"MOT17-09\.txt does not exist.*track stage"):
        stage.main()
    assert not (project.folder / "metrics").exists()


def test_missing_benchmark_names_the_stage_to_run(project):
    project.set(benchmarks=["MOT15", "MOT20"])
    with pytest.raises(InputError, match=r"MOT20 does not exist: run the track stage"):
        stage.main()


def test_results_beyond_the_end_are_refused(project):
    project.track("MOT17", "MOT17-04", range(1, LENGTH - FIRST + 3))
    with pytest.raises(InputError, match=r"MOT17-04\.txt: frame 10 lies outside the evaluated frames 1 to 9"):
        stage.main()


def test_duplicate_identities_are_refused(project):
    path = project.folder / "tracks" / "MOT17" / "MOT17-04.txt"
    path.write_text(path.read_text() + path.read_text().splitlines()[4] + "\n")
    with pytest.raises(InputError, match=r"MOT17-04\.txt.*identity 3.*twice in frame 5"):
        stage.main()


def test_tracks_of_another_split_are_refused(project):
    project.set(split="sequence", validation_sequences=["MOT17-04"], benchmarks=["MOT17"])
    with pytest.raises(InputError, match=r"MOT17-09\.txt holds tracks.*does not track"):
        stage.main()


def test_a_benchmark_without_a_held_out_sequence_is_not_scored(project):
    """Named sequences may leave a benchmark with nothing to track; the others are scored as ever."""
    project.set(split="sequence", validation_sequences=["TUD-Campus"])
    for name in SEQUENCES["MOT17"]:
        (project.folder / "tracks" / "MOT17" / f"{name}.txt").unlink()
    stage.main()
    assert list(json.loads(project.out("summary.json"))) == ["mean", "MOT15"]
    assert "MOT17: the split tracks none of its sequences" in project.out("table.md")


def test_without_public_ground_truth_the_table_says_how_to_get_scores(project, capsys, reported):
    """The split `full` tracks the test set: nothing can be scored, and nothing is wrong."""
    project.set(split="full", benchmarks=["MOT17"])
    for name in SEQUENCES["MOT17"]:
        (project.folder / "tracks" / "MOT17" / f"{name}.txt").unlink()
    project.track("MOT17", "MOT17-01", range(1, 5))
    stage.main()
    assert json.loads(project.out("summary.json")) == {}
    assert pd.read_csv(project.folder / "metrics" / "sequences.csv").empty
    printed = capsys.readouterr().out
    assert "no public ground truth for MOT17-01" in printed
    assert "MOTChallenge server" in printed
    assert len(reported) == 1


def test_a_film_of_somebodys_own_without_boxes_needs_no_server(project, capsys):
    project.set(split="full", benchmarks=["MOT17"])
    for name in SEQUENCES["MOT17"]:
        (project.folder / "tracks" / "MOT17" / f"{name}.txt").unlink()
    project.track("MOT17", "yard", range(1, 5))
    stage.main()
    printed = capsys.readouterr().out
    assert "MOT17: yard came without boxes, so there is nothing to score there." in printed
    assert "server" not in printed


def unnamed(project, name: str, *, rows: int) -> None:
    """Take the identities out of the first `rows` rows of a sequence's second half."""
    path = project.folder / "data" / "gt" / "MOT17" / name / "gt.txt"
    cells = [line.split(",") for line in path.read_text().splitlines()]
    for row in [row for row in cells if int(row[0]) >= FIRST][:rows]:
        row[1] = "-1"
    path.write_text("".join(",".join(row) + "\n" for row in cells))


def own_films(project) -> None:
    """MOT17's sequences become someone's own, `door` and `hall`."""
    project.set(benchmarks=["MOT17"])
    for old, new in zip(SEQUENCES["MOT17"], ("door", "hall"), strict=True):
        for folder in ("data/gt/MOT17", "tracks/MOT17", "tracks/MOT17.detections"):
            for path in list((project.folder / folder).glob(f"{old}*")):
                path.rename(path.with_name(path.name.replace(old, new)))
    entries = [ManifestEntry(name, "train", LENGTH, 640, 480, 25.0) for name in ("door", "hall")]
    write_manifest(project.folder / "data" / "gt" / "MOT17", "MOT17", entries)


@pytest.mark.parametrize("rows", [1, 2, 10**6], ids=["one", "two of a frame", "all"])
def test_without_identities_tracks_get_no_score_and_detections_do(project, rows):
    """However few boxes have none: to score the others alone would make up numbers."""
    own_films(project)
    stage.main()
    before = json.loads(project.out("summary.json"))["MOT17"]
    unnamed(project, "door", rows=rows)
    stage.main()
    after = json.loads(project.out("summary.json"))["MOT17"]
    assert [after[name] for name in DETECTION_METRICS] == [before[name] for name in DETECTION_METRICS]
    assert (before["FN"], after["FN"]) == (18, 9)
    assert list(pd.read_csv(project.folder / "metrics" / "sequences.csv").sequence) == ["hall"]
    assert "the boxes of door have no identities" in project.out("table.md")
    unnamed(project, "hall", rows=rows)
    stage.main()
    assert list(json.loads(project.out("summary.json"))["MOT17"]) == ["LooksDecide", *DETECTION_METRICS]
    assert "the boxes of door, hall have no identities" in project.out("table.md")


def test_unknown_identities_before_the_tracked_frames_do_not_matter(project):
    own_films(project)
    stage.main()
    before = project.out("summary.json")
    path = project.folder / "data" / "gt" / "MOT17" / "door" / "gt.txt"
    path.write_text(path.read_text().replace("1,1,11,", "1,-1,11,", 1))
    stage.main()
    assert project.out("summary.json") == before


def test_regions_to_ignore_need_no_identity(project):
    """In one's own films; what does not count may stand in a frame without a name as often as it likes."""
    own_films(project)
    stage.main()
    before = project.out("summary.json")
    path = project.folder / "data" / "gt" / "MOT17" / "door" / "gt.txt"
    regions = "".join(
        f"{FIRST},-1,{x},400,10,10,{flag},{kind},1\n" for x, flag, kind in ((1, 0, 1), (50, 1, 8), (90, 0, 1))
    )
    path.write_text(path.read_text() + regions)
    stage.main()
    assert project.out("summary.json") == before


def test_official_ground_truth_names_everybody(project):
    """There, a row without an identity is damage."""
    unnamed(project, "MOT17-04", rows=2)
    with pytest.raises(InputError, match="identity -1 appears more than once in frame 1"):
        stage.main()


def test_reports_to_mlflow_what_it_wrote(project, reported):
    for model in ("detector", "tracker"):
        (project.folder / "models" / model).mkdir(parents=True)
    (project.folder / "models" / "tracker" / "history.csv").write_text("epoch\n1\n")
    stage.main()
    [(params, summary, sequences, table, pictures, histories)] = reported
    assert params.data.split == "half"
    assert summary == json.loads(project.out("summary.json"))
    assert list(sequences.sequence) == ["TUD-Campus", "MOT17-04", "MOT17-09"]
    assert table == Path("metrics/table.md")
    assert pictures == {}, "the frames are not here, which is no fault"
    assert histories == {"train": Path("models/tracker/history.csv")}


def test_mlflow_cannot_fail_the_stage(project, monkeypatch, capsys):
    def unreachable(*_: object) -> None:
        raise ConnectionError("server is down")

    monkeypatch.setattr(sys.modules["clmot.reporting.mlflow_run"], "log_evaluation", unreachable)
    stage.main()
    assert "server is down" in capsys.readouterr().err
    assert json.loads(project.out("summary.json"))


def test_a_speed_file_that_is_not_json_is_named(project):
    (project.folder / "tracks" / "MOT15.speed.json").write_text("{")
    with pytest.raises(InputError, match=r"MOT15\.speed\.json is not JSON"):
        stage.main()
    assert not (project.folder / "metrics").exists()


def test_a_benchmark_whose_speed_was_not_measured_is_left_out(project):
    (project.folder / "tracks" / "MOT15.speed.json").unlink()
    stage.main()
    assert list(json.loads(project.out("speed.json"))) == ["MOT17"]
