"""The identity wall, and what else strip leaves out."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_archive import damage, gt_rows, sequence_files, tree, write_zip

from clmot.archives.extract import extract_benchmark
from clmot.data.strip import (
    REASONS,
    DetectorBoxes,
    StrippedSequence,
    read_identities,
    read_strip_report,
    read_training_boxes,
    strip_benchmark,
)
from clmot.data.strip_report import format_report
from clmot.errors import InputError
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import FrameRange

REPOSITORY = Path(__file__).resolve().parents[2]


def ground_truth(folder: Path, tables: dict[str, str], length: int = 10) -> Path:
    """A `data/gt/B` with these tables."""
    for name, text in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "gt.txt").write_text(text)
    write_manifest(folder, "MOT17", [ManifestEntry(name, "train", length, 640, 480, 25.0) for name in tables])
    return folder


def strip(gt: Path, out: Path, **changes: object) -> dict[str, StrippedSequence]:
    arguments: dict[str, object] = {
        "benchmark": "MOT17",
        "split": "half",
        "validation_sequences": (),
        "classes": (1,),
        "min_visibility": 0.1,
    } | changes
    return strip_benchmark(gt, out, **arguments)  # type: ignore[arg-type]


MIXED = """\
3,8,10.5,20,5,8,1,1,0.5
1,1,10.25,20,5,8,1,1,1
1,2,-3,20,5,8,1,1,0.1
1,3,30,20,5,8,0,1,1
1,4,40,20,5,8,1,7,1
1,5,50,20,0,8,1,1,1
1,6,60,20,5,8,1,1,0.09
1,7,10.25,20,5,8,1,1,1
7,1,70,20,5,8,1,1,1
7,9,70,20,5,8,0,3,0
"""


class TestStripping:
    def test_rows_and_report(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        report = strip(gt, tmp_path / "boxes")
        assert (tmp_path / "boxes" / "MOT17-02.txt").read_bytes() == (
            b"1,-1,-3,20,5,8,1,1,0.1\n"
            b"1,-1,10.25,20,5,8,1,1,1\n"
            b"1,-1,10.25,20,5,8,1,1,1\n"  # equal boxes of two people both stay
            b"3,-1,10.5,20,5,8,1,1,0.5\n"
        )
        dropped = {"outside_split": 2, "flag": 1, "class": 1, "degenerate": 1, "visibility": 1}
        assert report == {"MOT17-02": StrippedSequence(FrameRange(1, 6), 4, dropped)}
        assert json.loads((tmp_path / "boxes" / "strip.json").read_text()) == {
            "benchmark": "MOT17",
            "sequences": {"MOT17-02": {"frames": [1, 6], "kept": 4, "dropped": dropped}},
        }
        assert read_strip_report(tmp_path / "boxes") == {"MOT17-02": FrameRange(1, 6)}

    def test_classes_and_visibility(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        report = strip(gt, tmp_path / "boxes", classes=(7, 1), min_visibility=0)
        assert report["MOT17-02"].kept == 6

    def test_rows_without_class_and_visibility(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"TUD-Campus": gt_rows(10, columns=10) + "2,9,1,1,4,4,0,-1,-1,-1\n"})
        report = strip(gt, tmp_path / "boxes", benchmark="MOT15", min_visibility=0.9)
        assert report["TUD-Campus"].kept == 12
        assert report["TUD-Campus"].dropped["flag"] == 1
        assert (tmp_path / "boxes" / "TUD-Campus.txt").read_text().startswith("1,-1,5,4,6.5,12,1,1,1\n")

    def test_held_out_sequences_have_no_file(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED, "MOT17-04": MIXED})
        report = strip(gt, tmp_path / "boxes", split="sequence", validation_sequences=("MOT17-04-DPM",))
        assert sorted(tree(tmp_path / "boxes")) == ["MOT17-02.txt", "strip.json"]
        assert report["MOT17-04"].frames is None
        assert report["MOT17-04"].dropped["outside_split"] == 10
        assert read_strip_report(tmp_path / "boxes") == {"MOT17-02": FrameRange(1, 10)}

    def test_a_film_without_training_people(self, tmp_path: Path) -> None:
        nobody = "1,1,10,20,5,8,0,1,1\n"
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED, "MOT17-04": nobody})
        strip(gt, tmp_path / "boxes")
        assert (tmp_path / "boxes" / "MOT17-04.txt").read_bytes() == b""
        assert len(read_training_boxes(tmp_path / "boxes" / "MOT17-04.txt")) == 0
        assert read_strip_report(tmp_path / "boxes")["MOT17-04"] == FrameRange(1, 6)

    def test_written_numbers_read_back_exactly(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).normal(scale=300, size=(20, 2)) / 3
        rows = "".join(
            f"1,{i},{x!r},{y!r},5.1,8e-3,1,1,0.3333333333333333\n" for i, (x, y) in enumerate(values.tolist())
        )
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": rows})
        strip(gt, tmp_path / "boxes")
        table = read_training_boxes(tmp_path / "boxes" / "MOT17-02.txt")
        assert sorted(map(tuple, table.box[:, :2].tolist())) == sorted(map(tuple, values.tolist()))
        assert set(table.box[:, 3].tolist()) == {8e-3}
        assert set(table.visibility.tolist()) == {0.3333333333333333}

    def test_boxes_of_the_tracked_frames_stand_apart(self, tmp_path: Path) -> None:
        """Those that evaluation counts, whatever trains: flagged pedestrians, numbered within the film."""
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED + "10,4,70.5,20,0,8,1,1,0\n10,3,1,20,5,8,1,1,1\n"})
        out = tmp_path / "held_out"
        report = strip(gt, tmp_path / "boxes", min_visibility=1, held_out_dir=out)
        assert (out / "MOT17-02.txt").read_bytes() == (
            b"7,-1,70,20,5,8,1,1,1\n"
            b"10,-1,1,20,5,8,1,1,1\n"
            b"10,-1,70.5,20,0,8,1,1,0\n"  # evaluation counts a box without width, too
        )
        assert json.loads((out / "held_out.json").read_text()) == {
            "benchmark": "MOT17",
            "sequences": {"MOT17-02": {"frames": [7, 10], "boxes": 3}},
        }
        assert strip(gt, tmp_path / "again", min_visibility=1) == report

    def test_a_bound_may_see_who_is_tracked_and_training_sees_no_more(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        closed, opened = tmp_path / "closed", tmp_path / "opened"
        strip(gt, closed / "boxes", held_out_dir=closed / "held_out", identities_dir=closed / "identities")
        strip(
            gt,
            opened / "boxes",
            held_out_dir=opened / "held_out",
            identities_dir=opened / "identities",
            held_out_identities=True,
        )
        assert tree(closed / "boxes") == tree(opened / "boxes")
        assert tree(closed / "identities") == tree(opened / "identities")
        rows = (opened / "held_out" / "MOT17-02.txt").read_text().splitlines()
        hidden = (closed / "held_out" / "MOT17-02.txt").read_text().splitlines()
        assert {row.split(",")[1] for row in hidden} == {"-1"}
        assert "-1" not in {row.split(",")[1] for row in rows}
        assert [row.split(",")[2:] for row in rows] == [row.split(",")[2:] for row in hidden]

    def test_only_held_out_sequences_have_held_out_boxes(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED, "MOT17-04": MIXED})
        options = {"split": "sequence", "validation_sequences": ("MOT17-04",)}
        strip(gt, tmp_path / "boxes", held_out_dir=tmp_path / "held_out", **options)
        assert sorted(tree(tmp_path / "held_out")) == ["MOT17-04.txt", "held_out.json"]
        assert len((tmp_path / "held_out" / "MOT17-04.txt").read_text().splitlines()) == 7
        strip(gt, tmp_path / "boxes", held_out_dir=tmp_path / "held_out", split="full")
        assert sorted(tree(tmp_path / "held_out")) == ["held_out.json"]

    def test_a_second_run_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Nothing is appended to what an earlier run left."""
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        outs = {
            "held_out_dir": tmp_path / "out" / "held_out",
            "identities_dir": tmp_path / "out" / "identities",
        }
        strip(gt, tmp_path / "out" / "boxes", **outs)
        first = tree(tmp_path / "out")
        strip(gt, tmp_path / "out" / "boxes", **outs)
        assert tree(tmp_path / "out") == first

    def test_table_for_people(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED, "MOT17-04": MIXED})
        report = strip(gt, tmp_path / "boxes", split="sequence", validation_sequences=("MOT17-04",))
        lines = format_report("MOT17", report).splitlines()
        assert lines[0].split() == [
            "MOT17",
            "frames",
            "kept",
            "outside",
            "split",
            "flag",
            "class",
            "degenerate",
            "visibility",
        ]
        assert lines[1].split() == ["MOT17-02", "1-10", "5", "0", "2", "1", "1", "1"]
        assert lines[2].split() == ["MOT17-04", "held", "out", "0", "10", "0", "0", "0", "0"]
        assert lines[3].split() == ["all", "5", "10", "2", "1", "1", "1"]


box = st.tuples(
    st.integers(1, 10),  # frame
    st.sampled_from([10.0, 10.5, -4.25]),  # few values: ties are the hard case
    st.sampled_from([0.0, 3.0, 7.5]),
    st.sampled_from([1, 1, 1, 3, 7]),
    st.sampled_from([0, 1]),
    st.sampled_from([0.0, 0.1, 0.6, 1.0]),
)


class TestIdentityWall:
    @settings(max_examples=60, deadline=None)
    @given(rows=st.lists(box, min_size=1, max_size=30), data=st.data(), split=st.sampled_from(["half", "full"]))
    def test_no_identity_and_no_order_changes_a_byte(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        rows: list[tuple[float, ...]],
        data: st.DataObject,
        split: str,
    ) -> None:
        folder = tmp_path_factory.mktemp("wall")
        rows = [*rows, (1, 50.0, 9.0, 1, 1, 1.0)]  # at least one box stays
        identities = data.draw(st.lists(st.integers(-5, 10**9), min_size=len(rows), max_size=len(rows)))
        order = data.draw(st.permutations(range(len(rows))))

        def text(ids: list[int], positions: list[int]) -> str:
            return "".join(
                f"{int(f)},{ids[i]},{x},5,{w},8,{flag},{category},{visibility}\n"
                for i in positions
                for f, x, w, category, flag, visibility in [rows[i]]
            )

        straight = list(range(len(rows)))
        one = ground_truth(folder / "one", {"MOT17-02": text([i + 1 for i in straight], straight)})
        other = ground_truth(folder / "other", {"MOT17-02": text(identities, list(order))})
        strip(one, folder / "boxes-one", split=split, held_out_dir=folder / "held-out-one")
        strip(other, folder / "boxes-other", split=split, held_out_dir=folder / "held-out-other")
        assert tree(folder / "boxes-one") == tree(folder / "boxes-other")
        assert tree(folder / "held-out-one") == tree(folder / "held-out-other")

    def test_every_written_identity_is_unknown(self, tmp_path: Path) -> None:
        strip(ground_truth(tmp_path / "gt", {"MOT17-02": MIXED}), tmp_path / "boxes")
        assert set(read_training_boxes(tmp_path / "boxes" / "MOT17-02.txt").identity.tolist()) == {-1}

    def test_boxes_with_identities_are_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("1,-1,1,1,4,4,1,1,1\n1,3,1,1,4,4,1,1,1\n")
        with pytest.raises(InputError, match="has rows with identities, which training must not see"):
            read_training_boxes(tmp_path / "x.txt")


class TestMistakes:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2,1,nan,20,5,8,1,1,1", r"MOT17-02/gt\.txt:11: column 3 is 'nan'"),
            ("2,1,10,20,5,8,1", r"MOT17-02/gt\.txt:11 has 7 columns"),
            ("11,1,10,20,5,8,1,1,1", r"MOT17-02/gt\.txt:11: frame 11 is beyond"),
        ],
    )
    def test_faulty_row_keeps_earlier_outs(self, tmp_path: Path, row: str, message: str) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        strip(gt, tmp_path / "out" / "boxes", held_out_dir=tmp_path / "out" / "held_out")
        before = tree(tmp_path / "out")
        ground_truth(gt, {"MOT17-02": MIXED + row + "\n"})
        with pytest.raises(InputError, match=message):
            strip(gt, tmp_path / "out" / "boxes", held_out_dir=tmp_path / "out" / "held_out")
        assert tree(tmp_path / "out") == before

    def test_nothing_left(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        with pytest.raises(InputError, match=r"none of the 10 boxes of MOT17 is left by 'strip\.classes: \[5\]'"):
            strip(gt, tmp_path / "boxes", classes=(5,))

    def test_everything_held_out(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"MOT17-02": MIXED})
        options = {"split": "sequence", "validation_sequences": ("MOT17-02",)}
        with pytest.raises(InputError, match="leaves no sequence to train on"):
            strip(gt, tmp_path / "boxes", **options)
        strip(gt, tmp_path / "boxes", benchmarks=("MOT17", "MOT20"), **options)  # others train
        assert read_strip_report(tmp_path / "boxes") == {}

    def test_leak(self, tmp_path: Path) -> None:
        gt = ground_truth(tmp_path / "gt", {"Venice-2": MIXED, "TUD-Campus": MIXED})
        with pytest.raises(InputError, match=r"MOT15's Venice-2 would train .* MOT17-02"):
            strip(
                gt,
                tmp_path / "boxes",
                benchmark="MOT15",
                split="sequence",
                validation_sequences=("MOT17-02",),
                benchmarks=("MOT15", "MOT17"),
            )

    @pytest.mark.parametrize("text", ["1\n", "1\n2\n3\n", "1\nx\n", "1\n2.5\n", "1\n" + "9" * 30, "1\n\xff\n"])
    def test_identities_that_are_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.txt").write_text("1\n-4\n")
        assert read_identities(tmp_path / "x.txt", 2).tolist() == [1, -4]
        (tmp_path / "x.txt").write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"x\.txt should hold one whole number for each of 2 boxes"):
            read_identities(tmp_path / "x.txt", 2)

    def test_absent_inputs(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"manifest\.json does not exist: run the download stage"):
            strip(tmp_path, tmp_path / "boxes")
        with pytest.raises(InputError, match=r"x\.txt cannot be read .*: run the strip stage"):
            read_training_boxes(tmp_path / "x.txt")
        with pytest.raises(InputError, match=r"strip\.json does not exist: run the strip stage"):
            read_strip_report(tmp_path)
        for text in ("", "[]", '{"sequences": {"a": {}}}', '{"sequences": {"a": {"frames": [3, 1]}}}'):
            (tmp_path / "strip.json").write_text(text)
            with pytest.raises(InputError, match=r"strip\.json is not a report"):
                read_strip_report(tmp_path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: params.yaml whose source is `zips/`, where MOT17.zip holds two small films."""
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  source: \S+", "  source: zips", text)
    text = re.sub(r"(?m)^  benchmarks: \[.*\]", "  benchmarks: [MOT17]", text)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "zips").mkdir()
    files = sequence_files("MOT17/train/MOT17-02-SDP", 6) | sequence_files("MOT17/train/MOT17-04-SDP", 4)
    write_zip(tmp_path / "zips" / "MOT17.zip", files)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestStages:
    def test_as_dvc_runs_them(self, project: Path) -> None:
        def run(name: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", f"stages.{name}", "MOT17"]
            environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        done = run("download")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        done = run("strip")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines()] == [
            "MOT17",
            "MOT17-02",
            "MOT17-04",
            "all",
        ]
        boxes = sorted(tree(project / "data" / "boxes" / "MOT17"))
        assert boxes == ["MOT17-02.txt", "MOT17-04.txt", "strip.json"]
        assert sorted(p.name for p in (project / "data").iterdir()) == [
            "boxes",
            "detections",
            "frames",
            "gt",
            "held_out",
            "identities",
        ]
        before = tree(project / "data")
        (project / "zips" / "MOT17.zip").write_text("not a zip")
        done = run("download")
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert "MOT17.zip is not a zip archive (it starts with 'not a zip')" in done.stderr
        assert tree(project / "data") == before

    def test_mistakes_are_one_line_and_exit_code_2(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def run(name: str, *arguments: str) -> None:
            monkeypatch.setattr(sys, "argv", [name, *arguments])
            runpy.run_path(str(REPOSITORY / "stages" / f"{name}.py"), run_name="__main__")
            capsys.readouterr()

        def refused(message: str, name: str = "download", arguments: tuple[str, ...] = ("MOT17",)) -> None:
            with pytest.raises(SystemExit) as caught:
                run(name, *arguments)
            assert caught.value.code == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert len(err.splitlines()) == 1
            assert err.startswith("error: ")
            assert message in err
            assert tree(project / "data") == before

        run("download", "MOT17")
        run("strip", "MOT17")
        before = tree(project / "data")
        archive = project / "zips" / "MOT17.zip"
        whole = archive.read_bytes()
        archive.write_bytes(whole[:-30])
        refused("MOT17.zip is cut off or damaged")
        archive.write_bytes(whole)
        frame = "MOT17/train/MOT17-04-SDP/img1/000004.jpg"
        damage(archive, frame)
        refused(f"MOT17.zip is damaged at {frame}")
        for tail, message in (
            ("1,7,nan,1,2,3,1,1,1", "column 3 is 'nan'"),
            ("1,7,1,1,2,3,1", "has 7 columns"),
        ):
            files = sequence_files("MOT17/train/MOT17-02-SDP", 6, gt=gt_rows(6) + tail + "\n")
            write_zip(archive, files)
            refused("MOT17.zip:MOT17/train/MOT17-02-SDP/gt/gt.txt:19")
            refused(message)
        files = sequence_files("MOT17/train/MOT17-02-SDP", 6)
        del files["MOT17/train/MOT17-02-SDP/img1/000004.jpg"]
        write_zip(archive, files)
        refused("img1/000004.jpg is missing")
        archive.unlink()
        refused("MOT17.zip does not exist (it has no zip) and ")
        refused("usage: python -m stages.download {MOT15,MOT17,MOT20}", "download", ("MOT99",))
        refused("usage: python -m stages.strip {MOT15,MOT17,MOT20}", "strip", ("MOT17", "MOT20"))
        refused("data/gt/MOT20/manifest.json does not exist", "strip", ("MOT20",))
        params = project / "params.yaml"
        params.write_text(params.read_text(encoding="utf-8").replace("min_visibility", "min_visibilty"))
        refused("did you mean 'strip.min_visibility'?", "strip")


@pytest.mark.shared_data
def test_real_frames(shared: Path, tmp_path: Path) -> None:
    frames, gt, boxes = (tmp_path / name for name in ("frames", "gt", "boxes"))
    extract_benchmark(shared / "data" / "MOT17.zip", "MOT17", "half", frames, gt)
    shutil.rmtree(frames)
    (report,) = strip(gt, boxes).values()
    assert report.frames == FrameRange(1, 301)
    assert report.kept + sum(report.dropped[reason] for reason in REASONS) == 30_003
    table = read_training_boxes(boxes / "MOT17-02.txt")
    assert len(table) == report.kept == 5664
    assert table.visibility.min() >= 0.1
    assert table.frame.max() <= 301


def detector_boxes(folder: Path, table: str, min_score: float = 0.5, length: int = 10) -> DetectorBoxes:
    """A folder of detections of `film`, and of a film without ground truth."""
    frames, boxes = folder / "frames", folder / "boxes"
    for place in (frames, boxes):
        place.mkdir(parents=True, exist_ok=True)
    entries = [
        ManifestEntry(name, subset, length, 640, 480, 25.0)
        for name, subset in (("film", "train"), ("unlabelled", "test"))
    ]
    write_manifest(frames, "MOT17", entries)
    for entry in entries:
        (boxes / f"{entry.name}.txt").write_text(table)
    return DetectorBoxes(str(boxes), min_score, frames, folder / "public")


FOUND = "1,-1,10,20,5,8,0.9\n1,-1,30,20,5,8,0.4\n9,-1,10,20,5,8,0.7\n9,-1,30,20,0,8,0.7\n"


def test_a_detectors_boxes_train_where_they_are_told_to(tmp_path):
    gt = ground_truth(tmp_path / "gt", {"film": MIXED})
    given = detector_boxes(tmp_path, FOUND)
    report = strip(gt, tmp_path / "out", detector=given, split="itself", held_out_dir=tmp_path / "held")
    assert report["film"].kept == 2
    assert report["film"].dropped["flag"] == 1  # a low score
    assert report["film"].dropped["degenerate"] == 1
    rows = (tmp_path / "out" / "film.txt").read_text().splitlines()
    assert rows == ["1,-1,10,20,5,8,1,1,1", "9,-1,10,20,5,8,1,1,1"]
    # A film without ground truth trains as well, and is judged by no one.
    assert (tmp_path / "out" / "unlabelled.txt").read_text().splitlines() == rows
    assert not (tmp_path / "held" / "unlabelled.txt").exists()


def test_no_identity_and_no_true_box_reaches_a_detectors_boxes(tmp_path):
    given = detector_boxes(tmp_path, FOUND)
    outs = []
    for number, table in enumerate([MIXED, "1,77,1,1,500,400,1,1,1\n"]):
        gt = ground_truth(tmp_path / f"gt{number}", {"film": table})
        strip(gt, tmp_path / f"out{number}", detector=given, split="itself")
        outs.append(tree(tmp_path / f"out{number}"))
    assert outs[0] == outs[1]


def test_a_detectors_frames_must_be_the_films(tmp_path):
    gt = ground_truth(tmp_path / "gt", {"film": MIXED})
    with pytest.raises(InputError, match=r"boxes of frame 9, but film has 5 frames"):
        strip(gt, tmp_path / "out", detector=detector_boxes(tmp_path, FOUND, length=5), split="itself")


def test_public_boxes_must_be_there(tmp_path):
    gt = ground_truth(tmp_path / "gt", {"film": MIXED})
    given = dataclasses.replace(detector_boxes(tmp_path, FOUND), source="public")
    with pytest.raises(InputError, match=r"'strip.boxes: public' needs one"):
        strip(gt, tmp_path / "out", detector=given, split="itself")
