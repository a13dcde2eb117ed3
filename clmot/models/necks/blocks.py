"""What necks are built of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from clmot.models.dcn import DeformConv2d, Implementation

Operator = Literal["dcn", "conv"]


def convolution(in_channels: int, out_channels: int, operator: Operator, implementation: Implementation) -> nn.Module:
    """3x3 convolution, deformable or plain, to be followed by batch norm: (B, in, H, W) -> (B, out, H, W)."""
    if operator == "dcn":
        return DeformConv2d(in_channels, out_channels, implementation=implementation)
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


class Node(nn.Module):
    """3x3 convolution, deformable or plain, then batch norm and ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, operator: Operator, implementation: Implementation) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels, operator, implementation)
        self.actf = nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        return self.actf(self.conv(features))


def reduction(in_channels: int, out_channels: int) -> nn.Sequential:
    """1x1 convolution, batch norm, ReLU: brings a backbone's map to the neck's width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(True)
    )


def reductions(channels: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    """A `reduction` for every map of a pyramid."""
    return nn.ModuleList(reduction(wide, narrow) for wide, narrow in zip(channels, widths, strict=True))


def bilinear_kernel(size: int) -> Tensor:
    """(size, size) kernel with which a transposed convolution of stride size/2 interpolates bilinearly."""
    stride = (size + 1) // 2
    centre = (2 * stride - 1 - stride % 2) / (2 * stride)
    ramp = 1 - (torch.arange(size) / stride - centre).abs()
    return ramp[:, None] * ramp[None, :]
