"""Cut-out pictures that are pasted into frames at any size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

OPAQUE = 0.5
"""From this alpha on a pixel shows the sprite rather than what is behind it."""


@dataclass(frozen=True)
class Sprite:
    """A cut-out with transparency in falling resolutions."""

    levels: tuple[np.ndarray, ...]
    """(H, W, 4) uint8: BGR multiplied by alpha, and alpha (255 = opaque); each half the size of the last."""
    anchor: tuple[float, float]
    """The pixel of the finest level that stands on the ground point."""
    pixels_per_metre: float
    """Of the finest level."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the opaque part in metres from the anchor, y downwards."""

    def mirrored(self) -> Sprite:
        """The same, looking the other way."""
        left, top, right, bottom = self.box
        return replace(
            self,
            levels=tuple(np.ascontiguousarray(level[:, ::-1]) for level in self.levels),
            anchor=(self.levels[0].shape[1] - self.anchor[0], self.anchor[1]),
            box=(-right, top, -left, bottom),
        )


def make_sprite(colour: np.ndarray, alpha: np.ndarray, anchor: tuple[float, float], pixels_per_metre: float) -> Sprite:
    """A sprite from (H, W, 3) colour (0..255) already multiplied by (H, W) alpha (0..1).

    Transparent borders are cut off, so that pasting touches no more pixels than it must.
    """
    solid = alpha >= OPAQUE
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    left, right = int(columns[0]), int(columns[-1]) + 1
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    border = 2  # keeps the soft edge
    x0, y0 = max(0, left - border), max(0, top - border)
    x1, y1 = min(alpha.shape[1], right + border), min(alpha.shape[0], bottom + border)
    level = np.dstack([colour[y0:y1, x0:x1], 255 * alpha[y0:y1, x0:x1]]).clip(0, 255).round().astype(np.uint8)
    levels = [level]
    while min(level.shape[:2]) >= 8 and len(levels) < 4:
        level = np.pad(level, ((0, level.shape[0] % 2), (0, level.shape[1] % 2), (0, 0)))
        level = cv2.resize(level, (level.shape[1] // 2, level.shape[0] // 2), interpolation=cv2.INTER_AREA)
        levels.append(level)
    box = (
        (left - anchor[0]) / pixels_per_metre,
        (top - anchor[1]) / pixels_per_metre,
        (right - anchor[0]) / pixels_per_metre,
        (bottom - anchor[1]) / pixels_per_metre,
    )
    return Sprite(tuple(levels), (anchor[0] - x0, anchor[1] - y0), pixels_per_metre, box)


@dataclass(frozen=True)
class Patch:
    """A sprite at its size and place in a frame; parts may lie outside of the image."""

    picture: np.ndarray
    """(h, w, 4) uint8 as in `Sprite.levels`."""
    left: int
    top: int
    """Image pixel of the picture's first pixel."""


def place(sprite: Sprite, column: float, row: float, pixels_per_metre: float) -> Patch:
    """`sprite` at the given scale with its anchor at (column, row) of the image, to a fraction of a pixel."""
    scale = pixels_per_metre / sprite.pixels_per_metre
    number = 0
    while number + 1 < len(sprite.levels) and scale <= 0.5:
        number += 1
        scale *= 2
    level = sprite.levels[number]
    half = 0.5**number
    anchor_x, anchor_y = sprite.anchor[0] * half, sprite.anchor[1] * half
    left = int(np.floor(column - anchor_x * scale)) - 1
    top = int(np.floor(row - anchor_y * scale)) - 1
    width = int(np.ceil(level.shape[1] * scale)) + 3
    height = int(np.ceil(level.shape[0] * scale)) + 3
    # Continuous coordinates put pixel centres at .5, OpenCV's warp puts them at 0: hence the two halves.
    shift_x = column - anchor_x * scale - left + 0.5 * scale - 0.5
    shift_y = row - anchor_y * scale - top + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    picture = cv2.warpAffine(level, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return Patch(picture, left, top)
