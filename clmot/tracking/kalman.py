"""Constant-velocity Kalman filter over many tracks at once.

The model is deep SORT's (Wojke et al., Simple online and realtime tracking with a deep association metric,
2017).

The state is centre x, centre y, aspect and height of a box, and the four velocities in units per frame. Noise
is proportional to the box's height and independent in the four coordinates, and a new track starts with a
diagonal covariance. Prediction and update therefore never couple two coordinates: of the 8x8 covariance only
position variance, position-velocity covariance and velocity variance of each coordinate are ever non-zero.
These 12 numbers are all that is kept. That is exact, and every step is a handful of elementwise operations on
(N, 4) arrays where the full form needs a matrix product and a Cholesky factor per track.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POSITION_WEIGHT = 1 / 20
"""Standard deviation of x, y and height per pixel of height; the values are deep SORT's and FairMOT's."""
VELOCITY_WEIGHT = 1 / 160
"""Standard deviation of their velocities per pixel of height."""

# Aspect is no length: its standard deviations do not grow with the box.
_ASPECT_PROCESS = 1e-2
_ASPECT_VELOCITY = 1e-5
_ASPECT_MEASUREMENT = 1e-1

_HEIGHT = 3  # index in the mean
_POSITION, _CROSS, _VELOCITY = 0, 1, 2  # rows of the spread


@dataclass(frozen=True, eq=False)
class Motion:
    """Gaussian beliefs about N boxes."""

    mean: Floats
    """(N, 8): x, y, aspect, height in pixels, then their velocities per frame."""
    spread: Floats
    """(N, 3, 4): position variance, position-velocity covariance, velocity variance of the 4 coordinates."""

    def __len__(self) -> int:
        return len(self.mean)

    def covariance(self) -> Floats:
        """The full matrices (N, 8, 8), for comparison with other implementations."""
        full = np.zeros((len(self), 8, 8))
        at = np.arange(4)
        full[:, at, at] = self.spread[:, _POSITION]
        full[:, at, at + 4] = full[:, at + 4, at] = self.spread[:, _CROSS]
        full[:, at + 4, at + 4] = self.spread[:, _VELOCITY]
        return full


def initiate(measured: Floats) -> Motion:
    """Beliefs about boxes seen for the first time: at rest, and unsure of it.

    Args:
        measured: (N, 4) x, y, aspect, height.
    """
    height = measured[:, _HEIGHT]
    spread = np.zeros((len(measured), 3, 4))
    spread[:, _POSITION] = _variances(2 * POSITION_WEIGHT * height, _ASPECT_PROCESS)
    spread[:, _VELOCITY] = _variances(10 * VELOCITY_WEIGHT * height, _ASPECT_VELOCITY)
    return Motion(np.concatenate((measured, np.zeros_like(measured)), axis=1), spread)


def predict(motion: Motion, elapsed: float = 1.0) -> Motion:
    """Beliefs some frames later: what a whole number of predictions, one a frame, comes to.

    Between whole numbers the noise grows as the same polynomials do; within the first frame, in proportion.

    Args:
        motion: beliefs now.
        elapsed: above 0, the time that passes in nominal frames, not whole where frames come irregularly.
    """
    if elapsed != 1:
        return _predict_over(motion, elapsed)
    height = motion.mean[:, _HEIGHT]
    mean = motion.mean.copy()
    mean[:, :4] += mean[:, 4:]
    position, cross, velocity = (motion.spread[:, row] for row in range(3))
    spread = np.empty_like(motion.spread)
    spread[:, _POSITION] = position + 2 * cross + velocity + _variances(POSITION_WEIGHT * height, _ASPECT_PROCESS)
    spread[:, _CROSS] = cross + velocity
    spread[:, _VELOCITY] = velocity + _variances(VELOCITY_WEIGHT * height, _ASPECT_VELOCITY)
    return Motion(mean, spread)


def _predict_over(motion: Motion, frames: float) -> Motion:
    """`predict` over another time than one frame, its noise as sums over frames: 1 + 2 + ..., and of their squares."""
    height = motion.mean[:, _HEIGHT]
    mean = motion.mean.copy()
    mean[:, :4] += frames * mean[:, 4:]
    position, cross, velocity = (motion.spread[:, row] for row in range(3))
    moved, turned = (
        _variances(POSITION_WEIGHT * height, _ASPECT_PROCESS),
        _variances(VELOCITY_WEIGHT * height, _ASPECT_VELOCITY),
    )
    pairs = frames * max(frames - 1, 0) / 2
    squares = pairs * (2 * frames - 1) / 3
    spread = np.empty_like(motion.spread)
    spread[:, _POSITION] = (
        position + 2 * frames * cross + frames * frames * velocity + frames * moved + squares * turned
    )
    spread[:, _CROSS] = cross + frames * velocity + pairs * turned
    spread[:, _VELOCITY] = velocity + frames * turned
    return Motion(mean, spread)


def transformed(motion: Motion, camera: Floats) -> Motion:
    """The same beliefs, in the image coordinates of a camera that has moved.

    For a similarity this is the exact transform of the Gaussian: x and y turn and scale, heights scale, the aspect
    stays, and so for the velocities. A turn would couple x and y where their variances differ; in this filter they
    never do (same noise, same start, and which variance follows does not depend on what was seen), so the covariance
    stays the 12 numbers it is. It does not matter either whether a belief is transformed before or after
    `predict`: both orders give the same.

    Two things are approximate: people are boxed upright again after a camera rolled, so that aspect and height
    change a little, and a matrix that shears or squeezes couples x and y, which is left out.

    Args:
        motion: beliefs.
        camera: (2, 3) A|t that takes old coordinates to new ones, A x + t; A with a positive determinant.
    """
    linear, shift = camera[:, :2], camera[:, 2]
    zoom = float(np.sqrt(np.linalg.det(linear)))
    mean = motion.mean.copy()
    mean[:, :2] = _applied(linear, motion.mean[:, :2]) + shift
    mean[:, 4:6] = _applied(linear, motion.mean[:, 4:6])
    mean[:, [_HEIGHT, 4 + _HEIGHT]] *= zoom
    spread = motion.spread.copy()
    spread[:, :, :2] = _applied(linear * linear, motion.spread[:, :, :2])
    spread[:, :, _HEIGHT] *= zoom * zoom
    return Motion(mean, spread)


def project(motion: Motion) -> tuple[Floats, Floats]:
    """Where a detector will see the boxes: means (N, 4) and variances (N, 4), its noise included."""
    return motion.mean[:, :4], motion.spread[:, _POSITION] + _measurement_noise(motion)


def update(motion: Motion, measured: Floats) -> Motion:
    """Beliefs after box i was seen at `measured[i]` ((N, 4) x, y, aspect, height)."""
    position, cross, velocity = (motion.spread[:, row] for row in range(3))
    noise = _measurement_noise(motion)
    total = position + noise
    surprise = measured - motion.mean[:, :4]
    mean = motion.mean.copy()
    mean[:, :4] += position / total * surprise
    mean[:, 4:] += cross / total * surprise
    spread = np.empty_like(motion.spread)
    # p - p*p/(p+r), written so that rounding cannot make a variance negative.
    spread[:, _POSITION] = position * noise / total
    spread[:, _CROSS] = cross * noise / total
    spread[:, _VELOCITY] = velocity - cross * cross / total
    return Motion(mean, spread)


def squared_mahalanobis(mean: Floats, variance: Floats, measured: Floats) -> Floats:
    """Squared Mahalanobis distances of measurements from projected beliefs; the leading axes broadcast.

    Args:
        mean: (..., 4) and
        variance: (..., 4) from `project`.
        measured: (..., 4) x, y, aspect, height.
    """
    difference = measured - mean
    return (difference * difference / variance).sum(axis=-1)


def _applied(matrix: Floats, vectors: Floats) -> Floats:
    """The matrix (2, 2) times every vector of (..., 2); each track apart, whatever else is in the batch."""
    return vectors[..., :1] * matrix[:, 0] + vectors[..., 1:] * matrix[:, 1]


def _measurement_noise(motion: Motion) -> Floats:
    return _variances(POSITION_WEIGHT * motion.mean[:, _HEIGHT], _ASPECT_MEASUREMENT)


def _variances(length_deviation: Floats, aspect_deviation: float) -> Floats:
    """(N,) standard deviations of x, y and height, one of the aspect -> (N, 4) variances."""
    variances = np.repeat((length_deviation * length_deviation)[:, None], 4, axis=1)
    variances[:, 2] = aspect_deviation * aspect_deviation
    return variances
