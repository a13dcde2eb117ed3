"""A crop encoder that is made in a moment and has learnt nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import create_crop_encoder, save_crop_encoder
from clmot.params import load_params

ROOT = Path(__file__).parents[2]
QUICK_LEARNING = (
    *("--device", "cpu", "--set", "crop.weights=weights/none", "--set", "train.epochs=1", "--set", "crop.steps=1"),
    *("--set", "train.batch_size=4", "--set", "crop.input_size=[32, 64]"),
)
"""Options with which `clmot track --learn` learns next to nothing, in a moment."""


def save_small_encoder(folder: Path) -> CropEncoder:
    """The encoder that `folder` is the model's folder of from then on; always the same one."""
    torch.manual_seed(0)
    small = dataclasses.replace(
        load_params(ROOT / "params.yaml").crop,
        weights="weights/none",
        backbone="mobilenetv4_conv_small_050",
        dimension=16,
    )
    made = create_crop_encoder(small).eval()
    save_crop_encoder(folder, made)
    return made
