"""Weights of the original's whole DLA-34 network that anyone can draw again; reference outputs belong to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

REFERENCE = Path(__file__).parents[1] / "reference"


def dla34_shapes() -> dict[str, tuple[int, ...]]:
    """The 402 tensors of the original's state dict."""
    return {key: tuple(shape) for key, shape in json.loads((REFERENCE / "dla34_keys.json").read_text())}


def dla34_recipe() -> dict[str, Tensor]:
    """The original's state dict, one generator per key."""
    state = {}
    for index, (key, shape) in enumerate(dla34_shapes().items()):
        generator = np.random.default_rng(index)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        if key.endswith("running_var"):
            values = generator.uniform(0.6, 1.4, shape)
        elif len(shape) == 1 and key.endswith(".weight"):
            values = generator.uniform(0.8, 1.2, shape)
        elif len(shape) == 1:
            values = 0.05 * generator.standard_normal(shape)
        else:
            scale = 0.03 if "conv_offset_mask" in key else np.sqrt(2 / np.prod(shape[1:]))
            values = scale * generator.standard_normal(shape)
        state[key] = torch.from_numpy(values.astype(np.float32))
    return state


def reference_images(mode: str) -> Tensor:
    """What the reference outputs of `eval` and `train` mode were computed from."""
    batch, seed = {"eval": (1, 12345), "train": (2, 12346)}[mode]
    return torch.from_numpy(np.random.default_rng(seed).random((batch, 3, 96, 160), np.float32))


def assert_reference_outputs(outputs: dict[str, Tensor], mode: str) -> None:
    """The network computes what the original computes, with running and with batch statistics.

    In eval mode every value is within 1e-3 of the outputs' standard deviation. In train mode, statistics of
    as few as 30 values and the offsets of random weights magnify rounding some 10,000-fold: the same network
    in float64 is up to 2.7e-3 of the outputs' range away from the float32 reference. There the root mean
    square of the difference must be within 1e-3 of the range, and no value further than 5e-3.
    """
    with np.load(REFERENCE / "dla34_recipe.npz") as file:
        for head in ("hm", "wh", "reg", "id"):
            expected = file[f"{mode}_{head}_first32" if head == "id" else f"{mode}_{head}"]
            error = np.abs(outputs[head][:, :32].numpy() - expected)
            if mode == "eval":
                assert error.max() < 1e-3 * expected.std(), head
            else:
                assert np.sqrt(np.mean(error**2)) < 1e-3 * np.ptp(expected), head
                assert error.max() < 5e-3 * np.ptp(expected), head
