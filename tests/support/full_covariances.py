"""Beliefs of the Kalman filter from the full covariances that other implementations keep."""

from __future__ import annotations

import numpy as np

from clmot.tracking.kalman import Floats, Motion


def from_covariance(mean: Floats, covariance: Floats) -> Motion:
    """From means (N, 8) and covariances (N, 8, 8), which may couple no two coordinates."""
    at = np.arange(4)
    rows = (covariance[:, at, at], covariance[:, at, at + 4], covariance[:, at + 4, at + 4])
    motion = Motion(np.array(mean, np.float64), np.stack(rows, axis=1).astype(np.float64))
    np.testing.assert_allclose(motion.covariance(), covariance, rtol=1e-9)  # full forms round unevenly
    return motion
