"""The detections of one frame as the tracker takes them: checked, and prepared for association."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.tracking.boxes import to_xyah
from clmot.tracking.costs import Floats, Indices, normalised


@dataclass(frozen=True, eq=False)
class FrameDetections:
    """Some of the detections of a frame."""

    index: Indices
    """(N,) in what was given."""
    corners: Floats
    """(N, 4) x1 y1 x2 y2"""
    measured: Floats
    """(N, 4) x, y, aspect, height"""
    score: Floats
    """(N,)"""
    embedding: NDArray[np.float32] | None
    """(N, D) of length 1 or 0; None: association by overlap alone"""

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def chosen(
        cls, use: NDArray[np.bool_], corners: Floats, score: Floats, vectors: NDArray[np.floating] | None
    ) -> FrameDetections:
        """Copies of those where `use` (N,) holds; `vectors` (N, D) of any length become embeddings."""
        index = np.nonzero(use)[0]
        corners = corners[index]
        return cls(
            index=index,
            corners=corners,
            measured=to_xyah(corners),
            score=score[index],
            embedding=None if vectors is None else normalised(vectors[index]),
        )


def checked(
    boxes: ArrayLike, scores: ArrayLike, embeddings: ArrayLike | None, dimension: int, frame: int
) -> tuple[Floats, Floats, NDArray[np.floating] | None]:
    """What a frame's detections are given as, as arrays (N, 4), (N,) and (N, D) that fit together.

    Args:
        boxes: (N, 4) x1 y1 x2 y2; N may be 0.
        scores: (N,)
        embeddings: (N, D) or None.
        dimension: D of the frames before, 0 where none had embeddings.
        frame: its number, for messages.

    Raises:
        ValueError: shapes do not fit together, or a number is nan or infinite.
    """
    corners = np.asarray(boxes, np.float64)
    score = np.asarray(scores, np.float64)
    if corners.size == 0:
        corners = corners.reshape(-1, 4)  # [] is no boxes
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"boxes should be (N, 4) x1 y1 x2 y2, got {corners.shape}")
    if score.shape != (len(corners),):
        raise ValueError(f"{len(corners)} boxes need scores of shape ({len(corners)},), got {score.shape}")
    given = {"boxes": corners, "scores": score}
    vectors = None
    if embeddings is not None:
        vectors = np.asarray(embeddings)
        if vectors.size == 0 and not len(corners):
            vectors = np.zeros((0, dimension), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(corners):
            raise ValueError(f"{len(corners)} boxes need embeddings of shape ({len(corners)}, D), got {vectors.shape}")
        if dimension and vectors.shape[1] != dimension:
            raise ValueError(f"embeddings had {dimension} numbers so far, now {vectors.shape[1]}")
        given["embeddings"] = vectors
    for name, values in given.items():
        # A finite sum has finite terms; when it is not (it may have overflowed), the terms are looked at.
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum()
        if not np.isfinite(total) and not np.isfinite(values).all():
            row = int(np.nonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0][0])
            raise ValueError(f"{name} hold nan or inf, first in row {row} of frame {frame}")
    return corners, score, vectors
