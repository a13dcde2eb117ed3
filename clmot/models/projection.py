"""Linear functions of features in closed form: what tells people apart, read off groups of rows that are one person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def fisher_projection(
    features: Floats, group: NDArray[np.integer], dimension: int, shrinkage: float
) -> NDArray[np.float64]:
    """A projection after which the rows of one group scatter equally in all directions.

    Features are first reduced to their `dimension` principal directions, then whitened by the scatter within groups
    (Fisher's linear discriminant without the last rotation, which cosines do not see). Directions in which one and the
    same person changes count little afterwards, whatever they are: pose, light, place in the box.

    Args:
        features: (S, C), of equal scale in all columns, and centred.
        group: (S,) who is who; rows alone in their group do not count.
        dimension: of the result, at most min(S, C).
        shrinkage: in 0..1, of the scatter towards a multiple of the identity; few rows need more.

    Returns:
        (C, D) with D = min(dimension, S, C).
    """
    features = features.astype(np.float64)
    _, _, directions = np.linalg.svd(features, full_matrices=False)
    reduce = directions[:dimension].T  # (C, D)
    reduced = features @ reduce
    _, group, size = np.unique(group, return_inverse=True, return_counts=True)
    mean = np.zeros((len(size), reduced.shape[1]))
    np.add.at(mean, group, reduced)
    apart = (reduced - mean[group] / size[group, None])[size[group] > 1]
    if not len(apart):
        return reduce
    freedom = max(1, len(apart) - int((size > 1).sum()))
    scatter = apart.T @ apart / freedom
    level = np.trace(scatter) / len(scatter)
    scatter = (1 - shrinkage) * scatter + max(shrinkage * level, 1e-12) * np.eye(len(scatter))
    values, vectors = np.linalg.eigh(scatter)
    return reduce @ (vectors / np.sqrt(values))
