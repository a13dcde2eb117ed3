"""Where anyone was seen in a film so far, and who has walked out of there.

The tracker knows no image. But whoever is seen is inside it, so the hull of all boxes is soon all of it that matters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clmot.tracking.costs import Floats

WALKS_SECONDS = 2.0
"""For so long whoever is out of sight is taken to walk on as before. After a longer time nobody's way is known."""


class View:
    """The hull of all boxes of a film so far."""

    def __init__(self) -> None:
        """Before the first frame."""
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def see(self, corners: Floats) -> None:
        """Take note of boxes (N, 4), x1 y1 x2 y2 in image pixels."""
        if len(corners):
            self._low = np.minimum(self._low, corners[:, :2].min(axis=0))
            self._high = np.maximum(self._high, corners[:, 2:].max(axis=0))

    def left(self, centre: Floats, velocity: Floats, seconds: Floats, frame_rate: float) -> NDArray[np.bool_]:
        """Who is out of the view by now, if they walked on.

        Args:
            centre: (..., 2) of a box when it was seen last, in image pixels.
            velocity: (..., 2) at that time, in pixels a frame.
            seconds: (...) since then.
            frame_rate: frames per second.

        Returns:
            (...) mask.
        """
        frames = np.minimum(seconds, WALKS_SECONDS) * frame_rate
        at = centre + frames[..., None] * velocity
        return np.asarray(((at < self._low) | (at > self._high)).any(axis=-1))
