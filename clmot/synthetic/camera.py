"""A camera over flat ground, and how it moves.

The camera looks straight ahead (no pitch; a shifted sensor frames the scene, as with an architect's lens),
so upright people stay upright and the ground at depth Z is one image row. Ground coordinates are metres: X to
the right, Z away from the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

SHAKE_FREQUENCIES = (0.7, 1.6, 2.9)
"""Hz; the slow sway, step and tremor of a hand-held camera."""


@dataclass(frozen=True)
class Lens:
    """What does not change while a sequence is filmed."""

    width: int
    """Image width in pixels."""
    height: int
    """Image height in pixels."""
    focal: float
    """Focal length in pixels."""
    elevation: float
    """Metres above the ground."""
    horizon: float
    """Image row of the horizon; may lie above the image (negative)."""

    def depth(self, row: float) -> float:
        """Metres to the ground seen at image row `row` while the camera is in its neutral position."""
        return self.focal * self.elevation / (row - self.horizon)


@dataclass(frozen=True)
class Motion:
    """How far and how fast the camera moves; all zero: it stands on a tripod.

    Every movement swings to and fro, so films may be of any length.
    """

    track: float = 0.0
    """Metres to either side along X."""
    track_period: float = 20.0
    """Seconds of one swing."""
    pan: float = 0.0
    """Pixels to either side."""
    pan_period: float = 7.0
    """Seconds of one swing."""
    zoom: float = 0.0
    """Zoom factor goes from 1 to 1 + this."""
    zoom_period: float = 11.0
    """Seconds of one swing."""
    shake: float = 0.0
    """Pixels of hand tremor."""

    @property
    def still(self) -> bool:
        """Whether the camera never moves."""
        return not (self.track or self.pan or self.zoom or self.shake)


@dataclass(frozen=True)
class View:
    """The camera at one moment."""

    lens: Lens
    x: float = 0.0
    """Metres from the neutral position."""
    pan: float = 0.0
    """Pixels."""
    tilt: float = 0.0
    """Pixels."""
    zoom: float = 1.0

    def project(self, x: float, z: float) -> tuple[float, float, float]:
        """Column and row (0-based continuous pixels) of a ground point, and pixels a metre there."""
        lens = self.lens
        pixels = lens.focal / z
        column = lens.width / 2 + self.zoom * ((x - self.x) * pixels - self.pan)
        return column, self.row(lens.elevation * pixels), self.zoom * pixels

    def row(self, below_horizon: float) -> float:
        """Image row of what lies this many unzoomed pixels below the horizon."""
        middle = self.lens.height / 2
        return middle + self.zoom * (self.lens.horizon + below_horizon - self.tilt - middle)

    def lateral(self, column: float, z: float) -> float:
        """X in metres of the point seen in image column `column` at depth `z`."""
        offset = (column - self.lens.width / 2) / self.zoom + self.pan
        return self.x + offset * z / self.lens.focal

    def affine(self, origin: tuple[float, float], parallax: float, shear: float) -> np.ndarray:
        """(2, 3) matrix from pixels of a backdrop layer to image pixels.

        `origin` is the layer's pixel that lies on the optical axis at the horizon. Moving the camera by x
        shifts the layer by `parallax * x` pixels, and `shear * x` more for each row below the horizon.
        """
        u0, v0 = origin
        lens = self.lens
        across = -self.x * shear
        shift = lens.width / 2 + self.zoom * (-u0 - self.pan - self.x * parallax - across * v0)
        middle = lens.height / 2
        drop = middle + self.zoom * (lens.horizon - self.tilt - middle - v0)
        return np.array([[self.zoom, self.zoom * across, shift], [0.0, self.zoom, drop]])


@dataclass(frozen=True)
class CameraPath:
    """A camera's view at any time, from a lens, a motion and random phases."""

    lens: Lens
    motion: Motion
    phases: np.ndarray = field(repr=False)
    """(3 + 2 * len(SHAKE_FREQUENCIES),) radians."""

    @staticmethod
    def draw(lens: Lens, motion: Motion, rng: np.random.Generator) -> CameraPath:
        """A path with phases drawn from `rng`."""
        return CameraPath(lens, motion, rng.uniform(0, 2 * math.pi, 3 + 2 * len(SHAKE_FREQUENCIES)))

    def at(self, seconds: float) -> View:
        """The view at a time, which may be negative."""
        motion = self.motion
        if motion.still:
            return View(self.lens)

        def swing(period: float, phase: float) -> float:
            return math.sin(2 * math.pi * seconds / period + phase)

        phases = [float(phase) for phase in self.phases]
        tremor = [
            sum(
                math.sin(2 * math.pi * frequency * seconds + phases[3 + axis * len(SHAKE_FREQUENCIES) + k]) / (1 + k)
                for k, frequency in enumerate(SHAKE_FREQUENCIES)
            )
            for axis in range(2)
        ]
        return View(
            self.lens,
            x=motion.track * swing(motion.track_period, phases[0]),
            pan=motion.pan * swing(motion.pan_period, phases[1]) + motion.shake * tremor[0],
            tilt=0.6 * motion.shake * tremor[1],  # hands shake less up and down than sideways
            zoom=1 + motion.zoom * (0.5 + 0.5 * swing(motion.zoom_period, phases[2])),
        )
