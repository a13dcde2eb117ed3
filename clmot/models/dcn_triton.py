"""Deformable convolution v2 for GPUs: two Triton kernels and cuBLAS.

torchvision's kernel samples in float32, with channels first. Here taps are sampled where channels are last, so that
neighbouring threads read neighbouring numbers, and only the fractions of coordinates and the sums are float32. Columns
(a row per output cell, its 9 taps times C channels) are written in the network's own precision, and their product with
the weights runs on tensor cores. The backward pass samples again instead of keeping the columns.

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
def _place(offset, mask, cell, tap, height, width, side: tl.constexpr, ob, oc, oh, ow, mb, mc, mh, mw, inside):
    """Where a tap of each cell samples: row and column of its upper left neighbour, both fractions, its mask."""
    image = cell // (height * width)
    row = cell // width % height
    column = cell % width
    at = offset + image * ob + row * oh + column * ow
    dy = tl.load(at + 2 * tap * oc, mask=inside, other=0).to(tl.float32)
    dx = tl.load(at + (2 * tap + 1) * oc, mask=inside, other=0).to(tl.float32)
    scale = tl.load(mask + image * mb + tap * mc + row * mh + column * mw, mask=inside, other=0).to(tl.float32)
    y = (row + tap // side - side // 2).to(tl.float32) + dy
    x = (column + tap % side - side // 2).to(tl.float32) + dx
    # What is far outside samples nothing, and must not overflow as an integer.
    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
    x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
    top = tl.floor(y)
    left = tl.floor(x)
    return image, top.to(tl.int32), left.to(tl.int32), y - top, x - left, scale


@triton.jit
def _on_the_map(top, left, height, width, inside):
    """Which neighbours are there: the upper row, the lower one, the left column, the right one."""
    above = inside & (top >= 0) & (top < height)
    below = inside & (top >= -1) & (top < height - 1)
    before = (left >= 0) & (left < width)
    after = (left >= -1) & (left < width - 1)
    return above, below, before, after


@triton.jit
def _sample_columns(
    features, offset, mask, columns, cells, height, width, channels,
    ob, oc, oh, ow, mb, mc, mh, mw,
    side: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """columns[cell, tap, channel] = mask * features, interpolated where the tap is moved to."""
    cell = tl.program_id(0).to(tl.int64) * CELLS + tl.arange(0, CELLS)
    tap = tl.program_id(1)
    inside = cell < cells
    image, top, left, fy, fx, scale = _place(
        offset, mask, cell, tap, height, width, side, ob, oc, oh, ow, mb, mc, mh, mw, inside
    )
    above, below, before, after = _on_the_map(top, left, height, width, inside)
    corner = features + ((image * height + top) * width + left) * channels
    into = columns + (cell * side * side + tap) * channels
    for start in range(0, channels, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        known = (channel < channels)[None, :]
        at = corner[:, None] + channel[None, :]
        value = (
            tl.load(at, mask=(above & before)[:, None] & known, other=0).to(tl.float32) * ((1 - fy) * (1 - fx))[:, None]
        )
        value += (
            tl.load(at + channels, mask=(above & after)[:, None] & known, other=0).to(tl.float32)
            * ((1 - fy) * fx)[:, None]
        )
        at += width * channels
        value += tl.load(at, mask=(below & before)[:, None] & known, other=0).to(tl.float32) * (fy * (1 - fx))[:, None]
        value += (
            tl.load(at + channels, mask=(below & after)[:, None] & known, other=0).to(tl.float32) * (fy * fx)[:, None]
        )
        value *= scale[:, None]
        tl.store(into[:, None] + channel[None, :], value.to(columns.dtype.element_ty), mask=inside[:, None] & known)


@triton.jit
def _sample_columns_backward(
    features, offset, mask, grad_columns, grad_features, grad_offset, grad_mask, cells, height, width, channels,
    ob, oc, oh, ow, mb, mc, mh, mw,
    side: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients of `_sample_columns`: those of the features are added up in float32, the others have an entry each."""
    cell = tl.program_id(0).to(tl.int64) * CELLS + tl.arange(0, CELLS)
    tap = tl.program_id(1)
    inside = cell < cells
    image, top, left, fy, fx, scale = _place(
        offset, mask, cell, tap, height, width, side, ob, oc, oh, ow, mb, mc, mh, mw, inside
    )
    above, below, before, after = _on_the_map(top, left, height, width, inside)
    corner = ((image * height + top) * width + left) * channels
    of = grad_columns + (cell * side * side + tap) * channels
    by_y = tl.zeros([CELLS], tl.float32)
    by_x = tl.zeros([CELLS], tl.float32)
    by_mask = tl.zeros([CELLS], tl.float32)
    for start in range(0, channels, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        known = (channel < channels)[None, :]
        grad = tl.load(of[:, None] + channel[None, :], mask=inside[:, None] & known, other=0).to(tl.float32)
        at = corner[:, None] + channel[None, :]
        m00 = (above & before)[:, None] & known
        m01 = (above & after)[:, None] & known
        m10 = (below & before)[:, None] & known
        m11 = (below & after)[:, None] & known
        v00 = tl.load(features + at, mask=m00, other=0).to(tl.float32)
        v01 = tl.load(features + at + channels, mask=m01, other=0).to(tl.float32)
        v10 = tl.load(features + at + width * channels, mask=m10, other=0).to(tl.float32)
        v11 = tl.load(features + at + width * channels + channels, mask=m11, other=0).to(tl.float32)
        wy = fy[:, None]
        wx = fx[:, None]
        upper = v00 * (1 - wx) + v01 * wx
        lower = v10 * (1 - wx) + v11 * wx
        by_mask += tl.sum(grad * (upper * (1 - wy) + lower * wy), axis=1)
        grad *= scale[:, None]
        by_y += tl.sum(grad * (lower - upper), axis=1)
        by_x += tl.sum(grad * ((v01 - v00) * (1 - wy) + (v11 - v10) * wy), axis=1)
        tl.atomic_add(grad_features + at, grad * (1 - wy) * (1 - wx), mask=m00, sem="relaxed")
        tl.atomic_add(grad_features + at + channels, grad * (1 - wy) * wx, mask=m01, sem="relaxed")
        tl.atomic_add(grad_features + at + width * channels, grad * wy * (1 - wx), mask=m10, sem="relaxed")
        tl.atomic_add(grad_features + at + width * channels + channels, grad * wy * wx, mask=m11, sem="relaxed")
    taps = side * side
    tl.store(grad_offset + cell * 2 * taps + 2 * tap, by_y, mask=inside)
    tl.store(grad_offset + cell * 2 * taps + 2 * tap + 1, by_x, mask=inside)
    tl.store(grad_mask + cell * taps + tap, by_mask, mask=inside)


class TritonDeformConv2d(torch.autograd.Function):
    """`clmot.models.dcn.deform_conv2d` for CUDA tensors, whose features are best channels last.

    Runs in the precision of autocast where that is on, else in that of the features. As elsewhere on CUDA, the sums of
    the features' gradients have no fixed order.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, C, H, W), (B, 2*k*k, H, W), (B, k*k, H, W), (O, C, k, k), (O,) -> (B, O, H, W), channels last."""
        device = features.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        with torch.autocast(device, enabled=False):
            rows = features.to(dtype).permute(0, 2, 3, 1).contiguous()  # (B, H, W, C): a view where channels are last
            columns = _columns(rows, offset, mask, weight.shape[-1])
            flat = _flat(weight, dtype)
            output = torch.addmm(bias.to(dtype), columns, flat.t())  # (B*H*W, O)
        ctx.save_for_backward(rows, offset, mask, weight, bias)
        ctx.features_dtype = features.dtype
        return output.view(*rows.shape[:3], -1).permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the five inputs."""
        rows, offset, mask, weight, bias = ctx.saved_tensors
        batch, height, width, channels = rows.shape
        side = weight.shape[-1]
        grad = gradients[0].to(rows.dtype).permute(0, 2, 3, 1).reshape(-1, weight.shape[0])  # (B*H*W, O)
        grad_weight = grad.t() @ _columns(rows, offset, mask, side)  # (O, k*k*C)
        grad_columns = grad @ _flat(weight, rows.dtype)
        grad_features = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
        grad_offset = torch.empty(len(grad), 2 * side * side, dtype=torch.float32, device=rows.device)
        grad_mask = torch.empty(len(grad), side * side, dtype=torch.float32, device=rows.device)
        _sample_columns_backward[_grid(len(grad), side)](
            rows, offset, mask, grad_columns, grad_features, grad_offset, grad_mask, len(grad), height, width, channels,
            *offset.stride(), *mask.stride(), side=side, CELLS=CELLS, CHANNELS=CHANNELS,
        )  # fmt: skip
        maps = (grad_features, grad_offset.view(batch, height, width, -1), grad_mask.view(batch, height, width, -1))
        types = (ctx.features_dtype, offset.dtype, mask.dtype)
        return (
            *(part.permute(0, 3, 1, 2).to(dtype) for part, dtype in zip(maps, types, strict=True)),
            grad_weight.view(-1, side, side, channels).permute(0, 3, 1, 2).to(weight.dtype),
            grad.float().sum(0).to(bias.dtype),
        )


def _columns(rows: Tensor, offset: Tensor, mask: Tensor, side: int) -> Tensor:
    """(B, H, W, C) -> (B*H*W, k*k*C): what each tap of each cell sees."""
    batch, height, width, channels = rows.shape
    cells = batch * height * width
    columns = rows.new_empty(cells, side * side * channels)
    _sample_columns[_grid(cells, side)](
        rows, offset, mask, columns, cells, height, width, channels,
        *offset.stride(), *mask.stride(), side=side, CELLS=CELLS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return columns


def _flat(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, C, k, k) -> (O, k*k*C), as columns are ordered."""
    return weight.to(dtype).permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _grid(cells: int, side: int) -> tuple[int, int]:
    return triton.cdiv(cells, CELLS), side * side
