"""A one-shot network of random weights that finds people everywhere, in a model's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from clmot.model_description import ModelDescription, write_description
from clmot.models.checkpoint import save_model
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params

ROOT = Path(__file__).parents[2]
SIZE = (128, 96)


def save_small_network(folder: Path) -> None:
    """Write it, the same one always, as if it had been trained."""
    torch.manual_seed(0)
    small = dataclasses.replace(load_params(ROOT / "params.yaml").model, neck_channels=(8, 8, 8, 8), head_channels=8)
    network = OneShotTracker(ModelConfig.from_params(small))
    torch.nn.init.constant_(network.get_submodule("wh")[-1].bias, 6.0)  # people of 24 pixels
    folder.mkdir(parents=True)
    save_model(folder, network, network.config)
    write_description(folder, ModelDescription(SIZE, "random", 2, "head", 3, trained_on={"a/b": 4}, boxes=9))
