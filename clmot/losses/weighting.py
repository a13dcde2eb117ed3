"""Weighing detection against embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clmot import ranks
from clmot.params import LossParams


class UncertaintyWeighting(nn.Module):
    """Two losses in one by their task uncertainties (Kendall, Gal and Cipolla, 2018; FairMOT, equation 7).

    total = 0.5 * (e^{-s_det} * detection + e^{-s_id} * embedding + s_det + s_id). With `weighting: learnt` both s
    are trained; with `frozen` they stay at their initial values, as in the original.
    """

    def __init__(self, params: LossParams) -> None:
        """Start from the uncertainties given in `params`."""
        super().__init__()
        learnt = params.weighting == "learnt"
        start = (params.initial_detection_uncertainty, params.initial_embedding_uncertainty)
        self.detection = nn.Parameter(torch.tensor(start[0]), requires_grad=learnt)
        self.embedding = nn.Parameter(torch.tensor(start[1]), requires_grad=learnt)

    def forward(self, detection: Tensor, embedding: Tensor) -> Tensor:
        """The weighted sum of two scalar losses."""
        weighted = torch.exp(-self.detection) * detection + torch.exp(-self.embedding) * embedding
        # Ranks add up their losses; what belongs to none of them is counted once.
        return 0.5 * (weighted + (self.detection + self.embedding) / ranks.count())
