"""Deformable convolution v2 for GPUs: Triton kernels and cuBLAS.

torchvision's kernel samples in float32, with channels first. Here taps are sampled where channels are last, so that
neighbouring threads read neighbouring numbers, and only the fractions of coordinates and the sums are float32. A
program takes all taps of its cells, which look at nearly the same neighbours. Columns (a row per output cell, its 9
taps times C channels) are written in the network's own precision, and their product with the weights runs on tensor
cores. The backward pass samples again instead of keeping the columns.

The hard part is the gradient of the features: every output cell adds to 36 places, most of them near the cell. A square
of cells has a window around it, in which all is added up before anything is written: interpolation is a matrix, whose
entry for a cell and a place is relu(1 - |dy|) * relu(1 - |dx|), and what the square adds to its window is that matrix,
transposed, times the gradients of the columns. Taps that leave the window are added one by one.

Import this module only where Triton is (PyTorch's CUDA builds for Linux bring it along).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CELLS, CHANNELS, WARPS = 32, 64, 8
"""Of a program's tile; of a program."""
TILE, WINDOW = 8, 16
"""Sides of a square of cells, and of the window around it in which their gradients are added up."""


@triton.jit
def _place(
    offset, mask, image, row, column, tap, height, width, side: tl.constexpr, ob, oc, oh, ow, mb, mc, mh, mw, inside
):  # fmt: skip
    """Where a tap of each cell samples: row and column, and its mask."""
    at = offset + image * ob + row * oh + column * ow
    dy = tl.load(at + 2 * tap * oc, mask=inside, other=0).to(tl.float32)
    dx = tl.load(at + (2 * tap + 1) * oc, mask=inside, other=0).to(tl.float32)
    scale = tl.load(mask + image * mb + tap * mc + row * mh + column * mw, mask=inside, other=0).to(tl.float32)
    y = (row + tap // side - side // 2).to(tl.float32) + dy
    x = (column + tap % side - side // 2).to(tl.float32) + dx
    # What is far outside samples nothing, and must not overflow as an integer.
    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
    x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
    return y, x, scale


@triton.jit
def _on_the_map(top, left, height, width, inside):
    """Which neighbours are there: the upper row, the lower one, the left column, the right one."""
    above = inside & (top >= 0) & (top < height)
    below = inside & (top >= -1) & (top < height - 1)
    before = (left >= 0) & (left < width)
    after = (left >= -1) & (left < width - 1)
    return above, below, before, after


@triton.jit
def _neighbours(features, image, y, x, height, width, channels, channel, inside):
    """The four neighbours' features, (CELLS, CHANNELS) each, 0 where they are not on the map."""
    top, left = tl.floor(y).to(tl.int32), tl.floor(x).to(tl.int32)
    above, below, before, after = _on_the_map(top, left, height, width, inside)
    known = (channel < channels)[None, :]
    at = features + (((image * height + top) * width + left) * channels)[:, None] + channel[None, :]
    v00 = tl.load(at, mask=(above & before)[:, None] & known, other=0).to(tl.float32)
    v01 = tl.load(at + channels, mask=(above & after)[:, None] & known, other=0).to(tl.float32)
    at += width * channels
    v10 = tl.load(at, mask=(below & before)[:, None] & known, other=0).to(tl.float32)
    v11 = tl.load(at + channels, mask=(below & after)[:, None] & known, other=0).to(tl.float32)
    return v00, v01, v10, v11


@triton.jit
def _sampled(features, image, y, x, scale, height, width, channels, channel, inside):
    """mask * features, interpolated: (CELLS, CHANNELS)."""
    v00, v01, v10, v11 = _neighbours(features, image, y, x, height, width, channels, channel, inside)
    fy, fx = y - tl.floor(y), x - tl.floor(x)
    upper, lower = scale * (1 - fy), scale * fy
    return (
        v00 * (upper * (1 - fx))[:, None]
        + v01 * (upper * fx)[:, None]
        + v10 * (lower * (1 - fx))[:, None]
        + v11 * (lower * fx)[:, None]
    )


@triton.jit
def _cells_of_program(cells, height, width, CELLS: tl.constexpr):
    """Consecutive output cells: their numbers, images, rows, columns, and which of them there are."""
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    image = (cell // (height * width)).to(tl.int64)
    return cell.to(tl.int64), image, cell // width % height, cell % width, cell < cells


@triton.jit
def _sample_columns(
    features, offset, mask, columns, cells, height, width, channels,
    ob, oc, oh, ow, mb, mc, mh, mw,
    side: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """columns[cell, tap, channel] = mask * features, interpolated where the tap is moved to."""
    cell, image, row, column, inside = _cells_of_program(cells, height, width, CELLS)
    for tap in range(side * side):
        y, x, scale = _place(
            offset, mask, image, row, column, tap, height, width, side, ob, oc, oh, ow, mb, mc, mh, mw, inside
        )
        into = columns + (cell * side * side + tap) * channels
        for start in range(0, channels, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            value = _sampled(features, image, y, x, scale, height, width, channels, channel, inside)
            seen = inside[:, None] & (channel < channels)[None, :]
            tl.store(into[:, None] + channel[None, :], value.to(columns.dtype.element_ty), mask=seen)


@triton.jit
def _steering_backward(
    features, offset, mask, columns, grad_offset, grad_mask, cells, height, width, channels,
    ob, oc, oh, ow, mb, mc, mh, mw,
    side: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients of offset and mask from those of the columns, which the columns themselves then replace."""
    cell, image, row, column, inside = _cells_of_program(cells, height, width, CELLS)
    taps: tl.constexpr = side * side
    for tap in range(taps):
        y, x, scale = _place(
            offset, mask, image, row, column, tap, height, width, side, ob, oc, oh, ow, mb, mc, mh, mw, inside
        )
        of = columns + (cell * taps + tap) * channels
        wy, wx = (y - tl.floor(y))[:, None], (x - tl.floor(x))[:, None]
        by_y = tl.zeros([CELLS], tl.float32)
        by_x = tl.zeros([CELLS], tl.float32)
        by_mask = tl.zeros([CELLS], tl.float32)
        for start in range(0, channels, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            seen = inside[:, None] & (channel < channels)[None, :]
            grad = tl.load(of[:, None] + channel[None, :], mask=seen, other=0).to(tl.float32)
            v00, v01, v10, v11 = _neighbours(features, image, y, x, height, width, channels, channel, inside)
            upper = v00 + (v01 - v00) * wx
            lower = v10 + (v11 - v10) * wx
            value = upper + (lower - upper) * wy
            by_mask += tl.sum(grad * value, axis=1)
            by_y += tl.sum(grad * (lower - upper), axis=1)
            by_x += tl.sum(grad * ((v01 - v00) * (1 - wy) + (v11 - v10) * wy), axis=1)
            value *= scale[:, None]
            tl.store(of[:, None] + channel[None, :], value.to(columns.dtype.element_ty), mask=seen)
        at = grad_offset + cell * 2 * taps + 2 * tap
        tl.store(at, (by_y * scale).to(grad_offset.dtype.element_ty), mask=inside)
        tl.store(at + 1, (by_x * scale).to(grad_offset.dtype.element_ty), mask=inside)
        tl.store(grad_mask + cell * taps + tap, by_mask.to(grad_mask.dtype.element_ty), mask=inside)


@triton.jit
def _outside(place, start, length: tl.constexpr):
    """Whether a row or a column is not one of `length` from `start` on."""
    return (place < start) | (place >= start + length)


@triton.jit
def _features_backward(
    offset, mask, grad_columns, grad_features, height, width, channels,
    ob, oc, oh, ow, mb, mc, mh, mw,
    side: tl.constexpr, TILE: tl.constexpr, WINDOW: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients of the features, added up in float32: those of a tile in its window first, then those of all tiles."""
    across = tl.cdiv(width, TILE)
    down = tl.cdiv(height, TILE)
    tile = tl.program_id(0)
    image = (tile // (across * down)).to(tl.int64)
    first_row, first_column = tile // across % down * TILE, tile % across * TILE
    number = tl.arange(0, TILE * TILE)
    row, column = first_row + number // TILE, first_column + number % TILE
    inside = (row < height) & (column < width)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = (channel < channels)[None, :]
    of = grad_columns + ((image * height + row) * width + column) * (side * side * channels)

    window_row, window_column = first_row - (WINDOW - TILE) // 2, first_column - (WINDOW - TILE) // 2
    place = tl.arange(0, WINDOW * WINDOW)
    place_row, place_column = window_row + place // WINDOW, window_column + place % WINDOW
    place_y, place_x = place_row.to(tl.float32)[:, None], place_column.to(tl.float32)[:, None]
    total = tl.zeros([WINDOW * WINDOW, CHANNELS], tl.float32)
    for tap in range(side * side):
        y, x, scale = _place(
            offset, mask, image, row, column, tap, height, width, side, ob, oc, oh, ow, mb, mc, mh, mw, inside
        )
        grad = tl.load(of[:, None] + (tap * channels + channel)[None, :], mask=inside[:, None] & known, other=0)
        share = tl.maximum(1 - tl.abs(y[None, :] - place_y), 0) * tl.maximum(1 - tl.abs(x[None, :] - place_x), 0)
        share *= scale[None, :]
        # In float32 a product is three of TF32, which together are as exact.
        total = tl.dot(share.to(grad.dtype), grad, total, input_precision="tf32x3")
        top, left = tl.floor(y).to(tl.int32), tl.floor(x).to(tl.int32)
        above, below, before, after = _on_the_map(top, left, height, width, inside)
        # Neighbours that are not in the window: of the upper and the lower row, of the left and the right column.
        up, low = _outside(top, window_row, WINDOW), _outside(top + 1, window_row, WINDOW)
        aside, beyond = _outside(left, window_column, WINDOW), _outside(left + 1, window_column, WINDOW)
        m00, m01 = above & before & (up | aside), above & after & (up | beyond)
        m10, m11 = below & before & (low | aside), below & after & (low | beyond)
        if tl.max((m00 | m01 | m10 | m11).to(tl.int32), axis=0) > 0:
            at = grad_features + (((image * height + top) * width + left) * channels)[:, None] + channel[None, :]
            fy, fx = y - tl.floor(y), x - tl.floor(x)
            value = grad.to(tl.float32) * scale[:, None]
            tl.atomic_add(at, value * ((1 - fy) * (1 - fx))[:, None], mask=m00[:, None] & known, sem="relaxed")
            tl.atomic_add(at + channels, value * ((1 - fy) * fx)[:, None], mask=m01[:, None] & known, sem="relaxed")
            at += width * channels
            tl.atomic_add(at, value * (fy * (1 - fx))[:, None], mask=m10[:, None] & known, sem="relaxed")
            tl.atomic_add(at + channels, value * (fy * fx)[:, None], mask=m11[:, None] & known, sem="relaxed")
    there = (place_row >= 0) & (place_row < height) & (place_column >= 0) & (place_column < width)
    there &= (
        tl.max((total != 0).to(tl.int32), axis=1) > 0
    )  # where taps are moved little, much of the window is not reached
    at = ((image * height + place_row) * width + place_column) * channels
    tl.atomic_add(grad_features + at[:, None] + channel[None, :], total, mask=there[:, None] & known, sem="relaxed")


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
            output = torch.addmm(bias.to(dtype), columns, _flat(weight, dtype).t())  # (B*H*W, O)
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
        columns = grad @ _flat(weight, rows.dtype)  # (B*H*W, k*k*C): their gradients, until `_steering_backward`
        grad_features = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
        grad_offset = torch.empty(batch, height, width, 2 * side * side, dtype=offset.dtype, device=rows.device)
        grad_mask = torch.empty(batch, height, width, side * side, dtype=mask.dtype, device=rows.device)
        tiles = batch * triton.cdiv(height, TILE) * triton.cdiv(width, TILE)
        _features_backward[tiles, triton.cdiv(channels, CHANNELS)](
            offset, mask, columns, grad_features, height, width, channels, *offset.stride(), *mask.stride(),
            side=side, TILE=TILE, WINDOW=WINDOW, CHANNELS=CHANNELS, num_warps=WARPS,
        )  # fmt: skip
        _steering_backward[(triton.cdiv(len(grad), CELLS),)](
            rows, offset, mask, columns, grad_offset, grad_mask, len(grad), height, width, channels,
            *offset.stride(), *mask.stride(), side=side, CELLS=CELLS, CHANNELS=CHANNELS, num_warps=WARPS,
        )  # fmt: skip
        grad_weight = grad.t() @ columns  # (O, k*k*C)
        maps = grad_features.to(ctx.features_dtype), grad_offset, grad_mask
        return (
            *(part.permute(0, 3, 1, 2) for part in maps),
            grad_weight.view(-1, side, side, channels).permute(0, 3, 1, 2).to(weight.dtype),
            grad.sum(0, dtype=torch.float32).to(bias.dtype),
        )


def _columns(rows: Tensor, offset: Tensor, mask: Tensor, side: int) -> Tensor:
    """(B, H, W, C) -> (B*H*W, k*k*C): what each tap of each cell sees."""
    batch, height, width, channels = rows.shape
    cells = batch * height * width
    columns = rows.new_empty(cells, side * side * channels)
    _sample_columns[(triton.cdiv(cells, CELLS),)](
        rows, offset, mask, columns, cells, height, width, channels,
        *offset.stride(), *mask.stride(), side=side, CELLS=CELLS, CHANNELS=CHANNELS, num_warps=WARPS,
    )  # fmt: skip
    return columns


def _flat(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, C, k, k) -> (O, k*k*C), as columns are ordered."""
    return weight.to(dtype).permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
