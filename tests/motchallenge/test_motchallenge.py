"""The format: tables, seqinfo, manifests and archives, whole and broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_archive import HEIGHT, WIDTH, damage, gt_rows, jpeg, seqinfo, sequence_files, tree, write_zip

from clmot.archives import entries as contents
from clmot.archives import extract as extraction
from clmot.archives.extract import extract_benchmark
from clmot.errors import InputError
from clmot.motchallenge.annotations import (
    AnnotationTable,
    parse_ground_truth,
    read_detections,
    read_ground_truth,
    read_results,
    write_results,
)
from clmot.motchallenge.classes import DISTRACTORS, ObjectClass
from clmot.motchallenge.sequence import (
    ManifestEntry,
    SequenceInfo,
    image_path,
    is_sequence_name,
    parse_seqinfo,
    read_manifest,
    read_seqinfo,
    write_manifest,
    write_seqinfo,
)

GOOD = b"1,1,10,20,5,8,1,1,0.5\n2,1,11,20,5,8,1,1,0.25\n1,2,-3.5,20,5,8,0,7,1\n"


class TestGroundTruth:
    def test_columns(self) -> None:
        table = parse_ground_truth(GOOD, "gt.txt", length=2)
        assert table.frame.tolist() == [1, 2, 1]
        assert table.identity.tolist() == [1, 1, 2]
        assert table.box[2].tolist() == [-3.5, 20, 5, 8]  # boxes may reach outside of the image
        assert table.confidence.tolist() == [1, 1, 0]
        assert table.category.tolist() == [1, 1, 7]
        assert table.visibility.tolist() == [0.5, 0.25, 1]
        assert len(table) == 3

    def test_ten_columns_have_neither_class_nor_visibility(self) -> None:
        table = parse_ground_truth(b"1,1,10,20,5,8,1,-4.5,3,0\n", "gt.txt")
        assert table.category.tolist() == [1]
        assert table.visibility.tolist() == [1.0]

    @pytest.mark.parametrize(
        "data",
        [
            b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"),
            GOOD.replace(b",", b", "),
            b"\n" + GOOD.replace(b"\n", b"\n  \n"),
            GOOD.rstrip(b"\n"),
            GOOD.replace(b"1,1,10", b"1.0,1.000000e+00,10"),
        ],
        ids=["bom and windows line ends", "spaces", "blank lines", "no last line end", "whole floats"],
    )
    def test_harmless_variants_read_the_same(self, data: bytes) -> None:
        expected, table = parse_ground_truth(GOOD, "a"), parse_ground_truth(data, "b")
        for name in ("frame", "identity", "box", "confidence", "category", "visibility"):
            np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2,1,nan,20,5,8,1,1,0.5", r"gt\.txt:3: column 3 is 'nan', expected a finite number"),
            ("2,1,10,20,5,inf,1,1,0.5", r"gt\.txt:3: column 6 is 'inf', expected a finite number"),
            ("2,1,10,20,5,8,1", r"gt\.txt:3: has 7 columns, expected 9 columns"),
            ("2,1,10,20,5,8,1,1,1,1", r"gt\.txt:3: has 10 columns but line 1 has 9"),
            ("2,1,10,20,five,8,1,1,1", r"gt\.txt:3: column 5 is 'five', expected a finite number"),
            ("2,1,10,,5,8,1,1,1", r"gt\.txt:3: column 4 is empty, expected a finite number"),
            ("2,1,10,2_0,5,8,1,1,1", r"gt\.txt:3: column 4 is '2_0'"),
            ("2 1 10 20 5 8 1 1 1", r"gt\.txt:3: has 1 column, expected"),
            ("2,1.5,10,20,5,8,1,1,1", r"gt\.txt:3: identity 1\.5 is not a whole number"),
            ("1.5,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 1\.5 is not a whole number"),
            ("1e300,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 1.*e\+300 is not a whole number"),
            ("0,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 0 is below 1"),
            ("2e9,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 2000000000 is beyond 999999, the last that a film"),
            ("1000000,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 1000000 is beyond 999999"),
            ("3,1,10,20,5,8,1,1,1", r"gt\.txt:3: frame 3 is beyond the sequence's 2 frames"),
            ("2,1,10,20,5,8,1,14,1", r"gt\.txt:3: class 14 is none"),
            (
                "1,1,99,20,5,8,1,1,1",
                r"gt\.txt:3: identity 1 appears twice in frame 1, first on line 1;.* or give -1",
            ),
        ],
    )
    def test_faulty_row_is_named(self, row: str, message: str) -> None:
        data = f"1,1,10,20,5,8,1,1,0.5\n\n{row}\n2,2,10,20,5,8,1,1,0.5\n"
        with pytest.raises(InputError, match=message) as caught:
            parse_ground_truth(data.encode(), "gt.txt", length=2)
        assert "\n" not in str(caught.value)

    def test_unknown_identities_may_repeat(self) -> None:
        data = b"1,-1,10,20,5,8,1,1,1\n1,-1,11,20,5,8,1,1,1\n"
        assert len(parse_ground_truth(data, "gt.txt")) == 2

    def test_not_text_names_the_line(self) -> None:
        with pytest.raises(InputError, match=r"gt\.txt:2: is not text"):
            parse_ground_truth(b"1,1,10,20,5,8,1,1,0.5\n\xff\xfe\n", "gt.txt")

    @pytest.mark.parametrize("data", [b"", b"\n \n"])
    def test_empty_is_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match=r"gt\.txt: has no rows"):
            parse_ground_truth(data, "gt.txt")

    def test_absent_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"gt\.txt does not exist"):
            read_ground_truth(tmp_path / "gt.txt")
        with pytest.raises(InputError, match="cannot be read"):
            read_ground_truth(tmp_path)


class TestTable:
    def test_corners_count_from_zero(self) -> None:
        corners = parse_ground_truth(b"1,1,1,1,48,32,1,1,1\n", "gt.txt").corners()
        np.testing.assert_array_equal(corners, [[0, 0, 48, 32]])

    def test_sorting_and_frames(self) -> None:
        table = parse_ground_truth(GOOD, "gt.txt")
        ordered = table.sorted()
        assert list(zip(ordered.frame, ordered.identity, strict=True)) == [(1, 1), (1, 2), (2, 1)]
        assert table.sorted_by_box().box[:, 0].tolist() == [-3.5, 10, 11]
        late = table.in_frames(2, 5, renumber=True)
        assert late.frame.tolist() == [1]
        assert table.in_frames(2, 5).frame.tolist() == [2]

    def test_empty(self) -> None:
        table = AnnotationTable.empty()
        assert len(table) == 0
        assert table.corners().shape == (0, 4)
        assert len(table.sorted()) == len(table.sorted_by_box()) == len(table.in_frames(1, 3)) == 0


class TestDetectionsAndResults:
    def test_seven_and_ten_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "det.txt"
        path.write_text("1,-1,10,20,5,8,0.9\n1,-1,12,20,5,8,-0.3\n")
        assert read_detections(path).confidence.tolist() == [0.9, -0.3]
        path.write_text("1,-1,10,20,5,8,0.9,-1,-1,-1\n")
        assert read_detections(path).identity.tolist() == [-1]

    @pytest.mark.parametrize("read", [read_detections, read_results])
    def test_empty_file_is_an_empty_table(self, tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
        (tmp_path / "x.txt").touch()
        assert len(read(tmp_path / "x.txt")) == 0

    def test_six_columns(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("1,1,10,20,5,8\n")
        with pytest.raises(InputError, match=r"x\.txt:1: has 6 columns, expected 7 to 10"):
            read_results(tmp_path / "x.txt")

    def test_repeated_identity(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("1,4,10,20,5,8,1\n2,4,10,20,5,8,1\n1,4,10,20,5,8,1\n")
        with pytest.raises(
            InputError,
            match=r"x\.txt:3: identity 4 appears twice in frame 1, first on line 1; keep one of the rows$",
        ):
            read_results(tmp_path / "x.txt")

    def test_written_rows(self, tmp_path: Path) -> None:
        path = tmp_path / "seq.txt"
        write_results(path, [2, 1, 1], [7, 9, 8], [[0, 0, 5, 8], [-1.001, 0.126, 4, 8], [3, 4, 5, 6]], [1, 0.5, 0.25])
        assert path.read_bytes() == (
            b"1,8,4.00,5.00,2.00,2.00,0.2500,-1,-1,-1\n"
            b"1,9,0.00,1.13,5.00,7.87,0.5000,-1,-1,-1\n"
            b"2,7,1.00,1.00,5.00,8.00,1.0000,-1,-1,-1\n"
        )

    def test_nothing_tracked_is_an_empty_file(self, tmp_path: Path) -> None:
        write_results(tmp_path / "seq.txt", [], [], np.zeros((0, 4)), [])
        assert (tmp_path / "seq.txt").read_bytes() == b""
        assert len(read_results(tmp_path / "seq.txt")) == 0

    def test_not_finite_is_our_fault_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="finite"):
            write_results(tmp_path / "seq.txt", [1], [1], [[0, 0, np.nan, 1]], [1])
        with pytest.raises(ValueError, match="same number"):
            write_results(tmp_path / "seq.txt", [1, 2], [1], [[0, 0, 1, 1]], [1])
        assert not list(tmp_path.iterdir())

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(1, 50),
                st.integers(-500, 500),
                st.integers(-500, 500),
                st.integers(1, 900),
                st.integers(1, 900),
            ),
            max_size=20,
        )
    )
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]]) -> None:
        path = tmp_path_factory.mktemp("results") / "seq.txt"
        frame = np.array([row[0] for row in rows], int)
        identity = np.arange(1, len(rows) + 1)
        boxes = np.array([row[1:] for row in rows], float).reshape(-1, 4) / 4  # quarters survive two decimals
        boxes[:, 2:] += boxes[:, :2]
        score = np.linspace(0, 1, len(rows))
        write_results(path, frame, identity, boxes, score)
        table = read_results(path)
        order = np.lexsort((identity, frame))
        np.testing.assert_array_equal(table.frame, frame[order])
        np.testing.assert_array_equal(table.identity, identity[order])
        np.testing.assert_allclose(table.corners(), boxes[order], atol=1e-9)
        np.testing.assert_allclose(table.confidence, score[order], atol=5e-5)


class TestSeqinfo:
    def test_round_trip(self, tmp_path: Path) -> None:
        for rate in (25.0, 2.5):
            info = SequenceInfo("AVG-TownCentre", "img1", rate, 450, 1920, 1080, ".jpg")
            write_seqinfo(tmp_path / "seqinfo.ini", info)
            assert read_seqinfo(tmp_path / "seqinfo.ini") == info
        assert image_path("a/b", info, 12) == Path("a/b/img1/000012.jpg")

    def test_any_case_and_dotless_extension(self) -> None:
        text = seqinfo("A", 3, imExt="jpg").replace("[Sequence]", "[SEQUENCE]").replace("seqLength", "SEQLENGTH")
        info = parse_seqinfo(("\ufeff" + text).encode(), "seqinfo.ini")
        assert (info.length, info.extension) == (3, ".jpg")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (seqinfo("A", 3, frameRate=""), "seqinfo.ini: the key 'frameRate' is missing"),
            (
                seqinfo("A", 3, imWidth="wide"),
                "seqinfo.ini: 'imWidth' should be a number above 0, got 'wide'",
            ),
            (seqinfo("A", 3, frameRate="0"), "'frameRate' should be a number above 0, got '0'"),
            (seqinfo("A", 3, frameRate="nan"), "'frameRate' should be a number above 0, got 'nan'"),
            (seqinfo("A", 3, seqLength="2.5"), "'seqLength' should be a whole number"),
            (seqinfo("A", 3, seqLength="1e18"), "'seqLength' should be a whole number below 1000000"),
            (seqinfo("A", 3, imDir="../img1"), "'imDir' should be a plain name"),
            (seqinfo("../A", 3), "'name' should be a plain name"),
            (seqinfo("A", 3, imExt=".j/g"), "'imExt' should be like .jpg"),
            ("name=A\n", r"seqinfo.ini:1: expected a \[Sequence\] section"),
            ("[Other]\nname=A\n", r"seqinfo.ini has no \[Sequence\] section"),
            (seqinfo("A", 3) + "name=B\n", "seqinfo.ini:9: expected"),
            ("[Sequence]\nname=A\nwhat is this\n", "seqinfo.ini:3: expected"),
        ],
    )
    def test_faults(self, text: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            parse_seqinfo(text.encode(), "seqinfo.ini")

    def test_absent_and_not_text(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"seqinfo\.ini does not exist"):
            read_seqinfo(tmp_path / "seqinfo.ini")
        with pytest.raises(InputError, match="is not text"):
            parse_seqinfo(jpeg(), "seqinfo.ini")


class TestManifest:
    def test_round_trip_sorted(self, tmp_path: Path) -> None:
        one = ManifestEntry("MOT17-02", "train", 600, 1920, 1080, 30.0, ("DPM", "SDP"))
        two = ManifestEntry("MOT17-01", "test", 450, 1920, 1080, 30.0)
        write_manifest(tmp_path, "MOT17", [one, two])
        assert read_manifest(tmp_path) == [two, one]

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"sequences": [{"name": "A"}]}', '{"sequences": 3}'])
    def test_damaged(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InputError, match=r"manifest\.json .*run the download stage again"):
            read_manifest(tmp_path)

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"manifest\.json does not exist: run the download stage"):
            read_manifest(tmp_path)


def test_distractor_classes() -> None:
    assert DISTRACTORS["MOT15"] == ()
    assert set(DISTRACTORS["MOT17"]) == {2, 7, 8, 12}
    assert set(DISTRACTORS["MOT20"]) == {2, 6, 7, 8, 12}
    assert [int(c) for c in ObjectClass] == list(range(1, 14))


class Outs:
    """Where a test extracts to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = folder / "frames" / "B"
        self.gt = folder / "gt" / "B"

    def extract(self, zip_path: Path, benchmark: str = "MOT15", split: str = "half") -> list[ManifestEntry]:
        return extract_benchmark(zip_path, benchmark, split, self.frames, self.gt)

    def refuse(self, message: str, zip_path: Path, benchmark: str = "MOT15", split: str = "half") -> str:
        """Extraction must fail with one sentence, name the archive, and leave nothing behind."""
        before = tree(self.folder)
        with pytest.raises(InputError, match=message) as caught:
            self.extract(zip_path, benchmark, split)
        sentence = str(caught.value)
        assert str(zip_path) in sentence
        assert "\n" not in sentence
        assert tree(self.folder) == before
        return sentence


@pytest.fixture
def outs(tmp_path: Path) -> Outs:
    return Outs(tmp_path / "data")


class TestPublicDetections:
    """Which det.txt is kept, and that it is kept as it is."""

    def extract(self, zip_path: Path, out: Path, benchmark: str = "MOT17") -> dict[str, bytes]:
        extract_benchmark(zip_path, benchmark, "half", out / "frames", out / "gt", out / "detections")
        return tree(out / "detections")

    def files(self, **detections: bytes) -> dict[str, bytes]:
        """MOT17-02 in the copies named, with these det.txt; an empty one leaves it out."""
        files: dict[str, bytes] = {}
        for detector, data in detections.items():
            folder = f"MOT17/train/MOT17-02-{detector}"
            files |= sequence_files(folder, 3) | ({f"{folder}/det/det.txt": data} if data else {})
        return files

    def test_that_of_the_first_copy_whose_frames_are_complete(self, tmp_path: Path) -> None:
        files = self.files(SDP=b"1,-1,1,1,2,2,-0.5\n", DPM=b"1,-1,1,1,2,2,2.5\r\n")
        found = self.extract(write_zip(tmp_path / "a.zip", files), tmp_path / "a")
        assert found.pop("MOT17-02.txt") == b"1,-1,1,1,2,2,2.5\r\n"
        assert json.loads(found["sources.json"]) == {
            "benchmark": "MOT17",
            "sources": {"MOT17-02": "MOT17/train/MOT17-02-DPM/det/det.txt"},
        }
        del files["MOT17/train/MOT17-02-DPM/img1/000002.jpg"]
        found = self.extract(write_zip(tmp_path / "b.zip", files), tmp_path / "b")
        assert found["MOT17-02.txt"] == b"1,-1,1,1,2,2,-0.5\n"

    def test_that_of_another_copy_where_the_kept_one_has_none(self, tmp_path: Path) -> None:
        files = self.files(DPM=b"", FRCNN=b"1,-1,1,1,2,2,1\n", SDP=b"2,-1,1,1,2,2,1\n")
        found = self.extract(write_zip(tmp_path / "a.zip", files), tmp_path / "a")
        assert found["MOT17-02.txt"] == b"1,-1,1,1,2,2,1\n"

    def test_none(self, tmp_path: Path) -> None:
        found = self.extract(write_zip(tmp_path / "a.zip", self.files(DPM=b"")), tmp_path / "a")
        assert list(found) == ["sources.json"]

    def test_a_second_run_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Nothing is appended to what an earlier run left."""
        path = write_zip(tmp_path / "a.zip", self.files(DPM=b"1,-1,1,1,2,2,1\n"))
        self.extract(path, tmp_path / "a")
        first = tree(tmp_path / "a")
        self.extract(path, tmp_path / "a")
        assert tree(tmp_path / "a") == first

    def test_damage_leaves_nothing(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "a.zip", self.files(DPM=b"1,-1,1,1,2,2,1\n" * 50))
        damage(path, "MOT17/train/MOT17-02-DPM/det/det.txt")
        with pytest.raises(InputError, match=r"a\.zip is damaged at MOT17/train/MOT17-02-DPM/det/det\.txt"):
            self.extract(path, tmp_path / "a")
        assert tree(tmp_path / "a") == {}


class TestExtraction:
    def test_root_layout(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("train/TUD-Campus", 4, gt=gt_rows(4, columns=10))
        files |= sequence_files("train/KITTI-13", 3) | {"train/KITTI-13/det/det.txt": b"1,-1,1,1,2,2,1\n"}
        files |= sequence_files("test/TUD-Crossing", 2, gt=None)
        entries = outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        assert [(e.name, e.subset, e.frames, e.width, e.height, e.frame_rate, e.detectors) for e in entries] == [
            ("KITTI-13", "train", 3, WIDTH, HEIGHT, 25.0, ()),
            ("TUD-Campus", "train", 4, WIDTH, HEIGHT, 25.0, ()),
        ]
        assert read_manifest(outs.frames) == read_manifest(outs.gt) == entries
        assert sorted(tree(outs.gt)) == [
            "KITTI-13/gt.txt",
            "KITTI-13/seqinfo.ini",
            "TUD-Campus/gt.txt",
            "TUD-Campus/seqinfo.ini",
            "manifest.json",
        ]
        frames = tree(outs.frames)
        assert len(frames) == 3 + 4 + 2 + 1
        assert frames["TUD-Campus/img1/000004.jpg"] == files["train/TUD-Campus/img1/000004.jpg"]
        assert read_seqinfo(outs.frames / "TUD-Campus" / "seqinfo.ini").length == 4
        assert len(read_ground_truth(outs.gt / "TUD-Campus" / "gt.txt")) == 8

    @pytest.mark.parametrize("prefix", ["MOT20", "MOT20/images", "images", "./MOT20"])
    def test_nested_layouts_give_the_same(self, tmp_path: Path, outs: Outs, prefix: str) -> None:
        files = sequence_files(f"{prefix}/train/MOT20-01", 3)
        noise = {
            f"{prefix}/labels_with_ids/train/MOT20-01/img1/000001.txt": b"0 1 .5 .5 .1 .1",
            f"__MACOSX/{prefix}/train/MOT20-01/img1/._000001.jpg": b"x",
            f"{prefix}/train/MOT20-01/img1/.DS_Store": b"x",
            f"{prefix}/README.txt": b"x",
        }
        outs.extract(write_zip(tmp_path / "MOT20.zip", files | noise), "MOT20")
        plain = Outs(tmp_path / "plain")
        plain.extract(write_zip(tmp_path / "plain.zip", sequence_files("train/MOT20-01", 3)), "MOT20")
        assert tree(outs.folder) == tree(plain.folder)

    def test_full_takes_the_test_set_too(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("train/TUD-Campus", 2) | sequence_files("test/TUD-Crossing", 2, gt=None)
        path = write_zip(tmp_path / "MOT15.zip", files)
        assert [(e.name, e.subset) for e in outs.extract(path, split="full")] == [
            ("TUD-Campus", "train"),
            ("TUD-Crossing", "test"),
        ]
        assert [e.name for e in read_manifest(outs.gt)] == ["TUD-Campus"]
        assert not (outs.gt / "TUD-Crossing").exists()

    def test_full_without_a_test_set(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 2))
        outs.refuse("has no test sequence \\(it has only train/ with TUD-Campus\\)", path, split="full")

    @pytest.mark.parametrize(
        ("folders", "labelled"),
        [(["test/yard"], []), (["train/yard"], []), (["train/door", "test/yard"], ["door"]), (["yard"], [])],
    )
    def test_itself_takes_every_film_labelled_or_not(
        self, folders: list[str], labelled: list[str], tmp_path: Path, outs: Outs
    ) -> None:
        """The boxes of such films are a detector's, from elsewhere."""
        files: dict[str, bytes] = {}
        for folder in folders:
            name = folder.rsplit("/", 1)[-1]
            files |= sequence_files(folder, 3, gt="" if name in labelled else None)
        path = write_zip(tmp_path / "films.zip", files)
        entries = outs.extract(path, "MOT17", "itself")
        assert sorted(e.name for e in entries) == sorted(folder.rsplit("/", 1)[-1] for folder in folders)
        assert sorted(e.name for e in read_manifest(outs.gt)) == labelled

    def test_detector_copies_are_stored_once(self, tmp_path: Path, outs: Outs) -> None:
        files: dict[str, bytes] = {}
        for detector in ("SDP", "DPM", "FRCNN"):
            files |= sequence_files(f"MOT17/train/MOT17-02-{detector}", 3)
        (entry,) = outs.extract(write_zip(tmp_path / "MOT17.zip", files), "MOT17")
        assert (entry.name, entry.detectors) == ("MOT17-02", ("DPM", "FRCNN", "SDP"))
        assert [p.name for p in sorted(outs.frames.iterdir())] == ["MOT17-02", "manifest.json"]
        assert read_seqinfo(outs.gt / "MOT17-02" / "seqinfo.ini").name == "MOT17-02"

    def test_the_complete_copy_is_taken(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("MOT17/train/MOT17-02-DPM", 3, images=False)
        files |= sequence_files("MOT17/train/MOT17-02-FRCNN", 3, gt=gt_rows(3).replace("\n", "\r\n"))
        files |= sequence_files("MOT17/train/MOT17-02-SDP", 3, gt=None)
        del files["MOT17/train/MOT17-02-FRCNN/img1/000002.jpg"]
        (entry,) = outs.extract(write_zip(tmp_path / "MOT17.zip", files), "MOT17")
        assert entry.frames == 3
        assert entry.detectors == ("DPM", "FRCNN", "SDP")

    def test_copies_with_other_ground_truth(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("MOT17/train/MOT17-02-DPM", 3)
        files |= sequence_files("MOT17/train/MOT17-02-SDP", 3, gt=gt_rows(3, people=1))
        path = write_zip(tmp_path / "MOT17.zip", files)
        outs.refuse("ground truth of MOT17/train/MOT17-02-DPM and of MOT17/train/MOT17-02-SDP differ", path, "MOT17")

    def test_without_seqinfo(self, tmp_path: Path, outs: Outs, capsys: pytest.CaptureFixture[str]) -> None:
        files = sequence_files("train/TUD-Campus", 3, info=None) | sequence_files("train/PETS09-S2L1", 2, info=None)
        files |= sequence_files("train/street", 2, info=None)
        outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        campus, pets, street = (
            read_seqinfo(outs.frames / name / "seqinfo.ini") for name in ("TUD-Campus", "PETS09-S2L1", "street")
        )
        assert campus == SequenceInfo("TUD-Campus", "img1", 25.0, 3, WIDTH, HEIGHT, ".jpg")
        assert (pets.frame_rate, street.frame_rate) == (7.0, 30.0)
        warnings = capsys.readouterr().err
        assert "train/street has no seqinfo.ini, so its frame rate is unknown; 30 is taken" in warnings
        assert "TUD-Campus" not in warnings

    def test_missing_frame(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("train/TUD-Campus", 5)
        del files["train/TUD-Campus/img1/000003.jpg"]
        path = write_zip(tmp_path / "MOT15.zip", files)
        outs.refuse(r"train/TUD-Campus/img1/000003\.jpg is missing although the sequence has 5 frames", path)
        del files["train/TUD-Campus/img1/000004.jpg"]
        outs.refuse(r"000003\.jpg and 1 other frame are missing", write_zip(path, files))

    def test_missing_last_frame_with_boxes(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("train/TUD-Campus", 5)
        del files["train/TUD-Campus/img1/000005.jpg"]
        outs.refuse(r"img1/000005\.jpg is missing", write_zip(tmp_path / "MOT15.zip", files))

    def test_frames_beyond_the_last_box_may_be_announced_in_vain(
        self, tmp_path: Path, outs: Outs, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = sequence_files("train/ETH-Pedcross2", 4, gt=gt_rows(3))
        del files["train/ETH-Pedcross2/img1/000004.jpg"]
        (entry,) = outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        assert entry.frames == 3
        assert read_seqinfo(outs.frames / "ETH-Pedcross2" / "seqinfo.ini").length == 3
        assert "announces 4 frames but has 3" in capsys.readouterr().err

    def test_frames_beyond_the_length(self, tmp_path: Path, outs: Outs, capsys: pytest.CaptureFixture[str]) -> None:
        files = sequence_files("train/TUD-Campus", 4, gt=gt_rows(3), info=seqinfo("TUD-Campus", 3))
        (entry,) = outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        assert entry.frames == 3
        assert "has frames up to 4 but its length is 3" in capsys.readouterr().err
        assert not (outs.frames / "TUD-Campus" / "img1" / "000004.jpg").exists()

    def test_a_frame_too_many_before_the_first(self, tmp_path: Path, outs: Outs) -> None:
        """From 0 or from 1: the announced length fits neither, and a wrong guess would shift every box."""
        files = sequence_files("train/TUD-Campus", 3) | {"train/TUD-Campus/img1/000000.jpg": jpeg()}
        outs.refuse(
            "has frames numbered 0 to 3, but seqinfo.ini says 3 frames", write_zip(tmp_path / "MOT15.zip", files)
        )

    def test_frames_from_zero(self, tmp_path: Path, outs: Outs, capsys: pytest.CaptureFixture[str]) -> None:
        files = sequence_files("train/TUD-Campus", 3, info=None) | {"train/TUD-Campus/img1/000000.jpg": jpeg(7)}
        (entry,) = outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        assert entry.frames == 4
        assert (outs.frames / "TUD-Campus" / "img1" / "000001.jpg").read_bytes() == jpeg(7)
        assert "000000.jpg is frame 1" in capsys.readouterr().err

    def test_a_folder_whose_name_is_no_text(self, tmp_path: Path, outs: Outs) -> None:
        """As when a zip with names of another age was unpacked."""
        films = tmp_path / "films"
        for name, data in sequence_files("train/street", 2).items():
            (films / name).parent.mkdir(parents=True, exist_ok=True)
            (films / name).write_bytes(data)
        os.rename(films / "train" / "street", os.fsencode(films / "train") + b"/stra\xdfe")
        outs.refuse("is no name for a sequence: rename the folder", films)

    def test_a_picture_too_large_to_open(self, tmp_path: Path, outs: Outs) -> None:
        header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
        frame = b"\x89PNG\r\n\x1a\n"
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"0")), (b"IEND", b"")):
            frame += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        files = sequence_files("train/TUD-Campus", 1) | {"train/TUD-Campus/img1/000001.jpg": frame}
        outs.refuse("has more pixels than an image", write_zip(tmp_path / "MOT15.zip", files))

    def test_size_is_that_of_the_frames(self, tmp_path: Path, outs: Outs, capsys: pytest.CaptureFixture[str]) -> None:
        files = sequence_files("train/TUD-Campus", 2, info=seqinfo("TUD-Campus", 2, imWidth="640"))
        (entry,) = outs.extract(write_zip(tmp_path / "MOT15.zip", files))
        assert (entry.width, entry.height) == (WIDTH, HEIGHT)
        assert f"is {WIDTH}x{HEIGHT} but its seqinfo.ini says 640x{HEIGHT}" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("2,9,nan,4,5,6,1,1,1", "column 3 is 'nan'"),
            ("2,9,3,4,5,6,1", "has 7 columns"),
            ("7,9,3,4,5,6,1,1,1", "frame 7 is beyond the sequence's 3 frames"),
        ],
    )
    def test_faulty_ground_truth(self, tmp_path: Path, outs: Outs, row: str, message: str) -> None:
        files = sequence_files("train/TUD-Campus", 3, gt=gt_rows(3, people=1) + row + "\n")
        sentence = outs.refuse(message, write_zip(tmp_path / "MOT15.zip", files))
        assert "MOT15.zip:train/TUD-Campus/gt/gt.txt:7" in sentence

    def test_incomplete_sequences(self, tmp_path: Path, outs: Outs) -> None:
        path = tmp_path / "MOT15.zip"
        outs.refuse(
            "holds no frames of train/TUD-Campus",
            write_zip(path, sequence_files("train/TUD-Campus", 3, images=False)),
        )
        outs.refuse(
            "train/TUD-Campus has no gt/gt.txt",
            write_zip(path, sequence_files("train/TUD-Campus", 3, gt=None)),
        )
        files = sequence_files("train/TUD-Campus", 3)
        outs.refuse(r"000002\.jpg is empty", write_zip(path, files | {"train/TUD-Campus/img1/000002.jpg": b""}))
        outs.refuse(
            r"000001\.jpg is not a readable image",
            write_zip(path, files | {"train/TUD-Campus/img1/000001.jpg": b"not a picture"}),
        )
        info = {"train/TUD-Campus/seqinfo.ini": seqinfo("TUD-Campus", 3, frameRate="").encode()}
        outs.refuse(
            "MOT15.zip:train/TUD-Campus/seqinfo.ini: the key 'frameRate' is missing",
            write_zip(path, files | info),
        )

    def test_nothing_usable(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", {"photos/2020/a.jpg": jpeg(), "notes.txt": b"x"})
        outs.refuse(r"has no train sequence \(it holds notes\.txt, photos/2020/a\.jpg\)", path)
        outs.refuse(r"has no train sequence \(it is empty\)", write_zip(tmp_path / "empty.zip", {}))

    def test_archive_of_another_benchmark(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT17.zip", sequence_files("train/MOT20-01", 2))
        outs.refuse("holds train/MOT20-01, a sequence of MOT20: expected those of MOT17", path, "MOT17")

    def test_two_roots(self, tmp_path: Path, outs: Outs) -> None:
        both = sequence_files("MOT15/train/TUD-Campus", 2) | sequence_files("MOT20/train/MOT20-01", 2)
        (entry,) = outs.extract(write_zip(tmp_path / "all.zip", both), "MOT20")
        assert entry.name == "MOT20-01"
        both = sequence_files("a/train/x", 2) | sequence_files("b/train/y", 2)
        outs.refuse("holds sequences below a and b", write_zip(tmp_path / "two.zip", both))

    def test_earlier_outs_survive_a_failure_and_are_replaced_by_success(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 3))
        outs.extract(path)
        outs.refuse("checksum is wrong", damage(path, "train/TUD-Campus/img1/000003.jpg"))  # holds them to it
        outs.extract(write_zip(path, sequence_files("train/KITTI-13", 2)))
        assert not (outs.frames / "TUD-Campus").exists()
        assert not (outs.gt / "TUD-Campus").exists()

    def test_disk_too_small(self, tmp_path: Path, outs: Outs, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 3))
        usage = shutil.disk_usage(tmp_path)._replace(free=100)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(InputError, match=r"needs 0\.00 GB in .* but its disk has 0\.00 GB left"):
            outs.extract(path)


class TestHostileArchives:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("../escape.txt", "leads out"),
            ("train/TUD-Campus/img1/../../../../x.jpg", "leads out"),
            ("/etc/passwd", "absolute"),
            ("C:/Windows/x.txt", "absolute"),
            ("c:x.txt", "absolute"),
            ("train\\TUD-Campus\\x.txt", "backslash"),
            ("train/TUD-Campus/a\nb", "control characters"),
            ("train/TUD-Campus/a\x00.jpg", "control characters"),
        ],
    )
    def test_names(self, tmp_path: Path, outs: Outs, name: str, reason: str) -> None:
        files = sequence_files("train/TUD-Campus", 2) | {name.replace("\x00", "~"): b"x"}
        path = write_zip(tmp_path / "MOT15.zip", files)
        if "\x00" in name:  # zipfile itself would not write it
            path.write_bytes(path.read_bytes().replace(b"a~.jpg", b"a\x00.jpg"))
        sentence = outs.refuse(reason, path)
        assert repr(name) in sentence

    def test_links_and_devices(self, tmp_path: Path, outs: Outs) -> None:
        for mode, reason in ((stat.S_IFLNK, "it is a link"), (stat.S_IFIFO, "neither a file nor a folder")):
            path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 2))
            with zipfile.ZipFile(path, "a") as archive:
                info = zipfile.ZipInfo("train/TUD-Campus/img1/000003.jpg")
                info.external_attr = (mode | 0o777) << 16
                archive.writestr(info, "/etc/passwd")
            outs.refuse(rf"000003\.jpg.*{reason}", path)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("name", ["train/TUD-Campus/gt/gt.txt", "./train/TUD-Campus//gt/gt.txt"])
    def test_duplicate_names(self, tmp_path: Path, outs: Outs, name: str) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 2))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, "1,1,1,1,1,1,1,1,1\n")
        outs.refuse(r"gt/gt\.txt.*it is there twice", path)

    def test_bomb(self, tmp_path: Path, outs: Outs) -> None:
        files = sequence_files("train/TUD-Campus", 2) | {"train/TUD-Campus/det/det.txt": bytes(8 << 20)}
        outs.refuse(r"det/det\.txt.*zip bomb", write_zip(tmp_path / "MOT15.zip", files))

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_bomb_of_ten_thousand_to_one(self, tmp_path: Path, outs: Outs, method: int) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 2))
        with zipfile.ZipFile(path, "a", method) as archive:
            archive.writestr("train/TUD-Campus/img1/000003.jpg", bytes(32 << 20))
            bomb = archive.getinfo("train/TUD-Campus/img1/000003.jpg")
        assert bomb.file_size > 5000 * bomb.compress_size
        outs.refuse(r"img1/000003\.jpg.*zip bomb", path)

    def test_bomb_of_many_small_ones(self, tmp_path: Path, outs: Outs, monkeypatch: pytest.MonkeyPatch) -> None:
        files = sequence_files("train/TUD-Campus", 20)
        files = {k: v + bytes(300_000) if k.endswith(".jpg") else v for k, v in files.items()}
        path = write_zip(tmp_path / "MOT15.zip", files)
        outs.extract(path)  # 6 MB are nothing
        shutil.rmtree(outs.folder)
        monkeypatch.setattr(extraction, "COMPRESSION_FREE", 1 << 10)
        outs.refuse(r"bytes of frames such as 'train/TUD-Campus/img1/000001\.jpg' would unpack to 6\d+,", path)

    def test_bomb_of_overlapping_entries(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 3))
        with zipfile.ZipFile(path, "a") as archive:
            last = archive.filelist[-1]
            last.header_offset = archive.filelist[-2].header_offset
            archive.writestr("end.txt", b"")  # so that the directory is written again
        outs.refuse(r"img1/00000\d\.jpg': it overlaps another entry", path)

    def test_a_table_of_gigabytes(self, tmp_path: Path, outs: Outs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contents, "LARGEST_WHOLE", 50)
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 3))
        outs.refuse(r"gt/gt\.txt has 0\.00 GB, which is no table", path)

    def test_encrypted(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", {"a.txt": b"x"})
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
        path.write_bytes(content)
        outs.refuse("'a.txt': it is encrypted", path)


class TestDamagedArchives:
    def test_not_a_zip(self, tmp_path: Path, outs: Outs) -> None:
        path = tmp_path / "MOT15.zip"
        path.write_text("<!DOCTYPE html>\n<html>not found</html>")
        outs.refuse(r"is a web page, and no zip.*: delete it", path)
        path.write_bytes(jpeg())
        outs.refuse(r"is not a zip archive \(its first bytes are not a zip's\)", path)
        path.write_bytes(b"")
        outs.refuse(r"is not a zip archive \(it is empty\)", path)
        path.unlink()
        outs.refuse("does not exist", path)

    def test_truncated_anywhere(self, tmp_path: Path, outs: Outs) -> None:
        whole = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 2)).read_bytes()
        for share in (0.01, 0.3, 0.7, 0.999):
            path = tmp_path / "cut.zip"
            path.write_bytes(whole[: max(4, int(len(whole) * share))])
            outs.refuse("is cut off or damaged.*delete it, fetch it again", path)

    def test_middle_missing(self, tmp_path: Path, outs: Outs) -> None:
        path = write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 4))
        whole = path.read_bytes()
        path.write_bytes(whole[:1000] + bytes(400) + whole[1400:])
        outs.refuse("is (damaged|cut off)", path)

    @pytest.mark.parametrize("member", ["img1/000002.jpg", "img1/000001.jpg", "gt/gt.txt", "seqinfo.ini"])
    def test_checksum(self, tmp_path: Path, outs: Outs, member: str) -> None:
        name = f"train/TUD-Campus/{member}"
        path = damage(write_zip(tmp_path / "MOT15.zip", sequence_files("train/TUD-Campus", 3)), name)
        outs.refuse(rf"is damaged at {re.escape(name)} .*delete the archive, fetch it again", path)

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_any_flipped_byte_is_a_sentence_or_harmless(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("flip")
        path = write_zip(folder / "MOT15.zip", sequence_files("train/TUD-Campus", 2))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            Outs(folder / "data").extract(path)
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.shared_data
class TestRealArchives:
    def test_mot17_ground_truth(self, shared: Path) -> None:
        with zipfile.ZipFile(shared / "data" / "MOT17.zip") as archive:
            data = archive.read("MOT17/train/MOT17-02-FRCNN/gt/gt.txt")
        table = parse_ground_truth(data, "gt.txt", length=600)
        evaluated = table.select((table.confidence != 0) & (table.category == ObjectClass.PEDESTRIAN))
        assert (len(table), len(evaluated), len(np.unique(evaluated.identity))) == (30_003, 18_581, 62)

    def test_mot15_extraction(self, shared: Path, outs: Outs) -> None:
        entries = outs.extract(shared / "data" / "MOT15.zip")
        assert [(e.name, e.frames) for e in entries] == [("PETS09-S2L1", 795), ("TUD-Stadtmitte", 179)]
        assert len(read_ground_truth(outs.gt / "PETS09-S2L1" / "gt.txt", length=795)) == 4650
        assert len(read_ground_truth(outs.gt / "TUD-Stadtmitte" / "gt.txt", length=179)) == 1156

    def test_mot17_full_split_stores_the_test_copies_once(self, shared: Path, outs: Outs) -> None:
        entries = outs.extract(shared / "data" / "MOT17.zip", "MOT17", "full")
        assert [(e.name, e.subset, e.frames, e.detectors) for e in entries] == [
            ("MOT17-02", "train", 600, ("FRCNN",)),
            ("MOT17-07", "test", 30, ("DPM", "FRCNN", "SDP")),
        ]
        assert [e.name for e in read_manifest(outs.gt)] == ["MOT17-02"]


@pytest.mark.parametrize("rate", ["1e300", "1e-300", "20000", "9" * 5000])
def test_frame_rates_that_no_camera_has_are_refused(rate: str) -> None:
    text = f"[Sequence]\nname=a\nimDir=img1\nframeRate={rate}\nseqLength=3\nimWidth=9\nimHeight=9\nimExt=.jpg\n"
    with pytest.raises(InputError, match="'frameRate' should be"):
        parse_seqinfo(text.encode(), "seqinfo.ini")


@pytest.mark.parametrize("name", ["manifest.json", "Manifest.JSON", "strip.json", "n" * 255, "é" * 120])
def test_names_that_would_meet_files_of_ours_name_no_sequence(name: str) -> None:
    assert not is_sequence_name(name)
    assert is_sequence_name(f"x{name[:90]}")
