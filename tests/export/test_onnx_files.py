"""ONNX files: what torch computes, with the pre-processing inside."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from small_encoder import save_small_encoder

from clmot.cut_boxes import cut_boxes
from clmot.errors import InputError
from clmot.export.graphs import IMAGENET_MEAN, IMAGENET_STD
from clmot.export.onnx_files import export_onnx
from clmot.inference.pipeline import NetworkDetections
from clmot.models.checkpoint import save_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture
def encoder(tmp_path: Path) -> CropEncoder:
    return save_small_encoder(tmp_path)


@torch.no_grad()
def test_every_form_gives_the_same_embeddings(tmp_path: Path, encoder: CropEncoder) -> None:
    """Of one frame's boxes, each with the pixels as that form's tool gives them."""
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


@pytest.mark.parametrize("operator", ["conv", "dcn"])
def test_a_network_gives_boxes_scores_and_embeddings(tmp_path: Path, operator: str) -> None:
    """As tracking reads them, of images that were not seen when the file was checked."""
    torch.manual_seed(0)
    config = ModelConfig.from_params(dataclasses.replace(PARAMS.model, operator=operator))
    model = OneShotTracker(config).eval()
    for name, weight in model.named_parameters():  # so that offsets and scores differ from place to place
        if "conv_offset_mask" in name or name in ("hm.2.weight", "wh.2.weight", "reg.2.weight", "id.2.weight"):
            torch.nn.init.normal_(weight, std=0.05)
    save_model(tmp_path, model, config)
    lines = export_onnx(tmp_path, tmp_path / "out.onnx", "onnx", (96, 64), 20)
    assert lines[0] == "input images: uint8 (batch, 64, 96, 3)"
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx", providers=["CPUExecutionProvider"])
    boxes, scores, embeddings = session.run(["boxes", "scores", "embeddings"], {"images": images})
    source = NetworkDetections(model, (96, 64), 20, torch.device("cpu"))
    for image, box, score, embedding in zip(images, boxes, scores, embeddings, strict=True):
        expected = source(1, image)
        np.testing.assert_allclose(score, expected.scores, atol=1e-4)
        # Peaks as high as each other except for the last bits may come in any order.
        same = np.abs(box[:, None] - expected.boxes[None]).max(axis=2).argmin(axis=1)
        assert len(np.unique(same)) == 20
        np.testing.assert_allclose(box, expected.boxes[same], atol=1e-2)
        unit = expected.embeddings / np.linalg.norm(expected.embeddings, axis=1, keepdims=True)
        np.testing.assert_allclose(embedding, unit[same], atol=1e-4)


@pytest.mark.parametrize("damage", ["scores", "boxes", "embeddings"])
def test_other_numbers_are_not_written(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = ModelConfig.from_params(PARAMS.model)
    model = OneShotTracker(config)
    for name, weight in model.named_parameters():
        if name in ("hm.2.weight", "wh.2.weight", "reg.2.weight", "id.2.weight"):
            torch.nn.init.normal_(weight, std=0.05)
    save_model(tmp_path, model, config)
    run = onnxruntime.InferenceSession.run

    def wrong(session, names, inputs):
        found = dict(zip(("boxes", "scores", "embeddings"), run(session, names, inputs), strict=True))
        found[damage] = found[damage] + (5 if damage == "boxes" else 0.01)
        return list(found.values())

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", wrong)
    with pytest.raises(InputError, match=r"differs from torch by .*nothing was written"):
        export_onnx(tmp_path, tmp_path / "out.onnx", "onnx", (96, 64), 20)
    assert not (tmp_path / "out.onnx").exists()


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
