"""`track.link: offline` and `track.projection: film` outside of the pipeline: as the stage does it, and with pictures
from a second reading."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from moving_people import fixed_params

from clmot.errors import InputError
from clmot.inference.collect import mot_rows
from clmot.inference.given_detections import GivenDetections
from clmot.inference.image_sources import SourceImage, open_images
from clmot.inference.model import Model
from clmot.inference.pipeline import EmbedBoxes
from clmot.inference.track_frames import track_frames
from clmot.motchallenge.annotations import AnnotationTable, format_results, read_detections
from clmot.params import TrackParams
from clmot.reporting.track_film import track_film
from clmot.reporting.track_tables import TrackTable
from clmot.reporting.tracked_video import TrackedVideo
from clmot.videos import Video

RATE, LENGTH = 10, 130
GONE = range(50, 80)
"""Frames in which one of the three is behind a wall: longer than a lost track is kept."""
COLOURS = ((30, 40, 240), (60, 230, 50), (240, 220, 40))
PARAMS = fixed_params(association="calibrated", link="offline", min_box_area=0, embedding_momentum=0.9)


def people(frame: int) -> list[tuple[int, int, int]]:
    """Who is seen: which of them, and the left and upper edge."""
    return [(who, 10 + 50 * who + frame // 8, 20) for who in range(3) if who != 1 or frame not in GONE]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images."""
    folder, noise = tmp_path_factory.mktemp("films") / "film", np.random.default_rng(0)
    folder.mkdir()
    for frame in range(1, LENGTH + 1):
        image = noise.integers(0, 60, (80, 180, 3), np.uint8)
        for who, x, y in people(frame):
            image[y : y + 40, x : x + 16] = COLOURS[who] - noise.integers(0, 30, (40, 16, 3), np.uint8)
        cv2.imwrite(str(folder / f"{frame:06d}.png"), image)
    return folder


@pytest.fixture(scope="module")
def boxes(film: Path) -> AnnotationTable:
    rows = [f"{f},-1,{x + 1},{y + 1},16,40,0.9\n" for f in range(1, LENGTH + 1) for _, x, y in people(f)]
    path = film.parent / "film.txt"
    path.write_text("".join(rows))
    return read_detections(path)


def mean_colour(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    looks = [image[round(y1) : round(y2), round(x1) : round(x2)].mean(axis=(0, 1)) for x1, y1, x2, y2 in corners]
    return np.array(looks, np.float32).reshape(-1, 3)


class Colours(Model):
    """Embeds a box as its mean colour."""

    def _looks(self) -> EmbedBoxes:
        return mean_colour


PROJECTING = dataclasses.replace(PARAMS, link="none", projection="film")
MODEL = Colours(PARAMS, torch.device("cpu"))


def stage(film: Path, boxes: AnnotationTable, link: str, last: int = LENGTH, params: TrackParams = PARAMS) -> str:
    """What the stage `track` writes of the first frames."""
    source = GivenDetections(boxes, mean_colour)
    params = dataclasses.replace(params, link=link)
    found = track_frames(source, sorted(film.iterdir())[:last], params, RATE)
    return format_results(found.frame, found.identity, found.boxes, found.scores)


@pytest.fixture(scope="module")
def joined(film: Path, boxes: AnnotationTable) -> str:
    return stage(film, boxes, "offline")


@pytest.fixture(scope="module")
def apart(film: Path, boxes: AnnotationTable) -> str:
    return stage(film, boxes, "none")


def test_a_film_is_joined_as_the_stage_joins_it(film: Path, boxes: AnnotationTable, joined: str, apart: str) -> None:
    assert {line.split(",")[1] for line in joined.splitlines()} == {"1", "2", "3"}
    assert {line.split(",")[1] for line in apart.splitlines()} == {"1", "2", "3", "4"}
    frames = list(MODEL.track(film, boxes=boxes, fps=RATE))
    assert "".join(mot_rows(frame) for frame in frames) == joined
    assert [frame.number for frame in frames] == list(range(1, LENGTH + 1))
    np.testing.assert_array_equal(frames[-1].image, cv2.imread(str(film / f"{LENGTH:06d}.png")))


def test_the_command_writes_joined_tracks(film: Path, boxes: AnnotationTable, joined: str, tmp_path: Path) -> None:
    """The table, and the picture that shows it; frames are read again for the picture alone."""
    table, video = TrackTable(tmp_path / "film.txt", "mot"), TrackedVideo(tmp_path / "film.mp4", RATE)
    outcome = track_film(MODEL, open_images(film, RATE), boxes, table, video)
    assert (outcome.frames, outcome.exit_code) == (LENGTH, 0)
    assert table.path.read_text() == joined
    assert len(list(Video(str(video.path)).frames())) == LENGTH
    images = open_images(film, RATE)
    images.again = lambda: pytest.fail("no image is wanted")
    alone = TrackTable(tmp_path / "film.json", "coco")
    track_film(MODEL, images, boxes, alone)
    content = json.loads(alone.path.read_text())
    assert {(image["width"], image["height"]) for image in content["images"]} == {(180, 80)}
    assert {row["track_id"] for row in content["annotations"]} == {1, 2, 3}


def test_a_film_is_projected_as_the_stage_does_it(film: Path, boxes: AnnotationTable, tmp_path: Path, capsys) -> None:
    """Alone, with tracks that are joined as well, and by the command with its picture."""
    for params in (PROJECTING, dataclasses.replace(PROJECTING, link="offline")):
        expected = stage(film, boxes, params.link, params=params)
        frames = list(Colours(params, torch.device("cpu")).track(film, boxes=boxes, fps=RATE))
        assert "".join(mot_rows(frame) for frame in frames) == expected
        np.testing.assert_array_equal(frames[-1].image, cv2.imread(str(film / f"{LENGTH:06d}.png")))
        table, video = TrackTable(tmp_path / "film.txt", "mot"), TrackedVideo(tmp_path / "film.mp4", RATE)
        track_film(Colours(params, torch.device("cpu")), open_images(film, RATE), boxes, table, video)
        assert table.path.read_text() == expected
        assert len(list(Video(str(video.path)).frames())) == LENGTH
    coming = (cv2.imread(str(path)) for path in sorted(film.iterdir()))
    at_once = Colours(PROJECTING, torch.device("cpu")).track(coming, boxes=boxes, fps=RATE).to_mot()
    assert at_once == stage(film, boxes, "none")
    assert "'track.projection: film' needs whole films" in capsys.readouterr().err


def test_images_that_are_gone_tell_no_camera(film: Path, boxes: AnnotationTable) -> None:
    """The stage reads them again, and the camera's motion is what it is without a projection."""
    params = dataclasses.replace(PROJECTING, camera_motion=True)
    with pytest.raises(InputError, match=r"no images from which 'track\.camera_motion' could tell"):
        Colours(params, torch.device("cpu")).track(film, boxes=boxes, fps=RATE)
    assert stage(film, boxes, "none", params=params)


@pytest.mark.parametrize("params", [PARAMS, PROJECTING], ids=["link", "projection"])
def test_ctrl_c_joins_what_was_tracked(film: Path, boxes: AnnotationTable, tmp_path: Path, params: TrackParams) -> None:
    images = open_images(film, RATE)
    whole = images.unread

    def until() -> Iterator[SourceImage]:
        for one in whole():
            if one.number == LENGTH - 1:
                raise KeyboardInterrupt
            yield one

    images.unread = until  # type: ignore[method-assign]
    table, video = TrackTable(tmp_path / "film.txt", "mot"), TrackedVideo(tmp_path / "film.mp4", RATE)
    outcome = track_film(Colours(params, torch.device("cpu")), images, boxes, table, video)
    assert outcome.exit_code == 130
    assert 0 < outcome.last < LENGTH - 1
    assert table.path.read_text() == stage(film, boxes, params.link, outcome.last, params)
    assert len(list(Video(str(video.path)).frames())) == outcome.last


def test_what_passes_once_is_told_at_once(
    film: Path, boxes: AnnotationTable, apart: str, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = (cv2.imread(str(path)) for path in sorted(film.iterdir()))
    assert MODEL.track(coming, boxes=boxes, fps=RATE).to_mot() == apart
    assert "'track.link: offline' needs whole films" in capsys.readouterr().err
