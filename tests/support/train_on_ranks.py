"""A training of some steps by as many processes as the command line says, for `python -m train_on_ranks`.

Arguments: a folder for frames and results; then `name=value`, as YAML: `devices`, `die` (after how many steps the first
process ends), and params by dotted name.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import torch
import yaml
from tiny_training import film_of

from clmot import ranks
from clmot.errors import run_as_script
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import default_params, parse_params
from clmot.training import loop, resume
from clmot.training.criteria import TrackerCriterion
from clmot.training.recipe import Recipe, TrainingFrames

COUNTS = [3, 4, 0, 2, 5, 6, 1, 3]
"""People in the frames of the film."""


def main() -> None:
    """Train, and write what `fit_and_save` writes into FOLDER/model."""
    folder, *given = sys.argv[1:]
    values = dict(pair.split("=", 1) for pair in given)
    devices, die = (int(values.pop(name, "0")) for name in ("devices", "die"))
    tree = dataclasses.asdict(default_params())
    for name, value in values.items():
        *sections, key = name.split(".")
        section = tree
        for part in sections:
            section = section[part]
        section[key] = yaml.safe_load(value)
    params = parse_params(yaml.safe_dump(plain(tree)))
    hardware = dataclasses.replace(params.hardware, device="cpu", threads=1, devices=devices or 1)
    ranks.launch(hardware)
    resume.CHECKPOINT_SECONDS = -1
    if die:
        end_after(die)
    torch.manual_seed(0)
    model = Precise(ModelConfig.from_params(params.model, embedding=True)).double()
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    images = Path(folder) / f"images{ranks.rank()}"  # each rank draws its own: none reads what another has half written
    images.mkdir(exist_ok=True)
    data = TrainingFrames(film_of(images, COUNTS, step=1.0), params.model.input_size, criterion.previous_min_iou)
    recipe = Recipe("train", 0, params.train, data)
    loop.fit_and_save(model, criterion, recipe, hardware, Path(folder) / "model")
    if ranks.is_first():
        torch.save(criterion.state_dict(), Path(folder) / "criterion.pt")


class Precise(OneShotTracker):
    """In float64. With random weights the gradient of a deep network changes by percents where sums are rounded
    otherwise, as they are in another batch norm already; that is no matter of ranks."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Of images in any precision."""
        return super().features(images.double())


def plain(value: object) -> object:
    """Tuples as lists, which YAML knows."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def end_after(steps: int) -> None:
    """Let the first process die as if by a power cut."""
    real, seen = loop.check_losses, []

    def dying(*args: object) -> None:
        seen.append(args)
        if len(seen) > steps and ranks.is_first():
            os._exit(9)
        real(*args)

    loop.check_losses = dying


if __name__ == "__main__":
    run_as_script(main)
