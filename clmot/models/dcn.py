"""Deformable convolution v2 (Zhu et al., Deformable ConvNets v2, CVPR 2019), in two equal formulations."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
import torchvision.ops
from torch import Tensor, nn

Implementation = Literal["auto", "torchvision", "grid_sample"]


def deform_conv2d(
    features: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    implementation: Implementation = "auto",
) -> Tensor:
    """Convolution of stride 1 whose k*k taps are moved by `offset` and scaled by `mask`, per output cell.

    Args:
        features: (B, C, H, W).
        offset: (B, 2*k*k, H, W) in cells, (dy, dx) of tap 0, (dy, dx) of tap 1, ...; taps row by row.
        mask: (B, k*k, H, W), in 0..1.
        weight: (O, C, k, k), k odd; the map is padded by k//2 zeros.
        bias: (O,) or None.
        implementation: `torchvision`: its compiled operator; `grid_sample`: the same maths as bilinear sampling
            and one matrix product, whose backward pass is several times faster on a CPU (benchmarks/dcn.py
            measures it) at the price of a (B, C, k*k*H, W) buffer; `auto`: grid_sample on a CPU, torchvision
            elsewhere, where its fused kernel needs the least memory.

    Returns:
        (B, O, H, W).
    """
    if implementation == "auto":
        implementation = "grid_sample" if features.device.type == "cpu" else "torchvision"
    if implementation == "torchvision":
        padding = weight.shape[-1] // 2
        return torchvision.ops.deform_conv2d(features, offset, weight, bias, padding=padding, mask=mask)
    return _deform_conv2d_by_sampling(features, offset, mask, weight, bias)


def _deform_conv2d_by_sampling(
    features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    batch, channels, height, width = features.shape
    out_channels, _, side, _ = weight.shape
    taps = side * side
    steps = torch.arange(side, device=features.device, dtype=features.dtype) - side // 2
    rows = torch.arange(height, device=features.device, dtype=features.dtype)
    columns = torch.arange(width, device=features.device, dtype=features.dtype)
    offset = offset.view(batch, taps, 2, height, width)
    y = offset[:, :, 0] + steps.repeat_interleave(side).view(taps, 1, 1) + rows.view(height, 1)  # (B, T, H, W)
    x = offset[:, :, 1] + steps.repeat(side).view(taps, 1, 1) + columns
    # Cell centres in grid_sample's -1..1: without align_corners, pixel i of n is at (2*i + 1) / n - 1.
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)  # (B, T, H, W, 2)
    sampled = F.grid_sample(
        features, grid.view(batch, taps * height, width, 2), padding_mode="zeros", align_corners=False
    )  # (B, C, T*H, W)
    sampled = sampled.view(batch, channels, taps, height * width) * mask.view(batch, 1, taps, height * width)
    output = weight.view(out_channels, channels * taps) @ sampled.view(batch, channels * taps, height * width)
    if bias is not None:
        output = output + bias.view(out_channels, 1)
    return output.view(batch, out_channels, height, width)


class DeformConv2d(nn.Module):
    """3x3 modulated deformable convolution of stride 1 that finds its own offsets and masks.

    Begins as a plain convolution halved (no offset, mask 1/2), as in the original.
    """

    def __init__(self, in_channels: int, out_channels: int, implementation: Implementation = "auto") -> None:
        super().__init__()
        self.implementation: Implementation = implementation
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        self.conv_offset_mask = nn.Conv2d(in_channels, 27, kernel_size=3, padding=1)
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        steering = self.conv_offset_mask(features)  # (B, 27, H, W): 18 offsets, then 9 masks before the sigmoid
        offset, mask = steering.split([18, 9], dim=1)
        return deform_conv2d(
            features, offset, mask.sigmoid(), self.weight, self.bias, self.implementation
        )
