"""A source at work ahead of the tracker: the same tracks, bit for bit, however many look, in whatever groups."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from clmot.errors import InputError
from clmot.images import read_image
from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.found_ahead import found_ahead
from clmot.inference.given_detections import GivenDetections, HeadEmbeddings
from clmot.inference.image_sources import SourceImage, open_images
from clmot.inference.model import Model
from clmot.inference.pipeline import Detections, DetectionSource, NetworkDetections, Runner, fitted, network_input
from clmot.inference.session import Session
from clmot.inference.track_frames import SequenceTracks, track_frames
from clmot.models.crop_encoder import CropConfig, CropEncoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.motchallenge.annotations import AnnotationTable, read_detections
from clmot.params import TrackParams, default_params

CPU = torch.device("cpu")
SIZE = (128, 96)
FRAMES = 11
PARAMS = TrackParams(confidence=0.05, new_track_confidence=0.05, max_objects=20, min_box_area=0, max_aspect=9)
CROP = CropConfig("mobilenetv2_035", (32, 64), (8, 16), 2, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(autouse=True)
def several_threads() -> Iterator[None]:
    """Torch may use three threads for an operator, and has what it had at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3, "the tracking gives back what it changed"
    torch.set_num_threads(before)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("clmot")] == []


@pytest.fixture
def frames(tmp_path: Path) -> list[Path]:
    noise = np.random.default_rng(0)
    folder = tmp_path / "film"
    folder.mkdir()
    for number in range(1, FRAMES + 1):
        image = noise.integers(0, 90, (110, 150, 3), np.uint8)
        image[20:70, 10 + 3 * number : 30 + 3 * number] = (40, 200, 220)
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)
    return sorted(folder.iterdir())


def network() -> OneShotTracker:
    torch.manual_seed(3)
    model = OneShotTracker(ModelConfig.from_params(default_params().model)).eval()
    with torch.no_grad():
        model.get_parameter("wh.2.bias").copy_(torch.tensor([5.0, 10.0]))  # cells: boxes of some size
    return model


def encoder() -> CropEncoder:
    torch.manual_seed(4)
    return CropEncoder(CROP).eval()


def boxes(folder: Path) -> AnnotationTable:
    path = folder / "boxes.txt"
    path.write_text("".join(f"{n},-1,{11 + 3 * n},21,20,50,0.9,-1,-1,-1\n" for n in range(1, FRAMES + 1)))
    return read_detections(path)


def source_of(kind: str, folder: Path) -> DetectionSource:
    """Of each kind that a film may be tracked with."""
    if kind == "network":
        return NetworkDetections(network(), SIZE, 20, CPU)
    if kind == "boxes":
        return GivenDetections(boxes(folder), HeadEmbeddings(network(), SIZE, CPU))
    return CropEmbeddings(NetworkDetections(network(), SIZE, 20, CPU), encoder(), CPU, 0.05)


def same(one: SequenceTracks, other: SequenceTracks) -> bool:
    names = ("frame", "identity", "boxes", "scores")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


@pytest.mark.parametrize("kind", ["network", "boxes", "crops"])
def test_tracks_depend_on_no_number_of_threads(frames: list[Path], kind: str) -> None:
    wanted = track_frames(source_of(kind, frames[0].parents[1]), frames, PARAMS, 25, threads=1)
    assert len(wanted.frame) > FRAMES / 2
    for threads in (2, 5):
        assert same(track_frames(source_of(kind, frames[0].parents[1]), frames, PARAMS, 25, threads=threads), wanted)
    torch.set_num_threads(1)
    alone = track_frames(source_of(kind, frames[0].parents[1]), frames, PARAMS, 25)
    torch.set_num_threads(3)
    assert same(alone, wanted)


@pytest.mark.parametrize("kind", ["network", "crops"])
@pytest.mark.parametrize("size", [3, 8, 20])
def test_tracks_depend_on_no_size_of_batches(frames: list[Path], kind: str, size: int) -> None:
    wanted = track_frames(source_of(kind, frames[0].parents[1]), frames, PARAMS, 25, threads=1)
    grouped: Any = source_of(kind, frames[0].parents[1])
    grouped.batch_size = size
    asked: list[int] = []
    detect = grouped.detect
    grouped.detect = lambda prepared: asked.append(len(prepared)) or detect(prepared)
    assert same(track_frames(grouped, frames, PARAMS, 25, threads=2), wanted)
    assert sorted(asked, reverse=True) == [size] * (FRAMES // size) + [FRAMES % size]


@pytest.mark.parametrize("kind", ["network", "crops"])
def test_a_live_session_sees_what_the_film_does(frames: list[Path], kind: str) -> None:
    wanted = track_frames(source_of(kind, frames[0].parents[1]), frames, PARAMS, 25, threads=2)
    session = Session(PARAMS, 25, source_of(kind, frames[0].parents[1]))
    rows = [session.update(read_image(path)) for path in frames]
    assert np.concatenate([row.boxes for row in rows]).tobytes() == wanted.boxes.tobytes()
    assert np.concatenate([row.identities for row in rows]).tobytes() == wanted.identity.tobytes()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("harm", ["missing", "is not a readable image"])
def test_a_broken_image_is_told_where_it_comes(frames: list[Path], size: int, harm: str) -> None:
    frames[4].unlink()
    if harm != "missing":
        frames[4].write_text("no image")
    source: Any = source_of("network", frames[0].parents[1])
    source.batch_size = size
    images = (SourceImage(n, 0.0, lambda path=path: read_image(path)) for n, path in enumerate(frames, 1))  # type: ignore[misc]
    seen: list[int] = []
    with pytest.raises(InputError, match=rf"000005\.png {'is ' if harm == 'missing' else ''}{harm}"):
        seen.extend(found.source.number for found in found_ahead(source, images, 3))
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [1, 3])
def test_who_leaves_early_leaves_no_thread(frames: list[Path], size: int) -> None:
    source: Any = source_of("network", frames[0].parents[1])
    source.batch_size = size
    with closing(found_ahead(source, open_images(frames[0].parent).unread(), 2)) as coming:
        assert next(coming).source.number == 1
    model = Model(dataclasses.replace(PARAMS, embedding="none"), CPU, network(), input_size=SIZE)
    tracking = model.tracked(open_images(frames[0].parent))
    assert next(tracking).number == 1
    tracking.close()
    with pytest.raises(StopIteration):
        next(tracking)


def test_images_that_come_because_of_the_last_ones_are_not_asked_for_ahead() -> None:
    model = Model(PARAMS, CPU)
    object.__setattr__(model, "_detector", lambda: lambda _frame, _image: Detections(np.eye(1, 4), np.ones(1), None))
    given: list[int] = []

    def world() -> Iterator[np.ndarray]:
        while True:
            given.append(len(given) + 1)
            yield np.zeros((40, 40, 3), np.uint8)

    with closing(model.tracked(open_images(world()))) as tracked:
        for number in range(1, 6):
            assert next(tracked).number == number == given[-1]


def test_bfloat16_is_near_float32_and_its_boxes_are_read_in_float32(frames: list[Path]) -> None:
    exact = NetworkDetections(network(), SIZE, 20, Runner(CPU))(1, read_image(frames[0]))
    rough = NetworkDetections(network(), SIZE, 20, Runner(CPU, "bfloat16"))(1, read_image(frames[0]))
    assert abs(rough.scores.max() - exact.scores.max()) < 0.02
    peaks = rough.scores[rough.scores > 0]
    assert len(np.unique(peaks)) == len(peaks) > 5, "no two cells round to the same score"
    assert rough.scores.tobytes() != exact.scores.tobytes()


def test_the_networks_input_is_rgb_in_0_to_1(frames: list[Path]) -> None:
    image = read_image(frames[0])
    frame = fitted(image, SIZE)
    pixels = network_input([frame, frame], CPU)
    assert pixels.shape == (2, 3, SIZE[1], SIZE[0])
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    rgb = frame.canvas.transpose(2, 0, 1).astype(np.float32) / 255
    np.testing.assert_array_equal(pixels[1].numpy(), rgb)
    assert frame.canvas[frame.fit.pad_y + 20, frame.fit.pad_x + 20].tolist() != [0, 0, 0]
