"""From the heads' maps to boxes (Zhou et al., Objects as Points, 2019, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Peaks:
    """The K highest peaks of each heatmap, best first."""

    boxes: Tensor
    """(B, K, 4) x1 y1 x2 y2 in heatmap cells."""
    scores: Tensor
    """(B, K) in 0..1."""
    cells: Tensor
    """(B, K) int64, y * w + x."""


def decode(heatmap_logits: Tensor, wh: Tensor, reg: Tensor | None, k: int) -> Peaks:
    """Find the peaks of the heatmap and read the box at each.

    A cell is a peak when nothing in the 3x3 cells around it is higher; other cells score 0. Equal scores are
    ordered by cell, so the same maps always give the same peaks.

    Args:
        heatmap_logits: (B, 1, h, w), before the sigmoid.
        wh: (B, 2, h, w) width and height, or (B, 4, h, w) distances of the sides left, top, right, bottom from
            the centre; in cells.
        reg: (B, 2, h, w) x and y of the centre inside its cell; None: half a cell.
        k: how many peaks; no more are returned than there are cells.
    """
    batch = heatmap_logits.shape[0]
    heat = heatmap_logits.sigmoid()
    peak = heat * (F.max_pool2d(heat, kernel_size=3, stride=1, padding=1) == heat)
    scores, cells = _topk_stable(peak.reshape(batch, -1), k)  # (B, K)

    width = heatmap_logits.shape[-1]
    corner = torch.stack((cells % width, cells.div(width, rounding_mode="floor")), dim=-1)  # (B, K, 2) x y
    centre = corner + (0.5 if reg is None else gather_cells(reg, cells))
    size = gather_cells(wh, cells)
    before, after = (size / 2, size / 2) if size.shape[-1] == 2 else size.split(2, dim=-1)
    return Peaks(torch.cat((centre - before, centre + after), dim=-1), scores, cells)


def gather_cells(values: Tensor, cells: Tensor) -> Tensor:
    """Columns of `values` (B, C, h, w) at `cells` (B, K) of int64 y * w + x -> (B, K, C)."""
    index = cells[:, None, :].expand(-1, values.shape[1], -1)  # (B, C, K)
    return values.flatten(2).gather(2, index).transpose(1, 2)


def _topk_stable(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest of each row of (B, N), descending, ties by lower index -> values, indices (B, min(k, N)).

    torch.topk leaves the order of ties open. A full stable sort of a 272x152 map takes a few milliseconds, so
    only cells at least as high as the k-th are sorted.
    """
    k = min(k, values.shape[1])
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return values.gather(1, order), order
