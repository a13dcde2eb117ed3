"""The identity wall, and what else strip leaves out."""

from __future__ import annotations

import errno
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_archive import damage, gt_rows, sequence_files, tree, write_zip

from clmot.archives.extract import extract_benchmark
from clmot.data.frames import find_training_frames
from clmot.data.strip import format_report, strip_benchmark
from clmot.data.training_folder import (
    REASONS,
    StrippedSequence,
    read_identities,
    read_strip_report,
    read_training_boxes,
)
from clmot.errors import InputError
from clmot.motchallenge.sequence import (
    ManifestEntry,
    SequenceInfo,
    read_manifest,
    read_seqinfo,
    write_manifest,
    write_seqinfo,
)
from clmot.motchallenge.splits import FrameRange, Split
from clmot.params import StripParams

REPOSITORY = Path(__file__).resolve().parents[2]


def ground_truth(data: Path, tables: dict[str, str], length: int = 10, benchmark: str = "MOT17") -> Path:
    """`data/gt/B` with these tables, and `data/frames/B` with frames that no one looks at."""
    frames, gt = data / "frames" / benchmark, data / "gt" / benchmark
    for name, text in tables.items():
        (gt / name).mkdir(parents=True, exist_ok=True)
        (gt / name / "gt.txt").write_text(text)
        draw_frames(frames / name, length)
    entries = [ManifestEntry(name, "train", length, 640, 480, 25.0) for name in tables]
    for folder in (frames, gt):
        write_manifest(folder, benchmark, entries)
    return data


def draw_frames(folder: Path, length: int) -> None:
    write_seqinfo(folder / "seqinfo.ini", SequenceInfo(folder.name, "img1", 25.0, length, 640, 480, ".jpg"))
    (folder / "img1").mkdir(parents=True, exist_ok=True)
    for number in range(1, length + 1):
        (folder / "img1" / f"{number:06d}.jpg").write_text(f"{folder.name} {number}")


def strip(data: Path, **changes: Any) -> dict[str, StrippedSequence]:
    values = {"classes": (1,), "min_visibility": 0.1, "boxes": "truth", "min_score": 0.5, "keep_identities": False}
    values |= {"held_out_identities": False, "flagged": (1,)}
    params = StripParams(**values | {name: changes.pop(name) for name in list(changes) if name in values})
    split = Split(changes.pop("split", "half"), changes.pop("held_out", ()))
    return strip_benchmark(data, changes.pop("benchmark", "MOT17"), split, params, **changes)


OUTS = ("training", "held_out", "identities")


def training(data: Path) -> Path:
    return data / "training" / "MOT17"


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
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        report = strip(data)
        assert (training(data) / "MOT17-02" / "boxes.txt").read_bytes() == (
            b"1,-1,-3,20,5,8,1,1,0.1\n"
            b"1,-1,10.25,20,5,8,1,1,1\n"
            b"1,-1,10.25,20,5,8,1,1,1\n"  # equal boxes of two people both stay
            b"3,-1,10.5,20,5,8,1,1,0.5\n"
        )
        dropped = {"outside_split": 2, "flag": 1, "class": 1, "degenerate": 1, "visibility": 1}
        assert report == {"MOT17-02": StrippedSequence(FrameRange(1, 6), 4, dropped)}
        del dropped["outside_split"]  # how long the film goes on is no business of training
        assert json.loads((training(data) / "strip.json").read_text()) == {
            "benchmark": "MOT17",
            "sequences": {"MOT17-02": {"frames": [1, 6], "kept": 4, "dropped": dropped}},
        }
        assert read_strip_report(training(data)) == {"MOT17-02": FrameRange(1, 6)}

    def test_classes_and_visibility(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        report = strip(data, classes=(7, 1), min_visibility=0)
        assert report["MOT17-02"].kept == 6

    def test_rows_without_class_and_visibility(self, tmp_path: Path) -> None:
        data = ground_truth(
            tmp_path, {"TUD-Campus": gt_rows(10, columns=10) + "2,9,1,1,4,4,0,-1,-1,-1\n"}, benchmark="MOT15"
        )
        report = strip(data, benchmark="MOT15", min_visibility=0.9)
        assert report["TUD-Campus"].kept == 12
        assert report["TUD-Campus"].dropped["flag"] == 1
        film = data / "training" / "MOT15" / "TUD-Campus"
        assert (film / "forgiven.txt").read_text() == ""  # finding who is flagged out is a mistake
        assert (film / "boxes.txt").read_text().startswith("1,-1,5,4,6.5,12,1,1,1\n")

    def test_held_out_sequences_have_no_file(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED, "MOT17-04": MIXED})
        report = strip(data, split="sequence", held_out=("MOT17-04-DPM",))
        assert sorted(path.name for path in training(data).iterdir()) == ["MOT17-02", "strip.json"]
        assert report["MOT17-04"].frames is None
        assert report["MOT17-04"].dropped["outside_split"] == 10
        assert read_strip_report(training(data)) == {"MOT17-02": FrameRange(1, 10)}

    def test_a_film_without_training_people(self, tmp_path: Path) -> None:
        nobody = "1,1,10,20,5,8,0,1,1\n"
        data = ground_truth(tmp_path, {"MOT17-02": MIXED, "MOT17-04": nobody})
        strip(data)
        assert (training(data) / "MOT17-04" / "boxes.txt").read_bytes() == b""
        assert len(read_training_boxes(training(data) / "MOT17-04" / "boxes.txt")) == 0
        assert read_strip_report(training(data))["MOT17-04"] == FrameRange(1, 6)

    @pytest.mark.parametrize(
        ("benchmark", "classes", "forgiven"),
        [
            ("MOT17", (1,), ["2,-1,30,20,5,8,0,7,1", "2,-1,60,20,5,8,0,13,1"]),
            # The rules of MOT20 forgive vehicles without a motor as well.
            (
                "MOT20",
                (1,),
                ["2,-1,30,20,5,8,0,7,1", "2,-1,50,20,5,8,0,6,1", "2,-1,60,20,5,8,0,13,1"],
            ),
            ("MOT17", (3,), []),
            ("MOT17", (1, 7), ["2,-1,60,20,5,8,0,13,1"]),
            ("MOT15", (1,), ["2,-1,60,20,5,8,0,13,1"]),
        ],
    )
    def test_what_the_rules_forgive_stands_apart(
        self, tmp_path: Path, benchmark: str, classes: tuple[int, ...], forgiven: list[str]
    ) -> None:
        rows = "2,1,10,20,5,8,0,1,1\n2,2,20,20,5,8,1,1,1\n2,3,30,20,5,8,0,7,1\n2,4,40,20,5,8,0,3,1\n"
        rows += "2,5,50,20,5,8,0,6,1\n2,6,60,20,5,8,0,13,1\n2,7,70,20,0,8,0,7,1\n9,8,30,20,5,8,0,7,1\n"
        data = ground_truth(tmp_path, {"film": rows}, benchmark=benchmark)
        strip(data, benchmark=benchmark, classes=classes)
        folder = data / "training" / benchmark / "film"
        assert (folder / "forgiven.txt").read_text().splitlines() == forgiven
        frames = find_training_frames(data / "training", [benchmark])
        assert [len(frame.forgiven) for frame in frames] == [0, len(forgiven), 0, 0, 0, 0]
        if forgiven:
            assert frames[1].forgiven[-1].tolist() == [59, 19, 64, 27]

    def test_written_numbers_read_back_exactly(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).normal(scale=300, size=(20, 2)) / 3
        rows = "".join(
            f"1,{i},{x!r},{y!r},5.1,8e-3,1,1,0.3333333333333333\n" for i, (x, y) in enumerate(values.tolist())
        )
        data = ground_truth(tmp_path, {"MOT17-02": rows})
        strip(data)
        table = read_training_boxes(training(data) / "MOT17-02" / "boxes.txt")
        assert sorted(map(tuple, table.box[:, :2].tolist())) == sorted(map(tuple, values.tolist()))
        assert set(table.box[:, 3].tolist()) == {8e-3}
        assert set(table.visibility.tolist()) == {0.3333333333333333}

    def test_boxes_of_the_tracked_frames_stand_apart(self, tmp_path: Path) -> None:
        """Those that evaluation counts, nearly hidden ones too: flagged pedestrians, numbered within the film."""
        data = ground_truth(tmp_path, {"MOT17-02": MIXED + "10,4,70.5,20,0,8,1,1,0\n10,3,1,20,5,8,1,1,1\n"})
        out = data / "held_out" / "MOT17"
        report = strip(data, min_visibility=1)
        assert (out / "MOT17-02.txt").read_bytes() == (
            b"7,-1,70,20,5,8,1,1,1\n"
            b"10,-1,1,20,5,8,1,1,1\n"
            b"10,-1,70.5,20,0,8,1,1,0\n"  # evaluation counts a box without width, too
        )
        assert json.loads((out / "held_out.json").read_text()) == {
            "benchmark": "MOT17",
            "sequences": {"MOT17-02": {"frames": [7, 10], "boxes": 3}},
        }
        assert read_manifest(out) == read_manifest(data / "frames" / "MOT17")
        assert report["MOT17-02"].kept == 2  # those that train are chosen otherwise

    def test_a_bound_may_see_who_is_tracked_and_training_sees_no_more(self, tmp_path: Path) -> None:
        closed, opened = (ground_truth(tmp_path / name, {"MOT17-02": MIXED}) for name in ("closed", "opened"))
        strip(closed)
        strip(opened, held_out_identities=True)
        for out in ("training", "identities"):
            assert tree(closed / out) == tree(opened / out)
        rows = (opened / "held_out/MOT17/MOT17-02.txt").read_text().splitlines()
        hidden = (closed / "held_out/MOT17/MOT17-02.txt").read_text().splitlines()
        assert {row.split(",")[1] for row in hidden} == {"-1"}
        assert "-1" not in {row.split(",")[1] for row in rows}
        assert [row.split(",")[2:] for row in rows] == [row.split(",")[2:] for row in hidden]

    def test_only_held_out_sequences_have_held_out_boxes(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED, "MOT17-04": MIXED})
        options = {"split": "sequence", "held_out": ("MOT17-04",)}
        out = data / "held_out" / "MOT17"
        strip(data, **options)
        assert sorted(tree(out)) == ["MOT17-04.txt", "held_out.json", "manifest.json"]
        assert len((out / "MOT17-04.txt").read_text().splitlines()) == 7
        strip(data, split="full")
        assert sorted(tree(out)) == ["held_out.json", "manifest.json"]

    def test_a_second_run_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Nothing is appended to what an earlier run left."""
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        strip(data)
        first = tree(data)
        strip(data)
        assert tree(data) == first

    def test_table_for_people(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED, "MOT17-04": MIXED})
        report = strip(data, split="sequence", held_out=("MOT17-04",))
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
        for project in (one, other):
            strip(project, split=split)
        for out in OUTS:
            assert tree(one / out) == tree(other / out)

    def test_every_written_identity_is_unknown(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        strip(data)
        assert set(read_training_boxes(training(data) / "MOT17-02" / "boxes.txt").identity.tolist()) == {-1}

    def test_boxes_with_identities_are_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("1,-1,1,1,4,4,1,1,1\n1,3,1,1,4,4,1,1,1\n")
        with pytest.raises(InputError, match="has rows with identities, which training must not see"):
            read_training_boxes(tmp_path / "x.txt")


class TestMistakes:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2,1,nan,20,5,8,1,1,1", r"MOT17-02/gt\.txt:11: column 3 is 'nan'"),
            ("2,1,10,20,5,8,1", r"MOT17-02/gt\.txt:11: has 7 columns"),
            ("11,1,10,20,5,8,1,1,1", r"MOT17-02/gt\.txt:11: frame 11 is beyond"),
        ],
    )
    def test_faulty_row_keeps_earlier_outs(self, tmp_path: Path, row: str, message: str) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        strip(data)
        before = [tree(data / out) for out in OUTS]
        ground_truth(data, {"MOT17-02": MIXED + row + "\n"})
        with pytest.raises(InputError, match=message):
            strip(data)
        assert [tree(data / out) for out in OUTS] == before

    def test_a_missing_frame_keeps_earlier_outs(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED, "MOT17-04": MIXED})
        strip(data)
        before = [tree(data / out) for out in OUTS]
        (data / "frames/MOT17/MOT17-04/img1/000007.jpg").unlink()  # held out: no business of strip's
        strip(data)
        (data / "frames/MOT17/MOT17-04/img1/000006.jpg").unlink()
        with pytest.raises(InputError, match=r"MOT17-04/img1/000006\.jpg is missing: delete .*frames/MOT17 and run"):
            strip(data)
        assert [tree(data / out) for out in OUTS] == before

    @pytest.mark.parametrize("wanted", [[1, 3], [3], [3, 7]])
    def test_classes_that_the_flags_exclude(self, tmp_path: Path, wanted: list[int]) -> None:
        """Where flags count for a class that has no flagged box, it would be dropped without a word."""
        rows = "1,1,10,20,5,8,1,1,1\n1,2,30,20,9,8,0,3,1\n2,1,10,20,5,8,1,7,1\n"
        data = ground_truth(tmp_path, {"MOT17-02": rows})
        with pytest.raises(InputError, match=r"'strip\.classes' names 3, but all 1 boxes .* have the flag 0"):
            strip(data, classes=tuple(wanted), flagged=(1, 3))

    @pytest.mark.parametrize(
        ("classes", "flagged", "trains", "held_out"),
        [
            ((1,), (1,), {10}, {10}),
            ((3,), (1,), {40, 50}, {40, 50}),
            ((3,), (1, 3), {50}, {50}),
            ((3, 6), (1,), {40, 50, 60}, {40, 50, 60}),
            ((1, 3), (1,), {10, 40, 50}, {10, 40, 50}),
            ((1,), (), {10, 20}, {10, 20}),
        ],
        ids=["people", "cars", "flagged cars", "cars and carts in one", "people and cars in one", "unflagged people"],
    )
    def test_another_kind_of_object(
        self,
        tmp_path: Path,
        classes: tuple[int, ...],
        flagged: tuple[int, ...],
        trains: set[int],
        held_out: set[int],
    ) -> None:
        """MOT16, MOT17 and MOT20 flag pedestrians alone; the flag of other classes says nothing unless it is asked."""
        boxes = {10: (1, 1), 20: (0, 1), 40: (0, 3), 50: (1, 3), 60: (0, 6), 70: (0, 9)}  # x -> flag, class
        rows = "".join(
            f"{frame},{x},{x},20,5,8,{flag},{category},1\n" for frame in (1, 8) for x, (flag, category) in boxes.items()
        )
        data = ground_truth(tmp_path, {"MOT17-02": rows})
        strip(data, classes=classes, flagged=flagged)
        table = read_training_boxes(training(data) / "MOT17-02" / "boxes.txt")
        assert {*table.box[:, 0].tolist()} == trains
        assert {*table.frame.tolist()} == {1}
        tracked = read_training_boxes(data / "held_out" / "MOT17" / "MOT17-02.txt")
        assert ({*tracked.box[:, 0].tolist()}, {*tracked.frame.tolist()}) == (held_out, {8})

    def test_flags_that_tell_boxes_of_a_class_apart_are_told_of(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": "1,1,10,20,5,8,1,3,1\n2,1,10,20,5,8,0,3,1\n"})
        strip(data, classes=(3,))
        said = capsys.readouterr().err
        assert "MOT17 has 1 boxes of class 3 with the flag 0 beside 1 with another, and all of them train" in said
        strip(data, classes=(3,), flagged=(3,))
        assert capsys.readouterr().err == ""

    def test_nothing_left(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        with pytest.raises(InputError, match=r"none of the 10 boxes of MOT17 is left by 'strip\.classes: \[5\]'"):
            strip(data, classes=(5,))

    def test_everything_held_out(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"MOT17-02": MIXED})
        options = {"split": "sequence", "held_out": ("MOT17-02",)}
        with pytest.raises(InputError, match="leaves no sequence to train on"):
            strip(data, **options)
        strip(data, benchmarks=("MOT17", "MOT20"), **options)  # others train
        assert read_strip_report(training(data)) == {}

    def test_leak(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, {"Venice-2": MIXED, "TUD-Campus": MIXED}, benchmark="MOT15")
        with pytest.raises(InputError, match=r"MOT15's Venice-2 would train .* MOT17-02"):
            strip(
                data,
                benchmark="MOT15",
                split="sequence",
                held_out=("MOT17-02",),
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
            strip(tmp_path)
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
    text = re.sub(r"(?m)^  benchmarks:(\n  - \w+)+", "  benchmarks: [MOT17]", text)
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
            command = [sys.executable, "-m", f"stages.{name}", *(["MOT17"] if name != "scenes" else [])]
            environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        for stage in ("scenes", "download"):
            done = run(stage)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        done = run("strip")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines()] == [
            "MOT17",
            "MOT17-02",
            "MOT17-04",
            "all",
        ]
        assert [name for name in sorted(tree(training(project / "data"))) if not name.endswith(".jpg")] == [
            "MOT17-02/boxes.txt",
            "MOT17-02/forgiven.txt",
            "MOT17-02/seqinfo.ini",
            "MOT17-04/boxes.txt",
            "MOT17-04/forgiven.txt",
            "MOT17-04/seqinfo.ini",
            "strip.json",
        ]
        assert sorted(p.name for p in (project / "data").iterdir()) == [
            "detections",
            "frames",
            "gt",
            "held_out",
            "identities",
            "scenes.json",
            "training",
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

        run("scenes")
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
    frames, gt = (tmp_path / name / "MOT17" for name in ("frames", "gt"))
    extract_benchmark(shared / "data" / "MOT17.zip", "MOT17", "half", frames, gt)
    (report,) = strip(tmp_path).values()
    assert report.frames == FrameRange(1, 301)
    assert report.kept + sum(report.dropped[reason] for reason in REASONS) == 30_003
    table = read_training_boxes(training(tmp_path) / "MOT17-02" / "boxes.txt")
    assert len(table) == report.kept == 5664
    assert table.visibility.min() >= 0.1
    assert table.frame.max() <= 301


FILMS = {"MOT17-02": MIXED, "MOT17-04": MIXED}


class TestTrainingFolder:
    """All that training sees: links to the frames of the training ranges, and their boxes."""

    @pytest.mark.parametrize("length", [1, 2, 9])
    def test_frames_that_train_are_links(self, tmp_path: Path, length: int) -> None:
        data = ground_truth(tmp_path, {"film": "1,1,10,20,5,8,1,1,1\n"}, length)
        strip(data)
        folder = training(data) / "film"
        names = [f"{number:06d}.jpg" for number in range(1, min(length, length // 2 + 1) + 1)]
        assert sorted(path.name for path in (folder / "img1").iterdir()) == names
        for name in names:
            assert (folder / "img1" / name).samefile(data / "frames/MOT17/film/img1" / name)
        assert read_seqinfo(folder / "seqinfo.ini").length == len(names)
        found = find_training_frames(data / "training", ["MOT17"])
        assert [(frame.image.name, frame.number) for frame in found] == [(n, i) for i, n in enumerate(names, 1)]

    @pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EPERM, errno.EMLINK])
    def test_frames_that_cannot_be_linked_are_copied_and_it_is_said_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refusal: int
    ) -> None:
        data = ground_truth(tmp_path, FILMS)
        strip(data)
        linked = tree(data / "training")

        def refuse(*_: object) -> None:
            raise OSError(refusal, os.strerror(refusal))

        monkeypatch.setattr(os, "link", refuse)
        strip(data)
        assert tree(data / "training") == linked
        image = "MOT17-02/img1/000001.jpg"
        assert not (training(data) / image).samefile(data / "frames" / "MOT17" / image)
        said = (
            f"note: the frames of MOT17 that train are copied, because they cannot be linked ({os.strerror(refusal)})."
        )
        assert capsys.readouterr().err == f"{said}\n"

    def test_copies_that_do_not_fit_are_not_begun(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = ground_truth(tmp_path, FILMS)

        def refuse(*_: object) -> None:
            raise OSError(errno.EXDEV, "no")

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 10))
        with pytest.raises(InputError, match=r"a copy of the frames of MOT17 that train needs 0\.00 GB"):
            strip(data)
        assert tree(data / "training") == {}

    def test_links_of_frames_that_are_symbolic_links(self, tmp_path: Path) -> None:
        """DVC can be told to link so; the training frame shall not depend on that."""
        data = ground_truth(tmp_path, FILMS)
        image = data / "frames/MOT17/MOT17-02/img1/000002.jpg"
        image.rename(tmp_path / "cached")
        image.symlink_to(tmp_path / "cached")
        strip(data)
        found = training(data) / "MOT17-02/img1/000002.jpg"
        assert not found.is_symlink()
        assert found.samefile(tmp_path / "cached")

    @pytest.mark.parametrize("rows", ["", "7,1,1,1,5,5,1,1,1\n", "12,9,1,1,5,5,0,7,1\n11,3,1,1,5,5,1,1,1\n"])
    def test_what_is_held_out_changes_no_byte(self, tmp_path: Path, rows: str) -> None:
        """One more frame at the end (10 and 11 are halved alike), and other rows there."""
        outs = []
        for length, more in ((10, ""), (11, rows if "12" not in rows else "")):
            data = ground_truth(tmp_path / str(length), {"film": MIXED + more}, length)
            strip(data)
            outs.append(tree(data / "training"))
        assert outs[0] == outs[1]

    def test_a_film_of_the_test_set_changes_no_byte(self, tmp_path: Path) -> None:
        data = ground_truth(tmp_path, FILMS)
        for split in ("half", "full"):
            strip(data, split=split)
            before = tree(data / "training")
            entries = read_manifest(data / "frames" / "MOT17")
            new = ManifestEntry("street", "test", 5, 640, 480, 25.0)
            write_manifest(data / "frames" / "MOT17", "MOT17", [*entries, new])
            strip(data, split=split)
            assert tree(data / "training") == before
            write_manifest(data / "frames" / "MOT17", "MOT17", entries)


def detector_boxes(data: Path, table: str, length: int = 10, kind: str = "mine") -> str:
    """A folder of detections of `film`, and of a film without ground truth; its path."""
    frames, boxes = data / "frames" / "MOT17", data / kind
    boxes.mkdir(parents=True, exist_ok=True)
    entries = [
        ManifestEntry(name, subset, length, 640, 480, 25.0)
        for name, subset in (("film", "train"), ("unlabelled", "test"))
    ]
    for entry in entries:
        draw_frames(frames / entry.name, length)
        (boxes / f"{entry.name}.txt").write_text(table)
    write_manifest(frames, "MOT17", entries)
    return str(boxes)


FOUND = "1,-1,10,20,5,8,0.9\n1,-1,30,20,5,8,0.4\n9,-1,10,20,5,8,0.7\n9,-1,30,20,0,8,0.7\n"


def test_a_detectors_boxes_train_where_they_are_told_to(tmp_path):
    data = ground_truth(tmp_path, {"film": MIXED})
    report = strip(data, boxes=detector_boxes(data, FOUND), split="itself")
    assert report["film"].kept == 2
    assert report["film"].dropped["flag"] == 1  # a low score
    assert report["film"].dropped["degenerate"] == 1
    rows = (training(data) / "film" / "boxes.txt").read_text().splitlines()
    assert rows == ["1,-1,10,20,5,8,1,1,1", "9,-1,10,20,5,8,1,1,1"]
    assert (training(data) / "film" / "forgiven.txt").read_text() == "1,-1,30,20,5,8,0,1,1\n"
    # A film without ground truth trains as well, and is judged by no one.
    assert (training(data) / "unlabelled" / "boxes.txt").read_text().splitlines() == rows
    assert len(list((training(data) / "unlabelled" / "img1").iterdir())) == 10
    assert not (data / "held_out" / "MOT17" / "unlabelled.txt").exists()


def test_no_identity_and_no_true_box_reaches_a_detectors_boxes(tmp_path):
    outs = []
    for number, table in enumerate([MIXED, "1,77,1,1,500,400,1,1,1\n"]):
        data = ground_truth(tmp_path / str(number), {"film": table})
        strip(data, boxes=detector_boxes(data, FOUND), split="itself")
        outs.append(tree(data / "training"))
    assert outs[0] == outs[1]


def test_a_detectors_frames_must_be_the_films(tmp_path):
    data = ground_truth(tmp_path, {"film": MIXED})
    with pytest.raises(InputError, match=r"boxes of frame 9, but film has 5 frames"):
        strip(data, boxes=detector_boxes(data, FOUND, length=5), split="itself")


def test_public_boxes_must_be_there(tmp_path):
    data = ground_truth(tmp_path, {"film": MIXED})
    detector_boxes(data, FOUND)
    with pytest.raises(InputError, match=r"'strip.boxes: public' needs one"):
        strip(data, boxes="public", split="itself")
    detector_boxes(data, FOUND, kind="detections/MOT17")
    assert strip(data, boxes="public", split="itself")["film"].kept == 2
