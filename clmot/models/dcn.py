"""Deformable convolution v2 (Zhu et al., Deformable ConvNets v2, CVPR 2019), in three equal formulations."""

from __future__ import annotations

import functools
import importlib.util
import math
from typing import Literal

import torch
import torch.nn.functional as F
import torchvision.ops
from torch import Tensor, nn

Implementation = Literal["auto", "torchvision", "grid_sample", "triton"]


def deform_conv2d(
    features: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    implementation: Implementation = "auto",
) -> Tensor:
    """Convolution of stride 1 whose k*k taps are moved by `offset` and scaled by `mask`, per output cell.

    Args:
        features: (B, C, H, W).
        offset: (B, 2*k*k, H, W) in cells: (dy, dx) of tap 0, (dy, dx) of tap 1, ...; taps row by row.
        mask: (B, k*k, H, W), in 0..1.
        weight: (O, C, k, k), k odd; outside the map is zero.
        bias: (O,).
        implementation: `torchvision`: its compiled operator; `grid_sample`: the same maths from ordinary
            operators, which trains several times faster on a CPU (benchmarks/dcn.py measures both) and
            exports to ONNX; `triton`: kernels of ours that read channels last, in the network's own precision
            (benchmarks/gpu.py); `auto`, and `triton` where it cannot run: grid_sample on a CPU, on a GPU triton, or
            torchvision where Triton is not installed.

    Returns:
        (B, O, H, W).
    """
    implementation = formulation(implementation, features)
    if implementation == "triton":
        from clmot.models.dcn_triton import TritonDeformConv2d  # Triton is not everywhere

        output: Tensor = TritonDeformConv2d.apply(features, offset, mask, weight, bias)
        return output.to(features.dtype)
    # Interpolation needs the fractions of coordinates: float32 at least, whatever the convolutions run in.
    exact = torch.promote_types(offset.dtype, torch.float32)
    if implementation == "torchvision":
        output = torchvision.ops.deform_conv2d(
            features.to(exact),
            offset.to(exact),
            weight.to(exact),
            bias.to(exact),
            padding=weight.shape[-1] // 2,
            mask=mask.to(exact),
        )
    else:
        steering = offset.to(exact), mask.to(exact)
        output = _deform_conv2d_by_sampling(features, *steering, weight, bias.to(exact))
    return output.to(features.dtype)


def _deform_conv2d_by_sampling(features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Sum over taps t of mask_t * sample(W_t features, where t is moved to).

    Sampling is linear, so each tap's C x O product may come before it: then O instead of C channels are
    sampled (the neck's projections have O < C), and nothing of size k*k*C*H*W is ever held. One tap after the
    other stays in cache, which on a CPU beats one large call over all taps.
    """
    height, width = features.shape[-2:]
    side = weight.shape[-1]
    features = features.contiguous()  # sampling reads whole planes: not channels_last
    rows = torch.arange(height, device=offset.device, dtype=offset.dtype)
    columns = torch.arange(width, device=offset.device, dtype=offset.dtype)
    output = bias.view(1, -1, 1, 1)
    for tap in range(side * side):
        dy, dx = tap // side - side // 2, tap % side - side // 2
        # grid_sample's coordinates: without align_corners, the centre of cell i of n is at (2*i + 1) / n - 1.
        y = ((2 * (rows + dy) + 1) / height - 1).view(height, 1) + offset[:, 2 * tap] * (2 / height)
        x = (2 * (columns + dx) + 1) / width - 1 + offset[:, 2 * tap + 1] * (2 / width)  # (B, H, W)
        product = F.conv2d(features, weight[:, :, tap // side, tap % side, None, None])  # (B, O, H, W)
        sampled = F.grid_sample(
            product.to(offset.dtype), torch.stack((x, y), dim=-1), padding_mode="zeros", align_corners=False
        )
        output = torch.addcmul(output, sampled, mask[:, tap : tap + 1])  # (B, O, H, W)
    return output


def formulation(implementation: Implementation, features: Tensor) -> Implementation:
    """The formulation that runs where `implementation` was asked for, which is never `auto`."""
    if implementation in ("auto", "triton"):
        return _fastest_on_gpu() if features.is_cuda else "grid_sample"
    return implementation


@functools.cache
def _fastest_on_gpu() -> Implementation:
    return "triton" if importlib.util.find_spec("triton") else "torchvision"


class DeformConv2d(nn.Module):
    """3x3 modulated deformable convolution of stride 1 that finds its own offsets and masks.

    Begins as a plain convolution times 1/2 (no offset, every mask sigmoid(0)), as in the original.
    """

    def __init__(self, in_channels: int, out_channels: int, implementation: Implementation = "auto") -> None:
        super().__init__()
        self.implementation: Implementation = implementation
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        self.conv_offset_mask = nn.Conv2d(in_channels, 27, kernel_size=3, padding=1)
        for parameter in self.conv_offset_mask.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        steering = self.conv_offset_mask
        if features.is_cuda and torch.is_autocast_enabled("cuda"):
            # In 16 bits cuDNN is faster by half with a multiple of eight channels: zeros fill them up.
            weight = F.pad(steering.get_parameter("weight"), (0, 0, 0, 0, 0, 0, 0, 5))
            bias = F.pad(steering.get_parameter("bias"), (0, 5))
            offset, mask, _ = F.conv2d(features, weight, bias, padding=1).split([18, 9, 5], dim=1)
        else:
            offset, mask = steering(features).split([18, 9], dim=1)  # (B, 18, H, W), (B, 9, H, W)
        return deform_conv2d(features, offset, mask.sigmoid(), self.weight, self.bias, self.implementation)
