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
    """(B, K) in 0..1; 0 where there were fewer than K peaks."""
    cells: Tensor
    """(B, K) int64, y * w + x."""


def decode(heatmap_logits: Tensor, wh: Tensor, reg: Tensor | None, k: int) -> Peaks:
    """Find the peaks of the heatmap and read the box at each.

    A cell is a peak when none of the 3x3 cells around it is higher. Equal scores are ordered by cell, so the
    same maps always give the same peaks.

    Args:
        heatmap_logits: (B, 1, h, w), before the sigmoid.
        wh: (B, 2, h, w) width and height, or (B, 4, h, w) distances from the centre to left, top, right,
            bottom (FairMOT since 2020); in cells.
        reg: (B, 2, h, w) x and y of the centre inside its cell; None: half a cell.
        k: how many peaks; never more than there are cells.
    """
    cells, scores = find_peaks(heatmap_logits, k)
    offsets = None if reg is None else gather_cells(reg, cells)
    boxes = boxes_at(cells, heatmap_logits.shape[-1], gather_cells(wh, cells), offsets)
    return Peaks(boxes, scores, cells)


def find_peaks(heatmap_logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Cells (B, K) int64 y * w + x and scores (B, K) of the highest peaks of (B, 1, h, w) logits, best first."""
    # Compared before the sigmoid, which rounds neighbouring high logits to equal scores.
    is_peak = F.max_pool2d(heatmap_logits, kernel_size=3, stride=1, padding=1) == heatmap_logits
    heat = torch.where(is_peak, heatmap_logits.float().sigmoid(), 0.0).flatten(1)  # (B, h*w)
    # topk leaves open which of equal values it takes, and in what order. Scores are 0 or above, so that their bits are
    # ordered as they are; with the cell below them no two keys are equal, and the lower cell's is the higher.
    last = heat.shape[1] - 1
    places = torch.arange(last, -1, -1, device=heat.device)
    keys = (heat.view(torch.int32).long() << 32) | places
    cells = last - (keys.topk(min(k, last + 1), dim=1).values & 0xFFFFFFFF)  # (B, K)
    return cells, heat.gather(1, cells)


def boxes_at(cells: Tensor, width: int, sizes: Tensor, offsets: Tensor | None) -> Tensor:
    """Corners (B, K, 4) x1 y1 x2 y2 in heatmap cells.

    Args:
        cells: (B, K) int64 y * w + x.
        width: of the heatmap.
        sizes: (B, K, 2) width and height, or (B, K, 4) distances to left, top, right, bottom.
        offsets: (B, K, 2) of the centre inside its cell; None: half a cell.
    """
    corner = torch.stack((cells % width, cells.div(width, rounding_mode="floor")), dim=-1)  # (B, K, 2) x y
    centre = corner + (0.5 if offsets is None else offsets)
    before, after = (sizes / 2, sizes / 2) if sizes.shape[-1] == 2 else sizes.split(2, dim=-1)
    return torch.cat((centre - before, centre + after), dim=-1)


def gather_cells(values: Tensor, cells: Tensor) -> Tensor:
    """Columns of `values` (B, C, h, w) at `cells` (B, K) of int64 y * w + x -> (B, K, C)."""
    index = cells[:, None, :].expand(-1, values.shape[1], -1)  # (B, C, K)
    return values.flatten(2).gather(2, index).transpose(1, 2)
