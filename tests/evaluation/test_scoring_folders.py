"""`clmot evaluate`: anybody's results against ground truth in any of its layouts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.evaluation import result_files
from clmot.evaluation.benchmark import score_benchmark
from clmot.evaluation.clear import EVALUATORS
from clmot.evaluation.folders import FolderScores
from clmot.evaluation.folders import score_folder as score_pairs
from clmot.evaluation.preprocessing import judge_truth, preprocess
from clmot.evaluation.purity import PURITY_METRICS
from clmot.evaluation.score import METRICS
from clmot.motchallenge.annotations import AnnotationTable, read_results
from clmot.motchallenge.classes import TrackedKind
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import Split

LENGTH = 20


def people(first: int, last: int, benchmark: str = "MOT17") -> str:
    """Ground truth of two people, and of a car and an unflagged person which no one should find."""
    rows = []
    for frame in range(first, last + 1):
        for identity, x, flag, category in ((4, 10, 1, 1), (9, 300, 1, 1), (11, 500, 1, 3), (12, 600, 0, 1)):
            tail = f"{flag if category == 1 else 0},-1,-1,-1" if benchmark == "MOT15" else f"{flag},{category},1"
            rows.append(f"{frame},{identity},{x + frame},50,40,80,{tail}\n")
    return "".join(rows)


def tracks(frames: range, shift: int = 0, identities: tuple[int, ...] = (70, 3)) -> str:
    """Results that follow the two people exactly, frames numbered `shift` lower."""
    return "".join(
        f"{frame - shift},{identity},{x + frame},50,40,80,0.9,-1,-1,-1\n"
        for frame in frames
        for identity, x in zip(identities, (10, 300), strict=False)
    )


def score_folder(
    results: Path, truth: Path, benchmark: str | None = None, split: str = "all", only: Sequence[str] = ()
) -> FolderScores:
    return score_pairs(result_files.read_pairs(results, truth, benchmark, only), split)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def seqinfo(name: str, length: int = LENGTH) -> str:
    rest = "imDir=img1\nframeRate=25\nimWidth=640\nimHeight=480\nimExt=.jpg\n"
    return f"[Sequence]\nname={name}\nseqLength={length}\n{rest}"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """MOT17's own layout: two films, each in three copies."""
    for film in ("MOT17-02", "MOT17-04"):
        for detector in ("DPM", "FRCNN", "SDP"):
            folder = tmp_path / "train" / f"{film}-{detector}"
            write(folder / "gt" / "gt.txt", people(1, LENGTH - 5))
            write(folder / "seqinfo.ini", seqinfo(folder.name))
    return tmp_path / "train"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """data/gt/MOT17."""
    for film in ("MOT17-02", "MOT17-04"):
        write(tmp_path / "gt" / film / "gt.txt", people(1, LENGTH - 5))
    entries = [ManifestEntry(film, "train", LENGTH, 640, 480, 25.0) for film in ("MOT17-02", "MOT17-04")]
    write_manifest(tmp_path / "gt", "MOT17", entries)
    return tmp_path / "gt"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for film in ("MOT17-02", "MOT17-04"):
        write(tmp_path / "results" / f"{film}.txt", tracks(range(1, LENGTH - 4)))
    return tmp_path / "results"


def test_runs_without_some_boxes(tmp_path, monkeypatch, capsys):
    """From what the stage track left: two people, found in every frame, scored high."""
    from clmot.cli import main as cli
    from clmot.inference.recording import RecordedDetections, write_recording

    frames = np.repeat(np.arange(1, 31), 2).astype(np.int32)
    left = np.tile([10, 300], 30) + frames
    boxes = np.column_stack([left, np.full(60, 49), left + 40, np.full(60, 129)]).astype(np.float32)
    recorded = RecordedDetections(frames, boxes, np.full(60, 0.9, np.float32), None)
    write_recording(tmp_path / "tracks.detections" / "MOT17-02.safetensors", recorded)
    (tmp_path / "gt" / "MOT17-02").mkdir(parents=True)
    (tmp_path / "tracks").mkdir()
    gt = [f"{f},{1 + n % 2},{x + 1},50,40,80,1,1,1\n" for n, (f, x) in enumerate(zip(frames, left, strict=True))]
    (tmp_path / "gt" / "MOT17-02" / "gt.txt").write_text("".join(gt))
    (tmp_path / "tracks" / "MOT17-02.txt").write_text("1,1,11,50,40,80,1,-1,-1,-1\n")
    (tmp_path / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nothing states the frame rate"):
        cli.run(["evaluate", "tracks", "gt", "--repeats", "2"])
    info = "[Sequence]\nname=MOT17-02\nimDir=img1\nframeRate=30\nseqLength=30\nimWidth=640\nimHeight=480\nimExt=.jpg\n"
    (tmp_path / "gt" / "MOT17-02" / "seqinfo.ini").write_text(info)
    capsys.readouterr()
    cli.run(["evaluate", "tracks", "gt", "--repeats", "2", "--drop", "0"])
    assert "2 runs without 0 % of the boxes: IDF1 100.0 ± 0.0" in capsys.readouterr().out
    cli.run(["evaluate", "tracks", "gt", "--repeats", "3", "--drop", "0.3"])
    said = capsys.readouterr().out
    assert "3 runs without 30 % of the boxes: IDF1" in said
    assert "IDF1 100.0" not in said
    (tmp_path / "tracks.detections" / "MOT17-02.safetensors").unlink()
    with pytest.raises(InputError, match=r"MOT17-02\.safetensors does not exist"):
        cli.run(["evaluate", "tracks", "gt", "--repeats", "1"])


@pytest.mark.parametrize("layout", ["official", "ours"])
def test_ground_truth_scored_against_itself_is_perfect(
    layout: str, results: Path, request: pytest.FixtureRequest
) -> None:
    scores = score_folder(results, request.getfixturevalue(layout))
    assert scores.rules == "MOT17"
    assert [s.sequence for s in scores.sequences] == ["MOT17-02", "MOT17-04"]
    for found in (*scores.sequences, scores.combined):
        assert [found.MOTA, found.IDF1] == [1.0, 1.0]
        assert found.metrics()["HOTA"] == pytest.approx(1.0, abs=1e-12)
    assert {s.frames for s in scores.sequences} == {LENGTH}, "the last frames show nobody, and count"


@pytest.mark.parametrize(("benchmark", "name"), [("MOT15", "TUD-Campus"), ("MOT16", "MOT16-02"), ("MOT20", "MOT20-01")])
def test_every_benchmarks_format(tmp_path: Path, benchmark: str, name: str) -> None:
    write(tmp_path / "gt" / name / "gt" / "gt.txt", people(1, 10, benchmark))
    write(tmp_path / "results" / f"{name}.txt", tracks(range(1, 11)))
    scores = score_folder(tmp_path / "results", tmp_path / "gt")
    assert scores.rules == benchmark.replace("6", "7")
    assert [scores.combined.MOTA, scores.combined.IDF1] == [1.0, 1.0]


def test_results_of_several_detectors_are_scored_each(official: Path, ours: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for film in ("MOT17-02", "MOT17-04"):
        write(folder / f"{film}-FRCNN.txt", tracks(range(1, LENGTH - 4)))
    one = score_folder(folder, official)
    assert [s.sequence for s in one.sequences] == ["MOT17-02-FRCNN", "MOT17-04-FRCNN"]
    assert score_folder(folder, ours).as_dict() == one.as_dict()
    write(folder / "MOT17-02-DPM.txt", "")
    both = score_folder(folder, official)
    assert [s.sequence for s in both.sequences] == ["MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-04-FRCNN"]
    assert both.combined.FN == 2 * (LENGTH - 5)


def test_one_detector_of_several_can_be_chosen(official: Path, ours: Path, tmp_path: Path) -> None:
    for name in ("MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-04-FRCNN"):
        write(tmp_path / "results" / f"{name}.txt", tracks(range(1, LENGTH - 4)))

    def scored(*only: str) -> list[str]:
        return [s.sequence for s in score_folder(tmp_path / "results", ours, only=only).sequences]

    assert scored("MOT17-02-FRCNN") == ["MOT17-02-FRCNN"]
    assert scored("MOT17-02") == ["MOT17-02-DPM", "MOT17-02-FRCNN"]
    assert scored("MOT17-02-DPM", "MOT17-04") == ["MOT17-02-DPM", "MOT17-04-FRCNN"]
    with pytest.raises(InputError, match=r"results has no MOT17-04-SDP\.txt, though"):
        scored("MOT17-02", "MOT17-04-SDP")


def test_half_is_what_the_evaluate_stage_scores(ours: Path, tmp_path: Path) -> None:
    first = LENGTH // 2 + 2
    for film in ("MOT17-02", "MOT17-04"):
        write(tmp_path / "tracks" / f"{film}.txt", tracks(range(first, LENGTH - 6), shift=first - 1))
    found = score_folder(tmp_path / "tracks", ours, split="half")
    stage = score_benchmark(tmp_path / "tracks", ours, "MOT17", Split("half"))
    assert stage.combined is not None
    assert found.combined.metrics() == stage.combined.metrics()
    assert found.combined.FN == 2 * 2 * 2
    with pytest.raises(InputError, match=r"MOT17-02\.txt: frame 10 lies outside the evaluated frames 1 to 9"):
        write(tmp_path / "tracks" / "MOT17-02.txt", tracks(range(first, LENGTH - 6)).replace("12,", "10,", 1))
        score_folder(tmp_path / "tracks", ours, split="half")


class TestSingleFiles:
    def test_one_against_one(self, official: Path, results: Path) -> None:
        scores = score_folder(results / "MOT17-02.txt", official / "MOT17-02-SDP" / "gt" / "gt.txt")
        assert [s.sequence for s in scores.sequences] == ["MOT17-02-SDP"]
        assert scores.combined.frames == LENGTH

    def test_without_any_length_the_last_row_ends_the_film(self, tmp_path: Path) -> None:
        truth = write(tmp_path / "a" / "truth.txt", people(1, 5))
        results = write(tmp_path / "b" / "film.txt", tracks(range(1, 9)))
        scores = score_folder(results, truth, "MOT17")
        assert scores.combined.frames == 8
        assert (scores.combined.FP, scores.combined.FN) == (6, 0)
        with pytest.raises(InputError, match=r"do not tell whose rules apply \(film\): add --benchmark"):
            score_folder(results, truth)
        with pytest.raises(InputError, match="nothing states how many frames the film has"):
            score_folder(results, truth, "MOT17", "half")

    @pytest.mark.parametrize("faulty", ["results", "truth"])
    def test_a_frame_that_no_film_has(self, tmp_path: Path, faulty: str) -> None:
        """Two billion frames would be laid out one by one."""
        texts = {"truth": people(1, 5), "results": tracks(range(1, 5))}
        texts[faulty] = texts[faulty].replace("\n3,", "\n2000000000,", 1)
        truth = write(tmp_path / "truth.txt", texts["truth"])
        results = write(tmp_path / "results.txt", texts["results"])
        with pytest.raises(InputError, match=rf"{faulty}\.txt:\d+: frame 2000000000 is beyond 999999"):
            score_folder(results, truth, "MOT17")

    def test_sequences_are_chosen_of_folders_alone(self, official: Path, results: Path) -> None:
        truth = official / "MOT17-02-SDP" / "gt" / "gt.txt"
        with pytest.raises(InputError, match=r"--only names sequences of folders, but .*02\.txt is one file"):
            run(["evaluate", str(results / "MOT17-02.txt"), str(truth), "--only", "MOT17-04"])

    def test_a_file_and_a_folder_do_not_go_together(self, official: Path, results: Path) -> None:
        with pytest.raises(InputError, match=r"MOT17-02\.txt is a file and .*train a folder"):
            score_folder(results / "MOT17-02.txt", official)
        with pytest.raises(InputError, match=r"nowhere does not exist"):
            score_folder(results / "nowhere", official)


class TestMistakes:
    def test_a_sequence_without_results(self, official: Path, results: Path) -> None:
        """What other evaluators pass over in silence."""
        (results / "MOT17-04.txt").unlink()
        with pytest.raises(InputError, match=r"results has no MOT17-04\.txt, though .*count as missed.*--only"):
            score_folder(results, official)
        (scores,) = score_folder(results, official, only=["MOT17-02-DPM"]).sequences
        assert scores.sequence == "MOT17-02"
        with pytest.raises(InputError, match=r"train has no ground truth of 'MOT17-05'"):
            score_folder(results, official, only=["MOT17-05"])

    def test_no_files_at_all(self, official: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"empty has no <sequence>\.txt"):
            score_folder(tmp_path / "empty", official)
        with pytest.raises(InputError, match=r"empty holds no ground truth: expected <sequence>/gt/gt\.txt"):
            score_folder(official, tmp_path / "empty")

    def test_one_folder_too_high(self, official: Path, results: Path) -> None:
        with pytest.raises(InputError, match=r"holds no ground truth \(but .*train does\)"):
            score_folder(results, official.parent)

    def test_an_identity_twice_in_a_frame(self, official: Path, results: Path) -> None:
        text = (results / "MOT17-04.txt").read_text()
        write(results / "MOT17-04.txt", text + text.splitlines()[0] + "\n")
        with pytest.raises(InputError, match=r"MOT17-04\.txt:31: identity 70 appears twice in frame 1"):
            score_folder(results, official)

    def test_rows_beyond_the_end(self, official: Path, results: Path) -> None:
        write(results / "MOT17-04.txt", "21,1,10,50,40,80,1,-1,-1,-1\n")
        with pytest.raises(InputError, match=r"MOT17-04\.txt: frame 21 lies outside the evaluated frames 1 to 20"):
            score_folder(results, official)


@pytest.mark.shared_data
@pytest.mark.parametrize(("benchmark", "root"), [("MOT17", "MOT17/train"), ("MOT15", "train")])
def test_real_ground_truth_scored_against_itself_is_perfect(
    shared: Path, tmp_path: Path, benchmark: str, root: str
) -> None:
    with zipfile.ZipFile(shared / "data" / f"{benchmark}.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(("gt/gt.txt", "seqinfo.ini")) and n.startswith(root)]
        archive.extractall(tmp_path, names)
    for path in sorted(tmp_path.glob(f"{root}/*/gt/gt.txt")):
        rows = (line.split(",") for line in path.read_text().splitlines())
        people = [row[:6] for row in rows if float(row[6]) and (benchmark == "MOT15" or row[7] == "1")]
        lines = (f"{','.join(row)},1,-1,-1,-1\n" for row in people)
        write(tmp_path / "results" / f"{path.parent.parent.name}.txt", "".join(lines))
    scores = score_folder(tmp_path / "results", tmp_path / root)
    assert scores.rules == benchmark
    for found in scores.sequences:
        assert [found.MOTA, found.IDF1] == [1.0, 1.0]
        assert found.metrics()["HOTA"] == pytest.approx(1.0, abs=1e-9)


def test_the_command_prints_a_row_per_sequence_and_one_for_all(
    official: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(results / "MOT17-02.txt", "")
    write(results / "MOT17-01.txt", "")
    run(["evaluate", str(results), str(official), "--json", str(tmp_path / "out" / "scores.json")])
    out, err = capsys.readouterr()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()[:5]]
    assert rows[0] == ["MOT17 rules", *METRICS]
    assert [row[0] for row in rows[2:]] == ["MOT17-02", "MOT17-04", "COMBINED"]
    assert [row[1] for row in rows[2:]] == ["0.0", "100.0", "50.0"]
    assert err == "note: there is no ground truth for MOT17-01: not scored.\n"
    saved = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert saved["sequences"]["MOT17-02"]["FN"] == saved["combined"]["FN"] == 2 * (LENGTH - 5)
    assert tuple(saved["combined"]) == ("frames", *METRICS, *PURITY_METRICS)


def test_the_command_names_rules_there_are(official: Path, results: Path) -> None:
    with pytest.raises(InputError, match="--benchmark should be one of MOT15, MOT16, MOT17, MOT20, got 'MOT99'"):
        run(["evaluate", str(results), str(official), "--benchmark", "MOT99"])


def test_scoring_twice_changes_no_file(official: Path, results: Path) -> None:
    before = {path: path.read_bytes() for path in official.parent.rglob("*") if path.is_file()}
    first = score_folder(results, official).as_dict()
    assert score_folder(results, official).as_dict() == first
    assert {path: path.read_bytes() for path in official.parent.rglob("*") if path.is_file()} == before


def test_rules_can_be_chosen(official: Path, results: Path, tmp_path: Path) -> None:
    """Boxes on a car are wrong; on a non-motorised vehicle they are wrong but in MOT20."""
    shutil.rmtree(official)
    write(official / "film" / "gt" / "gt.txt", "1,1,10,10,20,40,1,1,1\n1,2,100,10,20,40,0,6,1\n")
    write(tmp_path / "mine" / "film.txt", "1,1,10,10,20,40,1\n1,2,100,10,20,40,1\n")
    wrong = {rules: score_folder(tmp_path / "mine", official, rules).combined.FP for rules in ("MOT17", "MOT20")}
    assert wrong == {"MOT17": 1, "MOT20": 0}


@pytest.mark.parametrize("row", ["{f},{i},0.1,0.2,0.1,0.3,1", "{f},{i},900,900,20,40,1", "{f},{i},1,1,1000,900,1"])
def test_results_that_meet_no_box_are_named(row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fractions, another film, corners: the numbers say nothing of the tracker."""
    truth = write(tmp_path / "truth.txt", people(1, 10).replace(",11,", ",-1,").replace(",12,", ",-1,"))
    rows = (row.format(f=frame, i=identity) for frame in range(1, 11) for identity in (4, 9))
    found = write(tmp_path / "door.txt", "\n".join(rows))
    run(["evaluate", str(found), str(truth), "--benchmark", "MOT17"])
    assert "meet no box of the ground truth" in capsys.readouterr().err
    write(found, tracks(range(1, 11)))
    run(["evaluate", str(found), str(truth), "--benchmark", "MOT17"])
    assert "meet no box" not in capsys.readouterr().err


@pytest.mark.parametrize("people_without", [1, 2])
def test_without_identities_no_number_is_made_up(people_without: int, tmp_path: Path) -> None:
    """In files of someone's own; regions that do not count need none."""
    text = people(1, 10).replace(",11,", ",-1,").replace(",12,", ",-1,")
    truth = write(tmp_path / "truth.txt", text)
    found = write(tmp_path / "door.txt", tracks(range(1, 11)))
    assert score_folder(found, truth, "MOT17").combined.IDF1 == 1.0
    for identity in (4, 9)[:people_without]:
        text = text.replace(f"3,{identity},", "3,-1,")
    write(truth, text)
    with pytest.raises(InputError, match=r"truth\.txt has boxes without identities \(-1\), so tracks on door"):
        score_folder(found, truth, "MOT17")


def test_second_halves_scored_as_whole_films_are_noticed(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = range(LENGTH // 2 + 2, LENGTH + 1)
    for film in ("MOT17-02", "MOT17-04"):
        write(tmp_path / "tracks" / f"{film}.txt", tracks(half, shift=half.start - 1))
    run(["evaluate", str(tmp_path / "tracks"), str(ours)])
    assert "add --split half" in capsys.readouterr().err
    run(["evaluate", str(tmp_path / "tracks"), str(ours), "--split", "half"])
    assert "add --split half" not in capsys.readouterr().err


@pytest.mark.parametrize("case", ["nobody found", "nobody later", "nobody later where found"])
def test_first_halves_that_are_right_are_not_taken_for_second_ones(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Nobody in the second half of a film, or no one found at all, says nothing of how frames are numbered."""
    first = LENGTH // 2
    for film in ("MOT17-02", "MOT17-04"):
        empty = case == "nobody found" or (case == "nobody later where found" and film == "MOT17-02")
        write(tmp_path / "tracks" / f"{film}.txt", "" if empty else tracks(range(1, first + 1)))
        if not empty:
            write(ours / film / "gt.txt", people(1, first))
    run(["evaluate", str(tmp_path / "tracks"), str(ours)])
    assert "add --split half" not in capsys.readouterr().err


def test_files_of_results_are_read_once(official: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counting(path: Path) -> AnnotationTable:
        read.append(path)
        return read_results(path)

    monkeypatch.setattr(result_files, "read_results", counting)
    score_folder(results, official)
    assert len(read) == len(set(read)) == 2


@pytest.mark.parametrize("last", [999_999, 5_000, 1_200])
def test_a_row_far_beyond_the_truth_is_refused(last: int, tmp_path: Path) -> None:
    """Where nothing states a length, one typing error would decide how many frames are scored."""
    write(tmp_path / "gt" / "MOT17-02" / "gt" / "gt.txt", people(1, 20))
    write(tmp_path / "res" / "MOT17-02.txt", tracks(range(1, 21)) + f"{last},70,1,1,5,5,1,-1,-1,-1\n")
    with pytest.raises(InputError, match=rf"row of frame {last}, but the ground truth .* ends with frame 20"):
        score_folder(tmp_path / "res", tmp_path / "gt")
    write(tmp_path / "gt" / "MOT17-02" / "seqinfo.ini", seqinfo("MOT17-02", 2000))
    if last < 2000:
        assert score_folder(tmp_path / "res", tmp_path / "gt").combined.frames == 2000


@pytest.mark.parametrize("change", [",1,1,1\n", ",1,3,1\n", None])
def test_nothing_to_score_is_said(change: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = "1,4,10,50,40,80,0,1,1\n" * (change is None) or f"1,4,10,50,40,80{change}"
    write(tmp_path / "gt" / "MOT17-02" / "gt" / "gt.txt", truth)
    write(tmp_path / "res" / "MOT17-02.txt", tracks(range(1, 2)))
    run(["evaluate", str(tmp_path / "res"), str(tmp_path / "gt")])
    said = "the ground truth of MOT17-02 has no box to score" in capsys.readouterr().err
    assert said == (change != ",1,1,1\n")


def test_results_in_another_layout_are_found(official: Path, tmp_path: Path) -> None:
    """TrackEval has a folder of each tracker, with its files in data/."""
    write(tmp_path / "trackers" / "ours" / "data" / "MOT17-02.txt", tracks(range(1, 9)))
    with pytest.raises(InputError, match=r"but .*trackers/ours/data has files like these"):
        score_folder(tmp_path / "trackers", official)


def test_no_common_frame_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gt" / "MOT17-02" / "gt").mkdir(parents=True)
    (tmp_path / "gt/MOT17-02/gt/gt.txt").write_text("1,1,10,20,30,60,1,1,1\n2,1,10,20,30,60,1,1,1\n")
    (tmp_path / "res").mkdir()
    (tmp_path / "res/MOT17-02.txt").write_text("101,1,10,20,30,60,1,-1,-1,-1\n")
    run(["evaluate", str(tmp_path / "res"), str(tmp_path / "gt")])
    assert "MOT17-02 have no frame in common with the boxes of the ground truth" in capsys.readouterr().err
    (tmp_path / "res/MOT17-02.txt").write_text("2,1,10,20,30,60,1,-1,-1,-1\n")
    run(["evaluate", str(tmp_path / "res"), str(tmp_path / "gt")])
    assert "no frame in common" not in capsys.readouterr().err


def test_a_far_row_is_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "gt" / "MOT17-02" / "gt").mkdir(parents=True)
    (tmp_path / "gt/MOT17-02/gt/gt.txt").write_text("1,1,10,20,30,60,1,1,1\n")
    (tmp_path / "res").mkdir()
    (tmp_path / "res/MOT17-02.txt").write_text("999999,1,10,20,30,60,1,-1,-1,-1\n")
    script = f"""
import sys
from clmot.cli.main import run
from clmot.errors import InputError
try:
    run(["evaluate", {str(tmp_path / "res")!r}, {str(tmp_path / "gt")!r}])
except InputError as error:
    print(error)
print([name for name in ("pandas", "scipy.stats", "trackeval", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "has a row of frame 999999" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_film_is_as_long_as_its_seqinfo_says_and_costs_what_its_rows_cost(tmp_path: Path) -> None:
    """999,999 frames, of which 20 have rows: a minute and more if every empty frame were matched."""
    write(tmp_path / "gt" / "MOT17-02" / "gt" / "gt.txt", people(1, 20))
    write(tmp_path / "gt" / "MOT17-02" / "seqinfo.ini", seqinfo("MOT17-02", 999_999))
    results = write(tmp_path / "res" / "MOT17-02.txt", tracks(range(1, 21)))
    pairs = result_files.read_pairs(results.parent, tmp_path / "gt")
    for evaluator in EVALUATORS:
        scores = score_pairs(pairs, evaluator=evaluator)
        assert (scores.combined.frames, scores.combined.MOTA) == (999_999, 1.0)
    (pair,) = pairs.found
    judged = judge_truth(pair.true, 999_999, "MOT17", "MOT17-02")
    assert len(preprocess(judged, pair.tracked).frames) == 20


@pytest.mark.parametrize("names", [["car"], ["3"], ["Car", "reflection"]])
def test_cars_are_scored_when_asked_for(names: list[str], official: Path, tmp_path: Path, capsys) -> None:
    """A perfect tracker of cars; to the benchmark's own rules every box of its is wrong."""
    cars = "".join(f"{frame},5,{500 + frame},50,40,80,0.9,-1,-1,-1\n" for frame in range(1, LENGTH - 4))
    results = write(tmp_path / "cars" / "MOT17-02.txt", cars)
    command = ["evaluate", str(results.parent), str(official), "--only", "MOT17-02-DPM", "--json"]
    run([*command, "--classes", *names])
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == [3] + [12] * (len(names) - 1)
    assert (told["combined"]["MOTA"], told["combined"]["IDF1"]) == (1.0, 1.0)
    run(command)
    assert json.loads(capsys.readouterr().out)["combined"]["MOTA"] == -0.5
    run([*command[:-1], "--classes", *names])
    assert capsys.readouterr().out.startswith("| Class car (3)")


@pytest.mark.parametrize("name", ["lorry", "0", "14", "", "-1"])
def test_no_class_of_the_tables_is_one_sentence(name: str) -> None:
    with pytest.raises(InputError, match=rf"^'{name}' is no class .*car \(3\)"):
        TrackedKind.named([name])


@pytest.mark.parametrize(("name", "said"), [("mot17-02.txt", "there is mot17-02.txt"), ("MOT17-02.csv", "it has MOT")])
def test_results_that_are_called_otherwise_are_named(name: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "truth" / "MOT17-02" / "gt" / "gt.txt", "1,1,1,1,9,9,1,1,1\n")
    write(tmp_path / "results" / name, "1,1,1,1,9,9,1,-1,-1,-1\n")
    with pytest.raises(InputError, match=said):
        result_files.read_pairs(tmp_path / "results", tmp_path / "truth")


def test_a_sequence_itself_is_its_ground_truth(tmp_path: Path) -> None:
    write(tmp_path / "truth" / "MOT17-02" / "gt" / "gt.txt", "1,1,1,1,9,9,1,1,1\n")
    write(tmp_path / "results" / "MOT17-02.txt", "1,1,1,1,9,9,1,-1,-1,-1\n")
    (pair,) = result_files.read_pairs(tmp_path / "results", tmp_path / "truth" / "MOT17-02").found
    assert pair.name == "MOT17-02"
