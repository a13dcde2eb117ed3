"""TrackEval's metrics on arrays in memory: the evaluator of the MOTChallenge, without its folders of files."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from clmot.evaluation.preprocessing import ScoredFrame, ScoredFrames


def metric(name: str, threshold: float | None = None) -> Any:
    """A metric of TrackEval's by its class's name, with an IoU threshold where it takes one."""
    # Importing trackeval talks about optional parts of it that are not installed.
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval import metrics
    kind = getattr(metrics, name)
    return kind() if threshold is None else kind({"THRESHOLD": threshold, "PRINT_CONFIG": False})


def sequence_data(frames: ScoredFrames) -> dict[str, Any]:
    """What TrackEval's metrics ask of a preprocessed sequence."""
    return {
        "num_timesteps": len(frames.frames),
        "num_gt_ids": frames.truth_identities,
        "num_tracker_ids": frames.tracked_identities,
        "num_gt_dets": frames.truth_boxes,
        "num_tracker_dets": frames.tracked_boxes,
        "gt_ids": [frame.truth for frame in frames.frames],
        "tracker_ids": [frame.tracked for frame in frames.frames],
        "similarity_scores": _Similarities(frames.frames),
    }


class _Similarities:
    """The IoU matrix of frame t, made when it is asked for: all at once would fill the memory."""

    def __init__(self, frames: Sequence[ScoredFrame]) -> None:
        self._frames = frames

    def __getitem__(self, t: int) -> np.ndarray:
        return self._frames[t].similarity()
