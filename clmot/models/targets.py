"""What the detection heads should say: heatmap, sizes, offsets and the cells where objects are read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clmot.images import STRIDE

FORGIVEN = 1 - 2**-24
"""The largest float32 below 1: the focal loss forgives a cell by (1 - target)^beta, so this one wholly."""


@dataclass(frozen=True)
class Targets:
    """Targets of I images with at most N objects."""

    heatmap: Tensor
    """(I, 1, h, w) in 0..1, exactly 1 at centres and `FORGIVEN` where it is all the same what the network says."""
    sizes: Tensor
    """(I, N, 2) width and height in cells."""
    offsets: Tensor
    """(I, N, 2) from the cell's corner to the centre, in cells, 0..1."""
    cells: Tensor
    """(I, N) int64 index y * w + x of the centre's cell."""
    present: Tensor
    """(I, N) bool."""


def make_targets(
    boxes: Tensor, present: Tensor, input_size: tuple[int, int], min_overlap: float, forgiven: Tensor | None = None
) -> Targets:
    """Targets of CenterNet (Objects as Points, 2019, section 3) for a batch of images.

    Args:
        boxes: (I, N, 4) corners in input pixels.
        present: (I, N) bool, rows that hold an object.
        input_size: width and height of the input in pixels.
        min_overlap: IoU that sets the Gaussians' radius.
        forgiven: (I, M, 4) corners in input pixels where finding something is no mistake: cells whose middle is inside
            and that are no centre teach nothing.
    """
    width, height = input_size[0] // STRIDE, input_size[1] // STRIDE
    cells = boxes / STRIDE
    centres = (cells[..., :2] + cells[..., 2:]) / 2  # (I, N, 2)
    sizes = (cells[..., 2:] - cells[..., :2]).clamp_min(0)
    index = centre_cells(centres, (width, height))
    whole = torch.stack((index % width, index // width), -1)
    radius = gaussian_radius(sizes[..., 1].ceil(), sizes[..., 0].ceil(), min_overlap).floor().clamp_min(0)
    heatmap = draw_gaussians(whole, radius, present, (width, height))
    if forgiven is not None:
        heatmap = torch.where(covered(forgiven / STRIDE, (width, height)), heatmap.clamp_min(FORGIVEN), heatmap)
    return Targets(heatmap[:, None], sizes, centres - whole, index, present)


def covered(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(I, h, w) bool: cells whose middle lies in one of the boxes (I, M, 4), in cells; `size`: the map's, (w, h)."""

    def inside(length: int, low: Tensor, high: Tensor) -> Tensor:
        middle = torch.arange(length, device=boxes.device) + 0.5
        return ((middle >= low[..., None]) & (middle <= high[..., None])).float()  # (I, M, length)

    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.einsum("imy,imx->iyx", inside(size[1], y1, y2), inside(size[0], x1, x2)) > 0


def centre_cells(centres: Tensor, size: tuple[int, int]) -> Tensor:
    """Index y * w + x (...) int64 of the cell that holds each of `centres` (..., 2), in cells.

    A centre outside the map counts to the nearest cell at its edge; `size` is the map's width and height.
    """
    width, height = size
    column = centres[..., 0].floor().long().clamp(0, width - 1)
    row = centres[..., 1].floor().long().clamp(0, height - 1)
    return row * width + column


def gaussian_radius(height: Tensor, width: Tensor, min_overlap: float) -> Tensor:
    """Radius within which a shifted box still overlaps the truth by `min_overlap` (any shapes, cells).

    CornerNet's three cases (both corners out, both in, one of each) with CenterNet's roots: its published code
    divides by 2 instead of 2a, and trained weights depend on that.
    """
    total, area = height + width, height * width
    ratio = (1 - min_overlap) / (1 + min_overlap)
    first = (total + (total**2 - 4 * area * ratio).clamp_min(0).sqrt()) / 2
    second = (2 * total + (4 * total**2 - 16 * (1 - min_overlap) * area).clamp_min(0).sqrt()) / 2
    b = -2 * min_overlap * total
    third = (b + (b**2 - 16 * min_overlap * (min_overlap - 1) * area).clamp_min(0).sqrt()) / 2
    return torch.minimum(torch.minimum(first, second), third)


def draw_gaussians(centres: Tensor, radius: Tensor, present: Tensor, size: tuple[int, int]) -> Tensor:
    """Element-wise maximum of one Gaussian per object, cut off at its radius, sigma = (2 * radius + 1) / 6.

    Args:
        centres: (I, N, 2) int64 x, y in cells.
        radius: (I, N) whole numbers >= 0.
        present: (I, N) bool.
        size: width and height of the map in cells.

    Returns:
        (I, h, w) float32.
    """
    width, height = size
    variance = ((2 * radius + 1) / 6) ** 2

    def profile(length: int, centre: Tensor) -> Tensor:
        distance = torch.arange(length, device=centres.device) - centre[..., None]  # (I, N, length)
        value = torch.exp(-(distance**2) / (2 * variance[..., None]))
        return value * (distance.abs() <= radius[..., None]) * present[..., None]

    rows, columns = profile(height, centres[..., 1]), profile(width, centres[..., 0])
    heatmap = torch.zeros(centres.shape[0], height, width, device=centres.device)
    # A Gaussian is the product of its profiles. A few objects at a time: all at once would need N maps.
    for start in range(0, centres.shape[1], 8):
        part = slice(start, start + 8)
        product = rows[:, part, :, None] * columns[:, part, None, :]  # (I, 8, h, w)
        heatmap = torch.maximum(heatmap, product.amax(1))
    return heatmap
