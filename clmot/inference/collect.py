"""Tracked frames as what other tools take: MOTChallenge's text, pandas, supervision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from clmot.inference.session import TrackedFrame
from clmot.motchallenge.annotations import format_results

if TYPE_CHECKING:
    import pandas as pd


class Tracking(Iterator[TrackedFrame]):
    """The tracked frames of a source, made as they are asked for; none is kept.

    The collectors take the frames that were not taken yet.
    """

    def __init__(self, frames: Iterable[TrackedFrame]) -> None:
        self._frames = iter(frames)

    def __next__(self) -> TrackedFrame:
        return next(self._frames)

    def to_mot(self) -> str:
        """Rows of MOTChallenge's results, as the stage `track` and `clmot track` write them."""
        return "".join(mot_rows(frame) for frame in self)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each box: frame, time, identity, x1, y1, x2, y2, score."""
        import pandas as pd

        columns = ["frame", "time", "identity", "x1", "y1", "x2", "y2", "score"]
        rows = [
            (frame.number, frame.time, identity, *box, score)
            for frame in self
            for identity, box, score in zip(
                frame.identities.tolist(), frame.boxes.tolist(), frame.scores.tolist(), strict=True
            )
        ]
        return pd.DataFrame(rows, columns=columns)

    def to_supervision(self) -> list[Any]:
        """A `supervision.Detections` for each frame.

        Raises:
            InputError: supervision is not installed.
        """
        return [frame.to_supervision() for frame in self]


def mot_rows(frame: TrackedFrame) -> str:
    """The rows of one frame."""
    return format_results(np.full(len(frame), frame.number), frame.identities, frame.boxes, frame.scores)
