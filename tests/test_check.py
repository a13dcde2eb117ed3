"""`clmot check`: says what data are, finds every fault with its line, and agrees with the stages on what can be used."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_films
from tiny_archive import damage, gt_rows, jpeg, seqinfo, sequence_files, write_zip
from tiny_box_sets import FAULTS, FORMATS, Change, replace_text, text_files, tree, write_image, write_set
from tiny_films import write_boxes, write_film

from clmot.cli import run
from clmot.data.check.films import runs, sampled
from clmot.data.extra.collect import collect_set
from clmot.data.films.layout import boxes_beside
from clmot.errors import InputError
from clmot.motchallenge.archive import extract_benchmark
from clmot.params import ExtraSetParams, parse_params

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_other_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


class Checked:
    """What one check printed."""

    def __init__(self, arguments: tuple[object, ...], capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        self.refused = ""
        try:
            run(["check", *map(str, arguments)])
        except InputError as error:
            self.refused = str(error)
        self.lines = capsys.readouterr().out.splitlines()
        self.errors = [line[7:] for line in self.lines if line.startswith("error: ")]
        self.warnings = [line[9:] for line in self.lines if line.startswith("warning: ")]

    @property
    def rows(self) -> dict[str, list[str]]:
        """The table: name -> the other cells."""
        header = next(
            (i for i, line in enumerate(self.lines) if re.match(r"name +frames +boxes", line)), None
        )
        assert header is not None, self.lines
        rows = {}
        for line in self.lines[header + 1 :]:
            if line.startswith(("error: ", "warning: ")) or " can be used" in line:
                break
            name, *cells = re.split(r" {2,}", line)
            rows[name] = cells
        return rows


Check = Callable[..., Checked]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    return lambda *arguments: Checked(arguments, capsys)


def place(given: ExtraSetParams) -> tuple[str, ...]:
    """How to name a set so that nothing need be found out."""
    return (given.labels, "--images", given.images, "--format", given.format)


class TestBoxSets:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_a_folder_says_what_it_is_and_how_to_train_on_it(
        self, kind: str, check: Check, tmp_path: Path
    ) -> None:
        """The printed entry goes into params.yaml, and the stage takes it."""
        given = write_set(tmp_path / "My set!", kind)
        found = check(tmp_path / "My set!")
        assert not found.refused
        ((name, cells),) = found.rows.items()
        label = {"jde": "0: 4"}.get(kind, "person: 4")
        assert cells == ["3", "4", "not read", "40x60 to 64x48 (3)", "-", label]
        line = found.lines[-1]
        text = (ROOT / "params.yaml").read_text().replace("  extra: []", f"  extra:\n{line}\n  # once")
        (entry,) = parse_params(text).data.extra
        assert entry.name == name == "My-set-"
        assert entry.format == kind
        one, other = collect_set(entry), collect_set(given)
        assert [image.digest for image in one.images] == [image.digest for image in other.images]
        assert (one.kept, one.dropped) == (4, other.dropped)

    @pytest.mark.parametrize("kind", ["jde", "yolo"])
    def test_a_list(self, kind: str, check: Check, tmp_path: Path) -> None:
        """Where its paths start from, and which format they are of, is found out."""
        write_set(tmp_path / "root" / "Set", kind)
        files = sorted((tmp_path / "root" / "Set" / "images").rglob("*.*g"))
        (tmp_path / "root" / "lists").mkdir()
        lines = "".join(f"{file.relative_to(tmp_path / 'root').as_posix()}\n" for file in files)
        (tmp_path / "root" / "lists" / "set.train").write_text(lines, encoding="utf-8")
        found = check(tmp_path / "root" / "lists" / "set.train")
        assert not found.refused
        assert f"format: {kind}, images: root, labels: root/lists/set.train" in found.lines[-1]

    @pytest.mark.parametrize(("kind", "change", "words"), FAULTS, ids=[f"{k}-{w[-1]}" for k, _, w in FAULTS])
    def test_what_the_stage_refuses_is_an_error(
        self, kind: str, change: Change, words: list[str], check: Check, tmp_path: Path
    ) -> None:
        given = write_set(tmp_path / "set", kind)
        assert not check(*place(given)).refused
        change(given)
        with pytest.raises(InputError) as refused:
            collect_set(given)
        found = check(*place(given))
        assert found.refused
        if found.lines:
            assert str(refused.value) in found.errors
        else:
            assert found.refused == str(refused.value)

    def test_every_fault_is_told(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        label = Path(given.labels) / "part" / "many.txt"
        label.write_text("0 1 .5 .5 .1\n\n0 1 x .5 .1 .1\n0 1 .5 .5 0 .1\n0 1 .5 .5 .1 -.1\n0 1 3 .5 .1 .1\n")
        (Path(given.labels) / "part" / "ghost.txt").write_text("")
        write_image(Path(given.images) / "part" / "many.png", (8, 8))
        (Path(given.images) / "part" / "torn.jpg").write_bytes(jpeg()[:-9])
        found = check(tmp_path / "set")
        told = [re.sub(r"^\S*/", "", line) for line in found.errors + found.warnings]
        for start in ("many.txt:1: has 5", "many.txt:3: column 3 is 'x'", "torn.jpg: is cut off"):
            assert sum(line.startswith(start) for line in told[: len(found.errors)]) == 1, start
        mild = told[len(found.errors) :]
        for line, words in ((4, "no width"), (5, "no width or no height"), (6, "no part in the image")):
            # the image and its namesake share these labels
            assert len([t for t in mild if t.startswith(f"many.txt:{line}: ") and words in t]) == 2
        assert any(t.startswith("many.png: has the labels of many.jpg") for t in mild)
        assert any(t.startswith("ghost.txt: there is no image of this name") for t in mild)
        assert any("2 of 5 images have no labels" in t for t in mild)
        assert found.refused == f"{tmp_path / 'set'} cannot be used as it is: 3 errors (above)."

    def test_problems_of_a_kind_are_cut_short_unless_all_are_wanted(
        self, check: Check, tmp_path: Path
    ) -> None:
        given = write_set(tmp_path / "set", "jde")
        (Path(given.labels) / "part" / "many.txt").write_text("0 1 .5 .5 0 0\n" * 12 + "0 1 .5 .5 .5 .5\n")
        short, whole = check(tmp_path / "set"), check(tmp_path / "set", "--all")
        assert not short.refused
        assert sum("many.txt:" in line for line in short.warnings) == 10
        assert "2 more of this kind (box of no size); --all shows them" in short.warnings
        lines = [line for line in whole.warnings if "many.txt:" in line]
        assert [f"many.txt:{n}: " in line for n, line in enumerate(lines, 1)] == [True] * 12

    def test_classes(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "yolo")
        found = check(tmp_path / "set")
        assert found.warnings == [f"{tmp_path / 'set' / 'labels'}: no box is of class 'dog'"]
        assert "classes: [person]" in found.lines[-1]
        assert "none of the 4 boxes can train" in check(tmp_path / "set", "--classes", "dog").errors[0]
        assert "has no class 'cat'" in check(tmp_path / "set", "--classes", "cat").refused
        assert "classes: [1]" in check(tmp_path / "set", "--classes", "1").lines[-1]
        (tmp_path / "set" / "data.yaml").write_text("names: [dog, walker]\n")
        found = check(tmp_path / "set")
        assert any("no class is called person" in line and "(dog, walker)" in line for line in found.warnings)
        assert "classes: []" in found.lines[-1]
        (tmp_path / "set" / "data.yaml").unlink()
        assert "classes: [1]" in check(tmp_path / "set").lines[-1], "the only one there is"
        assert given.format == "yolo"

    def test_nobody(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "yolo")
        for file in text_files(given):
            file.write_text("")
        found = check(tmp_path / "set")
        assert not found.refused
        assert any("there is no box: no image shows people" in line for line in found.warnings)
        assert collect_set(given).kept == 0

    def test_two_files_of_labels(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path, "crowdhuman")
        shutil.copy(given.labels, tmp_path / "other.odgt")
        assert "holds 2 files of labels (annotation.odgt, other.odgt)" in check(tmp_path).refused
        assert not check(given.labels).refused

    @pytest.mark.parametrize(
        ("labels", "images"),
        [
            ("instances.json", "images"),
            ("annotations/instances_val2017.json", "val2017"),
            ("annotations/instances_val2017.json", "images/val2017"),
            ("images/_annotations.coco.json", "images"),
        ],
    )
    def test_where_images_of_coco_are(self, labels: str, images: str, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "made", "coco")
        for source, target in ((given.images, images), (given.labels, labels)):
            (tmp_path / "set" / target).parent.mkdir(parents=True, exist_ok=True)
            os.rename(source, tmp_path / "set" / target)
        found = check(tmp_path / "set" / labels)
        assert not found.refused
        assert f"images: set/{images}, labels: set/{labels}" in found.lines[-1]

    def test_images_that_are_not_found(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "coco")
        os.rename(given.images, tmp_path / "elsewhere")
        assert "name that folder with --images" in check(given.labels).refused
        assert not check(given.labels, "--images", tmp_path / "elsewhere").refused
        (tmp_path / "list").write_text("images/a.jpg\n")
        assert "with --images" in check(tmp_path / "list").refused

    def test_an_image_that_has_a_header_and_nothing_behind_it(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        path = Path(given.images) / "part" / "many.jpg"
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"\xff\xda")] + b"\xff\xd9")
        found = check(tmp_path / "set")
        assert [line.rpartition("/")[2].split(";")[0] for line in found.errors] in (
            ["many.jpg: cannot be decoded"],
            ["many.jpg: is not a readable image"],
        )


SEQUENCE = "MOT17-02-SDP"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A faultless sequence of 6 frames with ground truth and detections."""
    for name, data in sequence_files(f"films/{SEQUENCE}", 6).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    folder = tmp_path / "films" / SEQUENCE
    (folder / "det").mkdir()
    (folder / "det" / "det.txt").write_text("1,-1,5,4,6.5,12,0.9\n")
    return folder


def zipped(folder: Path, path: Path) -> Path:
    """The sequence in an archive as the pipeline takes it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in tree(folder).items():
            archive.writestr(f"MOT17/train/{folder.name}/{name}", data)
    return path


def lines_of(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


class TestVideos:
    @pytest.mark.parametrize("kind", tiny_films.FORMATS)
    def test_what_is_said(self, kind: str, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "films" / "train" / "door.avi", kind)
        write_film(tmp_path / "films" / "test" / "yard.mp4", None, 5)
        found = check(tmp_path / "films")
        assert not found.refused
        assert found.rows == {
            "door": ["12", "24", "2", "96x64", "25", "pedestrian: 24"],
            "yard": ["5", "0", "0", "96x64", "25", "-"],
        }
        assert list(check(video).rows) == ["door"]

    def test_every_fault_of_every_film_is_told(self, check: Check, tmp_path: Path) -> None:
        folder = tmp_path / "films"
        for name, kind in (("a", "mot"), ("b", "coco"), ("c", "yolo")):
            write_film(folder / f"{name}.avi", kind, identities=False)
        write_film(folder / "d.avi", None)
        write_film(folder / "f.avi", "mot")
        (folder / "e.avi").write_bytes(b"no video")
        (folder / "e.txt").write_text("1,1,1,1,5,5,1,1,1\n")
        replace_text(folder / "a.txt", "1,-1,", "13,-1,")
        replace_text(folder / "a.txt", "2,-1,", "2.5,-1,")
        replace_text(folder / "b.json", '"bbox"', '"box"')
        replace_text(folder / "b.json", "frame_000012", "frame_000020")
        for file in ("c_1.txt", "c_2.txt"):
            replace_text(folder / "c_labels" / file, "0 0.", "0 400.")
        found = check(folder)
        told = "\n".join(found.errors)
        for words in (
            "a.txt:1: frame 13 is beyond the sequence's 12 frames",
            "a.txt:3: frame 2.5 is not a whole number",
            'b.json: annotations[0]: "bbox" should be',
            "has boxes in frame 20, but b.avi has 12 frames",
            "c_1.txt:1: 400",
            "c_2.txt:1: 400",
            "d.avi: has no boxes, which every film to train on needs",
            "e.avi is not a video that can be read",
        ):
            assert words in told, words
        assert found.rows["f"] == ["12", "24", "2", "96x64", "25", "pedestrian: 24"]
        assert found.refused

    @pytest.mark.parametrize("kind", tiny_films.FORMATS)
    def test_the_boxes_of_a_film_stand_for_the_film(self, kind: str, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "door.avi", kind)
        (boxes,) = boxes_beside(video)
        assert check(boxes).rows == check(video).rows

    def test_a_zip_beside_films_is_judged_only_if_it_is_taken(self, check: Check, tmp_path: Path) -> None:
        write_film(tmp_path / "door.avi", "mot")
        (tmp_path / "backup.zip").write_bytes(b"")
        assert list(check(tmp_path).rows) == ["door"]
        (tmp_path / "MOT17.zip").write_bytes(b"")
        assert any("MOT17.zip is not a zip" in error for error in check(tmp_path).errors)

    def test_nobody_to_train_on(self, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "door.avi", "mot")
        boxes = video.with_suffix(".txt")
        boxes.write_text(boxes.read_text().replace(",1,1,1\n", ",1,3,1\n"))
        assert "no row is a person" in check(video).warnings[0]
        boxes.unlink()
        boxes = write_boxes(video, "coco")
        boxes.write_text(boxes.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))
        assert "no row is a person" in check(video).warnings[0]

    def test_regions_to_ignore_need_no_identity(self, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "door.avi", "mot")
        with video.with_suffix(".txt").open("a") as stream:
            stream.write("1,-1,5,5,9,9,0,1,1\n1,-1,9,5,9,9,1,8,1\n")
        assert check(video).warnings == []

    def test_boxes_that_cannot_be_read(
        self, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        video = write_film(tmp_path / "door.avi", "mot")
        read = Path.read_bytes

        def denied(path: Path) -> bytes:
            if path.suffix == ".txt":
                raise PermissionError(13, "Permission denied")
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", denied)
        (error,) = check(video).errors
        assert "door.txt cannot be read (Permission denied)" in error

    def test_without_identities(self, check: Check, tmp_path: Path) -> None:
        found = check(write_film(tmp_path / "door.avi", "coco", identities=False))
        assert not found.refused
        assert found.rows["door"][2] == "0"
        assert "it can train, but its tracks cannot be scored" in found.warnings[0]


class TestFilms:
    def test_what_is_said_of_a_sequence(self, film: Path, check: Check) -> None:
        found = check(film)
        assert not found.refused
        assert found.rows == {SEQUENCE: ["6", "18", "3", "48x32", "25", "pedestrian: 12, car: 6"]}
        assert found.lines[-1] == f"{film} can be used."
        assert check(film.parent).rows == found.rows
        assert check(film / "gt" / "gt.txt").rows == found.rows
        assert check(zipped(film, film.parents[1] / "MOT17.zip")).rows == found.rows
        assert check(film.parents[1]).rows == found.rows, "a folder of zips"

    def test_windows_line_ends_and_a_mark(self, film: Path, check: Check) -> None:
        for file in ("gt/gt.txt", "seqinfo.ini", "det/det.txt"):
            text = (film / file).read_text().replace("\n", "\r\n")
            (film / file).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert check(film).lines[-1] == f"{film} can be used."

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("1,9,1,1,5,5,1,1", "has 8 columns, expected 9"),
            ("1,9,1,1,5,5,1,-1,-1,-1", "has 10 columns where the rows before have 9"),
            ("1,9,1,nan,5,5,1,1,1", "column 4 is 'nan'"),
            ("1,9,1,,5,5,1,1,1", "column 4 is empty"),
            ("1.5,9,1,1,5,5,1,1,1", "frame 1.5 is not a whole number"),
            ("1,9.5,1,1,5,5,1,1,1", "id 9.5 is not a whole number"),
            ("0,9,1,1,5,5,1,1,1", "frame 0 is below 1"),
            ("7,9,1,1,5,5,1,1,1", "frame 7 is beyond the sequence's 6 frames"),
            ("1,9,1,1,5,5,1,14,1", "class 14 is none of"),
            ("1,1,1,1,5,5,1,1,1", "id 1 stands twice in frame 1, before on line 1"),
        ],
    )
    def test_a_row_at_fault(self, row: str, words: str, film: Path, check: Check, tmp_path: Path) -> None:
        """In a folder and in a zip; whatever is an error here, the stages refuse."""
        lines_of(film / "gt" / "gt.txt", lambda lines: [*lines, "", row])
        line = len((film / "gt" / "gt.txt").read_text().splitlines())
        path = zipped(film, tmp_path / "MOT17.zip")
        for data in (film, path):
            (error,) = check(data).errors
            assert f"gt/gt.txt:{line}: " in error
            assert words in error
        with pytest.raises(InputError):
            extract_benchmark(path, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("1,9,1,1,0,5,1,1,1", "the box x, y, w, h = 1, 1, 0, 5 has no width or no height"),
            ("1,9,1,1,5,-5,1,1,1", "has no width or no height"),
            ("1,9,49,1,5,5,1,1,1", "has no part in the image of 48x32"),
            ("1,9,-4,1,5,5,1,1,1", "has no part in the image of 48x32"),
        ],
    )
    def test_a_row_that_is_odd(self, row: str, words: str, film: Path, check: Check) -> None:
        lines_of(film / "gt" / "gt.txt", lambda lines: [*lines, row])
        found = check(film)
        assert not found.refused
        (warning,) = found.warnings
        assert f"gt/gt.txt:{len((film / 'gt' / 'gt.txt').read_text().splitlines())}: " in warning
        assert words in warning

    def test_boxes_that_reach_outside_are_fine(self, film: Path, check: Check) -> None:
        lines_of(
            film / "gt" / "gt.txt", lambda lines: [*lines, "1,9,48.5,1,500,5,1,1,1", "1,8,-4,1,5.5,5,1,1,1"]
        )
        assert check(film).lines[-1] == f"{film} can be used."

    def test_nobody(self, film: Path, check: Check) -> None:
        lines_of(film / "gt" / "gt.txt", lambda lines: [line for line in lines if ",3,1" in line])
        assert "no row is a person" in check(film).warnings[0]

    def test_missing_frames(self, film: Path, check: Check, tmp_path: Path) -> None:
        for number in (2, 3, 5):
            (film / "img1" / f"{number:06d}.jpg").unlink()
        errors = check(film).errors
        assert [error.rpartition(": img1: ")[2] for error in errors] == [
            "000002.jpg to 000003.jpg do not exist, but the sequence has 6 frames",
            "000005.jpg does not exist, but the sequence has 6 frames",
        ]
        with pytest.raises(InputError, match=r"000002\.jpg and 2 other frames are missing"):
            extract_benchmark(
                zipped(film, tmp_path / "MOT17.zip"), "MOT17", "half", tmp_path / "f", tmp_path / "g"
            )

    def test_a_missing_end_that_nobody_labelled(self, film: Path, check: Check, tmp_path: Path) -> None:
        (film / "img1" / "000006.jpg").unlink()
        assert check(film).errors
        (film / "gt" / "gt.txt").write_text(gt_rows(5))
        found = check(zipped(film, tmp_path / "MOT17.zip"))
        assert not found.refused
        assert "000006.jpg of 6 announced frames does not exist" in found.warnings[0]

    def test_a_missing_end_of_a_sequence_that_nobody_labelled(
        self, film: Path, check: Check, tmp_path: Path
    ) -> None:
        """Without labels there is no saying whether frames were lost."""
        files = sequence_files("MOT17/train/MOT17-02-SDP", 4)
        files |= sequence_files("MOT17/test/MOT17-01-SDP", 4, gt=None)
        del files["MOT17/test/MOT17-01-SDP/img1/000004.jpg"]
        path = write_zip(tmp_path / "MOT17.zip", files)
        (error,) = check(path).errors
        assert "000004.jpg does not exist, but the sequence has 4 frames" in error
        with pytest.raises(InputError, match=r"000004\.jpg is missing"):
            extract_benchmark(path, "MOT17", "full", tmp_path / "f", tmp_path / "g")

    def test_frames_nobody_expects(self, film: Path, check: Check) -> None:
        for name in ("000000.jpg", "000007.jpg", "7.jpg", "000008.png"):
            (film / "img1" / name).write_bytes(jpeg())
        warnings = check(film).warnings
        assert len(warnings) == 4
        assert any("000000.jpg is left out: frames are numbered from 1" in line for line in warnings)
        assert any("000007.jpg is beyond the 6 frames" in line for line in warnings)
        assert any("7.jpg: is not named like 000001.jpg" in line for line in warnings)

    def test_images(self, film: Path, check: Check) -> None:
        (film / "img1" / "000002.jpg").write_bytes(b"")
        (film / "img1" / "000003.jpg").write_bytes(jpeg()[:-20])
        write_image(film / "img1" / "000004.jpg", (20, 10))
        found = check(film)
        assert [error.rpartition("/")[2].split(";")[0] for error in found.errors] == [
            "000002.jpg: is empty",
            "000003.jpg: is cut off: its end is missing",
        ]
        assert "000004.jpg: is 20x10 but seqinfo.ini says 48x32" in found.warnings[0]
        assert found.rows[SEQUENCE][3] == "20x10 to 48x32 (2)"

    def test_seqinfo(self, film: Path, check: Check) -> None:
        (film / "seqinfo.ini").write_text(seqinfo(SEQUENCE, 6, frameRate="fast"))
        assert any("'frameRate' should be a number above 0" in line for line in check(film).errors)
        (film / "seqinfo.ini").unlink()
        found = check(film)
        assert not found.refused
        assert "seqinfo.ini: does not exist" in found.warnings[0]
        assert found.rows[SEQUENCE][4] == "-"

    def test_detections_matter_to_one_option_only(self, film: Path, check: Check) -> None:
        (film / "det" / "det.txt").write_text("1,-1,5,4,6.5\n")
        found = check(film)
        assert not found.refused
        assert "det.txt:1: has 5 columns" in found.warnings[0]
        assert "only 'track.detections: public'" in found.warnings[0]

    def test_a_sequence_without_ground_truth(self, film: Path, check: Check) -> None:
        (film / "gt" / "gt.txt").unlink()
        assert "can be tracked, but neither train nor be scored" in check(film).warnings[0]
        os.rename(film.parent, film.parents[1] / "test")
        assert check(film.parents[1] / "test" / "..").warnings == [], "a test set has none"


class TestZips:
    def test_the_last_word_is_the_stages(self, film: Path, check: Check, tmp_path: Path) -> None:
        """Whatever it refuses is an error, also what no sequence alone shows."""
        path = write_zip(tmp_path / "MOT17.zip", sequence_files("MOT17/test/MOT17-01-SDP", 4, gt=None))
        (error,) = check(path).errors
        assert "has no train sequence" in error

    def test_damage(self, check: Check, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "MOT17.zip", sequence_files("MOT17/train/MOT17-02-SDP", 4))
        damage(path, "MOT17/train/MOT17-02-SDP/img1/000003.jpg")
        assert any("is damaged at" in error and "000003.jpg" in error for error in check(path).errors)
        path.write_bytes(b"<html>")
        assert "is not a zip archive" in check(path).refused

    def test_one_bad_zip_of_two(self, check: Check, tmp_path: Path) -> None:
        write_zip(tmp_path / "MOT17.zip", sequence_files("MOT17/train/MOT17-02-SDP", 4))
        (tmp_path / "MOT20.zip").write_bytes(b"")
        found = check(tmp_path)
        assert list(found.rows) == ["MOT17-02-SDP"]
        assert [error for error in found.errors if "MOT20.zip is not a zip archive" in error] == found.errors

    def test_a_name_that_the_pipeline_does_not_look_for(self, check: Check, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "mine.zip", sequence_files("train/Mine", 4))
        found = check(path)
        assert not found.refused
        assert "looks for MOT15.zip" in found.warnings[0]
        assert "holds no sequence" in check(write_zip(tmp_path / "other.zip", {"a.txt": b""})).refused

    @pytest.mark.shared_data
    def test_real_archives(self, check: Check, shared: Path) -> None:
        found = check(shared / "data")
        assert not found.refused
        assert found.rows["MOT17-02-FRCNN"][:5] == ["600", "30003", "83", "1088x612", "30"]
        assert found.rows["PETS09-S2L1"][:5] == ["795", "4650", "19", "768x576", "7"]
        assert found.warnings == []


class TestResults:
    def test_a_file_and_a_folder(self, check: Check, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("1,1,5,5,9,9,0.5,-1,-1,-1\n3,2,5,5,9,9,0.5,-1,-1,-1\n")
        (tmp_path / "b.txt").write_text("")
        assert check(tmp_path / "a.txt").rows == {"a": ["3", "2", "2", "-", "-", "-"]}
        found = check(tmp_path)
        assert list(found.rows) == ["a", "b"]
        assert [line.rpartition("/")[2] for line in found.warnings] == ["b.txt: holds no box"]

    def test_faults(self, check: Check, tmp_path: Path) -> None:
        rows = ["1,1,5,5,9,9,0.5", "1,1,6,5,9,9,0.5", "1,2,5,5,9,inf,0.5", "0,3,5,5,9,9,0.5", "1,4,5,5,9,9"]
        (tmp_path / "a.txt").write_text("\n".join(rows))
        errors = [line.rpartition("/")[2] for line in check(tmp_path / "a.txt").errors]
        assert len(errors) == 4
        for line, words in (
            (2, "id 1 stands twice in frame 1, before on line 1"),
            (3, "'inf'"),
            (4, "below 1"),
        ):
            assert any(error.startswith(f"a.txt:{line}: ") and words in error for error in errors)
        assert any(error.startswith("a.txt:5: has 6 columns, expected 7 to 10") for error in errors)

    def test_unknown_identities_may_repeat(self, check: Check, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("1,-1,5,5,9,9,0.5\n1,-1,6,5,9,9,0.5\n")
        found = check(tmp_path / "a.txt")
        assert (found.refused, found.rows["a"][2]) == ("", "0")


@pytest.mark.parametrize("content", ["", "hello\n", "\x89PNG"])
def test_what_is_not_known(content: str, check: Check, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.md").write_text(content, encoding="latin-1")
    for data in (tmp_path / "folder", tmp_path / "folder" / "a.md", tmp_path / "nothing"):
        refused = check(data).refused
        assert refused
        assert "\n" not in refused


def test_runs() -> None:
    assert runs([]) == []
    assert runs([1, 2, 3, 5, 8, 9]) == [(1, 3), (5, 5), (8, 9)]


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 1000])
def test_samples_are_spread(count: int) -> None:
    chosen = sampled(count)
    assert len(chosen) == min(count, 20)
    assert chosen <= set(range(count))
    assert not count or {0, count - 1} <= chosen


def test_faults_are_of_every_format() -> None:
    assert {kind for kind, _, _ in FAULTS} == set(FORMATS)
