"""One loop for all trainings.

What happens in step k of epoch e depends on the seed, e and k alone (order of examples, random views, the network's own
draws), never on a generator's history. So a run that was cut off and resumed from a checkpoint ends with the same
weights as one that was not, and two runs on one CPU give the same bytes.

`train_epoch` is what happens in an epoch, `fit` the epochs, `fit_and_save` a stage's whole training. They know neither
the network (any `nn.Module`) nor what it looks at (any `TrainingData`): a criterion brings the two together.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clmot.data.frames import single_threaded
from clmot.errors import InputError
from clmot.files import staged_directory, write_text
from clmot.hardware import Setup, set_up
from clmot.model_description import ModelDescription, write_description
from clmot.models.checkpoint import save_model
from clmot.params import HardwareParams
from clmot.training.criteria import Criterion
from clmot.training.faults import check_losses, check_weights, enough_memory
from clmot.training.optimizer import learning_rates, make_optimizer
from clmot.training.recipe import Recipe, TrainingData
from clmot.training.resume import Checkpoint, TrainingState, checkpoint_folder, decisions

Log = Callable[[int, dict[str, float]], None]
"""Called with the epoch (from 1) and its row as soon as the epoch ends."""


def train_epoch(
    state: TrainingState,
    recipe: Recipe,
    batches: Sequence[list[int]],
    rates: Sequence[float],
    setup: Setup,
    after_step: Callable[[float], None],
) -> dict[str, float]:
    """Train on the batches of one epoch, from step `state.step` on, and return the mean of every loss over all of them.

    Args:
        state: network, criterion and optimizer, which learn, and how far they are.
        recipe: whose data are read, and from which all random numbers derive.
        batches: indices of the examples of each step.
        rates: the learning rate of each step.
        setup: device and precision.
        after_step: called with the loss.

    Raises:
        InputError: a loss is not finite, or an example cannot be read.
    """
    model, criterion, optimizer = state.model, state.criterion, state.optimizer
    for batch in load(recipe.data, batches[state.step :], setup):
        now = state.epoch, state.step
        for group in optimizer.param_groups:
            group["lr"] = rates[state.step]
        # Some backbones have stochastic depth, which draws from torch's global generators.
        with recipe.seeded("network", *now), setup.autocast():
            losses = criterion(model, batch.to(setup.device), recipe.generator("views", *now))
        # One transfer from the device for all scalars of the step.
        values = torch.stack([losses[name].detach().float() for name in criterion.names]).tolist()
        named = dict(zip(criterion.names, values, strict=True))
        check_losses(named, f"epoch {state.epoch + 1}, step {state.step + 1}", batches[state.step][0], recipe)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if recipe.params.max_gradient_norm:
            nn.utils.clip_grad_norm_(trainable(model), recipe.params.max_gradient_norm)
        optimizer.step()
        state.sums = {name: state.sums.get(name, 0.0) + value for name, value in named.items()}
        state.step += 1
        after_step(named["loss"])
    return {name: total / len(batches) for name, total in state.sums.items()}


def fit(
    model: nn.Module,
    criterion: Criterion,
    recipe: Recipe,
    hardware: HardwareParams,
    folder: Path,
    log: Log | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place and return its history, one row of means per epoch.

    Args:
        model: what `criterion` takes; is left on the CPU, in eval mode.
        criterion: computes named losses of a batch.
        recipe: what decides the training.
        hardware: device, threads, workers: decides nothing about the result.
        folder: of this very training's checkpoints (see `checkpoint_folder`); it goes on from the one there.
        log: is told of every epoch.

    Raises:
        InputError: a loss or a weight became nan or infinite, or an example cannot be read.
    """
    stage, params = recipe.stage, recipe.params
    setup = set_up(hardware, params.precision, workers=True)
    print(f"{stage} runs on {setup}.", file=sys.stderr)
    state, checkpoint = begin(model, criterion, recipe, setup), Checkpoint(folder)
    if checkpoint.restore(state):
        print(f"{stage}: resumed from {checkpoint.path} after epoch {state.epoch}, step {state.step}.", file=sys.stderr)
    plan = [recipe.data.batches(epoch, params, recipe.generator("order", epoch)) for epoch in range(params.epochs)]
    steps = [len(batches) for batches in plan]
    rates = learning_rates(steps, params)
    with steps_bar(stage, sum(steps), sum(steps[: state.epoch]) + state.step) as bar, enough_memory(recipe):

        def after_step(loss: float) -> None:
            bar.update()
            bar.set_postfix({"epoch": state.epoch + 1, "loss": f"{loss:.3f}"}, refresh=False)
            if state.step < steps[state.epoch]:  # after the last of an epoch its weights are checked first
                checkpoint.save_when_due(state)

        for epoch in range(state.epoch, params.epochs):
            started = time.monotonic()
            row = train_epoch(state, recipe, plan[epoch], rates[epoch], setup, after_step)
            row["learning_rate"] = rates[epoch][-1]
            check_weights(model, epoch + 1, recipe)
            state.history.append({"epoch": epoch + 1.0, **row})
            state.epoch, state.step, state.sums = epoch + 1, 0, {}
            checkpoint.save(state)
            told = "  ".join(f"{name} {row[name]:.4f}" for name in criterion.names)
            seconds = time.monotonic() - started
            print(f"{stage} epoch {epoch + 1}/{params.epochs}  {told}  {seconds:.0f} s", file=sys.stderr)
            if log:
                log(epoch + 1, row)
    model.to("cpu")
    model.eval()
    return state.history


def fit_and_save(
    model: Any,
    criterion: Criterion,
    recipe: Recipe,
    hardware: HardwareParams,
    out: str | os.PathLike[str],
    log: Log | None = None,
    description: ModelDescription | None = None,
) -> None:
    """Train, or go on training where an earlier attempt stopped, and write the whole result or nothing.

    Args:
        model: has a `config`, a dataclass of plain values that says how to build it.
        out: folder that gets model.safetensors, config.json and history.csv.
        description: goes beside them, as model.json and MODEL_CARD.md.

    The others, and the errors, are those of `fit`.
    """
    with checkpoint_folder(recipe.stage, decisions(recipe, model.config)) as folder:
        history = fit(model, criterion, recipe, hardware, folder, log)
        with staged_directory(out) as aside:
            save_model(aside, model, model.config)
            write_history(aside / "history.csv", history, criterion.names)
            if description is not None:
                write_description(aside, description)


def begin(model: nn.Module, criterion: Criterion, recipe: Recipe, setup: Setup) -> TrainingState:
    """A training before its first step: all on its device, with a new optimizer."""
    model.to(device=setup.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    criterion.to(setup.device)
    optimizer = make_optimizer(trainable(model), trainable(criterion), recipe.params)
    return TrainingState(model, criterion, optimizer)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def load(data: TrainingData, batches: Sequence[list[int]], setup: Setup) -> Iterator[Any]:
    """The batches, read by as many processes as `setup` says.

    Raises:
        InputError: an example cannot be read.
    """
    loader: DataLoader[Any] = DataLoader(
        data,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=data.collate,
        num_workers=setup.workers or 0,
        worker_init_fn=single_threaded,
        pin_memory=setup.device.type == "cuda",
        prefetch_factor=4 if setup.workers else None,
    )
    try:
        yield from loader
    except InputError as error:  # a worker's has a traceback in its message: only the sentence is for users
        name = f"{InputError.__module__}.{InputError.__qualname__}: "
        raise InputError(str(error).rpartition(name)[2].strip()) from None


def steps_bar(stage: str, total: int, done: int) -> tqdm[Any]:
    """A bar of steps on stderr; none when that is not a terminal."""
    return tqdm(
        total=total,
        initial=done,
        desc=stage,
        unit="step",
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    )


def write_history(path: str | os.PathLike[str], history: Sequence[dict[str, float]], losses: Sequence[str]) -> None:
    """The history as CSV: `epoch`, the `losses`, `learning_rate`; six significant digits. No epoch: the header
    alone."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=["epoch", *losses, "learning_rate"], lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
    write_text(path, stream.getvalue())
