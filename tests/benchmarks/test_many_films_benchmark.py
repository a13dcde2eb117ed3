"""The benchmark of many films: what it draws can be read, and its settings are settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.many_films import SETTINGS, draw_film
from clmot.images import read_image
from clmot.motchallenge.annotations import read_detections, read_ground_truth
from clmot.profiles import FILM, make_profile, read_profiles


def test_its_settings_are_params() -> None:
    params = make_profile(FILM, read_profiles()[FILM].text, yaml.safe_dump(SETTINGS), "SETTINGS").params
    assert (params.data.split, params.data.source, params.crop.steps, params.train.epochs) == ("full", "my_films", 2, 1)


@pytest.mark.parametrize(("frames", "trains"), [(1, False), (4, True), (9, False)])
def test_its_films_have_frames_and_boxes_of_three_people(tmp_path: Path, frames: int, trains: bool) -> None:
    (tmp_path / "detections").mkdir()
    draw_film(tmp_path, "one", 0, frames, trains=trains)
    folder = tmp_path / "my_films" / ("train" if trains else "test") / "one"
    images = sorted((folder / "img1").iterdir())
    boxes = read_detections(tmp_path / "detections" / "one.txt")
    assert len(images) == frames
    assert len(boxes) == 3 * frames
    height, width, _ = read_image(images[-1]).shape
    corners = boxes.corners()
    assert (corners[:, :2] >= 0).all()
    assert (corners[:, 2] <= width).all()
    assert (corners[:, 3] <= height).all()
    assert (folder / "gt" / "gt.txt").exists() == trains
    if trains:
        assert set(read_ground_truth(folder / "gt" / "gt.txt", length=frames).identity.tolist()) == {1, 2, 3}
