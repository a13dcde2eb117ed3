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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clmot import ranks
from clmot.data.frames import single_threaded
from clmot.errors import InputError
from clmot.files import staged_directory, write_text
from clmot.hardware import Setup, keep_memory, set_up
from clmot.model_description import ModelDescription, write_description
from clmot.models.checkpoint import save_model
from clmot.params import HardwareParams
from clmot.training.criteria import Criterion
from clmot.training.faults import check_losses, check_weights, enough_memory
from clmot.training.held_out import AP, COLUMNS, LOSS, FoundBoxes
from clmot.training.kept_weights import KeptWeights
from clmot.training.optimizer import learning_rates, make_optimizer
from clmot.training.recipe import Recipe, TrainingData
from clmot.training.resume import Checkpoint, TrainingState, checkpoint_folder, decisions

Log = Callable[[int, dict[str, float]], None]
"""Called with the epoch (from 1) and its row as soon as the epoch ends."""


def train_epoch(
    state: TrainingState,
    recipe: Recipe,
    loader: Loader,
    batches: Sequence[list[int]],
    rates: Sequence[float],
    after_step: Callable[[float], None],
    checkpoint: Checkpoint,
) -> dict[str, float]:
    """Train on the batches of one epoch, from step `state.step` on, and return the mean of every loss over all of them.

    The CPU never waits for the device's results: the losses of a step are looked at when the next has been queued. The
    weights of a step whose loss was not finite are used once, and never kept.

    Args:
        state: network, criterion and optimizer, which learn, and how far they are.
        recipe: whose data are read, and from which all random numbers derive.
        loader: reads them.
        batches: indices of the examples of each step.
        rates: the learning rate of each step.
        after_step: called with the loss, a step late.
        checkpoint: is written where due, except after the last step: an epoch's weights are checked first.

    Raises:
        InputError: a loss is not finite, or an example cannot be read.
    """
    model, criterion, optimizer, device = state.model, state.criterion, state.optimizer, loader.setup.device
    several, names = recipe.params.accumulate, criterion.names
    under_way: list[LossesUnderWay] = []

    def look(keep: int = 0) -> None:
        while len(under_way) > keep:
            step, losses = under_way.pop(0).arrived()
            check_losses(losses, f"epoch {state.epoch + 1}, step {step + 1}", batches[step][0], recipe)
            state.sums = {name: state.sums.get(name, 0.0) + value for name, value in losses.items()}
            after_step(losses["loss"])

    for batch in loader.read(batches[state.step :]):
        step = state.step
        # Some backbones have stochastic depth, which draws from torch's global generators.
        with recipe.seeded("network", state.epoch, step, *ranks.other_name()), loader.setup.autocast():
            losses = criterion(model, batch.to(device), recipe.generator("views", state.epoch, step))
        under_way.append(LossesUnderWay(step, names, ranks.add_up(losses)))
        first = step - step % several  # of the batches whose mean gradient makes one step of the optimizer
        last = min(first + several, len(batches)) - 1
        (losses["loss"] / (last - first + 1)).backward()
        if step == last:
            for group in optimizer.param_groups:
                group["lr"] = rates[step]
            ranks.add_up_gradients(trainable(model) + trainable(criterion))
            if recipe.params.max_gradient_norm:
                nn.utils.clip_grad_norm_(trainable(model), recipe.params.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            state.kept.after_step()
        state.step += 1
        look(keep=1)
        if step == last and state.step < len(batches) and checkpoint.is_due():
            look()
            checkpoint.save(state)
    look()
    return {name: total / len(batches) for name, total in state.sums.items()}


class LossesUnderWay:
    """Losses of a step, copied from the device while it goes on."""

    def __init__(self, step: int, names: Sequence[str], losses: Mapping[str, Tensor]) -> None:
        """Begin the copy of all losses that have `names`."""
        self.step, self.names = step, names
        together = torch.stack([losses[name].detach().float() for name in names])
        self.values = together.to("cpu", non_blocking=True)
        self.copied: torch.cuda.Event | None = None
        if together.is_cuda:
            self.copied = torch.cuda.Event()
            self.copied.record()

    def arrived(self) -> tuple[int, dict[str, float]]:
        """The step and its losses; waits for the copy, not for what the device was given after it."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.step, dict(zip(self.names, self.values.tolist(), strict=True))


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
    if setup.device.type == "cpu":
        keep_memory()
    ranks.tell(f"{stage} runs on {setup}{f', {ranks.count()} ranks' if ranks.count() > 1 else ''}.")
    state, checkpoint = begin(model, criterion, recipe, setup), Checkpoint(folder)
    if checkpoint.restore(state):
        ranks.tell(f"{stage}: resumed from {checkpoint.path} after epoch {state.epoch}, step {state.step}.")
    plan = [
        shareable(recipe.data.batches(epoch, params, recipe.generator("order", epoch)), stage)
        for epoch in range(params.epochs)
    ]
    steps = [len(batches) for batches in plan]
    rates, loader = learning_rates(steps, params), Loader(recipe.data, setup)
    held_out = None if recipe.held_out is None else Loader(recipe.held_out, setup)
    if recipe.held_out is not None and len(recipe.held_out) < ranks.count():
        raise InputError(
            f"params.yaml: '{stage}.held_out' holds out {len(recipe.held_out)} frames, which {ranks.count()} ranks "
            "share: raise it, or set it to 0."
        )
    with steps_bar(stage, sum(steps), sum(steps[: state.epoch]) + state.step) as bar, enough_memory(recipe):

        def after_step(loss: float) -> None:
            bar.update()
            bar.set_postfix({"epoch": state.epoch + 1, "loss": f"{loss:.3f}"}, refresh=False)

        for epoch in range(state.epoch, params.epochs):
            started = time.monotonic()
            row = train_epoch(state, recipe, loader, plan[epoch], rates[epoch], after_step, checkpoint)
            row["learning_rate"] = rates[epoch][-1]
            check_weights(model, epoch + 1, recipe)
            if held_out is not None:
                row |= judge(state, recipe, held_out)
                state.kept.after_epoch(row[AP])
            state.history.append({"epoch": epoch + 1.0, **row})
            state.epoch, state.step, state.sums = epoch + 1, 0, {}
            checkpoint.save(state)
            told = "  ".join(f"{name} {row[name]:.4f}" for name in (*criterion.names, *COLUMNS) if name in row)
            seconds = time.monotonic() - started
            ranks.tell(f"{stage} epoch {epoch + 1}/{params.epochs}  {told}  {seconds:.0f} s")
            if log and ranks.is_first():
                log(epoch + 1, row)
    state.kept.put_back()
    if params.compile:
        delattr(model, compiled_part(model))
    ranks.leave_batch_norm(model)
    model.to("cpu")
    model.eval()
    return state.history


@torch.no_grad()
def judge(state: TrainingState, recipe: Recipe, loader: Loader) -> dict[str, float]:
    """Loss and AP, by `COLUMNS`, of the weights that would be kept now, on frames that do not train.

    The loss looks through the same random views every time, so that epochs can be compared; AP at whole frames.
    """
    model: Any = state.kept.judged.eval()
    indices = range(len(loader.data))
    size = max(recipe.params.batch_size, ranks.count())
    batches = shareable([[*indices[first : first + size]] for first in indices[::size]], recipe.stage)
    total, found = 0.0, FoundBoxes()
    for number, batch in enumerate(loader.read(batches)):
        batch = batch.to(loader.setup.device)
        with recipe.seeded("held out", number, *ranks.other_name()), loader.setup.autocast():
            losses = state.criterion(model, batch, recipe.generator("held out", number))
        total += len(batches[number]) * ranks.add_up(losses)["loss"].item()
        found.add(model, batch, loader.setup)
    state.model.train()
    return {LOSS: total / len(indices), AP: found.average_precision(loader.setup.device)}


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
        if not ranks.is_first():
            return
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
    if recipe.params.sync_batch_norm:
        ranks.synchronise_batch_norm(model)
    kept = KeptWeights(model, recipe.params)
    if recipe.params.compile:
        part = compiled_part(model)
        setattr(model, part, torch.compile(getattr(model, part)))
    optimizer = make_optimizer(trainable(model), trainable(criterion), recipe.params)
    return TrainingState(model, criterion, optimizer, kept)


def compiled_part(model: nn.Module) -> str:
    """The method of a network in which all its time goes: the heads beside it are read where people are, and how many
    there are changes with every batch."""
    return "features" if hasattr(model, "features") else "forward"


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


class Loader:
    """Reads batches by as many processes as a setup says, which live as long as the training."""

    def __init__(self, data: TrainingData, setup: Setup) -> None:
        """`data` are read; `setup` says for which device, and by how many processes."""
        self.data, self.setup = data, setup
        self.order: list[list[int]] = []
        """What the loader reads next: it holds this very list, and looks at it when an epoch begins."""
        self.loader: DataLoader[Any] = DataLoader(
            data,  # type: ignore[arg-type]
            batch_sampler=self.order,
            collate_fn=data.collate,
            num_workers=setup.workers or 0,
            worker_init_fn=single_threaded,
            pin_memory=setup.device.type == "cuda",
            prefetch_factor=4 if setup.workers else None,
            persistent_workers=bool(setup.workers),
        )

    def read(self, batches: Sequence[list[int]]) -> Iterator[Any]:
        """The batches, in order; of each, what is this rank's.

        Raises:
            InputError: an example cannot be read.
        """
        self.order[:] = [batch[ranks.share(batch)] for batch in batches]
        try:
            for whole, batch in zip(batches, self.loader, strict=True):
                yield batch if ranks.count() == 1 else batch.part_of(ranks.share(whole), len(whole))
        except InputError as error:  # a worker's has a traceback in its message: only the sentence is for users
            name = f"{InputError.__module__}.{InputError.__qualname__}: "
            raise InputError(str(error).rpartition(name)[2].strip()) from None


def shareable(batches: list[list[int]], stage: str) -> list[list[int]]:
    """Batches of which every rank has a part: a last one that is too small joins the one before.

    Raises:
        InputError: all are too small.
    """
    if len(batches) > 1 and len(batches[-1]) < ranks.count():
        batches = [*batches[:-2], batches[-2] + batches[-1]]
    if min(map(len, batches), default=ranks.count()) < ranks.count():
        raise InputError(
            f"params.yaml: '{stage}.batch_size' should be at least the number of ranks, {ranks.count()}: a batch is "
            "shared out among them."
        )
    return batches


def steps_bar(stage: str, total: int, done: int) -> tqdm[Any]:
    """A bar of steps on stderr; none when that is not a terminal."""
    return tqdm(
        total=total,
        initial=done,
        desc=stage,
        unit="step",
        dynamic_ncols=True,
        disable=not (ranks.is_first() and sys.stderr.isatty()),
    )


def write_history(path: str | os.PathLike[str], history: Sequence[dict[str, float]], losses: Sequence[str]) -> None:
    """The history as CSV: `epoch`, the `losses`, what the frames held out tell if there are any, `learning_rate`; six
    significant digits. No epoch: the header alone."""
    stream = io.StringIO()
    judged = [name for name in COLUMNS if history and name in history[0]]
    writer = csv.DictWriter(stream, ["epoch", *losses, *judged, "learning_rate"], lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
    write_text(path, stream.getvalue())
