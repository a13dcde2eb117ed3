"""A model as the re-ID part of other people's trackers, which are played by stand-ins here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_encoder import save_small_encoder

import clmot
from clmot.errors import InputError
from clmot.models.checkpoint import save_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
FRAME = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
BOXES = np.array([[10, 5, 60, 110], [-8, 20, 30, 90], [150.5, 60, 220, 130], [40, 40, 40, 40]], np.float32)


@pytest.fixture
def encoder(tmp_path: Path) -> CropEncoder:
    return save_small_encoder(tmp_path)


def test_both_calls_give_what_the_tracker_sees(tmp_path: Path, encoder: CropEncoder) -> None:
    """Of length 1, in the order of the boxes, an empty box and boxes beyond the frame among them."""
    model = clmot.reid(tmp_path, device="cpu")
    expected = model.embed(FRAME, BOXES.astype(np.float64))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for found in (
        model.get_features(BOXES, FRAME),
        model.get_features(np.column_stack([BOXES, np.ones((4, 2))]), FRAME),  # with scores and classes
        model.extract_embeddings(SimpleNamespace(xyxy=BOXES), FRAME),
        model.extract_embeddings(SimpleNamespace(xyxy=BOXES), FRAME, batch_size=3),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("none", [np.zeros((0, 4)), np.zeros((0, 6)), []])
def test_a_frame_without_boxes(tmp_path: Path, encoder: CropEncoder, none: object) -> None:
    assert clmot.reid(tmp_path).get_features(none, FRAME).shape == (0, 16)


def test_what_is_no_box_and_no_frame(tmp_path: Path, encoder: CropEncoder) -> None:
    model = clmot.reid(tmp_path)
    for boxes, frame, word in (
        ([[1, 2, 3]], FRAME, "x1 y1 x2 y2"),
        ([[1, 2, 3, np.nan]], FRAME, "finite"),
        (BOXES, FRAME[:, :, 0], "uint8 BGR"),
        (BOXES, FRAME / 255, "float64"),
    ):
        with pytest.raises(InputError, match=word):
            model.get_features(boxes, frame)


def test_models_that_have_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dvc repro"):
        clmot.reid(tmp_path / "nowhere")
    config = ModelConfig.from_params(PARAMS.model)
    save_model(tmp_path, OneShotTracker(config), config)
    with pytest.raises(InputError, match=r"model\.embedder: crop"):
        clmot.reid(tmp_path)


def test_it_is_imported_when_it_is_asked_for() -> None:
    """`import clmot` loads no torch, and an unknown name is none."""
    code = "import sys, clmot; assert 'torch' not in sys.modules; assert 'reid' in dir(clmot); clmot.reid"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="unknown_name"):
        _ = clmot.unknown_name
