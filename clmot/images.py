"""From a file to the network's input: reading an image, and fitting it in without changing its proportions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError

STRIDE = 4
"""Input pixels per cell of the network's output, fixed by its neck."""

PADDING_GREY = 127.5
"""Value of the bars beside a letterboxed image (8-bit scale): mid-grey, neutral to a network fed with 0..1."""


def read_image(path: str | os.PathLike[str], rgb: bool = False) -> NDArray[np.uint8]:
    """An image as (H, W, 3) uint8 BGR, or RGB.

    Raises:
        InputError: the file is absent or is not an image.
    """
    image = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR_RGB if rgb else cv2.IMREAD_COLOR_BGR)
    if image is None:
        state = "is not a readable image" if Path(path).exists() else "is missing"
        raise InputError(
            f"{path} {state}: get it again (frames of a benchmark: delete their folder and run `dvc repro`)."
        )
    return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Letterbox:
    """How an image lies in the network's input: `input = image * scale + padding`, in pixels.

    The sides of the resized image are whole pixels, so its two scales differ a little where the proportions do not come
    out even. The original scaled boxes by one number, and was up to half a pixel of the input beside the picture.
    """

    scale_x: float
    """Input pixels per image pixel; and"""
    scale_y: float
    """the same from top to bottom."""
    pad_x: int
    """Width of the left bar in input pixels."""
    pad_y: int
    """Height of the upper bar in input pixels."""

    def to_input(self, boxes: NDArray[np.floating]) -> NDArray[np.floating]:
        """Corners (..., 4) `x1 y1 x2 y2` from image pixels to input pixels, in their precision."""
        scale, pad = self._of_corners(boxes)
        return boxes * scale + pad

    def to_image(self, boxes: NDArray[np.floating]) -> NDArray[np.floating]:
        """Corners (..., 4) `x1 y1 x2 y2` from input pixels to image pixels, in their precision."""
        scale, pad = self._of_corners(boxes)
        return (boxes - pad) / scale

    def _of_corners(self, boxes: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        scale = np.array([self.scale_x, self.scale_y] * 2, boxes.dtype)
        return scale, np.array([self.pad_x, self.pad_y] * 2, boxes.dtype)


def fit_letterbox(image_size: tuple[int, int], input_size: tuple[int, int]) -> tuple[Letterbox, tuple[int, int]]:
    """The letterbox of an image (width, height) in an input (width, height), and the resized image's size."""
    (width, height), (target_width, target_height) = image_size, input_size
    scale = min(target_width / width, target_height / height)
    # Of an image that is hundreds of times longer than wide, a pixel remains.
    resized = (
        min(target_width, max(1, round(width * scale))),
        min(target_height, max(1, round(height * scale))),
    )
    # Half a pixel of padding does not exist: the odd pixel goes to the right and to the bottom bar.
    pad_x, pad_y = (target_width - resized[0]) // 2, (target_height - resized[1]) // 2
    return Letterbox(resized[0] / width, resized[1] / height, pad_x, pad_y), resized


def letterbox(image: NDArray[np.uint8], input_size: tuple[int, int]) -> tuple[NDArray[np.uint8], Letterbox]:
    """Resize an image (H, W, 3) into a canvas (input height, input width, 3) with grey bars.

    Returns the canvas (uint8, same channel order) and the transform of coordinates.
    """
    height, width = image.shape[:2]
    fit, resized = fit_letterbox((width, height), input_size)
    # INTER_AREA averages what a pixel covers, so that shrinking leaves no aliasing; it is bilinear when enlarging.
    small = cv2.resize(image, resized, interpolation=cv2.INTER_AREA) if resized != (width, height) else image
    canvas = np.full((input_size[1], input_size[0], 3), round(PADDING_GREY), np.uint8)
    canvas[fit.pad_y : fit.pad_y + resized[1], fit.pad_x : fit.pad_x + resized[0]] = small
    return canvas, fit
