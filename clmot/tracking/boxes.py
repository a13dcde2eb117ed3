"""The two forms a box has in tracking: corners for overlap, centre form for motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def to_xyah(corners: Floats) -> Floats:
    """Corners (..., 4) `x1 y1 x2 y2` -> centre x, y, aspect (width / height), height (not 0)."""
    size = corners[..., 2:] - corners[..., :2]
    measured = np.empty_like(corners)
    measured[..., :2] = corners[..., :2] + size / 2
    measured[..., 2] = size[..., 0] / size[..., 1]
    measured[..., 3] = size[..., 1]
    return measured


def to_corners(xyah: Floats) -> Floats:
    """The inverse of `to_xyah`."""
    half_height = xyah[..., 3] / 2
    half_width = xyah[..., 2] * half_height
    corners = np.empty_like(xyah)
    corners[..., 0] = xyah[..., 0] - half_width
    corners[..., 1] = xyah[..., 1] - half_height
    corners[..., 2] = xyah[..., 0] + half_width
    corners[..., 3] = xyah[..., 1] + half_height
    return corners
