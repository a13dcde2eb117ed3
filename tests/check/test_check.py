"""`clmot check`: says what data are, finds every fault with its line, and agrees with the stages on what can be
used."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_films
from PIL import Image
from tiny_archive import damage, gt_rows, jpeg, seqinfo, sequence_files, write_zip
from tiny_box_sets import FAULTS, FORMATS, Change, replace_text, text_files, tree, write_image, write_set
from tiny_films import write_boxes, write_film

from clmot.archives.extract import extract_benchmark
from clmot.check import sources
from clmot.check.box_sets import sampled
from clmot.cli.main import run
from clmot.data.index import index_set
from clmot.data.strip import strip_benchmark
from clmot.errors import InputError
from clmot.films.find_films import boxes_beside
from clmot.films.video import Measured, measure
from clmot.motchallenge.splits import Split
from clmot.params import ExtraSetParams, load_params, parse_params
from clmot.sources.fetch import fetch_archives

ROOT = Path(__file__).parents[2]


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
        header = next((i for i, line in enumerate(self.lines) if re.match(r"name +frames +boxes", line)), None)
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
    def test_a_folder_says_what_it_is_and_how_to_train_on_it(self, kind: str, check: Check, tmp_path: Path) -> None:
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
        one, other = index_set(entry), index_set(given)
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
            index_set(given)
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

    def test_problems_of_a_kind_are_cut_short_unless_all_are_wanted(self, check: Check, tmp_path: Path) -> None:
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
        assert any("None is called person or pedestrian (dog: 0 boxes, walker: 4 boxes)" in e for e in found.errors)
        assert not any("{name:" in line for line in found.lines), "nothing recognised is not everything"
        assert "classes: [walker]" in check(tmp_path / "set", "--classes", "walker").lines[-1]
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
        assert index_set(given).kept == 0

    def test_every_file_of_labels_is_a_set(self, check: Check, tmp_path: Path) -> None:
        """CrowdHuman as it is distributed; what is at fault in one costs the others nothing."""
        folder = tmp_path / "CrowdHuman"
        given = write_set(folder, "crowdhuman")
        for part in ("train", "val"):
            shutil.copy(given.labels, folder / f"annotation_{part}.odgt")
        Path(given.labels).unlink()
        found = check(folder)
        assert not found.refused
        assert list(found.rows) == ["CrowdHuman-train", "CrowdHuman-val"]
        text = (ROOT / "params.yaml").read_text()
        text = text.replace("  extra: []", "\n".join(["  extra:", *found.lines[-2:]]))
        assert [Path(entry.labels).stem for entry in parse_params(text).data.extra] == [
            "annotation_train",
            "annotation_val",
        ]
        replace_text(folder / "annotation_val.odgt", '"tag"', '"tags"')
        found = check(folder)
        assert "cannot be used as it is: 1 error " in found.refused
        assert [line for line in found.lines if "{name:" in line] == [
            line for line in found.lines if "annotation_train.odgt" in line
        ]
        (folder / "annotation_val.odgt").write_text("")
        assert any("annotation_val.odgt names no image" in error for error in check(folder).errors)

    def test_coco_as_it_is_distributed(self, check: Check, tmp_path: Path) -> None:
        """Sentences about the images lie among the boxes, and are none."""
        given = write_set(tmp_path / "made", "coco")
        folder = tmp_path / "coco"
        (folder / "annotations").mkdir(parents=True)
        for part in ("train2017", "val2017"):
            shutil.copytree(given.images, folder / part)
            for kind in ("instances", "person_keypoints"):
                shutil.copy(given.labels, folder / "annotations" / f"{kind}_{part}.json")
            captions = '{"images": [], "annotations": [{"image_id": 1, "caption": "two people"}]}'
            (folder / "annotations" / f"captions_{part}.json").write_text(captions)
        found = check(folder)
        assert not found.refused
        assert len(found.rows) == len({name.lower() for name in found.rows}) == 4
        entries = [line for line in found.lines if "{name:" in line]
        assert ["images: coco/val2017" in line for line in entries] == [False, True, False, True]
        assert ["labels: coco/annotations/instances" in line for line in entries] == [
            True,
            True,
            False,
            False,
        ]

    def test_sets_in_folders_below(self, check: Check, tmp_path: Path) -> None:
        """JDE's ETH, one of JDE's sets beside it, and Roboflow's exports."""
        for folder in ("ETHZ/eth01", "ETHZ/eth02", "Caltech"):
            write_set(tmp_path / "jde" / folder, "jde")
        found = check(tmp_path / "jde")
        assert not found.refused
        assert list(found.rows) == ["Caltech", "eth01", "eth02"]
        assert list(check(tmp_path / "jde" / "ETHZ").rows) == ["eth01", "eth02"]
        assert "labels: jde/ETHZ/eth02/labels_with_ids" in found.lines[-1]
        for part in ("train", "valid"):
            given = write_set(tmp_path / "made" / part, "yolo")
            for source, name in ((given.images, "images"), (given.labels, "labels")):
                shutil.copytree(source, tmp_path / "people.v1" / part / name)
        (tmp_path / "people.v1" / "data.yaml").write_text("train: ../train/images\nnames: [dog, person]\n")
        (tmp_path / "people.v1" / "README.roboflow.txt").write_text("people - v1\n")
        found = check(tmp_path / "people.v1")
        assert not found.refused
        assert list(found.rows) == ["people.v1-train", "people.v1-valid"]
        assert all("format: yolo" in line and "classes: [person]" in line for line in found.lines[-2:])
        for part in ("train", "valid"):
            given = write_set(tmp_path / "made" / f"coco-{part}", "coco")
            shutil.copytree(given.images, tmp_path / "people.coco" / part)
            os.rename(given.labels, tmp_path / "people.coco" / part / "_annotations.coco.json")
        assert list(check(tmp_path / "people.coco").rows) == ["people.coco-1", "people.coco-2"]

    @pytest.mark.parametrize("where", ["", "obj_train_data", "obj_Train_data/part"])
    def test_labels_beside_images(self, where: str, check: Check, tmp_path: Path) -> None:
        """As labelImg and CVAT's YOLO 1.1 write them."""
        folder = tmp_path / "set" / where
        for name in ("a", "b", "frame_000000"):
            folder.mkdir(parents=True, exist_ok=True)
            write_image(folder / f"{name}.PNG", (40, 60))
            (folder / f"{name}.txt").write_text("1 0.5 0.5 0.2 0.4\n")
        (folder / "classes.txt").write_text("car\nperson\n")
        (tmp_path / "set" / "train.txt").write_text("data/obj_train_data/frame_000000.PNG\n")
        found = check(tmp_path / "set")
        assert not found.refused
        assert "format: yolo" in found.lines[-1]
        assert "classes: [person]" in found.lines[-1]

    @pytest.mark.parametrize("names", ["[head, human]", "[car, people]", "[head]"])
    def test_no_class_of_people_is_a_question(self, names: str, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "yolo")
        for file in text_files(given):
            file.write_text("0 0.5 0.5 0.2 0.4\n")
        (tmp_path / "set" / "data.yaml").write_text(f"names: {names}\n")
        found = check(tmp_path / "set")
        assert found.refused
        assert any("which classes are people?" in error for error in found.errors)
        assert not any("{name:" in line for line in found.lines)

    def test_names_that_are_no_text(self, check: Check, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        for folder, suffix in ((given.images, ".jpg"), (given.labels, ".txt")):
            path = Path(folder) / "part" / f"many{suffix}"
            path.rename(path.with_name(os.fsdecode(b"caf\xe9") + suffix))
        (error,) = check(tmp_path / "set").errors
        assert error.startswith("'part/caf\\udce9.jpg': has control characters in it, or is not in UTF-8")
        with pytest.raises(InputError) as refused:
            index_set(given)
        assert str(refused.value) == error

    def test_people_are_called_as_in_films(self, check: Check, tmp_path: Path) -> None:
        write_set(tmp_path / "set", "yolo")
        (tmp_path / "set" / "data.yaml").write_text("names: [people, ' Pedestrian ']\n")
        found = check(tmp_path / "set")
        assert not found.refused
        assert "classes: [' Pedestrian ']" in found.lines[-1]

    def test_an_address_instead_of_a_name(self, check: Check, tmp_path: Path) -> None:
        """Longer than names of files may be."""
        given = write_set(tmp_path / "set", "coco")
        replace_text(Path(given.labels), "größe.jpg", f"a.jpg?signature={'f' * 300}")
        (error,) = check(given.labels).errors
        assert "images[1]" in error
        assert "does not exist" in error
        (tmp_path / "set" / "list").write_text(f"images/{'f' * 300}.jpg\n")
        assert "with --images" in check(tmp_path / "set" / "list").refused

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

    def test_a_format_that_was_named_wins_over_the_film(self, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "train" / "door.avi", "coco")
        labels = video.with_suffix(".json")
        for frame in range(1, 13):
            write_image(tmp_path / "pictures" / f"frame_{frame:06d}.PNG", (96, 64))
        assert list(check(labels).rows) == ["door"]
        for options in (("--format", "coco"), (), ("--classes", "person")):
            for data in (labels, labels.parent) if options[:1] == ("--format",) else (labels,):
                found = check(data, "--images", tmp_path / "pictures", *options)
                assert not found.refused
                assert "labels: train/door.json" in found.lines[-1]
                assert found.warnings == []

    def test_options_without_effect(self, check: Check, tmp_path: Path) -> None:
        video = write_film(tmp_path / "train" / "door.avi", "yolo")
        for data in (tmp_path, video):
            found = check(data, "--images", tmp_path)
            assert found.warnings == ["--images has no effect: this is no set of images"]
        labels = tmp_path / "train" / "door_labels"
        assert "name the folder of those with --images" in check(labels, "--format", "yolo").refused

    def test_too_deep(self, check: Check, tmp_path: Path) -> None:
        """The download stage does not look there."""
        write_film(tmp_path / "all" / "mine" / "films" / "door.avi", "mot")
        assert f"name {tmp_path / 'all' / 'mine' / 'films'} in" in check(tmp_path / "all").errors[0]
        assert not check(tmp_path / "all" / "mine" / "films").refused

    def test_a_video_is_decoded_once(self, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded = []

        def counting(path: Path) -> Measured:
            decoded.append(path)
            return measure(path)

        monkeypatch.setattr(sources, "measure", counting)
        for name in ("door", "yard"):
            write_film(tmp_path / f"{name}.avi", "mot")
        assert not check(tmp_path).refused
        assert [path.name for path in decoded] == ["door.avi", "yard.avi"]

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

    def test_boxes_that_cannot_be_read(self, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            ("1,9,1,1,5,5,1,-1,-1,-1", "has 10 columns but line 1 has 9"),
            ("1,9,1,nan,5,5,1,1,1", "column 4 is 'nan'"),
            ("1,9,1,,5,5,1,1,1", "column 4 is empty"),
            ("1.5,9,1,1,5,5,1,1,1", "frame 1.5 is not a whole number"),
            ("1,9.5,1,1,5,5,1,1,1", "identity 9.5 is not a whole number"),
            ("0,9,1,1,5,5,1,1,1", "frame 0 is below 1"),
            ("7,9,1,1,5,5,1,1,1", "frame 7 is beyond the sequence's 6 frames"),
            ("1,9,1,1,5,5,1,14,1", "class 14 is none of"),
            ("1,1,1,1,5,5,1,1,1", "identity 1 appears twice in frame 1, first on line 1"),
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
        lines_of(film / "gt" / "gt.txt", lambda lines: [*lines, "1,9,48.5,1,500,5,1,1,1", "1,8,-4,1,5.5,5,1,1,1"])
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
            extract_benchmark(zipped(film, tmp_path / "MOT17.zip"), "MOT17", "half", tmp_path / "f", tmp_path / "g")

    def test_a_missing_end_that_nobody_labelled(self, film: Path, check: Check, tmp_path: Path) -> None:
        (film / "img1" / "000006.jpg").unlink()
        assert check(film).errors
        (film / "gt" / "gt.txt").write_text(gt_rows(5))
        found = check(zipped(film, tmp_path / "MOT17.zip"))
        assert not found.refused
        assert "000006.jpg of 6 announced frames does not exist" in found.warnings[0]

    def test_a_missing_end_of_a_sequence_that_nobody_labelled(self, film: Path, check: Check, tmp_path: Path) -> None:
        """Without labels there is no saying whether frames were lost."""
        files = sequence_files("MOT17/train/MOT17-02-SDP", 4)
        files |= sequence_files("MOT17/test/MOT17-01-SDP", 4, gt=None)
        del files["MOT17/test/MOT17-01-SDP/img1/000004.jpg"]
        path = write_zip(tmp_path / "MOT17.zip", files)
        (error,) = check(path).errors
        assert "000004.jpg does not exist, but the sequence has 4 frames" in error
        with pytest.raises(InputError, match=r"000004\.jpg is missing"):
            extract_benchmark(path, "MOT17", "full", tmp_path / "f", tmp_path / "g")

    def test_frames_no_one_expects(self, film: Path, check: Check) -> None:
        for name in ("000007.jpg", "7.jpg", "b.jpg", "000008.png"):
            (film / "img1" / name).write_bytes(jpeg())
        beyond, others = sorted(check(film).warnings)
        assert "000007.jpg is beyond the 6 frames" in beyond or "000007.jpg is beyond the 6 frames" in others
        assert "3 images not called as its frames are, and not used (000008.png)" in beyond + others

    def test_frames_and_classes_as_cvat_writes_them(self, film: Path, check: Check, tmp_path: Path) -> None:
        for number in range(1, 7):
            (film / "img1" / f"{number:06d}.jpg").rename(film / "img1" / f"frame_{number - 1:06d}.PNG")
        (film / "seqinfo.ini").unlink()
        (film / "gt" / "labels.txt").write_text("car\nroad\nperson\n")
        lines_of(film / "gt" / "gt.txt", lambda lines: [re.sub(r",[01],3,[\d.]+$", ",1,3,1", line) for line in lines])
        found = check(film)
        assert not found.refused
        assert found.rows[SEQUENCE][-1] == "car: 12, pedestrian: 6"
        extract_benchmark(zipped(film, tmp_path / "MOT17.zip"), "MOT17", "half", tmp_path / "f", tmp_path / "g")
        rows = (tmp_path / "g" / "MOT17-02" / "gt.txt").read_text().splitlines()
        assert {row.split(",")[7] for row in rows if row.split(",")[1] == "3"} == {"1"}
        (film / "gt" / "labels.txt").write_text("car\nroad\n")
        for told in (check(film).errors[0], check(film.parent).errors[0]):
            assert "none is called person or pedestrian" in told

    @pytest.mark.parametrize("project", [True, False])
    def test_what_strip_would_refuse(self, project: bool, film: Path, check: Check, tmp_path: Path) -> None:
        """By the default's params where there is no project."""
        if project:
            (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        assert not check(film).refused
        lines_of(film / "gt" / "gt.txt", lambda lines: [re.sub(r",1,1,0.8$", ",1,1,-1", line) for line in lines])
        assert "is left by 'strip.classes: [1]'" in check(film).errors[0]

    def test_boxes_beside_the_video_they_are_of(self, film: Path, check: Check) -> None:
        shutil.rmtree(film / "img1")
        (film / "door.mp4").write_bytes(b"")
        words = "door.mp4 is here without frames: put gt/gt.txt beside it as door.txt"
        assert any(words in error for error in check(film).errors)

    def test_a_frame_that_does_not_decode(self, film: Path, check: Check, tmp_path: Path) -> None:
        """In the middle as well: the stage that would meet it first in training refuses it by name."""
        data = (film / "img1" / "000004.jpg").read_bytes()
        for broken in (b"<!DOCTYPE html>", data[:-9], data[: data.index(b"\xff\xda")] + b"\xff\xd9"):
            (film / "img1" / "000004.jpg").write_bytes(broken)
            assert "000004.jpg" in check(film).errors[0]
            path = zipped(film, tmp_path / "MOT17.zip")
            with pytest.raises(InputError, match=r"000004\.jpg"):
                extract_benchmark(path, "MOT17", "half", tmp_path / "f", tmp_path / "g")
            assert not (tmp_path / "f").exists()

    def test_images(self, film: Path, check: Check) -> None:
        (film / "img1" / "000002.jpg").write_bytes(b"")
        (film / "img1" / "000003.jpg").write_bytes(jpeg()[:-20])
        write_image(film / "img1" / "000004.jpg", (20, 10))
        found = check(film)
        assert [error.rpartition("/")[2].split(";")[0] for error in found.errors] == [
            "000002.jpg: is empty",
            "000003.jpg: is cut off: its end is missing",
            "000004.jpg: is 20x10, but the film's first frame is 48x32: boxes would lie elsewhere",
        ]
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

    @pytest.mark.parametrize("how", ["absent", "folder", "empty"])
    def test_a_sequence_without_ground_truth(self, how: str, film: Path, check: Check, tmp_path: Path) -> None:
        (film / "gt" / "gt.txt").unlink()
        if how == "folder":
            (film / "gt" / "gt.txt").mkdir()
            (film / "gt" / "gt.txt" / "1.txt").write_text("1,1,1,1,5,5,1,1,1\n")
        elif how == "empty":
            (film / "gt" / "gt.txt").write_text("\n")
        for data in (film, film.parent):
            (error,) = check(data).errors
            assert ("has no rows" if how == "empty" else "there is no gt/gt.txt, which train sequences need") in error
            with pytest.raises(InputError):
                extract_benchmark(data, "MOT17", "half", tmp_path / "f", tmp_path / "g")

    def test_a_test_sequence_needs_no_ground_truth(self, film: Path, check: Check, tmp_path: Path) -> None:
        for name, data in sequence_files("all/test/MOT17-01-SDP", 4, gt=None).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        (error,) = check(tmp_path / "all").errors
        assert "has no train sequence" in error
        os.rename(film.parent, tmp_path / "all" / "train")
        found = check(tmp_path / "all")
        assert (found.refused, found.warnings) == ("", [])

    def test_the_last_word_is_the_stages(self, film: Path, check: Check, tmp_path: Path) -> None:
        """Also where no sequence alone shows what is wrong."""
        for place in (
            "two/a/hall",
            "two/b/yard",
            "deep/mine/films/hall",
            "mixed/train/Mine",
            "mixed/other/Yours",
        ):
            shutil.copytree(film, tmp_path / place)
        assert "holds sequences below a and b" in check(tmp_path / "two").errors[0]
        assert f"name {tmp_path / 'deep' / 'mine' / 'films'} in" in check(tmp_path / "deep").errors[0]
        found = check(tmp_path / "mixed")
        assert not found.refused
        assert list(found.rows) == ["Mine"]
        assert "other/Yours: is left out" in found.warnings[0]

    def test_benchmarks_side_by_side(self, film: Path, check: Check, tmp_path: Path) -> None:
        """A folder for each is what the stage looks for; in one folder they are refused."""
        for place in (
            "good/MOT17/train/MOT17-02-SDP",
            "good/MOT20/train/MOT20-01",
            "bad/MOT17-02-SDP",
            "bad/MOT20-01",
        ):
            shutil.copytree(film, tmp_path / place)
        assert not check(tmp_path / "good").refused
        assert any("a sequence of MOT17: expected those of MOT20" in error for error in check(tmp_path / "bad").errors)

    def test_a_table_that_is_no_text(self, film: Path, check: Check) -> None:
        (film / "gt" / "gt.txt").write_bytes(b"1,1,\xff\n")
        for data in (film, film / "gt" / "gt.txt"):
            assert any("gt.txt:1: is not text" in error for error in check(data).errors)

    def test_a_file_of_detections_is_no_sequence(self, film: Path, check: Check) -> None:
        (film.parent / "empty" / "det").mkdir(parents=True)
        (film.parent / "empty" / "det" / "det.txt").write_text("1,-1,5,4,6.5,12,0.9\n")
        found = check(film.parent)
        assert (found.refused, list(found.rows)) == ("", [SEQUENCE])

    def test_what_the_pipeline_wrote(self, film: Path, check: Check, tmp_path: Path) -> None:
        data = tmp_path / "data"
        path = zipped(film, tmp_path / "MOT17.zip")
        outs = [data / kind / "MOT17" for kind in ("frames", "gt", "detections")]
        extract_benchmark(path, "MOT17", "half", *outs)
        strip_benchmark(data, "MOT17", Split("half"), load_params(ROOT / "params.yaml").strip)
        for folder in (
            data,
            *(out for out in outs),
            data / "frames",
            data / "training",
            data / "training" / "MOT17",
        ):
            found = check(folder)
            assert found.lines == []
            assert f"{folder} is the pipeline's own" in found.refused


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
        assert "is a web page, and no zip" in check(path).refused

    def test_one_bad_zip_of_two(self, check: Check, tmp_path: Path) -> None:
        write_zip(tmp_path / "MOT17.zip", sequence_files("MOT17/train/MOT17-02-SDP", 4))
        (tmp_path / "MOT20.zip").write_bytes(b"")
        found = check(tmp_path)
        assert list(found.rows) == ["MOT17-02-SDP"]
        assert [error for error in found.errors if "MOT20.zip is not a zip archive" in error] == found.errors

    def test_a_name_that_the_pipeline_does_not_look_for(self, check: Check, tmp_path: Path) -> None:
        """In a folder; the stage takes a zip of any name that `data.source` names itself."""
        path = write_zip(tmp_path / "mine.zip", sequence_files("train/Mine", 4))
        found = check(path)
        assert (found.refused, found.warnings) == ("", [])
        assert fetch_archives(str(path), "MOT17", tmp_path, 0, 1) == (path,)
        found = check(tmp_path)
        assert not found.refused
        assert "looks for MOT15.zip" in found.warnings[0]
        assert "holds no sequence" in check(write_zip(tmp_path / "other.zip", {"a.txt": b""})).refused

    @pytest.mark.parametrize("named", ["", "MOT16.zip", "MOT17Labels.zip"])
    def test_frames_and_tables_in_two_zips(self, named: str, check: Check, tmp_path: Path) -> None:
        """As the pipeline fetches MOT17. The tables that come with the frames are not those of MOT17, and not read."""
        frames = sequence_files("MOT16/train/MOT16-02", 4) | sequence_files("MOT16/test/MOT16-01", 4, gt=None)
        frames["MOT16/train/MOT16-02/gt/gt.txt"] = b"nothing\n"
        tables = {}
        for detector in ("DPM", "SDP"):
            tables |= sequence_files(f"train/MOT17-02-{detector}", 4, images=False)
            tables |= sequence_files(f"test/MOT17-01-{detector}", 4, images=False, gt=None)
        archives = [
            write_zip(tmp_path / "MOT16.zip", frames),
            write_zip(tmp_path / "MOT17Labels.zip", tables),
        ]
        found = check(tmp_path / named)
        assert (found.refused, found.warnings) == ("", [])
        assert found.rows["MOT17-02-DPM"][:3] == ["4", "12", "3"]
        assert len(found.rows) == 6
        assert extract_benchmark(archives, "MOT17", "half", tmp_path / "f", tmp_path / "g")
        tables["train/MOT17-02-SDP/gt/gt.txt"] = gt_rows(4, people=1).encode()
        write_zip(archives[1], tables)
        (error,) = check(tmp_path / named).errors
        assert "the ground truth of train/MOT17-02-DPM and of train/MOT17-02-SDP differ" in error

    @pytest.mark.parametrize("name", ["MOT16.zip", "MOT17Labels.zip"])
    def test_one_zip_of_two(self, name: str, check: Check, tmp_path: Path) -> None:
        files = (
            sequence_files("train/MOT16-02", 4)
            if name == "MOT16.zip"
            else sequence_files("train/MOT17-02-DPM", 4, images=False)
        )
        write_zip(tmp_path / name, files)
        for data in (tmp_path, tmp_path / name):
            found = check(data)
            assert ("put MOT17Labels.zip beside it" if name == "MOT16.zip" else "holds no frame") in found.errors[0]
            assert found.warnings == []

    @pytest.mark.shared_data
    def test_real_archives(self, check: Check, shared: Path) -> None:
        found = check(shared / "data")
        assert not found.refused
        assert found.rows["MOT17-02-FRCNN"][:5] == ["600", "30003", "83", "1088x612", "30"]
        assert found.rows["PETS09-S2L1"][:5] == ["795", "4650", "19", "768x576", "7"]
        assert found.warnings == []


class TestFramesOfOneSize:
    @pytest.mark.parametrize("at", [2, 4, 6])
    @pytest.mark.parametrize("turned", [False, True])
    def test_a_frame_of_another_size(self, at: int, turned: bool, check: Check, film: Path, tmp_path: Path) -> None:
        """Its boxes would lie elsewhere: refused by both."""
        path = film / "img1" / f"{at:06d}.jpg"
        with Image.open(path) as image:
            image.load()
        exif = Image.Exif()
        if turned:
            exif[0x0112] = 6
        (image if turned else image.resize((image.width // 2, image.height // 2))).save(path, exif=exif)
        found = check(film)
        assert len(found.errors) == 1
        assert f"{at:06d}.jpg: is " in found.errors[0]
        with pytest.raises(InputError, match=f"{at:06d}.jpg is .* but the film's first frame is"):
            extract_benchmark(film, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


class TestPartsOfASet:
    @pytest.mark.parametrize("part", ["images", "labels", "data.yaml"])
    def test_any_part_stands_for_the_set(self, part: str, check: Check, tmp_path: Path) -> None:
        write_set(tmp_path / "set", "yolo")
        whole = check(tmp_path / "set")
        found = check(tmp_path / "set" / part)
        assert found.rows == whole.rows
        assert not found.refused

    def test_names_above_folders_of_cvat(self, check: Check, tmp_path: Path) -> None:
        """obj_train_data/film/: images beside labels, and obj.names two folders above."""
        folder = tmp_path / "export" / "obj_train_data" / "film"
        given = write_set(tmp_path / "set", "yolo")
        folder.mkdir(parents=True)
        for path in [*Path(given.images).rglob("*.*"), *Path(given.labels).rglob("*.txt")]:
            (folder / path.name).write_bytes(path.read_bytes())
        (tmp_path / "export" / "obj.names").write_text("car\nperson\nbicycle\n")
        assert any("classes: [person]" in line for line in check(tmp_path / "export").lines)

    @pytest.mark.parametrize(
        ("content", "whose"),
        [
            ([{"annotations": [], "data": {"image": "a.jpg"}}], "Label Studio"),
            ({"shapes": [], "imagePath": "a.jpg"}, "LabelMe"),
            ({"items": [], "categories": {}}, "Datumaro"),
            ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "results of a detector"),
        ],
    )
    def test_json_of_others_is_named(self, content: object, whose: str, check: Check, tmp_path: Path) -> None:
        (tmp_path / "labels.json").write_text(json.dumps(content))
        assert whose in check(tmp_path / "labels.json").refused


class TestForeignLayouts:
    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (["image_02/0000/000000.png", "label_02/0000.txt"], "KITTI's tracking set"),
            (["training/image_02/0001/000000.png", "training/label_02/0001.txt"], "KITTI's tracking set"),
            (["sequences/uav1/0000001.jpg", "annotations/uav1.txt"], "VisDrone's sequences"),
            (["images/track/train/b1/b1-0000001.jpg", "labels/box_track_20/train/b1.json"], "BDD100K's"),
            (["frames/000/rgb/0001.jpg", "frames/001/rgb/0001.jpg"], "MOTSynth's"),
        ],
    )
    def test_sets_as_they_come_unpacked(self, files: list[str], words: str, check: Check, tmp_path: Path) -> None:
        for name in files:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"{}" if name.endswith("json") else b"0 1 Pedestrian 0 0 1\n")
        assert f"is laid out as {words}" in check(tmp_path / "set").refused


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Ja", "a\x07b"])
def test_names_move_no_cursor(name: str, film: Path, check: Check) -> None:
    (film / "det" / "det.txt").write_text("1,-1,5,4,6.5,12\n")
    film.rename(film.parent / name)
    found = check(film.parent)
    shown = "\n".join([*found.lines, found.refused])
    assert shown.replace("\n", "").isprintable()
    assert name not in shown


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
            (2, "identity 1 appears twice in frame 1, first on line 1"),
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


def test_the_home_of_somebody_unknown(check: Check) -> None:
    """In every place where people write paths."""
    assert (
        "'~nobody-here/films' begins with ~nobody-here, which is no user's home" in check("~nobody-here/films").refused
    )
    with pytest.raises(InputError, match="no user's home folder"):
        fetch_archives("~nobody-here/films", "MOT17", ".", 0, 1)
    with pytest.raises(InputError, match="no user's home folder"):
        index_set(ExtraSetParams("a", "jde", "~nobody-here/images", "labels", 1.0, ()))
    Path("~nobody-here").mkdir()
    assert "holds nothing that is known" in check("./~nobody-here").refused


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 1000])
def test_samples_are_spread(count: int) -> None:
    chosen = sampled(count)
    assert len(chosen) == min(count, 20)
    assert chosen <= set(range(count))
    assert not count or {0, count - 1} <= chosen


def test_faults_are_of_every_format() -> None:
    assert {kind for kind, _, _ in FAULTS} == set(FORMATS)
