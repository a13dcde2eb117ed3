"""Numbers that mean something else are told by what they say of themselves, and never train in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.errors import InputError
from clmot.motchallenge.annotations import GROUND_TRUTH, format_ground_truth, judge_rows, read_ground_truth
from clmot.motchallenge.classes import ObjectClass
from clmot.motchallenge.meaning import (
    OTHER_CLASS,
    class_numbers,
    corners_for_sizes,
    ends_early,
    foreign_columns,
    not_in_pixels,
    of_another_size,
    of_stated_size,
    percentages,
    unlabelled_between,
)
from clmot.problems import Problem, refuse

ROWS = [(frame, person, 100 * person, 50 + frame, 40, 90) for frame in (1, 2, 3) for person in (1, 2, 3)]


def table(tails: list[str]) -> bytes:
    """Rows of three people in three frames, with these ends in turn."""
    return "".join(f"{','.join(map(str, row))},{tails[n % len(tails)]}\n" for n, row in enumerate(ROWS)).encode()


@pytest.mark.parametrize(
    "tails",
    [
        ["1,1,0,0", "1,1,0,1", "1,4,0,0"],  # VisDrone: score, category, truncation, occlusion
        ["1,4,0,0"],  # one class of it
        ["1,0,1,2", "0,11,0,0"],
        ["1,1,0.8,-1", "1,3,0.5,-1"],  # class and visibility, and one column too many
        ["1,2,1", "2,1,3", "1,4,2"],  # UAVDT: out of view, occlusion, category
        ["1,1,100", "1,1,40"],  # visibility in percent
        ["3,1,1"],
    ],
)
def test_columns_of_other_data_are_refused(tails: list[str]) -> None:
    with pytest.raises(InputError, match=r"gt\.txt: column \d"):
        judge_rows(table(tails), "gt.txt", GROUND_TRUTH, refuse)


@pytest.mark.parametrize(
    "tails",
    [
        ["1,-1,-1,-1"],
        ["1,0,0,0"],
        ["1,1,1,1"],
        ["1,5.12,7.93,0", "1,6.5,7.2,0"],  # MOT15's PETS: metres
        ["1,-7,12,0", "1,3,12,0"],
        ["99.5,-1,-1,-1"],
        ["1,1,1", "0,3,0.25", "1,7,-1"],
    ],
)
def test_columns_of_motchallenge_are_taken(tails: list[str]) -> None:
    assert len(judge_rows(table(tails), "gt.txt", GROUND_TRUTH, refuse)) == len(ROWS)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_units(seed: int) -> None:
    """Boxes in an image are taken in pixels, and neither as fractions nor as corners."""
    random = np.random.default_rng(seed)
    size = random.integers(100, 2000, 2).astype(float)
    corner = random.uniform(0, 0.9, (30, 2)) * size
    extent = np.maximum(random.uniform(0.02, 0.3, (30, 2)) * size, 2)
    boxes = np.concatenate([corner, np.minimum(extent, size - corner)], axis=1)
    assert not_in_pixels(boxes) is None
    assert corners_for_sizes(boxes, size) is None
    as_corners = np.concatenate([corner, corner + boxes[:, 2:]], axis=1)
    assert "corners x2, y2" in (corners_for_sizes(as_corners, size) or "")
    assert "fractions" in (not_in_pixels(boxes / np.tile(size, 2)) or "")


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_units_of_large_images(seed: int) -> None:
    """Boxes in an image are taken as they are, and neither as percentages nor as those of another image."""
    random = np.random.default_rng(seed)
    size = random.integers(500, 2000, 2).astype(float)
    boxes = np.concatenate([random.uniform(0, 0.8, (60, 2)), random.uniform(0.02, 0.2, (60, 2))], axis=1)
    in_pixels = boxes * np.tile(size, 2)
    assert percentages(in_pixels, size) is None
    assert of_another_size(in_pixels, size) is None
    assert "percentages" in (percentages(boxes * 100, size) or "")
    assert percentages(np.round(boxes * 100), size) is None  # pixels are whole, percentages hardly ever are
    assert "of another size" in (of_another_size(in_pixels * random.uniform(1.5, 4), size) or "")
    assert of_another_size(in_pixels + np.array([0, 0, 3, 3]) * np.tile(size, 2), size) is None  # they reach out only


def test_few_or_no_boxes() -> None:
    none = np.zeros((0, 4))
    assert not_in_pixels(none) is None
    assert corners_for_sizes(none, np.array([10.0, 10])) is None
    assert of_another_size(none, np.array([10.0, 10])) is None
    assert percentages(none, np.array([500.0, 500])) is None
    assert foreign_columns(np.zeros((0, 9))) is None
    close_up = np.array([[2.0, 1, 600, 470], [4, 3, 590, 460]])  # one person who fills the picture
    assert corners_for_sizes(close_up, np.array([640.0, 480])) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (b"car\nperson\n", {1: 3, 2: 1}),
        (b"\xef\xbb\xbfPedestrian\r\nmotorcycle\r\ndog\r\n", {1: 1, 2: 5, 3: OTHER_CLASS}),
        (b"ball\n\nperson", {1: OTHER_CLASS, 2: OTHER_CLASS, 3: 1}),
        ("\n".join(c.name.lower() for c in ObjectClass).encode(), {int(c): int(c) for c in ObjectClass}),
    ],
)
def test_classes_are_what_the_data_call_them(labels: bytes, expected: dict[int, int]) -> None:
    assert class_numbers(labels, "labels.txt", refuse) == expected


@pytest.mark.parametrize("labels", [b"car\n", b"head\nhuman\n", b"person\npedestrian\n", b"", b"\xff\xfe"])
def test_no_class_or_several_of_people(labels: bytes) -> None:
    with pytest.raises(InputError, match=r"labels\.txt: names the classes .* called person or pedestrian: name"):
        class_numbers(labels, "labels.txt", refuse)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("car", "van"), {1: 1, 2: OTHER_CLASS, 3: 1}),
        (("Car",), {1: 1, 2: OTHER_CLASS, 3: OTHER_CLASS}),
        ((2,), {1: OTHER_CLASS, 2: 1, 3: OTHER_CLASS}),
        ((3, "person"), {1: OTHER_CLASS, 2: 1, 3: 1}),
    ],
)
def test_classes_that_are_asked_for_are_one_kind(asked: tuple[int | str, ...], expected: dict[int, int]) -> None:
    labels = b"car\nperson\nvan\n"
    assert class_numbers(labels, "labels.txt", refuse, asked) == expected
    with pytest.raises(InputError, match=r"labels\.txt: has no class 'bus': name some of car, person, van in"):
        class_numbers(labels, "labels.txt", refuse, (*asked, "bus"))


def test_a_table_with_classes_of_its_own(tmp_path: Path) -> None:
    told: list[Problem] = []
    classes = class_numbers(b"car\nperson\ndog\n", "labels.txt", told.append)
    found = judge_rows(table(["1,1,1", "1,2,1", "1,3,1"]), "gt.txt", GROUND_TRUTH, told.append, classes=classes)
    assert (found.category == [3, 1] * 3).all()
    assert [problem.text for problem in told] == ["holds boxes of other classes, which are left out (3, of number 3)"]
    with pytest.raises(InputError, match="class 4 is none of the 3 classes named"):
        judge_rows(table(["1,4,1"]), "gt.txt", GROUND_TRUTH, refuse, classes=classes)
    (tmp_path / "gt.txt").write_bytes(format_ground_truth(found).encode())
    plain = read_ground_truth(tmp_path / "gt.txt")
    assert (plain.box == found.box).all()
    assert plain.tracked().sum() == 3
    (tmp_path / "labels.txt").write_text("car\nroad\nperson\n")
    assert (read_ground_truth(tmp_path / "gt.txt").category == [1, 3] * 3).all()


@pytest.mark.parametrize("same", [0, 1])
def test_a_column_that_names_no_one(same: int, tmp_path: Path) -> None:
    """All boxes 0, or all 1, two of them in one frame: not one person who is in two places."""
    path = tmp_path / "gt.txt"
    path.write_text("".join(f"{frame},{same},{x},20,30,60,1,1,1\n" for frame in (1, 2) for x in (10, 90)))
    for unique in (True, False):
        assert read_ground_truth(path, unique_identities=unique).identity.tolist() == [-1] * 4
    told: list[Problem] = []
    judge_rows(path.read_bytes(), "gt.txt", GROUND_TRUTH, told.append)
    assert [(problem.kind, problem.fatal) for problem in told] == [("no identities", False)]
    path.write_text("".join(f"{frame},{same},10,20,30,60,1,1,1\n" for frame in (1, 2, 3)))
    assert read_ground_truth(path).identity.tolist() == [same] * 3, "one person alone is one person"
    path.write_text("".join(f"{frame},2,{x},20,30,60,1,1,1\n" for frame in (1, 2) for x in (10, 90)))
    with pytest.raises(InputError, match="identity 2 appears twice"):
        read_ground_truth(path)


@pytest.mark.parametrize(
    ("frames", "length", "step"),
    [
        ([1, 6, 11, 16], 20, 5),
        ([5, 10, 15, 20], 20, 5),
        ([1, 1, 3, 3, 5, 7], 8, 2),
        ([1, 6, 11, 16], 40, None),  # they end, as people do
        ([21, 26, 31, 36], 40, None),
        ([1, 6, 11], 15, None),
        ([1, 2, 3, 4], 4, None),
        ([1, 6, 11, 17], 20, None),
        ([], 20, None),
    ],
)
def test_labels_of_every_nth_frame(frames: list[int], length: int, step: int | None) -> None:
    text = unlabelled_between(np.array(frames, np.int64), length)
    assert (text is None) == (step is None)
    assert text is None or f"in every {step}. frame alone" in text


@pytest.mark.parametrize(
    ("frames", "length", "early"),
    [
        (range(1, 13), 60, True),
        ([1, 1, 2, 3, 4, 4], 8, True),
        (range(1, 13), 23, False),
        ([1, 6, 11, 16], 40, False),
        ([1, 2, 3], 40, False),
        (range(31, 61), 60, False),
        ([], 20, False),
    ],
)
def test_labels_that_end_in_the_first_half(frames: list[int], length: int, early: bool) -> None:
    """As of frames that were taken more seldom than the video has them, and numbered one by one."""
    text = ends_early(np.array(frames, np.int64), length)
    assert (text is not None) == early
    assert text is None or f"of {length}, and" in text


@pytest.mark.parametrize(
    ("stated", "true", "told"),
    [
        ((320, 180), (640, 360), True),
        ((640, 360), (320, 180), True),
        ((1920, 1080), (320, 180), True),
        ((320, 180), (320, 180), False),
        ((318, 180), (320, 180), False),
        ((100, 90), (640, 360), False),  # the boxes go beyond what it says
        ((0, 0), (640, 360), False),
    ],
)
def test_boxes_of_the_size_that_is_stated(stated: tuple[int, int], true: tuple[int, int], told: bool) -> None:
    ends = np.array([(25 * n + 30, 15 * n + 40) for n in range(12)], np.float64)  # within 305x205
    ends = np.minimum(ends * (2 if stated[0] > true[0] else 0.8), stated if stated[0] > 200 else true)
    boxes = np.concatenate([np.maximum(ends - 30, 0), np.minimum(ends, 30)], axis=1)
    text = of_stated_size(boxes, stated, true)
    assert (text is not None) == told
    assert of_stated_size(boxes[:9], stated, true) is None, "few boxes may lie anywhere"
