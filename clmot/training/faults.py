"""Faults of a training, each as one sentence that says what to do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from clmot.errors import InputError
from clmot.hardware import Setup
from clmot.params import Params
from clmot.training.recipe import Recipe


def check_losses(losses: Mapping[str, float], where: str, first: int, recipe: Recipe) -> None:
    """Stop at a loss that is nan or infinite.

    Args:
        losses: of one step.
        where: "epoch 3, step 7".
        first: the batch's first example.
        recipe: of the training.

    Raises:
        InputError: one is not finite.
    """
    if not all(math.isfinite(value) for value in losses.values()):
        shown = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        raise InputError(
            f"{recipe.stage} stopped in {where}: the loss is not finite ({shown}); the batch holds "
            f"{recipe.data.name(first)}: {_calmer(recipe)}, or check that frame's boxes."
        )


def check_weights(model: nn.Module, epoch: int, recipe: Recipe) -> None:
    """Check the weights: a finite loss can have a gradient that is not, and after the last step no loss would show it.

    Raises:
        InputError: a weight is nan or infinite after this epoch (from 1).
    """
    tensors = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    if not torch.stack([tensor.isfinite().all() for tensor in tensors]).all():
        raise InputError(
            f"{recipe.stage} stopped after epoch {epoch}: the network's weights are no longer finite: "
            f"{_calmer(recipe)}."
        )


@contextlib.contextmanager
def enough_memory(recipe: Recipe) -> Iterator[None]:
    """Say what to do where a GPU's memory is too small.

    Raises:
        InputError: it was, in this block.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise InputError(
            f"{recipe.stage}: the GPU has too little memory for this network and {recipe.params.batch_size} frames at "
            f"once: lower '{recipe.stage}.batch_size' (or 'model.input_size') in params.yaml, or free memory that "
            "others use."
        ) from None


CONTRAST_BYTES = {"nt_xent": 25, "triplet_hard": 30, "triplet_all": 45}
"""Of a pair of readings, while the loss of `negatives: batch` and its gradient are computed (measured)."""


def check_contrast_fits(params: Params, people: Sequence[int], setup: Setup) -> None:
    """Refuse `negatives: batch` where its pairs of all readings of a batch need more memory than there is.

    Args:
        params: of the whole pipeline.
        people: boxes of every frame that trains.
        setup: where it trains.

    Raises:
        InputError: the fullest batch that could be drawn would not fit.
    """
    train, loss = params.train, params.loss
    if loss.negatives != "batch" or loss.embedding not in CONTRAST_BYTES:
        return
    # Boxes are padded to the fullest frame of the batch, which may be the fullest of all.
    views = train.views * (1 + train.previous_frame) * (1 + loss.off_centre)
    readings = views * train.batch_size * max(people, default=0)
    needed = CONTRAST_BYTES[loss.embedding] * readings**2
    free = torch.cuda.mem_get_info(setup.device)[0] if setup.device.type == "cuda" else _free_memory()
    if needed > free:
        raise InputError(
            f"train: 'loss.negatives: batch' compares up to {readings} readings of {train.batch_size} frames with each "
            f"other, which needs {needed / 1e9:.1f} GB beside the network, but {free / 1e9:.1f} GB are free: lower "
            "'train.batch_size', or set 'loss.negatives' to frame."
        )


def _free_memory() -> int:
    import psutil  # not every machine with a GPU has it, and there it is not asked

    return psutil.virtual_memory().available


def _calmer(recipe: Recipe) -> str:
    """What helps against a training that diverges."""
    norm = f"'{recipe.stage}.max_gradient_norm'"
    norm = f"lower {norm}" if recipe.params.max_gradient_norm else f"set {norm} above 0"
    return f"lower '{recipe.stage}.learning_rate', {norm}"
