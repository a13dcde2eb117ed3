"""Sets of images beside the films: every format gives the same boxes, no identity, and a sentence for every fault."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_box_sets import (
    FAULTS,
    FORMATS,
    SCENES,
    Change,
    Scene,
    entry,
    expected_corners,
    replace_text,
    text_files,
    tree,
    write_image,
    write_set,
)
from tiny_training import training_folder

from clmot.data.extra_sets import ExtraImage, ExtraSet, read_extra_sets
from clmot.data.frames import (
    FrameDataset,
    TrainingFrame,
    collate,
    epoch_order,
    find_extra_frames,
    find_training_frames,
)
from clmot.data.index import check_sets, format_report, index_set, index_sets
from clmot.errors import InputError
from clmot.images import read_image
from clmot.labels.coco import entry_key, read_coco
from clmot.labels.crowdhuman import read_crowdhuman
from clmot.labels.normalised import class_names
from clmot.motchallenge.rows import parse_rows
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import Split, tracked_films
from clmot.params import ExtraSetParams
from clmot.pictures import UnreadablePicture, picture_size, read_picture
from clmot.problems import Problem, refuse

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_other_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start in this test's folder."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


def indexed(given: ExtraSetParams, out: Path) -> dict[str, bytes]:
    """The files that indexing one set writes."""
    index_sets([given], out)
    return tree(out)


def sentence(given: ExtraSetParams) -> str:
    with pytest.raises(InputError) as caught:
        index_set(given)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestFormats:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_all_show_the_same_people(self, kind: str, tmp_path: Path) -> None:
        index_sets([write_set(tmp_path / kind, kind)], tmp_path / "out")
        (found,) = read_extra_sets(tmp_path / "out")
        assert sorted(Path(image.name).stem for image in found.images) == sorted(SCENES)
        for image in found.images:
            scene = SCENES[Path(image.name).stem]
            assert (image.width, image.height) == scene.size
            np.testing.assert_allclose(image.boxes, expected_corners(scene), atol=1e-4)
            assert found.path(image).stat().st_size == image.bytes
        assert (found.kept, found.empty, sum(found.dropped.values())) == (4, 1, 0)
        assert found.unlabelled == (kind == "jde")

    @pytest.mark.parametrize("kind", FORMATS)
    def test_rewriting_every_identity_changes_no_byte(self, kind: str, tmp_path: Path) -> None:
        """The identity wall, also where people stand in another order because of who they are."""
        folder = tmp_path / "set"
        given = write_set(folder, kind)
        before = indexed(given, tmp_path / "out")
        labels = tree(folder)
        write_set(folder, kind, identity=lambda n: [7, -1, 123456789, 0][n])
        for file in text_files(given):
            if kind in ("jde", "yolo"):
                file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
            elif kind == "crowdhuman":
                lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
                for line in lines:
                    line["gtboxes"].reverse()
                file.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))
            else:
                content = json.loads(file.read_text(encoding="utf-8"))
                content["annotations"].reverse()
                content["images"].reverse()
                file.write_text(json.dumps(content))
        assert tree(folder) != labels
        assert indexed(given, tmp_path / "out") == before

    @pytest.mark.parametrize("kind", FORMATS)
    def test_windows_line_ends_a_mark_and_blank_lines_are_fine(self, kind: str, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", kind)
        before = indexed(given, tmp_path / "out")
        for file in text_files(given):
            text = file.read_text(encoding="utf-8")
            text = text.replace("\n", "\r\n\r\n") + "\r\n"
            file.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert indexed(given, tmp_path / "out") == before

    @pytest.mark.parametrize("kind", FORMATS)
    def test_the_same_bytes_wherever_the_set_lies(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Paths in params.yaml start at the project, in whatever folder the stage runs."""
        written = []
        for place in ("one", "other"):
            project = tmp_path / place
            given = write_set(project / "sets", kind)
            relative = {key: os.path.relpath(getattr(given, key), project) for key in ("images", "labels")}
            monkeypatch.setenv("DVC_ROOT", str(project))
            written.append(indexed(dataclasses.replace(given, **relative), tmp_path / "out"))  # type: ignore[arg-type]
            assert [f.image.is_file() for f in find_extra_frames(tmp_path / "out")] == [True] * 3
        assert written[0] == written[1]

    def test_every_reason_is_counted_and_the_first_counts(self, tmp_path: Path) -> None:
        write_image(tmp_path / "Images" / "a.jpg", (64, 48))
        people = [
            {"tag": "person", "fbox": [1, 1, 5, 5], "extra": {"ignore": 1}},
            {"tag": "mask", "fbox": [1, 1, 0, 0], "extra": {}},
            {"tag": "dog", "fbox": [1, 1, 0, 0]},
            {"tag": "person", "fbox": [1, 1, 5, -5]},
            {"tag": "person", "fbox": [64, 1, 5, 5]},
            {"tag": "person", "fbox": [-9, -9, 9, 9]},
            {"tag": "person", "fbox": [60, 44, 500, 500]},
        ]
        (tmp_path / "a.odgt").write_text(json.dumps({"ID": "a", "gtboxes": people}))
        given = entry("crowdhuman", tmp_path / "Images", tmp_path / "a.odgt", ("person",))
        found = index_set(given)
        assert found.dropped == {"ignored": 2, "class": 1, "degenerate": 1, "outside": 2}
        np.testing.assert_array_equal(found.images[0].boxes, [[60, 44, 560, 544]])
        np.testing.assert_array_equal(found.images[0].forgiven, [[1, 1, 6, 6]])
        assert format_report([found]).splitlines()[1].split() == [
            *("crowdhuman", "1", "0", "0", "1"),
            *("2", "1", "1", "2", "1"),
        ]
        everything = index_set(dataclasses.replace(given, classes=()))
        assert everything.dropped == {"ignored": 2, "class": 0, "degenerate": 2, "outside": 2}

    def test_crowds_of_coco_are_ignored(self, tmp_path: Path) -> None:
        given = write_set(tmp_path, "coco")
        before = {tuple(box) for image in index_set(given).images for box in image.boxes.tolist()}
        replace_text(Path(given.labels), '"iscrowd": 0', '"iscrowd": 1')
        crowds = index_set(given)
        assert crowds.dropped["ignored"] == 1
        (forgiven,) = [box for image in crowds.images for box in image.forgiven.tolist()]
        assert before == {tuple(box) for image in crowds.images for box in image.boxes.tolist()} | {tuple(forgiven)}

    @pytest.mark.parametrize(
        ("tag", "ignore", "classes", "forgiven"),
        [
            ("person", 1, ("person",), True),
            ("mask", 0, ("person",), True),  # posters and reflections of people
            ("dog", 1, ("person",), False),
            ("dog", 1, (), True),
            ("person", 0, ("person",), False),
        ],
    )
    def test_what_is_ignored_teaches_nothing(
        self, tmp_path: Path, tag: str, ignore: int, classes: tuple[str, ...], forgiven: bool
    ) -> None:
        write_image(tmp_path / "Images" / "a.jpg", (64, 48))
        one = {"tag": tag, "fbox": [3, 4, 10, 20], "extra": {"ignore": ignore}}
        other = {"tag": "person", "fbox": [30, 4, 10, 20]}
        (tmp_path / "a.odgt").write_text(json.dumps({"ID": "a", "gtboxes": [one, other]}))
        indexed(entry("crowdhuman", tmp_path / "Images", tmp_path / "a.odgt", classes), tmp_path / "out")
        (frame,) = find_extra_frames(tmp_path / "out")
        assert frame.forgiven.tolist() == [[3, 4, 13, 24]] * forgiven


class TestLists:
    """JDE's .train files, and YOLO's lists."""

    @pytest.mark.parametrize("kind", ["jde", "yolo"])
    @pytest.mark.parametrize("absolute", [False, True])
    def test_a_list_is_as_good_as_the_folder(self, kind: str, absolute: bool, tmp_path: Path) -> None:
        given = write_set(tmp_path / "Set", kind)
        of_folder = index_set(given)
        files = sorted((tmp_path / "Set" / "images").rglob("*.*g"), reverse=True)
        lines = [str(file) if absolute else f"./{file.relative_to(tmp_path).as_posix()}" for file in files]
        (tmp_path / "set.train").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
        listed = dataclasses.replace(given, images=str(tmp_path), labels=str(tmp_path / "set.train"), classes=())
        of_list = index_set(listed)
        folder = Path(given.images).relative_to(tmp_path).as_posix()
        assert [f"{folder}/{image.name}" for image in of_folder.images] == [image.name for image in of_list.images]
        for one, other in zip(of_folder.images, of_list.images, strict=True):
            np.testing.assert_array_equal(one.boxes, other.boxes)

    def test_paths_elsewhere_stay_absolute(self, tmp_path: Path) -> None:
        given = write_set(tmp_path / "Set", "jde")
        file = tmp_path / "Set" / "images" / "part" / "many.jpg"
        (tmp_path / "list").write_text(f"{file}\n")
        listed = dataclasses.replace(given, images=str(tmp_path / "other"), labels=str(tmp_path / "list"))
        index_sets([listed], tmp_path / "out")
        (frame,) = find_extra_frames(tmp_path / "out")
        assert frame.image == file

    def test_part_of_a_list(self, tmp_path: Path) -> None:
        """An image that stands twice counts once, however it is spelt; Windows' separators are separators."""
        given = write_set(tmp_path / "Set", "jde")
        names = (
            "Set\\images\\part\\many.jpg",
            "Set/images/part/many.jpg",
            "./Set//images/./part/a/../many.jpg",
            "./",
        )
        (tmp_path / "list").write_text("\n".join(names))
        listed = dataclasses.replace(given, images=str(tmp_path), labels=str(tmp_path / "list"))
        assert [image.name for image in index_set(listed).images] == ["Set/images/part/many.jpg"]

    def test_a_name_longer_than_names_may_be(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        (tmp_path / "list").write_text(f"images/{'f' * 300}.jpg\n")
        assert "does not exist" in sentence(entry("jde", tmp_path, tmp_path / "list", ()))

    def test_an_image_in_no_folder_images(self, tmp_path: Path) -> None:
        write_image(tmp_path / "frames" / "a.jpg", (8, 8))
        (tmp_path / "list").write_text("frames/a.jpg\n")
        assert "is in no folder 'images'" in sentence(entry("jde", tmp_path, tmp_path / "list", ()))

    def test_the_last_folder_images_counts(self, tmp_path: Path) -> None:
        write_image(tmp_path / "images" / "images" / "a.jpg", (10, 10))
        label = tmp_path / "images" / "labels_with_ids" / "a.txt"
        label.parent.mkdir()
        label.write_text("0 -1 .5 .5 .5 .5\n")
        (tmp_path / "list").write_text("images/images/a.jpg\n")
        assert index_set(entry("jde", tmp_path, tmp_path / "list", ())).kept == 1


@pytest.mark.parametrize(("kind", "change", "words"), FAULTS, ids=[f"{k}-{w[-1]}" for k, _, w in FAULTS])
def test_a_fault_is_one_sentence_and_nothing_is_written(
    kind: str, change: Change, words: list[str], tmp_path: Path
) -> None:
    given = write_set(tmp_path / "set", kind)
    before = indexed(given, tmp_path / "out")
    change(given)
    message = sentence(given)
    assert all(word in message for word in words), message
    with pytest.raises(InputError):
        index_sets([given], tmp_path / "out")
    assert tree(tmp_path / "out") == before


class TestWholeSets:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_nothing_there(self, kind: str, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", kind)
        assert "does not exist" in sentence(dataclasses.replace(given, labels=str(tmp_path / "nowhere")))
        message = sentence(dataclasses.replace(given, images=str(tmp_path / "nowhere")))
        assert str(tmp_path / "nowhere") in message

    def test_no_image(self, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / ".hidden.jpg").write_bytes(b"")
        assert "holds no image" in sentence(dataclasses.replace(given, images=str(tmp_path / "empty")))

    def test_labels_of_another_set(self, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        (tmp_path / "empty").mkdir()
        message = sentence(dataclasses.replace(given, labels=str(tmp_path / "empty")))
        assert "none of the 3 images has labels" in message
        assert str(tmp_path / "empty" / "part" / "größe.txt") in message

    @pytest.mark.parametrize("kind", FORMATS)
    def test_a_class_that_is_not_there(self, kind: str, tmp_path: Path) -> None:
        given = dataclasses.replace(write_set(tmp_path, kind), classes=("persn",))
        message = sentence(given)
        assert "has no class 'persn'" in message
        assert "name some of" in message

    def test_a_class_by_number_or_name(self, tmp_path: Path) -> None:
        given = write_set(tmp_path, "yolo")
        assert [index_set(dataclasses.replace(given, classes=c)).kept for c in ((1,), ("person",), ())] == [4] * 3

    def test_nobody_left(self, tmp_path: Path) -> None:
        given = dataclasses.replace(write_set(tmp_path, "yolo"), classes=("dog",))
        assert "none of the 4 boxes of data.extra 'yolo' is left (4 class)" in sentence(given)

    def test_nobody_there_to_begin_with(self, tmp_path: Path) -> None:
        """Images that show no one teach, too."""
        given = write_set(tmp_path, "yolo")
        for file in text_files(given):
            file.write_text("\n")
        found = index_set(given)
        assert (found.kept, found.empty, found.unlabelled) == (0, 3, 0)

    def test_links_to_folders(self, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "jde")
        (tmp_path / "linked").mkdir()
        (tmp_path / "linked" / "part").symlink_to(Path(given.images) / "part")
        (tmp_path / "linked" / "round").symlink_to(tmp_path / "linked")
        linked = dataclasses.replace(given, images=str(tmp_path / "linked"))
        assert [i.digest for i in index_set(linked).images] == [i.digest for i in index_set(given).images]

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("classes.txt", "cat\nperson\n"),
            ("obj.names", "cat\nperson"),
            ("data.yaml", "names: [cat, person]"),
        ],
    )
    @pytest.mark.parametrize(
        ("folder", "labels"),
        [(f, "labels/train") for f in ("labels/train", "labels", ".")]
        + [(f, "train/labels") for f in ("train/labels", "train", ".")],
    )
    def test_names_of_classes(self, file: str, text: str, folder: str, labels: str, tmp_path: Path) -> None:
        (tmp_path / labels).mkdir(parents=True)
        (tmp_path / folder / file).write_text(text)
        assert class_names(tmp_path / labels) == {"0": "cat", "1": "person"}

    @pytest.mark.parametrize("name", ["data.yaml", "classes.txt", "_darknet.labels"])
    @pytest.mark.parametrize("text", ["<!DOCTYPE html><p>log in", "version https://git-lfs.github.com/spec/v1"])
    def test_what_came_in_the_place_of_names(self, name: str, text: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=rf"{name} is a .*, and names no classes: get the file itself"):
            class_names(tmp_path)

    @pytest.mark.parametrize("text", ["names: 3", "names: {a: b}", "names: ["])
    def test_names_that_are_none(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "data.yaml").write_text(text)
        with pytest.raises(InputError, match=r"data\.yaml"):
            class_names(tmp_path)


class TestPictures:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
    def test_sizes(self, suffix: str, tmp_path: Path) -> None:
        write_image(tmp_path / f"a{suffix}", (33, 21))
        picture = read_picture(tmp_path / f"a{suffix}")
        assert (picture.width, picture.height) == (33, 21)
        assert picture.bytes == (tmp_path / f"a{suffix}").stat().st_size

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
    @pytest.mark.parametrize("orientation", range(9))
    def test_turned_as_training_turns_them(self, suffix: str, orientation: int, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a{suffix}"
        Image.new("RGB", (40, 24), (9, 9, 9)).save(path, exif=exif)
        picture = read_picture(path)
        assert (picture.height, picture.width) == read_image(path).shape[:2]

    def test_what_follows_an_image_does_not_matter(self, tmp_path: Path) -> None:
        for suffix in (".jpg", ".png"):
            write_image(path := tmp_path / f"a{suffix}", (33, 21))
            path.write_bytes(path.read_bytes() + b"\0appended by some camera" * 9)
            assert read_picture(path).width == 33

    def test_the_end_of_a_thumbnail_is_not_the_end(self, tmp_path: Path) -> None:
        write_image(tmp_path / "small.jpg", (8, 8))
        path = tmp_path / "a.jpg"
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
        data = path.read_bytes()
        thumbnail = (tmp_path / "small.jpg").read_bytes()
        segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
        path.write_bytes(data[:2] + segment + data[2:])
        assert read_picture(path).width == 64
        path.write_bytes((data[:2] + segment + data[2:])[:-100])
        with pytest.raises(UnreadablePicture, match="cut off"):
            read_picture(path)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        st.binary(max_size=60),
        st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF"]),
    )
    def test_no_content_is_a_fault_of_ours(self, content: bytes, start: bytes) -> None:
        with contextlib.suppress(UnreadablePicture):
            picture_size(io.BytesIO(start + content))


KEYS = ("ID", "gtboxes", "tag", "fbox", "extra", "ignore", "id", "bbox", "image_id", "file_name")
SCALARS = st.sampled_from([None, True, -1, 0, 2.5, float("nan"), 10**400, "", "a", "../b"])
LISTS = st.lists(SCALARS, max_size=5)
VALUES = SCALARS | LISTS | st.dictionaries(st.sampled_from(KEYS), SCALARS | LISTS, max_size=6)
OBJECTS = VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES | st.lists(VALUES, max_size=3), max_size=6)


class TestAnything:
    """Whatever is in a file, readers report it or raise an InputError."""

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(st.binary(max_size=80) | st.text("0123456789.-+eEnaif \t\r\n,", max_size=80).map(str.encode))
    def test_rows(self, data: bytes) -> None:
        problems: list[Problem] = []
        values, lines = parse_rows(data, "f.txt", (5,), "5", problems.append)
        assert values.shape == (len(lines), 5)
        assert np.isfinite(values).all()
        assert all(problem.fatal and str(problem).startswith("f.txt:") for problem in problems)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(OBJECTS, max_size=3))
    def test_crowdhuman(self, lines: list[Any]) -> None:
        self.read(read_crowdhuman, "\n".join(map(json.dumps, lines)))

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(*(st.lists(OBJECTS, max_size=3) for _ in range(3)))
    def test_coco(self, images: list[Any], annotations: list[Any], categories: list[Any]) -> None:
        content = {"images": images, "annotations": annotations, "categories": categories}
        self.read(read_coco, json.dumps(content))

    def read(self, reader: Any, text: str) -> None:
        Path("labels").write_text(text)
        Path("a").mkdir(exist_ok=True)
        problems: list[Problem] = []
        with contextlib.suppress(InputError):
            reader(Path("a").absolute(), Path("labels").absolute(), problems.append)
        assert all("\n" not in str(problem) for problem in problems)


def film_frames(films: int = 2, length: int = 7) -> list[TrainingFrame]:
    none = np.zeros((0, 4), np.float32)
    return [
        TrainingFrame(Path(f"{film}/{number}"), f"MOT17/{film}", number, none)
        for film in range(films)
        for number in range(1, length + 1)
    ]


def still_frames(name: str, count: int, weight: float) -> list[TrainingFrame]:
    none = np.zeros((0, 4), np.float32)
    return [TrainingFrame(Path(f"{n}"), f"extra/{name}", n, none, weight=weight) for n in range(1, count + 1)]


def order(frames: list[TrainingFrame], epoch: int = 0, stride: int = 1) -> list[list[int]]:
    return epoch_order(frames, epoch, stride, 4, torch.Generator().manual_seed(epoch))


class TestWeights:
    @pytest.mark.parametrize("stride", [1, 3, 100])
    def test_films_alone_are_shuffled_by_one_draw(self, stride: int) -> None:
        """Without extra sets nothing else is drawn: trained bytes depend on it."""
        frames = film_frames()
        for epoch in range(5):
            chosen = [i for i, f in enumerate(frames) if (f.number - 1 - epoch) % stride == 0]
            chosen = chosen or list(range(len(frames)))
            draw = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(epoch))
            assert list(chain(*order(frames, epoch, stride))) == [chosen[i] for i in draw.tolist()]

    @pytest.mark.parametrize(
        ("weight", "each", "more"),
        [(1, 1, 0), (0.5, 0, 10), (2, 2, 0), (1.25, 1, 5), (0.1, 0, 2), (2.75, 2, 15)],
    )
    def test_one_epoch(self, weight: float, each: int, more: int) -> None:
        frames = film_frames() + still_frames("set", 20, weight)
        counts = Counter(chain(*order(frames)))
        assert [counts[i] for i in range(14)] == [1] * 14
        stills = Counter(counts[i] for i in range(14, 34))
        assert stills == Counter({each + 1: more, each: 20 - more}) + Counter()
        assert order(frames) == order(frames)
        assert order(frames) != order(frames, 1)

    def test_many_epochs(self) -> None:
        """Every image gets its share, also of a set that is smaller than a whole image an epoch."""
        frames = film_frames() + still_frames("half", 30, 0.5) + still_frames("single", 1, 0.3)
        epochs = 400
        counts = Counter(chain(*(chain(*order(frames, epoch)) for epoch in range(epochs))))
        shares = [counts[14 + i] / epochs for i in range(30)]
        assert sum(shares) == pytest.approx(15, abs=1e-9)
        assert min(shares) > 0.4
        assert max(shares) < 0.6
        assert counts[44] / epochs == pytest.approx(0.3, abs=0.07)

    def test_strides_are_for_films(self) -> None:
        frames = film_frames() + still_frames("set", 9, 1)
        taken = Counter(chain(*order(frames, 0, 7)))
        assert sorted(taken) == [0, 7, *range(14, 23)]
        short = film_frames(2, 3) + still_frames("set", 9, 1)
        assert sorted(chain(*order(short, 50, 100))) == list(range(15)), "films shorter than the stride"


def hold_out(root: Path, name: str) -> None:
    """`data/held_out/MOT17` with one film of 8 frames."""
    write_manifest(root / "data/held_out/MOT17", "MOT17", [ManifestEntry(name, "train", 8, 40, 30, 30.0)])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a film of 4 frames, of which all train, and sets of every format in data.extra."""
    folder = training_folder(tmp_path, "a", 4, ["1,-1,1,1,10,20,1,1,1", "2,-1,1,1,10,20,1,1,1"])
    for image in sorted((folder / "img1").iterdir()):
        write_image(image, (40, 30))
    hold_out(tmp_path, "a")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["extra"] = [
        {**dataclasses.asdict(write_set(tmp_path / "sets" / kind, kind)), "weight": 0.5 + index}
        for index, kind in enumerate(FORMATS)
    ]
    for extra in params["data"]["extra"]:
        extra["classes"] = list(extra["classes"])
        extra["images"] = os.path.relpath(extra["images"], tmp_path)
    params["data"]["benchmarks"] = ["MOT17"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def index() -> None:
    from stages.index import main

    main()


def found_frames() -> list[TrainingFrame]:
    return find_training_frames("data/training", ["MOT17"], extra_dir="data/extra")


class TestProject:
    def test_from_params_to_batches(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        index()
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(FORMATS)
        frames = found_frames()
        assert [f.film for f in frames] == ["MOT17/a"] * 4 + [f"extra/{kind}" for kind in FORMATS for _ in range(3)]
        assert [f.weight for f in frames] == [None] * 4 + [w for w in (0.5, 1.5, 2.5, 3.5) for _ in range(3)]
        assert all(frame.identities is None for frame in frames)
        dataset = FrameDataset(frames, (96, 64))
        batch = collate([dataset[i] for i in range(len(frames))])
        assert batch.images.shape == (16, 3, 64, 96)
        assert batch.valid.sum(1).tolist()[4:] == [len(f.boxes) for f in frames[4:]]
        assert sorted(batch.valid.sum(1).tolist()[4:7]) == [0, 1, 3]
        assert (batch.identities == -1).all()

    @pytest.mark.slow
    def test_training_takes_them_and_no_identity_changes_it(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Frames of a film and images of four sets, all of other sizes, train one detector."""
        import stages.pretrain

        monkeypatch.setattr(stages.pretrain, "training_run", lambda *_, **__: contextlib.nullcontext())
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["data"]["benchmarks"] = ["MOT17"]
        params["model"] |= {"input_size": [64, 64], "neck_channels": [8, 8, 8, 8], "head_channels": 8}
        params["pretrain"] |= {"epochs": 1, "batch_size": 8}
        params["hardware"] |= {"device": "cpu", "threads": 1}
        Path("params.yaml").write_text(yaml.safe_dump(params))

        def trained() -> dict[str, bytes]:
            index()
            stages.pretrain.main()
            return tree(project / "models/detector")

        first = trained()
        for kind in FORMATS:
            write_set(project / "sets" / kind, kind, identity=lambda n: 100 - n)
        assert trained() == first
        params["data"]["extra"][0]["weight"] = 3
        Path("params.yaml").write_text(yaml.safe_dump(params))
        assert trained() != first
        os.rename(project / "sets" / "jde" / "images" / "part", project / "sets" / "jde" / "images" / "a")
        os.rename(project / "sets/jde/labels_with_ids/part", project / "sets/jde/labels_with_ids/a")
        with pytest.raises(InputError, match="would train on a film that is tracked"):
            trained()

    def test_an_image_of_no_film_stands_before_itself(self, project: Path) -> None:
        index()
        frames = found_frames()
        dataset = FrameDataset(frames, (96, 64), previous_min_iou=0.75)
        for number in range(4, len(frames)):
            item = dataset[number]
            assert torch.equal(item["previous"]["image"], item["image"])
            assert torch.equal(item["previous"]["boxes"], item["boxes"])
            assert item["previous"]["valid"].all()

    def test_no_sets(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        params = yaml.safe_load(Path("params.yaml").read_text())
        params["data"]["extra"] = []
        Path("params.yaml").write_text(yaml.safe_dump(params))
        index()
        assert "is empty" in capsys.readouterr().out
        assert list(tree(project / "data/extra")) == ["extra.json"]
        assert len(found_frames()) == 4
        assert [f.image for f in found_frames()] == [f.image for f in find_training_frames("data/training", ["MOT17"])]

    def test_indexing_twice_gives_the_same_bytes(self, project: Path) -> None:
        index()
        before = tree(project / "data/extra")
        for path in (project / "sets").rglob("*"):
            os.utime(path, (1, 1))  # when a file was written does not matter
        index()
        assert tree(project / "data/extra") == before

    def test_a_changed_image_is_noticed(self, project: Path) -> None:
        index()
        before = tree(project / "data/extra")
        path = project / "sets/jde/images/part/many.jpg"
        size = path.stat().st_size
        write_image(path, SCENES["many"].size, shade=200)
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
        index()
        after = tree(project / "data/extra")
        assert [name for name in before if before[name] != after[name]] == ["jde.images.txt"]
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(InputError, match=r"many\.jpg has changed since it was indexed: run `dvc repro -s -f"):
            found_frames()
        path.unlink()
        with pytest.raises(InputError, match=r"many\.jpg cannot be read .* since it was indexed"):
            found_frames()

    def test_before_indexing(self, project: Path) -> None:
        with pytest.raises(InputError, match=r"extra\.json does not exist: run the index stage"):
            found_frames()

    @pytest.mark.parametrize("name", ["extra.json", "jde.images.txt", "jde.boxes.npy"])
    def test_a_damaged_manifest(self, project: Path, name: str) -> None:
        index()
        path = project / "data/extra" / name
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError, match="run `dvc repro -s -f index`"):
            found_frames()
        path.unlink()
        with pytest.raises(InputError, match="does not exist: run the index stage"):
            found_frames()

    @pytest.mark.parametrize(
        ("folder", "split", "refused"),
        [
            ("MOT17-02-SDP/img1", "half", True),
            ("MOT16-02/img1", "half", True),
            ("Venice-2/img1", "half", True),
            ("MOT17-04-SDP/img1", "half", False),
            ("Caltech/MOT17", "half", False),
            ("MOT17-02-SDP/img1", "full", False),
            ("MOT17-01-FRCNN/img1", "full", True),
        ],
    )
    def test_films_that_are_tracked_do_not_train(self, folder: str, split: str, refused: bool) -> None:
        none = np.zeros((0, 4), np.float32)
        image = ExtraImage("000001.jpg", 4, 4, 1, "digest", none, none)
        found = [ExtraSet("mine", "jde", f"/data/{folder}", 1.0, (image,), 0, {})]
        entries = [ManifestEntry(n, s, 100, 64, 48, 30.0) for n, s in (("MOT17-02", "train"), ("MOT17-01", "test"))]
        tracked = tracked_films({"MOT17": entries}, Split(split))
        if refused:
            with pytest.raises(InputError, match=r"would train on a film that is tracked.*'mine'"):
                check_sets(found, tracked)
        else:
            check_sets(found, tracked)


def test_refuse_lets_mild_faults_pass() -> None:
    refuse(Problem("kind", "file:1", "is odd", fatal=False))
    with pytest.raises(InputError, match="file:1: is wrong"):
        refuse(Problem("kind", "file:1", "is wrong"))


def test_scenes_are_worth_testing_with() -> None:
    """The tests above need a crowd, someone at the edge, and no one."""
    assert sorted(len(scene.people) for scene in SCENES.values()) == [0, 1, 3]
    assert isinstance(SCENES["many"], Scene)


class TestMeaning:
    """Layouts are told by what the numbers are, not by how many there are."""

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("0 0.1 0.4 0.075 0.33 7", "`class cx cy w h identity`: remove the last column"),
            ("0 0.1 0.4 0.075 0.33 0.87", "confidence`, a detector's"),
            ("0 12 0.4 0.4 0.075 0.33", "format: jde"),
            ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "outlines"),
        ],
    )
    def test_yolo_rows_with_more_columns(self, row: str, words: str, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "yolo")
        for file in text_files(given):
            file.write_text(f"{row}\n" * 2)
        with pytest.raises(InputError, match=re.escape(words)):
            index_set(given)
        if "jde" not in words:
            with pytest.raises(InputError, match=r"column 2 is 0\.1, expected an identity|has 9 columns"):
                index_set(dataclasses.replace(given, format="jde"))

    @pytest.mark.parametrize(
        "rows", ["0 0.1 0.1 0.3 0.4\n0 0.5 0.5 0.9 0.8\n", "0 .7 .7 .95 .95\n", "0 .7 .1 .9 .9\n" * 3]
    )
    def test_corners_as_fractions(self, rows: str, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", "yolo")
        for file in text_files(given):
            file.write_text(rows)
        with pytest.raises(InputError, match="corners x2, y2"):
            index_set(given)

    @pytest.mark.parametrize("kind", ["coco", "crowdhuman"])
    def test_fractions_as_pixels(self, kind: str, tmp_path: Path) -> None:
        given = write_set(tmp_path / "set", kind)
        text = re.sub(r'(box": \[)[^]]*', r"\g<1>0.25, 0.5, 0.125, 0.25", Path(given.labels).read_text())
        assert "0.125" in text
        Path(given.labels).write_text(text)
        with pytest.raises(InputError, match="smaller than a pixel"):
            index_set(given)


@pytest.mark.parametrize("value", [7, 7.0, "7"])
def test_ids_as_numpy_writes_them(value: object) -> None:
    assert entry_key(value) == "7"


@pytest.mark.parametrize("value", [7.5, float("nan"), float("inf"), 1e300, True, None, ""])
def test_no_ids(value: object) -> None:
    assert entry_key(value) is None
