"""The frame pipeline and the track stage, with a network that sees bright rectangles."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import math
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from clmot.errors import InputError
from clmot.evaluation.speed import measured_speeds
from clmot.inference import detection_sources, film_tracker
from clmot.inference.embeddings import STRANGE
from clmot.inference.pipeline import Detections, NetworkDetections
from clmot.inference.recording import read_embeddings, read_recording
from clmot.inference.track_frames import track_frames
from clmot.models.decode import gather_cells
from clmot.motchallenge.annotations import read_results
from clmot.motchallenge.sequence import (
    ManifestEntry,
    SequenceInfo,
    image_path,
    write_manifest,
    write_seqinfo,
)
from clmot.params import load_params
from clmot.reporting.drawing import fullest_frame
from clmot.reporting.evaluation import annotated_frames

REPOSITORY = Path(__file__).parents[2]
CPU = torch.device("cpu")
COLOURS = ((80, 80, 255), (80, 255, 80), (255, 80, 80))  # BGR

_spec = importlib.util.spec_from_file_location("track_stage", REPOSITORY / "stages" / "track.py")
assert _spec is not None
assert _spec.loader is not None
stage = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stage)


class SeesRectangles(nn.Module):
    """Finds every bright rectangle exactly; its embedding is the colour."""

    config = types.SimpleNamespace(embedding_dim=3)

    def __init__(self):
        super().__init__()
        self.asked = []

    def features(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        return images

    def read(self, features, heads):
        self.asked.extend(heads)
        maps = self.maps(features)
        return {name: maps[name] for name in heads}

    def read_at(self, features, cells, heads):
        return {name: gather_cells(values, cells) for name, values in self.read(features, heads).items()}

    def maps(self, images):
        height, width = images.shape[2] // 4, images.shape[3] // 4
        hm = torch.full((1, 1, height, width), -9.0)
        wh, reg = torch.zeros(1, 2, height, width), torch.zeros(1, 2, height, width)
        embedding = torch.zeros(1, 3, height, width)
        picture = images[0].numpy()
        bright = (picture.max(axis=0) > 0.8).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
        for i in range(1, count):
            x, y, w, h, area = stats[i].tolist()
            if area < 30:
                continue
            cx, cy = (x + w / 2) / 4, (y + h / 2) / 4
            cell = (0, slice(None), int(cy), int(cx))
            hm[cell] = 3.0
            wh[cell] = torch.tensor([w / 4, h / 4])
            reg[cell] = torch.tensor([cx % 1, cy % 1])
            embedding[cell] = torch.from_numpy(picture[:, labels == i].mean(axis=1) - 0.55)
        return {"hm": hm, "wh": wh, "reg": reg, "id": embedding}


def draw_film(folder, frames, people, size=(320, 240), first=1, info_name="film"):
    """Images of rectangles walking right, 20 x 50 pixels each, `people` of them from frame `first` on."""
    info = SequenceInfo(info_name, "img1", 25.0, frames, *size, ".png")
    (folder / "img1").mkdir(parents=True)
    write_seqinfo(folder / "seqinfo.ini", info)
    for frame in range(1, frames + 1):
        image = np.zeros((size[1], size[0], 3), np.uint8)
        for person in range(people if frame >= first else 0):
            x, y = 20 + 2 * frame + 70 * person, 40 + 50 * person
            cv2.rectangle(image, (x, y), (x + 19, y + 49), COLOURS[person], -1)
        cv2.imwrite(str(image_path(folder, info, frame)), image)
    return [image_path(folder, info, frame) for frame in range(1, frames + 1)]


def track_sequence(model, frames, input_size, params, frame_rate, device):
    """Track what the network sees."""
    source = NetworkDetections(model, input_size, params.max_objects, device, embeddings=params.use_embedding)
    return track_frames(source, frames, params, frame_rate)


@pytest.fixture
def params():
    return dataclasses.replace(
        load_params(REPOSITORY / "params.yaml").track,
        max_objects=20,
        confidence=0.4,
        new_track_confidence=0.5,
        embedding="network",
        match_threshold=0.4,
        min_box_area=50,
        max_aspect=1.6,
    )


# The pipeline.


@pytest.mark.parametrize("input_size", [(320, 256), (160, 128), (640, 320)])
def test_boxes_come_back_in_image_pixels(tmp_path, params, input_size):
    frames = draw_film(tmp_path / "film", 6, people=3)
    found = track_sequence(SeesRectangles(), frames, input_size, params, 25, CPU)
    assert found.frame.tolist() == sorted([1, 2, 3, 4, 5, 6] * 3)
    assert found.frames == 6
    assert found.network_seconds > 0 < found.association_seconds
    for frame in range(1, 7):
        boxes = found.boxes[found.frame == frame]
        assert sorted(found.identity[found.frame == frame].tolist()) == [1, 2, 3]
        left = np.array([20 + 2 * frame + 70 * person for person in range(3)])
        top = np.array([40 + 50 * person for person in range(3)])
        truth = np.stack((left, top, left + 20, top + 50), axis=1)
        order = np.argsort(boxes[:, 0])
        # The Kalman filter smooths, and a small input has large pixels.
        np.testing.assert_allclose(boxes[order], truth, atol=5)
    assert set(np.round(found.scores, 4)) == {round(1 / (1 + math.exp(-3)), 4)}


def test_detections_of_the_network_are_exact_and_have_the_embedding_of_their_cell(tmp_path):
    frames = draw_film(tmp_path / "film", 1, people=2)
    source = NetworkDetections(SeesRectangles(), (320, 256), 5, CPU)
    found = source(1, cv2.imread(str(frames[0])))
    best = np.argsort(found.boxes[:2, 0])
    np.testing.assert_allclose(found.boxes[best], [[22, 40, 42, 90], [92, 90, 112, 140]], atol=1e-4)
    assert len(found.scores) == len(found.embeddings) == 5  # K, the rest of them scored 0
    # Images are RGB inside: the first person's BGR (80, 80, 255) has most in the first channel.
    assert found.embeddings[best].argmax(axis=1).tolist() == [0, 1]


def test_the_embedding_head_is_not_run_when_tracking_does_without(tmp_path, params):
    frames = draw_film(tmp_path / "film", 2, people=1)
    model = SeesRectangles()
    track_sequence(model, frames, (320, 256), dataclasses.replace(params, embedding="none"), 25, CPU)
    assert model.asked == ["hm", "wh", "reg"] * 2


def test_frames_without_people_and_films_without_frames(tmp_path, params):
    frames = draw_film(tmp_path / "film", 4, people=2, first=3)
    found = track_sequence(SeesRectangles(), frames, (320, 256), params, 25, CPU)
    assert found.frame.tolist() == [4, 4]  # first seen in 3, confirmed in 4
    assert fullest_frame(found.frame) == 4
    nothing = track_sequence(SeesRectangles(), [], (320, 256), params, 25, CPU)
    assert len(nothing.frame) == nothing.frames == 0
    assert fullest_frame(nothing.frame) == 1


def test_any_source_of_detections_can_be_tracked(tmp_path, params):
    frames = draw_film(tmp_path / "film", 3, people=0)

    def source(frame, image):
        assert image.shape == (240, 320, 3)
        return Detections(np.array([[10.0 + frame, 20, 40 + frame, 100]]), np.array([0.9]), None)

    found = track_frames(source, frames, params, 25)
    assert found.identity.tolist() == [1, 1, 1]


@pytest.mark.parametrize("harm", ["missing", "corrupt"])
def test_a_frame_that_cannot_be_read_is_named(tmp_path, params, harm):
    frames = draw_film(tmp_path / "film", 3, people=1)
    frames[1].unlink()
    if harm == "corrupt":
        frames[1].write_bytes(b"no image")
    with pytest.raises(InputError, match=r"000002\.png"):
        track_sequence(SeesRectangles(), frames, (320, 256), params, 25, CPU)


# The stage.


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two films of MOT17; the half split tracks frames 8 to 12 of them."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["data"].update(split="half", validation_sequences=[], benchmarks=["MOT17"])
    values["model"]["input_size"] = [320, 256]
    values["hardware"].update(device="cpu", threads=1)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    names = {"MOT17-02": 1, "MOT17-04": 3}
    for name, people in names.items():
        draw_film(tmp_path / "data/frames/MOT17" / name, 12, people, info_name=name)
    entries = [ManifestEntry(name, "train", 12, 320, 240, 25.0) for name in names]
    entries.append(ManifestEntry("MOT17-01", "test", 12, 320, 240, 25.0))
    write_manifest(tmp_path / "data/frames/MOT17", "MOT17", entries)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detection_sources, "load_model", lambda directory: SeesRectangles())
    return tmp_path


@pytest.fixture(autouse=True)
def restored_torch_settings():
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def track(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["track.py", *arguments])
    stage.main()


def outs(project):
    return {p.relative_to(project).as_posix(): p.read_bytes() for p in (project / "tracks").rglob("*") if p.is_file()}


@pytest.fixture
def tracked(monkeypatch):
    """The names of films that are tracked, as they are."""
    films = []
    task = film_tracker.ReadyTracker._tracked

    def noted(self, film, *rest, **named):
        films.append(film.film)
        return task(self, film, *rest, **named)

    monkeypatch.setattr(film_tracker.ReadyTracker, "_tracked", noted)
    return films


def add_film(project, name):
    draw_film(project / "data/frames/MOT17" / name, 12, 2, info_name=name)
    entries = [ManifestEntry(film, "train", 12, 320, 240, 25.0) for film in ("MOT17-02", "MOT17-04", name)]
    write_manifest(project / "data/frames/MOT17", "MOT17", entries)


def test_a_new_film_is_tracked_alone(project, monkeypatch, tracked):
    track(monkeypatch, "MOT17")
    before = outs(project)
    add_film(project, "MOT17-09")
    track(monkeypatch, "MOT17")
    assert tracked == ["MOT17-02", "MOT17-04", "MOT17-09"]
    after = outs(project)
    assert {name for name in after if name not in before} == {
        "tracks/MOT17/MOT17-09.txt",
        "tracks/MOT17.detections/MOT17-09.safetensors",
    }
    assert all(after[name] == content for name, content in before.items() if not name.endswith(".json"))
    assert set(json.loads(after["tracks/MOT17.speed.json"])["sequences"]) == {"MOT17-02", "MOT17-04", "MOT17-09"}


@pytest.mark.parametrize("change", ["param", "frame", "model"])
def test_what_decides_tracks_has_films_tracked_again(project, monkeypatch, tracked, change):
    track(monkeypatch, "MOT17")
    if change == "param":
        values = yaml.safe_load((project / "params.yaml").read_text())
        values["track"]["lost_seconds"] = 7.0
        (project / "params.yaml").write_text(yaml.safe_dump(values))
    elif change == "model":
        (project / "models/tracker").mkdir(parents=True)
        (project / "models/tracker/model.safetensors").write_bytes(b"other weights")
    else:
        draw_film(project / "other", 12, 1, info_name="MOT17-04")
        image = "img1/000009.png"
        (project / "data/frames/MOT17/MOT17-04" / image).write_bytes((project / "other" / image).read_bytes())
    track(monkeypatch, "MOT17")
    assert tracked[2:] == (["MOT17-04"] if change == "frame" else ["MOT17-02", "MOT17-04"])


def test_a_film_that_was_finished_before_the_stage_died_is_kept(project, monkeypatch, tracked):
    image = project / "data/frames/MOT17/MOT17-04/img1/000009.png"
    whole = image.read_bytes()
    image.write_bytes(b"no image")
    with pytest.raises(InputError, match="000009"):
        track(monkeypatch, "MOT17")
    assert not outs(project)
    image.write_bytes(whole)
    track(monkeypatch, "MOT17")
    assert tracked == ["MOT17-02", "MOT17-04", "MOT17-04"]


def test_the_tracked_half_is_written_with_frames_from_one(project, monkeypatch):
    track(monkeypatch, "MOT17")
    assert sorted(outs(project)) == [
        "tracks/MOT17.detections/MOT17-02.safetensors",
        "tracks/MOT17.detections/MOT17-04.safetensors",
        "tracks/MOT17.speed.json",
        "tracks/MOT17/MOT17-02.txt",
        "tracks/MOT17/MOT17-04.txt",
    ]
    table = read_results(project / "tracks/MOT17/MOT17-04.txt")
    assert sorted(set(table.frame.tolist())) == [1, 2, 3, 4, 5]
    assert sorted(set(table.identity.tolist())) == [1, 2, 3]
    one = table.select(table.frame == 1)  # frame 8 of the film
    left = np.sort(one.box[:, 0])
    np.testing.assert_allclose(left, [37, 107, 177], atol=0.02)  # 0-based 36, 106, 176
    np.testing.assert_allclose(one.box[:, 2:], [[20, 50]] * 3, atol=0.02)


def test_what_was_detected_is_kept_with_its_embeddings(project, monkeypatch):
    track(monkeypatch, "MOT17")
    path = project / "tracks/MOT17.detections/MOT17-04.safetensors"
    found = read_recording(path)
    assert found.frame.tolist() == sorted([1, 2, 3, 4, 5] * 3)
    one = np.sort(found.boxes[found.frame == 1, 0])
    np.testing.assert_allclose(one, [36, 106, 176], atol=1e-3)
    embeddings = read_embeddings(path, np.arange(len(found)))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-3)


def test_detections_below_the_floor_are_tracked_but_not_kept(project, monkeypatch):
    change_track(project, confidence=0.0, new_track_confidence=0.0, recorded_confidence=0.96)
    track(monkeypatch, "MOT17")
    # The floor is never above `confidence`: what the tracker uses is always kept.
    assert len(read_recording(project / "tracks/MOT17.detections/MOT17-04.safetensors")) > 15
    change_track(project, confidence=0.99, new_track_confidence=0.99, recorded_confidence=0.96)
    track(monkeypatch, "MOT17")
    assert len(read_recording(project / "tracks/MOT17.detections/MOT17-04.safetensors")) == 0


def change_track(project, **values):
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["track"].update(values)
    params["strip"]["held_out_identities"] = params["track"]["embedding"] == "oracle"
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def rows(lines):
    return "".join(f"{','.join(map(str, line))}\n" for line in lines)


@pytest.mark.parametrize("detections", ["public", "truth", "mine"])
def test_tracks_of_given_boxes(project, monkeypatch, detections):
    """Files number frames within the film: 8 to 12 are tracked, as 1 to 5."""
    folder = {"public": "data/detections/MOT17", "truth": "data/held_out/MOT17", "mine": "mine"}[detections]
    (project / folder).mkdir(parents=True)
    tail = (1, 1, 1) if detections == "truth" else (0.9, -1, -1, -1)
    # MOT17-04's second person, without the others, in every frame of the film.
    film = rows((f, -1, 20 + 2 * f + 70 + 1, 91, 20, 50, *tail) for f in range(1, 13))
    (project / folder / "MOT17-04.txt").write_text(film)
    (project / folder / "MOT17-02.txt").write_text("")
    change_track(project, detections=detections)
    track(monkeypatch, "MOT17")
    table = read_results(project / "tracks/MOT17/MOT17-04.txt")
    assert table.frame.tolist() == [1, 2, 3, 4, 5]
    assert set(table.identity.tolist()) == {1}
    np.testing.assert_allclose(table.box[:, 0], [107, 109, 111, 113, 115], atol=2)
    assert outs(project)["tracks/MOT17/MOT17-02.txt"] == b""
    # The embedding is the colour at the centre of that very box.
    vectors = read_embeddings(project / "tracks/MOT17.detections/MOT17-04.safetensors", np.arange(5))
    assert vectors.argmax(axis=1).tolist() == [1] * 5


def test_a_control_looks_at_true_boxes_that_are_visible(project, monkeypatch):
    """Two people in MOT17-04, one of whom is hidden in two frames; identities only where strip let them through."""
    folder = project / "data/held_out/MOT17"
    folder.mkdir(parents=True)
    seen = [(f, 4, 20 + 2 * f, 41, 20, 50, 1, 1, 0.2 if f in (9, 10) else 0.9) for f in range(8, 13)]
    seen += [(f, 6, 150 + 2 * f, 91, 20, 50, 1, 1, 1) for f in range(8, 13)]
    (folder / "MOT17-04.txt").write_text(rows(seen))
    (folder / "MOT17-02.txt").write_text("")
    change_track(project, detections="visible", visible_from=0.25, embedding="oracle", match_threshold=0.9)
    track(monkeypatch, "MOT17")
    table = read_results(project / "tracks/MOT17/MOT17-04.txt")
    assert sorted(table.frame.tolist()) == [1, 1, 2, 3, 4, 4, 5, 5]
    vectors = read_embeddings(project / "tracks/MOT17.detections/MOT17-04.safetensors", np.arange(8))
    assert sorted(vectors.argmax(axis=1).tolist()) == [0, 0, 0, 1, 1, 1, 1, 1]
    assert vectors.shape == (8, 2 + STRANGE), "two people, and the places of those who are no one"
    change_track(project, embedding="colour")
    track(monkeypatch, "MOT17")
    vectors = read_embeddings(project / "tracks/MOT17.detections/MOT17-04.safetensors", np.arange(8))
    assert vectors.shape == (8, 1024)
    change_track(project, embedding="none")
    track(monkeypatch, "MOT17")
    assert read_embeddings(project / "tracks/MOT17.detections/MOT17-04.safetensors", np.arange(8)) is None
    change_track(project, embedding="nothing")
    with pytest.raises(InputError, match=r"'track\.embedding' is 'nothing', and .* is no folder"):
        track(monkeypatch, "MOT17")


@pytest.mark.parametrize(
    ("detections", "sentence"),
    [
        ("public", r"detections/MOT17/MOT17-02\.txt does not exist, as MOT17's archive has no det/det\.txt"),
        ("truth", r"held_out/MOT17/MOT17-02\.txt does not exist, as MOT17-02 has no ground truth"),
        ("publc", r"'track\.detections' is 'publc', and .* is no folder: expected network, public, truth, visible"),
        ("~nobody-of-this-name/found", "which is no user's home folder here: write the whole path"),
    ],
)
def test_detections_that_are_not_there(project, monkeypatch, detections, sentence):
    change_track(project, detections=detections)
    with pytest.raises(InputError, match=sentence):
        track(monkeypatch, "MOT17")
    assert not (project / "tracks").exists()


def test_a_fault_in_the_last_file_is_found_before_the_first_frame(project, monkeypatch):
    (project / "mine").mkdir()
    (project / "mine/MOT17-02.txt").write_text("")
    (project / "mine/MOT17-04.txt").write_text("8,-1,10,20,30,nan,1\n")
    change_track(project, detections="mine")
    monkeypatch.setattr(detection_sources, "load_model", lambda directory: pytest.fail("tracking began"))
    with pytest.raises(InputError, match=r"MOT17-04\.txt:1: column 6 is 'nan'"):
        track(monkeypatch, "MOT17")


def test_the_picture_is_the_frame_with_the_most_tracks(project, monkeypatch):
    track(monkeypatch, "MOT17")
    drawn = annotated_frames(load_params(), project)
    picture = cv2.imread(str(drawn["MOT17"]))
    assert picture.shape == (240, 320, 3)
    # The third person of MOT17-04 in its first tracked frame, frame 8.
    np.testing.assert_allclose(picture[170, 186], COLOURS[2], atol=40)


def test_speeds_are_told_apart_and_not_in_the_tracks(project, monkeypatch):
    track(monkeypatch, "MOT17")
    speed = json.loads((project / "tracks/MOT17.speed.json").read_text())
    assert speed["all"]["frames"] == 10
    assert sorted(speed["sequences"]) == ["MOT17-02", "MOT17-04"]
    for row in (speed["all"], *speed["sequences"].values()):
        assert 0 < row["fps"] < min(row["network_fps"], row["association_fps"])
        assert "camera_motion_fps" not in row
    assert speed["machine"]["device"] == "cpu"


def test_following_the_camera_is_timed_apart(project, monkeypatch):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["track"]["camera_motion"] = True
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    track(monkeypatch, "MOT17")
    speed = json.loads((project / "tracks/MOT17.speed.json").read_text())
    for row in (speed["all"], *speed["sequences"].values()):
        assert 0 < row["fps"] < min(row["network_fps"], row["association_fps"], row["camera_motion_fps"])
    # These films are black except for the people: nothing to follow, nothing changed.
    assert sorted(set(read_results(project / "tracks/MOT17/MOT17-04.txt").identity.tolist())) == [1, 2, 3]


def test_two_runs_give_the_same_bytes(project, monkeypatch):
    track(monkeypatch, "MOT17")
    first = outs(project)
    track(monkeypatch, "MOT17")
    second = outs(project)
    for found in (first, second):
        found.pop("tracks/MOT17.speed.json")
    assert first == second


def test_nobody_in_sight_gives_empty_files(project, monkeypatch):
    monkeypatch.setattr(detection_sources, "load_model", lambda directory: Blind())
    track(monkeypatch, "MOT17")
    assert outs(project)["tracks/MOT17/MOT17-04.txt"] == b""
    assert len(outs(project)) == 5
    assert list(annotated_frames(load_params(), project)) == ["MOT17"]
    assert len(read_recording(project / "tracks/MOT17.detections/MOT17-04.safetensors")) == 0


class Blind(SeesRectangles):
    def maps(self, images):
        return {**super().maps(images), "hm": torch.full((1, 1, 64, 80), -9.0)}


def test_a_stage_that_fails_leaves_nothing_new_and_nothing_lost(project, monkeypatch):
    broken = project / "data/frames/MOT17/MOT17-04/img1/000009.png"
    image = broken.read_bytes()
    broken.write_bytes(image[:20])
    with pytest.raises(InputError, match=r"MOT17-04/img1/000009\.png"):
        track(monkeypatch, "MOT17")
    assert not (project / "tracks").exists() or outs(project) == {}
    broken.write_bytes(image)
    track(monkeypatch, "MOT17")
    before = outs(project)

    def failing(*_):
        raise OSError("disk full")

    monkeypatch.setattr(stage, "speeds", failing)
    with pytest.raises(OSError, match="disk full"):
        track(monkeypatch, "MOT17")
    assert outs(project) == before


def test_a_split_that_tracks_nothing_is_refused(project, monkeypatch):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("split: half", "split: full"))
    entries = [ManifestEntry("MOT17-02", "train", 12, 320, 240, 25.0)]
    write_manifest(project / "data/frames/MOT17", "MOT17", entries)
    with pytest.raises(InputError, match="tracks no frame of data/frames/MOT17"):
        track(monkeypatch, "MOT17")


def test_a_benchmark_of_which_no_film_is_held_out_has_no_tracks(project, monkeypatch, capsys):
    text = (project / "params.yaml").read_text().replace("split: half", "split: sequence")
    (project / "params.yaml").write_text(text.replace("validation_sequences: []", "validation_sequences: [TUD-Campus]"))
    track(monkeypatch, "MOT17")
    assert "holds out no film of MOT17" in capsys.readouterr().err
    assert not any((project / "tracks/MOT17").iterdir())
    assert not any((project / "tracks/MOT17.detections").iterdir())
    assert measured_speeds(project / "tracks", ["MOT17"]) == {}
    assert annotated_frames(load_params(), project) == {}


@pytest.mark.parametrize("arguments", [[], ["MOT16"], ["MOT17", "MOT20"]])
def test_wrong_arguments_are_told_the_usage(project, monkeypatch, arguments):
    with pytest.raises(InputError, match="usage"):
        track(monkeypatch, *arguments)


def test_tracking_runs_where_lap_and_the_pipelines_tools_are_absent():
    """Nothing that is imported when the stage starts names them, except for a try."""
    absent = {"lap", "mlflow", "dvc", "motmetrics", "trackeval", "matplotlib", "av"}
    waiting, seen = [REPOSITORY / "stages/track.py"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        names = set()
        for node in ast.parse(path.read_text()).body:  # the top level only: what is in a try or function waits
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        assert not absent & {name.split(".")[0] for name in names}, path
        own = [REPOSITORY.joinpath(*name.split(".")).with_suffix(".py") for name in names]
        waiting += [module for module in own if module.is_file()]
    assert len(seen) > 10
