"""How the camera moved between two frames, seen from what does not move: corners outside people's boxes.

The motion is a similarity (shift, turn about the optical axis, zoom): what a camera far from its scene does to
the image when it pans, tilts, rolls or zooms. Parallax of a camera that walks is no similarity; the majority of
the corners, and so the part of the scene with the most texture, decides then.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGER_SIDE = 480
"""Pixels of the longer side of the images that are compared. On a film of 1088x612 moved by known matrices, the error
at the image's centre is .06 px in the median, as it is at 640 and at 1088, for a half and a fifth of the time."""

FEWEST_POINTS = 12
"""Corners that must agree on a motion; with fewer the camera is assumed not to move. Two determine a similarity, so a
dozen that agree within `_TOLERANCE` do not do so by chance."""

SMALLEST_SHARE = 0.25
"""Of the corners that must agree. Where things at different depths pass a walking camera no motion fits most of
them."""

LARGEST_ZOOM = 1.5
"""From one frame to the next; more is a cut of the film, or a mistake."""

_MOST_CORNERS = 200
_CORNER_QUALITY = 0.01  # of the best corner's smaller eigenvalue (Shi and Tomasi, Good features to track, 1994)
_CORNER_DISTANCE = 8  # pixels: spreads the corners over the image
_WINDOW = (15, 15)  # pixels around a corner that are searched for again (Lucas and Kanade, 1981)
_LEVELS = 3  # halvings of the image: with the window, motions up to some 50 pixels are found
_TOLERANCE = 1.5  # pixels from where the motion says it should be at which a corner still agrees


class CameraMotion:
    """Follows the camera of one video, image by image."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._image: NDArray[np.uint8] | None = None
        self._still = np.zeros((0, 0), np.uint8)

    def update(self, image: NDArray[np.uint8], people: Floats) -> Floats:
        """The camera's motion since the last image.

        Args:
            image: (H, W, 3) BGR.
            people: (N, 4) x1 y1 x2 y2 in image pixels: what moves by itself and is not looked at.

        Returns:
            (2, 3), from coordinates of the last image to coordinates of this one. The identity for the first image,
            after a change of image size, and wherever too few corners agree on a motion.
        """
        height, width = image.shape[:2]
        reduction = min(1.0, LONGER_SIDE / max(height, width))
        size = max(1, round(width * reduction)), max(1, round(height * reduction))
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        if size != (width, height):
            grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
        pixel = np.array([width / size[0], height / size[1]])  # of the reduced image, in pixels of the image
        still = background(people / np.tile(pixel, 2), size)
        last, last_still = self._image, self._still
        self._image, self._still = grey, still
        if last is None or last.shape != grey.shape:
            return np.eye(2, 3)
        before, after = followed_corners(last, grey, last_still, still)
        # OpenCV counts from the centre of the first pixel, boxes from its corner.
        return similarity((before + 0.5) * pixel, (after + 0.5) * pixel, _TOLERANCE * float(pixel.max()))


def background(people: Floats, size: tuple[int, int]) -> NDArray[np.uint8]:
    """255 where there are no people, 0 within the boxes (N, 4) x1 y1 x2 y2, as an image of `size` (width, height)."""
    width, height = size
    mask = np.full((height, width), 255, np.uint8)
    outward = np.concatenate((np.floor(people[:, :2]), np.ceil(people[:, 2:])), axis=1)
    limits = np.array([width, height, width, height])
    for left, top, right, bottom in np.clip(outward, 0, limits).astype(np.int64).tolist():
        mask[top:bottom, left:right] = 0
    return mask


def followed_corners(
    last: NDArray[np.uint8],
    image: NDArray[np.uint8],
    last_still: NDArray[np.uint8],
    still: NDArray[np.uint8],
) -> tuple[Floats, Floats]:
    """Corners of the background in one image, and where they are in the next.

    Args:
        last: (H, W) grey, and
        image: (H, W) the one after it.
        last_still: (H, W) 255 where corners of `last` may be used, else 0, and
        still: (H, W) the same for where they went: a corner that went behind a person was not followed.

    Returns:
        (P, 2) x y in `last`, and (P, 2) in `image`, from the centre of the first pixel.
    """
    nothing = np.zeros((0, 2))
    corners = cv2.goodFeaturesToTrack(last, _MOST_CORNERS, _CORNER_QUALITY, _CORNER_DISTANCE, mask=last_still)
    if corners is None:
        return nothing, nothing
    found, status, _ = cv2.calcOpticalFlowPyrLK(last, image, corners, None, winSize=_WINDOW, maxLevel=_LEVELS)
    before = corners.reshape(-1, 2).astype(np.float64)
    after = found.reshape(-1, 2).astype(np.float64)
    height, width = image.shape
    column, row = np.rint(np.nan_to_num(after, nan=-1.0)).clip(-1, max(height, width)).astype(np.int64).T
    inside = (status.reshape(-1) == 1) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    inside[inside] = still[row[inside], column[inside]] > 0
    return before[inside], after[inside]


def similarity(before: Floats, after: Floats, tolerance: float) -> Floats:
    """The similarity that the largest group of points agrees on, or the identity.

    Args:
        before: (P, 2) x y.
        after: (P, 2) where they went; some may be wrong.
        tolerance: distance from where the similarity says at which a point agrees.

    Returns:
        (2, 3) A|t of `after = A before + t`. The identity where fewer than `FEWEST_POINTS` or less than
        `SMALLEST_SHARE` of the points agree, or the zoom is beyond `LARGEST_ZOOM`.
    """
    still = np.eye(2, 3)
    if len(before) < FEWEST_POINTS:
        return still
    cv2.setRNGSeed(0)  # RANSAC draws at random; same images, same motion
    matrix, agree = cv2.estimateAffinePartial2D(before, after, method=cv2.RANSAC, ransacReprojThreshold=tolerance)
    if matrix is None or not np.isfinite(matrix).all():
        return still
    enough = agree.sum() >= max(FEWEST_POINTS, SMALLEST_SHARE * len(before))
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    plausible = 1 / LARGEST_ZOOM <= zoom <= LARGEST_ZOOM
    return np.asarray(matrix, np.float64) if enough and plausible else still
