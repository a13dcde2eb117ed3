"""All strides side by side at stride 4, as HRNet's own (Wang et al., Deep High-Resolution Representation Learning,
2019, HRNetV2) and FairMOT's HRNet trackers do; and brought together once more, as CL-MOT's do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


SQUEEZED = 64
"""Channels of CL-MOT's HRNet where its heads read."""


class SqueezeNeck(ConcatNeck):
    """`ConcatNeck`, then a 1x1 convolution, batch norm and ReLU down to a few channels: CL-MOT's HRNet, and FairMOT's
    before it left them out."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        """`channels` and `widths` as of `ConcatNeck`; the map has the first of the widths (empty: 64) in the end."""
        super().__init__(channels, widths)
        narrow = widths[0] if widths else SQUEEZED
        # The convolution has a bias though a batch norm follows, as the published one has.
        self.last_layer = nn.Sequential(
            nn.Conv2d(self.width, narrow, kernel_size=1), nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)
        )
        self.width = narrow

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        return self.last_layer(super().forward(pyramid))
