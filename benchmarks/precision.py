"""Whether bfloat16 teaches what float32 does: the angle between both gradients of a trained network's loss.

    python -m benchmarks.precision [--frames 4] [--seed 0] [--device cpu] [--deformable]

In a project whose pipeline has run: frames that trained, the loss of the stage `train`, the network in models/tracker.
Prints json: both losses, the cosine of the whole gradients, and of those of each part of the network.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from clmot.data.frames import Batch, find_training_frames
from clmot.errors import run_as_script
from clmot.hardware import set_up
from clmot.models.checkpoint import load_model
from clmot.models.dcn import DeformConv2d
from clmot.models.network import OneShotTracker
from clmot.params import Params, load_params
from clmot.training.criteria import TrackerCriterion
from clmot.training.recipe import TrainingFrames


def gradients(
    model: OneShotTracker, batch: Batch, params: Params, precision: Literal["float32", "bfloat16"]
) -> tuple[float, dict[str, Tensor]]:
    """The loss, and its gradient by the part of the network (the first word of a parameter's name)."""
    setup = set_up(params.hardware, precision)
    criterion = TrackerCriterion(params.views, params.loss, params.train).to(setup.device)
    model.zero_grad(set_to_none=True)
    with setup.autocast():
        loss = criterion(model, batch.to(setup.device), torch.Generator().manual_seed(0))["loss"]
    loss.backward()
    parts: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            parts.setdefault(name.partition(".")[0], []).append(parameter.grad.flatten().double())
    return loss.item(), {name: torch.cat(found) for name, found in parts.items()}


def made_deformable(model: OneShotTracker) -> OneShotTracker:
    """The same function with deformable convolutions in the neck: without offsets and with masks of 1/2, so that twice
    the weights of plain ones do the same."""
    changed = OneShotTracker(replace(model.config, operator="dcn"))
    state = {name: torch.zeros_like(tensor) for name, tensor in changed.state_dict().items()} | model.state_dict()
    for name, module in changed.named_modules():
        if isinstance(module, DeformConv2d):
            state[f"{name}.weight"] = 2 * state[f"{name}.weight"]
    changed.load_state_dict(state)
    return changed


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of frames")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--deformable", action="store_true", help="make the neck's plain convolutions deformable first")
    chosen = parser.parse_args()
    params = load_params()
    params = replace(params, hardware=replace(params.hardware, device=chosen.device))
    data = TrainingFrames(find_training_frames("data/training", params.data.benchmarks), params.model.input_size)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(chosen.seed))[: chosen.frames]
    batch = data.collate([data[index] for index in order.tolist()])
    model = load_model("models/tracker")
    model = made_deformable(model) if chosen.deformable else model
    model = model.to(set_up(params.hardware).device).train()
    (exact_loss, exact), (rounded_loss, rounded) = (
        gradients(model, batch, params, precision) for precision in ("float32", "bfloat16")
    )

    def cosine(names: list[str]) -> float:
        first, second = (torch.cat([found[name] for name in names]) for found in (exact, rounded))
        return round(torch.cosine_similarity(first, second, dim=0).item(), 5)

    told = {
        "network": f"{model.config.backbone}, {model.config.operator}",
        "loss": {"float32": exact_loss, "bfloat16": rounded_loss},
        "cosine": cosine(list(exact)),
        "cosine of each part": {name: cosine([name]) for name in exact},
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    run_as_script(main)
