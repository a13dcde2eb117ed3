"""What models say of how they came to be: above all, whether any part of them has seen identities."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from clmot.data.frames import TrainingFrame
from clmot.model_description import ModelDescription, identities_seen, write_description
from clmot.models.checkpoint import save_model
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.models.pretrained import create_detector
from clmot.params import Params, default_params
from clmot.training.describe import describe_detector, describe_tracker

FRAMES = [TrainingFrame(Path("a.jpg"), "MOT17/a", number, np.zeros((number, 4), np.float32)) for number in range(1, 4)]


@pytest.fixture
def params() -> Params:
    base = default_params()
    model = dataclasses.replace(base.model, neck_channels=(8, 8, 8, 8), head_channels=8)
    return dataclasses.replace(base, model=model)


def begun_with(params: Params, weights: Path) -> tuple[Params, OneShotTracker]:
    params = dataclasses.replace(params, model=dataclasses.replace(params.model, weights=str(weights)))
    return params, create_detector(params.model)


def test_random_weights_have_seen_nothing(params: Params, tmp_path: Path) -> None:
    found = describe_detector(params, FRAMES, create_detector(params.model))
    assert found.seen_identities == ()
    assert found.trained_on == {"MOT17/a": 3}
    assert found.boxes == 6
    write_description(tmp_path, found)
    tracker = describe_tracker(params, FRAMES, tmp_path, "head")
    assert tracker.seen_identities == ()
    assert (tracker.detector_epochs, tracker.embedder_epochs) == (params.pretrain.epochs, params.train.epochs)


def test_a_trackers_weights_are_marked_and_stay_so(params: Params, tmp_path: Path) -> None:
    """An `id` head from elsewhere: no one knows whose identities it learnt from."""
    tracker = OneShotTracker(ModelConfig.from_params(params.model))
    path = tmp_path / "theirs" / "fairmot.safetensors"
    path.parent.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tracker.state_dict().items()}, path)
    changed, model = begun_with(params, path)
    found = describe_detector(changed, FRAMES, model)
    assert "fairmot.safetensors" in found.seen_identities[0]
    assert "SHA-256" in found.detector_from
    detector = tmp_path / "detector"
    detector.mkdir()
    write_description(detector, found)
    assert describe_tracker(changed, FRAMES, detector, "crop").seen_identities == found.seen_identities


def test_a_detectors_weights_are_not(params: Params, tmp_path: Path) -> None:
    detector = OneShotTracker(ModelConfig.from_params(params.model, embedding=False))
    path = tmp_path / "ctdet.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in detector.state_dict().items()}, path)
    changed, model = begun_with(params, path)
    assert describe_detector(changed, FRAMES, model).seen_identities == ()


@pytest.mark.parametrize("seen", [(), ("it began with fairmot.pth",)])
def test_a_model_of_ours_tells_what_it_has_seen(params: Params, tmp_path: Path, seen: tuple[str, ...]) -> None:
    tracker = OneShotTracker(ModelConfig.from_params(params.model))
    save_model(tmp_path, tracker, tracker.config)
    write_description(tmp_path, ModelDescription((64, 64), "random", 1, "head", 1, seen_identities=seen))
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        changed, model = begun_with(params, weights)
        assert describe_detector(changed, FRAMES, model).seen_identities == seen


def test_the_supervised_baseline_is_marked(params: Params, tmp_path: Path) -> None:
    supervised = dataclasses.replace(params, loss=dataclasses.replace(params.loss, embedding="supervised"))
    assert "supervised" in describe_tracker(supervised, FRAMES, tmp_path, "head").seen_identities[0]
    assert identities_seen(tmp_path) == ()  # nothing was written


def test_equal_params_give_equal_bytes(params: Params, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_description(tmp_path / name, describe_tracker(params, FRAMES, tmp_path, "head"))
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"model.json", "MODEL_CARD.md"}
