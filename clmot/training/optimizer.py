"""AdamW and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from clmot.params import TrainingParams


def make_optimizer(
    trainable: Sequence[nn.Parameter], uncertainties: Sequence[nn.Parameter], params: TrainingParams
) -> torch.optim.Optimizer:
    """Adam, with decoupled decay on weights of two and more dimensions (not on biases, norms, uncertainties).

    Fused: one kernel for all weights, where the plain form launches some for every step of its arithmetic.
    """
    decayed = [p for p in trainable if p.ndim > 1]
    rest = [p for p in trainable if p.ndim <= 1] + list(uncertainties)
    groups = [
        {"params": decayed, "weight_decay": params.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)


def learning_rates(steps: Sequence[int], params: TrainingParams) -> list[list[float]]:
    """The learning rate of every step of every epoch; `steps` are the epochs' numbers of steps."""
    return [
        [learning_rate(sum(steps[:epoch]) + step, sum(steps), epoch, params) for step in range(count)]
        for epoch, count in enumerate(steps)
    ]


def learning_rate(step: int, total_steps: int, epoch: int, params: TrainingParams) -> float:
    """The learning rate of a step (counted from 0 over the whole training) in an epoch (from 0)."""
    if params.schedule == "step":
        return params.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in params.milestones)
    warm_up = max(1, round(0.05 * total_steps))
    if step < warm_up:
        return params.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, total_steps - warm_up)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
