"""Pictures of who kept which identity, on people whose identities are known."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from clmot.motchallenge.annotations import AnnotationTable
from clmot.reporting import identity_pictures as pictures
from clmot.reporting.drawing import identity_colour

LENGTH, RATE = 40, 10.0


def table(frame, identity, left):
    count = len(frame)
    box = np.column_stack([np.asarray(left) + 1.0, np.full(count, 11.0), np.full(count, 20.0), np.full(count, 40.0)])
    ones = np.ones(count)
    return AnnotationTable(np.array(frame), np.array(identity), box, ones, ones.astype(np.int64), ones)


@pytest.fixture
def followed():
    """Two people; the first is 5, then 6 from frame 21 on, and not found in frame 30; the second is never found."""
    frames = np.arange(1, LENGTH + 1)
    truth = table(np.repeat(frames, 2), np.tile([1, 2], LENGTH), np.tile([10, 100], LENGTH))
    there = frames[frames != 30]
    return pictures.follow(truth, table(there, np.where(there > 20, 6, 5), np.full(len(there), 12)))


def test_people_are_followed(followed) -> None:
    first = followed.given[followed.person == 1]
    assert first.tolist() == [5] * 20 + [6] * 9 + [0] + [6] * 10
    assert not followed.given[followed.person == 2].any()
    assert followed.frame[followed.switched].tolist() == [21]


def test_a_timeline_has_the_colours_of_the_identities(followed) -> None:
    drawn = pictures.timeline(followed, LENGTH, RATE, "door")
    row = drawn[pictures.MARGIN + pictures.ROW // 2]
    for frame, colour in ((10, identity_colour(5)), (25, identity_colour(6)), (30, pictures.GREY)):
        assert tuple(row[pictures.MARGIN + round((frame - 0.5) * 12)]) == colour
    second = drawn[pictures.MARGIN + pictures.ROW + pictures.ROW // 2]
    assert tuple(second[pictures.MARGIN + 100]) == pictures.GREY


def test_a_clip_has_the_switch_and_it_flashes(followed, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "CLIP_FRAMES", 8)
    images = [tmp_path / f"{frame}.png" for frame in range(1, LENGTH + 1)]
    for path in images:
        cv2.imwrite(str(path), np.full((120, 240, 3), 90, np.uint8))
    frames = pictures.clip_frames(followed, LENGTH)
    assert 21 in frames
    assert len(frames) == 8
    tracks = table(np.arange(1, LENGTH + 1), np.full(LENGTH, 5), np.full(LENGTH, 12))
    sequence = SimpleNamespace(part=SimpleNamespace(images=images, frame_rate=RATE), tracks=tracks)
    drawn = list(pictures.clip(sequence, followed))
    assert {image.shape for image in drawn} == {(480, 960, 3)}
    flashes = [bool((image == pictures.RED).all(axis=2).any()) for image in drawn]
    assert not any(flashes[: 21 - frames[0]])
    assert any(flashes)


def test_neighbours_are_framed_by_who_they_are(tmp_path) -> None:
    """Of one person seen alike at all times, and of one who looks like the first later."""
    images = [tmp_path / f"{frame}.png" for frame in range(1, LENGTH + 1)]
    for path in images:
        cv2.imwrite(str(path), np.full((120, 240, 3), 90, np.uint8))
    frame = np.tile(np.arange(1, LENGTH + 1), 2)
    person = np.repeat([1, 2], LENGTH)
    vectors = np.eye(3, dtype=np.float32)[np.where((person == 2) & (frame == 20), 0, person - 1)]
    boxes = np.tile([10.0, 10, 30, 50], (len(frame), 1))
    seen = pictures.Seen(frame, person, boxes, vectors)
    drawn = pictures.alike(SimpleNamespace(part=SimpleNamespace(images=images, frame_rate=RATE)), seen)
    cell = (pictures.CROP[0] + 8, pictures.CROP[1] + 26)
    assert drawn.shape == (2 * cell[1], 6 * cell[0], 3)
    colours = [tuple(drawn[2 + row * cell[1], 2 + column * cell[0]]) for row in range(2) for column in range(1, 6)]
    assert colours[:5] == [pictures.GREEN] * 5
    assert colours[5:] == [pictures.GREEN] * 5


@pytest.mark.parametrize("dimension", [1, 2, 16])
def test_a_map_shows_people_apart(dimension) -> None:
    random = np.random.default_rng(0)
    person = np.repeat([1, 2], 50)
    vectors = (np.where(person == 1, 1.0, -1.0)[:, None] + 0.1 * random.normal(size=(100, dimension))).astype(
        np.float32
    )
    seen = pictures.Seen(np.arange(100), person, np.zeros((100, 4)), vectors)
    drawn = pictures.embedding_map(seen, "door")
    places = [np.argwhere((drawn == identity_colour(one)).all(axis=2))[:, 1].mean() for one in (1, 2)]
    assert abs(places[0] - places[1]) > pictures.MAP_SIDE / 3
