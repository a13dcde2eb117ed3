"""Trainings of some steps, by this process or by several: `python -m train_on_ranks` with a `Launch` as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from tiny_training import film_of

from clmot import ranks
from clmot.errors import run_as_script
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import HardwareParams, default_params, parse_params
from clmot.training import loop, resume
from clmot.training.criteria import TrackerCriterion
from clmot.training.held_out import frames_and_held_out
from clmot.training.recipe import Recipe

COUNTS = [3, 4, 0, 2, 5, 6, 1, 3]
"""People in the frames of the film."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """What one start of so many processes trains, one after the other."""

    trainings: dict[str, dict[str, Any]]
    """Folder for frames and results -> params by dotted name."""
    devices: int = 1
    die: int = 0
    """After how many steps the first process ends; 0: it does not."""

    def hardware(self) -> HardwareParams:
        """Where all of them train."""
        return dataclasses.replace(default_params().hardware, device="cpu", threads=1, devices=self.devices)


def main() -> None:
    """Launch, then train; the first rank tells on stderr, in a line of its own, in which folder each begins."""
    launch = Launch(**json.loads(sys.argv[1]))
    ranks.launch(launch.hardware())
    resume.CHECKPOINT_SECONDS = -1
    if launch.die:
        end_after(launch.die)
    for folder, changes in launch.trainings.items():
        if ranks.is_first():
            print(folder, file=sys.stderr, flush=True)
        os.environ["DVC_ROOT"] = folder
        train(Path(folder), launch.hardware(), changes)


def train(folder: Path, hardware: HardwareParams, changes: dict[str, Any]) -> None:
    """Train, and write what `fit_and_save` writes into FOLDER/model."""
    tree = dataclasses.asdict(default_params())
    for name, value in changes.items():
        *sections, key = name.split(".")
        section = tree
        for part in sections:
            section = section[part]
        section[key] = value
    params = parse_params(yaml.safe_dump(plain(tree)))
    torch.manual_seed(0)
    model = Precise(ModelConfig.from_params(params.model, embedding=True)).double()
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    images = folder / f"images{ranks.rank()}"  # each rank draws its own: none reads what another has half written
    images.mkdir(parents=True, exist_ok=True)
    film, size = film_of(images, COUNTS, step=1.0), params.model.input_size
    data, held_out = frames_and_held_out(film, params.train.held_out, size, criterion.previous_min_iou)
    recipe = Recipe("train", 0, params.train, data, held_out=held_out)
    loop.fit_and_save(model, criterion, recipe, hardware, folder / "model")
    if ranks.is_first():
        torch.save(criterion.state_dict(), folder / "criterion.pt")


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
