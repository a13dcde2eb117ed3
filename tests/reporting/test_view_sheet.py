"""`clmot show views`: what training sees first, drawn; to the last bit, and with numbers that belong together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from tiny_training import INPUT_SIZE, TinyTracker, film_of, training_folder

from clmot.cli.main import run
from clmot.data.index import index_sets
from clmot.errors import InputError
from clmot.params import load_params
from clmot.reporting import picture_file
from clmot.reporting.drawing import identity_colour
from clmot.reporting.view_sheet import GAP, HEADING_HEIGHT, draw_sheet, first_training_views
from clmot.training.criteria import TrackerCriterion
from clmot.training.loop import fit
from clmot.training.recipe import Recipe, TrainingFrames

ROOT = Path(__file__).parents[2]


def params_in(folder, **train):
    text = yaml.safe_load((ROOT / "params.yaml").read_text())
    text["data"]["benchmarks"] = ["MOT17"]
    text["model"]["input_size"] = list(INPUT_SIZE)
    text["hardware"] |= {"device": "cpu", "threads": 1}
    text["train"] |= {"batch_size": 2, "epochs": 1, **train}
    (folder / "params.yaml").write_text(yaml.safe_dump(text))
    return load_params(folder / "params.yaml")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """data/training of one film of five frames, without people in the first, and params.yaml."""
    frames = film_of(tmp_path, [0, 3, 4, 2, 5])
    rows = [
        f"{frame.number},-1,{x1 + 1},{y1 + 1},{x2 - x1},{y2 - y1},1,1,1"
        for frame in frames
        for x1, y1, x2, y2 in frame.boxes.tolist()
    ]
    folder = training_folder(tmp_path, "film", 5, rows, ".png")
    for frame in frames:
        frame.image.replace(folder / "img1" / f"{frame.number:06d}.png")
    params_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    index_sets([], "data/extra")
    return tmp_path


def frames_of(params):
    from clmot.data.frames import find_training_frames

    return find_training_frames("data/training", params.data.benchmarks)


@pytest.mark.parametrize("previous_frame", [False, True])
def test_the_sheet_shows_what_training_sees(project, previous_frame):
    params = params_in(project, previous_frame=previous_frame)
    frames = frames_of(params)
    seen = []

    class Spy(TinyTracker):
        def features(self, images):
            seen.append(images.detach().clone())
            return super().features(images)

    criterion = TrackerCriterion(params.views, params.loss, params.train)
    data = TrainingFrames(frames, INPUT_SIZE, criterion.previous_min_iou)
    fit(Spy(), criterion, Recipe("train", params.seed, params.train, data), params.hardware, project / "c")
    rows = first_training_views(params, frames, 100)
    assert sorted(row.frame.number for row in rows) == [1, 2, 3, 4, 5]
    views = 4 if previous_frame else 2
    shown = 0
    for images in seen:
        batch = images.unflatten(0, (views, -1))  # (V, B, 3, H, W)
        for b in range(batch.shape[1]):
            pixels = batch[:, b].flip(1).permute(0, 2, 3, 1).mul(255).round().to(torch.uint8)
            np.testing.assert_array_equal(rows[shown].images, pixels.numpy())
            shown += 1
    assert shown == len(rows)


def test_a_number_and_its_colour_are_the_same_in_every_view(project):
    params = params_in(project)
    rows = [row for row in first_training_views(params, frames_of(params), 5) if row.present.any()]
    sheet = draw_sheet(rows)
    width, height = INPUT_SIZE
    assert sheet.shape == (len(rows) * (HEADING_HEIGHT + height + GAP), 2 * (width + GAP), 3)
    found = 0
    for r, row in enumerate(rows):
        for v in range(2):
            top, left = r * (HEADING_HEIGHT + height + GAP) + HEADING_HEIGHT, v * (width + GAP)
            cell = sheet[top : top + height, left : left + width].astype(int)
            for n in np.flatnonzero(row.present[v]):
                x1, _, x2, y2 = np.rint(row.boxes[v, n]).astype(int)
                # The lower side of the box, at least in part: others may be drawn over it.
                line = cell[min(y2, height - 1), x1 : min(x2, width)]
                assert (line == identity_colour(n + 1)).all(-1).any()
                found += 1
    assert found > 10


def test_the_command_writes_a_picture(project, capsys):
    run(["show", "views", "--count", "2", "--out", "sheets/two.png"])
    picture = cv2.imread("sheets/two.png")
    assert picture.shape == (2 * (64 + HEADING_HEIGHT + GAP), 2 * (96 + GAP), 3)
    assert "two.png" in capsys.readouterr().out
    before = (project / "sheets" / "two.png").read_bytes()
    run(["show", "views", "--count", "2", "--out", "sheets/two.png"])
    assert (project / "sheets" / "two.png").read_bytes() == before
    run(["show", "views"])
    assert (project / "views.jpg").exists()


def test_what_cannot_be_shown_is_a_sentence(project):
    for arguments, message in (
        (["--out", "sheet.gif"], r"--out sheet\.gif should end in \.jpg or \.png"),
        (["--count", "0"], r"--count 0 should be at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            run(["show", "views", *arguments])
    (project / "data" / "training" / "MOT17" / "strip.json").unlink()
    with pytest.raises(InputError, match=r"run the strip stage"):
        run(["show", "views"])
    assert not (project / "views.jpg").exists()


def test_a_sheet_larger_than_the_format_is_a_sentence(project, monkeypatch):
    monkeypatch.setitem(picture_file.LONGEST_SIDE, ".jpg", 300)
    with pytest.raises(InputError, match=r"is more than a \.jpg holds \(300 a side\); show less, or end the"):
        run(["show", "views", "--count", "5"])
    assert not (project / "views.jpg").exists()
    run(["show", "views", "--count", "5", "--out", "views.png"])
