"""Several films share the network's batches: as few of them as there can be, and each film's files as by itself."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_encoder import save_small_encoder
from small_network import SIZE, save_small_network

from clmot.errors import InputError
from clmot.inference import film_tracker, track_frames
from clmot.inference.detection_sources import detection_sources
from clmot.inference.film_tracker import FilmTask, FilmTracker, ReadyTracker
from clmot.inference.kept_tracks import KeptTracks, track_films
from clmot.inference.pipeline import Detections, Image
from clmot.inference.tracked_frames import TrackedPart
from clmot.motchallenge.splits import FrameRange
from clmot.params import Params, TrackParams, default_params

CPU = torch.device("cpu")
LENGTHS = (1, 3, 7, 2)
EASY = TrackParams(confidence=0.05, new_track_confidence=0.05, max_objects=20, min_box_area=0, max_aspect=9)
Draw = Callable[..., FilmTracker]
Seen = tuple[int, int]
"""A film's number and a frame's."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Torch computes as before, and no thread lives."""
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(exact)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("clmot")] == []


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws films 0, 1, ... of so many frames; the first pixel of each says which film and frame it is of."""

    def drawn(lengths: Sequence[int], track: TrackParams = EASY) -> FilmTracker:
        parts = {}
        for film, length in enumerate(lengths):
            paths = [tmp_path / f"film-{film}-{frame}.png" for frame in range(1, length + 1)]
            for frame, path in enumerate(paths, 1):
                image = np.random.default_rng((film, frame)).integers(0, 90, (96, 128, 3), np.uint8)
                image[20:70, 10 + 5 * frame : 30 + 5 * frame] = (40, 200, 220)
                image[0, 0] = (film, frame, 0)
                cv2.imwrite(str(path), image)
            parts[f"film-{film}"] = TrackedPart(paths, FrameRange(1, length), length, 25.0, (128, 96))
        params = default_params()
        model = dataclasses.replace(params.model, input_size=SIZE)
        hardware = dataclasses.replace(params.hardware, device="cpu", threads=2, workers=0)
        return FilmTracker("MOT17", parts, dataclasses.replace(params, track=track, model=model, hardware=hardware))

    return drawn


class Grouped:
    """Finds a person where a frame's number says, and remembers which frames it was asked for together."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.asked: list[list[Seen]] = []
        self.prepared: list[Seen] = []

    def __call__(self, frame: int, image: Image) -> Detections:
        return self.detect([self.prepare(frame, image)])[0]

    def prepare(self, frame: int, image: Image) -> Seen:
        film, shown, _ = image[0, 0].tolist()
        assert shown == frame
        self.prepared.append((film, frame))
        return film, frame

    def detect(self, prepared: Sequence[Seen]) -> list[Detections]:
        self.asked.append(list(prepared))
        return [one_person(*one) for one in prepared]


def one_person(film: int, frame: int) -> Detections:
    left = 10.0 * film + 5 * frame
    return Detections(np.array([[left, 20, left + 20, 70]]), np.array([0.9]), np.array([[1, film, frame]], np.float32))


def given(frame: int, image: Image) -> Detections:
    """Boxes that no network found."""
    return one_person(200, frame)


def tasks(tracker: FilmTracker, folder: Path) -> list[FilmTask]:
    folder.mkdir()
    return [FilmTask(film, folder, folder) for film in tracker.parts]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def alone(ready: ReadyTracker, folder: Path) -> dict[str, bytes]:
    """The files of films that are tracked one by one."""
    for task in tasks(ready.of, folder):
        ready(task)
    return files(folder)


def of_one_source(tracker: FilmTracker, source: Any) -> ReadyTracker:
    return ReadyTracker(tracker, dict.fromkeys(tracker.parts, source))


def in_order(lengths: Sequence[int]) -> list[Seen]:
    return [(film, frame) for film, length in enumerate(lengths) for frame in range(1, length + 1)]


@pytest.mark.parametrize("projection", ["none", "film"])
@pytest.mark.parametrize("size", [1, 2, 4, 5, 50])
def test_batches_are_full_across_films_and_files_are_each_films_own(
    draw: Draw, tmp_path: Path, size: int, projection: Any
) -> None:
    tracker = draw(LENGTHS, dataclasses.replace(EASY, projection=projection))
    wanted = alone(of_one_source(tracker, Grouped(1)), tmp_path / "alone")
    source = Grouped(size)
    speeds = list(of_one_source(tracker, source).in_turn(tasks(tracker, tmp_path / "shared")))
    frames = in_order(LENGTHS)
    assert sorted(source.asked) == [frames[at : at + size] for at in range(0, len(frames), size)]
    assert files(tmp_path / "shared") == wanted
    assert len(wanted) == 2 * len(LENGTHS)
    assert [speed.frames for speed in speeds] == list(LENGTHS)
    assert all(speed.network_seconds > 0 and speed.seconds > 0 for speed in speeds)


def test_a_film_of_given_boxes_keeps_its_source_between_two_of_the_network(draw: Draw, tmp_path: Path) -> None:
    tracker, source = draw((3, 2, 3, 2)), Grouped(4)
    ready = ReadyTracker(tracker, {"film-0": source, "film-1": given, "film-2": source, "film-3": source})
    wanted = alone(ready, tmp_path / "alone")
    source.asked.clear()
    assert len(list(ready.in_turn(tasks(tracker, tmp_path / "shared")))) == 4
    assert files(tmp_path / "shared") == wanted
    assert sorted(source.asked) == [[(0, 1), (0, 2), (0, 3)], [(2, 1), (2, 2), (2, 3), (3, 1)], [(3, 2)]]


@pytest.mark.parametrize(("film", "frame"), [(2, 3), (3, 1)])  # the second is in a batch with the end of film 2
def test_each_film_is_kept_when_it_is_done_and_after_a_failure_the_others_are_left(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: int, frame: int
) -> None:
    tracker, source = draw(LENGTHS), Grouped(4)
    monkeypatch.setattr(film_tracker, "detection_sources", lambda parts, *_: dict.fromkeys(parts, source))
    broken = tracker.parts[f"film-{film}"].images[frame - 1]
    image = broken.read_bytes()
    broken.write_text("no image")
    folder = tmp_path / "kept"
    with pytest.raises(InputError, match=rf"film-{film}-{frame}\.png is not a readable image"):
        track_films(tracker, KeptTracks(folder))
    first = files(folder)
    assert sorted(first) == [f"film-{done}.{kind}" for done in range(film) for kind in ("safetensors", "txt")]
    broken.write_bytes(image)
    source.asked.clear()
    speeds, _ = track_films(tracker, KeptTracks(folder))
    assert {asked for batch in source.asked for asked, _ in batch} == set(range(film, len(LENGTHS)))
    assert {name: speed.frames for name, speed in speeds.items()} == dict(zip(tracker.parts, LENGTHS, strict=True))
    assert files(folder) == alone(of_one_source(tracker, Grouped(1)), tmp_path / "alone")
    assert files(folder).items() >= first.items()
    monkeypatch.setattr(film_tracker, "detection_sources", None)  # all are there: nothing is loaded
    assert track_films(tracker, KeptTracks(folder))[0] == speeds


@pytest.mark.parametrize("size", [1, 4])
def test_few_frames_are_held_however_many_films_there_are(draw: Draw, tmp_path: Path, size: int) -> None:
    """And who leaves after a film leaves no thread, which the fixture looks for."""
    tracker, source = draw([1] * 90), Grouped(size)
    torch.set_num_threads(2)
    done = of_one_source(tracker, source).in_turn(tasks(tracker, tmp_path / "shared"))
    with closing(done):
        for number in range(1, 40):
            assert next(done).frames == 1
            assert len(source.prepared) <= number + (2 + 2 + 2 + 1) * size + 6
    assert len(files(tmp_path / "shared")) == 2 * 39


def test_every_film_has_a_bar_of_its_own_frames(draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[list[Any]] = []

    def bar(items: Any, description: str, total: int, unit: str) -> Iterator[Any]:
        bars.append([description, total, 0])
        for item in items:
            bars[-1][2] += 1
            yield item

    monkeypatch.setattr(track_frames, "progress", bar)
    tracker = draw(LENGTHS)
    list(of_one_source(tracker, Grouped(4)).in_turn(tasks(tracker, tmp_path / "shared"), bars=True))
    assert bars == [[f"film-{film}", length, length] for film, length in enumerate(LENGTHS)]


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("size", [1, 4])
def test_the_network_gives_the_same_files(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, crops: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    save_small_network(tmp_path / "models" / "tracker")
    if crops:
        save_small_encoder(tmp_path / "models" / "tracker")
    tracker = draw(LENGTHS)
    ready = tracker.ready()
    source: Any = ready.sources["film-0"]
    assert all(one is source for one in ready.sources.values())
    wanted = alone(ready, tmp_path / "alone")
    assert all(len(wanted[f"film-{film}.txt"].splitlines()) >= length for film, length in enumerate(LENGTHS))
    source.batch_size = size
    list(ready.in_turn(tasks(tracker, tmp_path / "shared")))
    assert files(tmp_path / "shared") == wanted


def test_films_whose_own_files_decide_share_nothing(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_small_network(tmp_path / "models" / "tracker")
    tracker = draw((2, 2))
    (tmp_path / "boxes").mkdir()
    for film in tracker.parts:
        (tmp_path / "boxes" / f"{film}.txt").write_text("1,-1,10,20,20,50,0.9\n")
    track = dataclasses.replace(EASY, detections=str(tmp_path / "boxes"))
    params: Params = dataclasses.replace(tracker.params, track=track)
    one, other = detection_sources(tracker.parts, "MOT17", params, CPU).values()
    assert one is not other
