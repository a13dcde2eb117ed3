"""Tracks drawn into frames."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO = (5**0.5 - 1) / 2
LABEL_HEIGHT = 11
"""Pixels: the smallest height at which digits are easy to read."""


def identity_colour(identity: int) -> tuple[int, int, int]:
    """The BGR colour of an identity: always the same, and far from those numbered next to it.

    Hues advance by the golden ratio, which never comes back close to a recent one; brightness cycles so that
    far numbers with a near hue still differ.
    """
    hue = identity * GOLDEN_RATIO % 1.0
    value = (1.0, 0.8, 0.6)[identity % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def fullest_frame(frames: NDArray[np.integer]) -> int:
    """The first of the frames with the most boxes, given the frame (from 1) of each box (N,); 1 where there is none."""
    return max(1, int(np.bincount(frames, minlength=2).argmax()))


def draw_tracks(
    image: NDArray[np.uint8], boxes: NDArray[np.floating], identities: NDArray[np.integer]
) -> NDArray[np.uint8]:
    """A copy of `image` with every box outlined in its identity's colour and labelled with its number.

    Args:
        image: (H, W, 3) BGR.
        boxes: (N, 4) x1 y1 x2 y2 in pixels; parts outside the image are not seen.
        identities: (N,).

    Labels are above their box, or inside it where the image ends, and are drawn after all boxes: in a
    crowd a number stays readable.
    """
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    identities = np.asarray(identities).reshape(-1)
    if len(boxes) != len(identities):
        raise ValueError(f"{len(boxes)} boxes but {len(identities)} identities")
    line = max(1, round(min(height, width) / 400))
    # Far beyond the image there is nothing to see, and OpenCV's coordinates are 16 bits wide in places.
    corners = np.rint(np.clip(boxes, [-width, -height] * 2, [2 * width, 2 * height] * 2)).astype(int)
    for (x1, y1, x2, y2), identity in zip(corners.tolist(), identities.tolist(), strict=True):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), identity_colour(identity), line)
    for (x1, y1, _, _), identity in zip(corners.tolist(), identities.tolist(), strict=True):
        _draw_label(canvas, str(identity), x1, y1, identity_colour(identity))
    return canvas


def _draw_label(canvas: NDArray[np.uint8], text: str, left: int, bottom: int, colour: tuple[int, int, int]) -> None:
    """`text` on a plate of `colour` with its lower left corner at (left, bottom), kept within the canvas."""
    height, width = canvas.shape[:2]
    digits = max(LABEL_HEIGHT, round(min(height, width) / 60))
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, digits - 3)
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    plate_width, plate_height = text_width + 3, text_height + 4
    left = min(max(left, 0), max(0, width - plate_width))
    top = min(max(bottom - plate_height, 0), max(0, height - plate_height))
    cv2.rectangle(canvas, (left, top), (left + plate_width, top + plate_height), colour, cv2.FILLED)
    blue, green, red = colour
    bright = 0.114 * blue + 0.587 * green + 0.299 * red > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    origin = (left + 2, top + plate_height - 2)
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
