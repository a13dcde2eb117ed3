"""Learnt upsampling for GPUs: a transposed convolution of each channel alone, as two Triton kernels.

cuDNN has no fast one where channels are last: it brings them first and back again, and takes twenty times as long as
memory needs.

Import this module only where Triton is (PyTorch's CUDA builds for Linux bring it along).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CELLS, CHANNELS = 32, 64
"""Of a program's tile."""


@triton.jit
def _upsample(
    features, weight, output, cells, height, width, channels,
    FACTOR: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Each cell of the output sees two by two of the input. `height` and `width` are the output's."""
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, known = cell < cells, (channel < channels)[None, :]
    image = (cell // (height * width)).to(tl.int64)
    row, column = cell // width % height + FACTOR // 2, cell % width + FACTOR // 2
    total = tl.zeros([CELLS, CHANNELS], tl.float32)
    for which in tl.static_range(4):
        y, x = row // FACTOR - which // 2, column // FACTOR - which % 2
        tap = (row % FACTOR + which // 2 * FACTOR) * (2 * FACTOR) + column % FACTOR + which % 2 * FACTOR
        there = inside & (y >= 0) & (y < height // FACTOR) & (x >= 0) & (x < width // FACTOR)
        at = ((image * (height // FACTOR) + y) * (width // FACTOR) + x) * channels
        value = tl.load(features + at[:, None] + channel[None, :], mask=there[:, None] & known, other=0)
        factor = tl.load(weight + (tap * channels)[:, None] + channel[None, :], mask=there[:, None] & known, other=0)
        total += value.to(tl.float32) * factor.to(tl.float32)
    at = output + (cell.to(tl.int64) * channels)[:, None] + channel[None, :]
    tl.store(at, total.to(output.dtype.element_ty), mask=inside[:, None] & known)


@triton.jit
def _upsample_backward(
    features, weight, grad, grad_features, grad_weight, cells, height, width, channels,
    FACTOR: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Each cell of the input is seen by 2 * FACTOR squared of the output; of the weights' gradient, a program has its
    part. `height` and `width` are the input's."""
    part = tl.program_id(0)
    cell = part * CELLS + tl.arange(0, CELLS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, known = cell < cells, (channel < channels)[None, :]
    image = (cell // (height * width)).to(tl.int64)
    row, column = cell // width % height * FACTOR - FACTOR // 2, cell % width * FACTOR - FACTOR // 2
    here = (cell.to(tl.int64) * channels)[:, None] + channel[None, :]
    value = tl.load(features + here, mask=inside[:, None] & known, other=0).to(tl.float32)
    total = tl.zeros([CELLS, CHANNELS], tl.float32)
    taps: tl.constexpr = 4 * FACTOR * FACTOR
    for tap in range(taps):
        y, x = row + tap // (2 * FACTOR), column + tap % (2 * FACTOR)
        there = inside & (y >= 0) & (y < height * FACTOR) & (x >= 0) & (x < width * FACTOR)
        at = ((image * height * FACTOR + y) * width * FACTOR + x) * channels
        arrived = tl.load(grad + at[:, None] + channel[None, :], mask=there[:, None] & known, other=0).to(tl.float32)
        factor = tl.load(weight + tap * channels + channel, mask=channel < channels, other=0).to(tl.float32)
        total += arrived * factor[None, :]
        into = grad_weight + (part.to(tl.int64) * taps + tap) * channels + channel
        tl.store(into, tl.sum(arrived * value, axis=0), mask=channel < channels)
    tl.store(grad_features + here, total.to(grad_features.dtype.element_ty), mask=inside[:, None] & known)


class TritonUpsample(torch.autograd.Function):
    """A transposed convolution of stride f, kernel 2f and padding f/2 (f even) of each channel, for CUDA tensors.

    Runs in the precision of autocast where that is on, else in that of the features; sums are float32.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor) -> Tensor:
        """(B, C, H, W), (C, 1, 2f, 2f) -> (B, C, fH, fW), channels last."""
        device = features.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        rows = features.to(dtype).permute(0, 2, 3, 1).contiguous()  # (B, H, W, C): a view where channels are last
        batch, height, width, channels = rows.shape
        factor = weight.shape[-1] // 2
        taps = weight.permute(2, 3, 0, 1).contiguous()  # (2f, 2f, C, 1)
        output = rows.new_empty(batch, height * factor, width * factor, channels)
        cells = output.numel() // channels
        _upsample[triton.cdiv(cells, CELLS), triton.cdiv(channels, CHANNELS)](
            rows, taps, output, cells, height * factor, width * factor, channels,
            FACTOR=factor, CELLS=CELLS, CHANNELS=CHANNELS,
        )  # fmt: skip
        ctx.save_for_backward(rows, taps)
        ctx.features_dtype = features.dtype
        return output.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of both inputs."""
        rows, taps = ctx.saved_tensors
        batch, height, width, channels = rows.shape
        grad = gradients[0].to(rows.dtype).permute(0, 2, 3, 1).contiguous()
        grad_features, cells = torch.empty_like(rows), batch * height * width
        parts = triton.cdiv(cells, CELLS)
        grad_weight = torch.empty(parts, *taps.shape, dtype=torch.float32, device=rows.device)
        _upsample_backward[parts, triton.cdiv(channels, CHANNELS)](
            rows, taps, grad, grad_features, grad_weight, cells, height, width, channels,
            FACTOR=len(taps) // 2, CELLS=CELLS, CHANNELS=CHANNELS,
        )  # fmt: skip
        return (
            grad_features.permute(0, 3, 1, 2).to(ctx.features_dtype),
            grad_weight.sum(0).permute(2, 3, 0, 1).to(taps.dtype),
        )
