"""ONNX files: what torch computes, with the pre-processing inside."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clmot.cut_boxes import cut_boxes
from clmot.errors import InputError
from clmot.export.graphs import IMAGENET_MEAN, IMAGENET_STD
from clmot.export.onnx_files import export_onnx
from clmot.models.checkpoint import save_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import create_crop_encoder, save_crop_encoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture
def encoder(tmp_path: Path) -> CropEncoder:
    torch.manual_seed(0)
    small = dataclasses.replace(
        PARAMS.crop, weights="weights/none", backbone="mobilenetv4_conv_small_050", dimension=16
    )
    made = create_crop_encoder(small).eval()
    save_crop_encoder(tmp_path, made)
    return made


@torch.no_grad()
def test_every_form_gives_the_same_embeddings(tmp_path: Path, encoder: CropEncoder) -> None:
    """Of one frame's boxes, each with the pixels as that form's tool gives them."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (120, 200, 3), np.uint8)
    boxes = np.array([[10, 5, 60, 110], [-8, 20, 30, 90], [150.5, 60, 220, 130]], np.float32)
    pixels = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1).float()
    crops = cut_boxes(pixels, torch.from_numpy(boxes), encoder.config.input_size) / 255
    expected = torch.nn.functional.normalize(encoder(crops)).numpy()
    mean, std = (np.array(one, np.float32).reshape(3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    given = {
        "onnx": {"image": image, "boxes": boxes},
        "boxmot": {"crops": (crops.numpy() - mean) / std},
        "ultralytics": {"crops": crops.numpy()},
    }
    for form, inputs in given.items():
        out = tmp_path / f"{form}.onnx"
        lines = export_onnx(tmp_path, out, form, (64, 32), 10)
        assert lines[-1].startswith("at most ")
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        assert [one.name for one in session.get_inputs()] == list(inputs)
        (found,) = session.run(["embeddings"], inputs)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_network_looks_at_frames_alone(tmp_path: Path) -> None:
    config = ModelConfig.from_params(PARAMS.model)
    save_model(tmp_path, OneShotTracker(config), config)
    with pytest.raises(InputError, match="no crop encoder, and boxmot gives crops"):
        export_onnx(tmp_path, tmp_path / "out.onnx", "boxmot", (64, 32), 10)
    assert not (tmp_path / "out.onnx").exists()


def test_without_the_packages_a_sentence(tmp_path: Path, encoder: CropEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="need the package onnx: install this project's extra"):
        export_onnx(tmp_path, tmp_path / "out.onnx", "onnx", (64, 32), 10)
    assert not (tmp_path / "out.onnx").exists()
