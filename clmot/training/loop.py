"""One loop for both trainings.

What happens in step k of epoch e depends on the seed, e and k alone (order of frames, random views, the network's own
draws), never on a generator's history. So a run that was cut off and resumed from a checkpoint ends with the same
weights as one that was not, and two runs on one CPU give the same bytes.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clmot.data.frames import Batch, FrameDataset, TrainingFrame, collate, epoch_order, single_threaded
from clmot.errors import InputError
from clmot.files import content_hash, dvc_root, staged_directory, staged_file, write_text
from clmot.hardware import set_up
from clmot.models.checkpoint import save_model
from clmot.models.network import OneShotTracker
from clmot.params import HardwareParams, TrainingParams
from clmot.training.detector_criterion import Criterion

CHECKPOINT_SECONDS = 300
"""How much work a crash may cost. It decides nothing about the result, so it is no parameter."""


def derived_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator whose stream depends on the seed and the names, and on nothing else."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextlib.contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block (a network's initialisation, say) under torch's global generator seeded from the names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_generator(seed, *names).initial_seed())
        yield


def checkpoint_key(*parts: Any, frames: Sequence[TrainingFrame] = ()) -> str:
    """Hash of all that decides a training: plain values, files (Path), the frames and this package's code.

    Frames count by name, size, weight, boxes and identities: hashing gigabytes of images before every start would
    cost minutes.
    """
    digest = hashlib.sha256()
    for part in parts:
        text = content_hash(part) if isinstance(part, Path) else json.dumps(part, sort_keys=True)
        digest.update(text.encode())
    for frame in frames:
        size = frame.image.stat().st_size if frame.image.exists() else -1
        digest.update(f"{frame.film} {frame.number} {size} {frame.weight}\n".encode() + frame.boxes.tobytes())
        if frame.identities is not None:
            digest.update(frame.identities.tobytes())
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def fit(
    model: OneShotTracker,
    criterion: Criterion,
    frames: Sequence[TrainingFrame],
    input_size: tuple[int, int],
    params: TrainingParams,
    hardware: HardwareParams,
    seed: int,
    stage: str,
    checkpoints: Path,
    log: Callable[[int, dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place and return its history, one row of means per epoch.

    Args:
        model: takes (I, 3, H, W) float32 images in 0..1; is left on the CPU, in eval mode.
        criterion: computes named losses of a batch.
        frames: what to train on.
        input_size: width and height of the network's input in pixels.
        params: epochs (0: nothing is trained), batch size, learning rate, precision.
        hardware: device, threads, workers: decides nothing about the result.
        seed: every random choice derives from it, `stage` and the step.
        stage: `pretrain` or `train`, for messages and random streams.
        checkpoints: folder for this very run (see `checkpoint_key`); resumed from when it holds a checkpoint.
            It is the caller's to remove once the result is safe.
        log: called with the epoch (from 1) and its row as soon as the epoch ends.

    Raises:
        InputError: a loss or a weight became nan or infinite, or a frame cannot be read.
    """
    setup = set_up(hardware, params.precision, workers=True)
    print(f"{stage} runs on {setup}.", file=sys.stderr)
    device = setup.device
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    criterion.to(device)
    trainable = [p for p in model.parameters() if p.requires_grad]
    uncertainties = [p for p in criterion.parameters() if p.requires_grad]
    optimizer = make_optimizer(trainable, uncertainties, params)

    dataset = FrameDataset(frames, input_size, criterion.previous_min_iou)
    orders = [
        epoch_order(
            frames,
            epoch,
            params.frame_stride,
            params.batch_size,
            derived_generator(seed, stage, "order", epoch),
        )
        for epoch in range(params.epochs)
    ]
    total_steps = sum(len(order) for order in orders)
    state = _Progress(history=[], epoch=0, step=0, sums={})
    saved = checkpoints / "checkpoint.pt"
    if saved.exists():
        _restore(saved, model, criterion, optimizer, state)
        print(
            f"{stage}: resumed from {saved} after epoch {state.epoch}, step {state.step}.",
            file=sys.stderr,
        )
    done = sum(len(order) for order in orders[: state.epoch]) + state.step
    bar = tqdm(
        total=total_steps,
        initial=done,
        desc=stage,
        unit="step",
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    )
    last_saved = time.monotonic()
    with bar, _enough_memory(stage, params):
        while state.epoch < params.epochs:
            order = orders[state.epoch]
            started = time.monotonic()
            loader = DataLoader(
                dataset,
                batch_sampler=order[state.step :],
                collate_fn=collate,
                num_workers=hardware.workers,
                worker_init_fn=single_threaded,
                pin_memory=device.type == "cuda",
                prefetch_factor=4 if hardware.workers else None,
            )
            for batch in _batches(loader):
                rate = learning_rate(done, total_steps, state.epoch, params)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                generator = derived_generator(seed, stage, "views", state.epoch, state.step)
                with (
                    # Some backbones have stochastic depth, which draws from torch's global generators.
                    seeded(seed, stage, "network", state.epoch, state.step),
                    setup.autocast(),
                ):
                    losses = criterion(model, batch.to(device), generator)
                # One transfer from the device for all scalars of the step.
                values = torch.stack([losses[name].detach().float() for name in criterion.names]).tolist()
                named = dict(zip(criterion.names, values, strict=True))
                _check_losses(named, stage, state, batch, frames, params)
                optimizer.zero_grad(set_to_none=True)
                losses["loss"].backward()
                if params.max_gradient_norm:
                    nn.utils.clip_grad_norm_(trainable, params.max_gradient_norm)
                optimizer.step()

                for name, value in zip(criterion.names, values, strict=True):
                    state.sums[name] = state.sums.get(name, 0.0) + value
                state.step += 1
                done += 1
                bar.update()
                bar.set_postfix({"epoch": state.epoch + 1, "loss": f"{values[0]:.3f}"}, refresh=False)
                if state.step < len(order) and time.monotonic() - last_saved > CHECKPOINT_SECONDS:
                    _save(saved, model, criterion, optimizer, state)
                    last_saved = time.monotonic()
            _check_weights(model, stage, state, params)
            row = {"epoch": state.epoch + 1.0}
            row |= {name: total / len(order) for name, total in state.sums.items()}
            row["learning_rate"] = rate
            state.history.append(row)
            state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
            _save(saved, model, criterion, optimizer, state)
            last_saved = time.monotonic()
            seconds = last_saved - started
            print(
                f"{stage} epoch {state.epoch}/{params.epochs}  "
                + "  ".join(f"{name} {row[name]:.4f}" for name in criterion.names)
                + f"  {seconds:.0f} s",
                file=sys.stderr,
            )
            if log:
                log(state.epoch, {key: value for key, value in row.items() if key != "epoch"})
    model.to("cpu")
    model.eval()
    return state.history


def fit_and_save(
    model: OneShotTracker,
    criterion: Criterion,
    frames: Sequence[TrainingFrame],
    input_size: tuple[int, int],
    params: TrainingParams,
    hardware: HardwareParams,
    seed: int,
    stage: str,
    decided_by: Sequence[Any],
    out: str | os.PathLike[str],
    log: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Train, or go on training where an earlier attempt stopped, and write the whole result or nothing.

    Checkpoints are kept under `$DVC_ROOT/.checkpoints`, outside of `out` (which DVC empties before a stage), and
    are removed once the result is safe.

    Args:
        decided_by: what else decides the result (params as plain values, folders of weights as Path): with other
            values an interrupted training is another training.
        out: folder that gets model.safetensors, config.json and history.csv.

    The others, and the errors, are those of `fit`.
    """
    plain = [
        dataclasses.asdict(model.config),
        input_size,
        dataclasses.asdict(params),
    ]
    key = checkpoint_key(seed, *plain, *decided_by, frames=frames)
    checkpoints = dvc_root() / ".checkpoints" / f"{stage}-{key}"
    history = fit(model, criterion, frames, input_size, params, hardware, seed, stage, checkpoints, log)
    with staged_directory(out) as aside:
        save_model(aside, model, model.config)
        write_history(aside / "history.csv", history, criterion.names)
    remove_checkpoints(checkpoints)


def make_optimizer(
    trainable: Sequence[nn.Parameter], uncertainties: Sequence[nn.Parameter], params: TrainingParams
) -> torch.optim.Optimizer:
    """Adam, with decoupled decay on weights of two and more dimensions (not on biases, norms, uncertainties)."""
    decayed = [p for p in trainable if p.ndim > 1]
    rest = [p for p in trainable if p.ndim <= 1] + list(uncertainties)
    groups = [
        {"params": decayed, "weight_decay": params.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=params.learning_rate)


def learning_rate(step: int, total_steps: int, epoch: int, params: TrainingParams) -> float:
    """The learning rate of a step (counted from 0 over the whole training) in an epoch (from 0)."""
    if params.schedule == "step":
        return params.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in params.milestones)
    warm_up = max(1, round(0.05 * total_steps))
    if step < warm_up:
        return params.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, total_steps - warm_up)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def write_history(path: str | os.PathLike[str], history: Sequence[dict[str, float]], losses: Sequence[str]) -> None:
    """The history as CSV: `epoch`, the `losses`, `learning_rate`; six significant digits. No epoch: the header
    alone."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=["epoch", *losses, "learning_rate"], lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})
    write_text(path, stream.getvalue())


def remove_checkpoints(checkpoints: Path) -> None:
    """Forget a run whose result is safe."""
    shutil.rmtree(checkpoints, ignore_errors=True)
    with contextlib.suppress(OSError):  # other runs may have theirs here
        checkpoints.parent.rmdir()


@dataclass
class _Progress:
    """How far a training is."""

    history: list[dict[str, float]]
    epoch: int
    """Finished epochs."""
    step: int
    """Finished steps of the epoch that runs."""
    sums: dict[str, float]
    """Sums of that epoch's losses so far."""


def _save(
    path: Path, model: nn.Module, criterion: Criterion, optimizer: torch.optim.Optimizer, state: _Progress
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as aside:
        torch.save(
            {
                "model": model.state_dict(),
                "criterion": criterion.state_dict(),
                "optimizer": optimizer.state_dict(),
                "history": state.history,
                "epoch": state.epoch,
                "step": state.step,
                "sums": state.sums,
            },
            aside,
        )


def _restore(
    path: Path, model: nn.Module, criterion: Criterion, optimizer: torch.optim.Optimizer, state: _Progress
) -> None:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for a damaged file, none of which tells a user more
        raise InputError(
            f"{path} cannot be resumed from, it is damaged: delete {path.parent} to start that training afresh."
        ) from None
    model.load_state_dict(saved["model"])
    criterion.load_state_dict(saved["criterion"])
    optimizer.load_state_dict(saved["optimizer"])
    state.history, state.epoch, state.step = saved["history"], saved["epoch"], saved["step"]
    state.sums = saved["sums"]


@contextlib.contextmanager
def _enough_memory(stage: str, params: TrainingParams) -> Iterator[None]:
    """Say what to do where a GPU's memory is too small."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise InputError(
            f"{stage}: the GPU has too little memory for this network and {params.batch_size} frames at once: lower "
            f"'{stage}.batch_size' (or 'model.input_size') in params.yaml, or free memory that others use."
        ) from None


def _batches(loader: DataLoader[Any]) -> Iterator[Batch]:
    """The batches of `loader`. Of a worker's `InputError`, which has a traceback in its message, only the sentence."""
    try:
        yield from loader
    except InputError as error:
        name = f"{InputError.__module__}.{InputError.__qualname__}: "
        raise InputError(str(error).rpartition(name)[2].strip()) from None


def _check_losses(
    values: dict[str, float],
    stage: str,
    state: _Progress,
    batch: Batch,
    frames: Sequence[TrainingFrame],
    params: TrainingParams,
) -> None:
    if all(math.isfinite(value) for value in values.values()):
        return
    shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
    first = frames[batch.indices[0]]
    raise InputError(
        f"{stage} stopped in epoch {state.epoch + 1}, step {state.step + 1}: the loss is not finite ({shown}); the "
        f"batch holds {first.film} frame {first.number}: {_calmer(stage, params)}, or check that frame's boxes."
    )


def _check_weights(model: nn.Module, stage: str, state: _Progress, params: TrainingParams) -> None:
    """A finite loss can have a gradient that is not; after the last step no further loss would show it."""
    tensors = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    if not torch.stack([tensor.isfinite().all() for tensor in tensors]).all():
        raise InputError(
            f"{stage} stopped after epoch {state.epoch + 1}: the network's weights are not finite any more: "
            f"{_calmer(stage, params)}."
        )


def _calmer(stage: str, params: TrainingParams) -> str:
    """What helps against a training that diverges."""
    norm = f"'{stage}.max_gradient_norm'"
    norm = f"lower {norm}" if params.max_gradient_norm else f"set {norm} above 0"
    return f"lower '{stage}.learning_rate', {norm}"
