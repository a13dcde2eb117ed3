"""All strides side by side at stride 4, as HRNet's own (Wang et al., Deep High-Resolution Representation Learning, 2019,
HRNetV2) and FairMOT's HRNet trackers do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clmot.models.necks.blocks import reductions
from clmot.models.necks.interface import Neck


class ConcatNeck(Neck):
    """Every map interpolated to stride 4 (bilinear), then all channels together. Has nothing to learn of its own,
    unless `widths` ask for other channels than the backbone's."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        """`channels` of the backbone's maps, fine to coarse; `widths` they are brought to, empty: the same."""
        super().__init__()
        widths = tuple(widths or channels)
        self.lateral = reductions(channels, widths) if widths != tuple(channels) else None
        self.width = sum(widths)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        if self.lateral is not None:
            pyramid = [reduce(level) for reduce, level in zip(self.lateral, pyramid, strict=True)]
        finest, *coarser = pyramid
        size = finest.shape[-2:]
        raised = [F.interpolate(level, size, mode="bilinear", align_corners=False) for level in coarser]
        return torch.cat([finest, *raised], dim=1)
