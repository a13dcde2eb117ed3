"""Embeddings that know a film's people better: a linear function in closed form, read off the film's own boxes
(`track.projection: film`).

Boxes that can only be one person (`clmot.data.tracklets`) show how far an embedding moves while somebody walks and
turns. What moves much there says little about who somebody is, whatever network the embedding comes from and whatever
it has learnt: it is scaled down (`fisher_projection`). No identity is read, and no network learns. All of the film has
to be there first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from clmot.data.tracklets import link_boxes
from clmot.inference.found_ahead import FoundFrame
from clmot.inference.image_sources import SourceImage
from clmot.models.projection import fisher_projection
from clmot.tracking.costs import normalised

MIN_IOU, MARGIN = 0.4, 0.2
"""Of boxes of neighbouring frames that are one person, as for the crop encoder."""
SHORTEST = 3
"""Boxes of a tracklet that counts."""
MOST_ROWS = 4000
"""Boxes from which the projection is computed; more cost seconds and change little."""
DIMENSION = 256
"""Of projected embeddings, at most."""
SHRINKAGE = 0.5
"""Of the scatter towards a sphere: a short film has few tracklets, and all of them are near in time."""

Looks = NDArray[np.float32]


def projected(found: Iterable[FoundFrame], confidence: float, images: bool = False) -> Iterator[FoundFrame]:
    """The frames of a film with projected embeddings of length 1. All are waited for, and their images let go. Where an
    error or Ctrl-C ends them, it comes after those before it.

    Args:
        found: all of a film.
        confidence: detections scored below teach nothing.
        images: whether they are read again, where they can be; else they have their shape alone.
    """
    frames: list[FoundFrame] = []
    end: BaseException | None = None
    try:
        frames.extend(dataclasses.replace(one, source=_let_go(one.source, images)) for one in found)
    except (Exception, KeyboardInterrupt) as error:
        end = error
    looks = [one.detections.embeddings for one in frames]
    ends = np.cumsum([0 if one is None else len(one) for one in looks])
    there = [one for one in frames if one.detections.embeddings is not None]
    project = film_projection(
        np.concatenate(
            [np.zeros(0, np.int64), *(np.full(len(one.detections.boxes), one.source.number) for one in there)]
        ),
        np.concatenate([np.zeros((0, 4)), *(one.detections.boxes for one in there)]),
        np.concatenate([np.zeros(0), *(one.detections.scores for one in there)]) >= confidence,
        lambda rows: _rows(looks, ends, rows),
    )
    for one in frames:
        seen = one.detections.embeddings
        if project is not None and seen is not None and len(seen):
            one = dataclasses.replace(one, detections=dataclasses.replace(one.detections, embeddings=project(seen)))
        yield one
    if end is not None:
        raise end


def film_projection(
    frame: NDArray[np.integer],
    boxes: NDArray[np.floating],
    sure: NDArray[np.bool_],
    looks_of: Callable[[NDArray[np.int64]], Looks],
) -> Callable[[Looks], Looks] | None:
    """What projects embeddings (N, D), of any length, to (N, E) of length 1; None where the film shows too little.

    Zeros, which are no embedding, stay zeros, and teach nothing.

    Args:
        frame: (R,) of each box of the film, in order.
        boxes: (R, 4) corners.
        sure: (R,) those that may teach.
        looks_of: gives the embeddings (n, D) of rows (n,), ascending.
    """
    rows = np.flatnonzero(sure)
    tracklet = link_boxes(frame[rows], boxes[rows], MIN_IOU, MARGIN)
    chosen = np.flatnonzero(np.bincount(tracklet, minlength=1)[tracklet] >= SHORTEST)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(MOST_ROWS, len(chosen))).astype(int)]
    if not len(chosen):
        return None
    features = normalised(looks_of(rows[chosen]))
    known = features.any(axis=1)
    features, group = features[known], tracklet[chosen[known]]
    if len(np.unique(group)) < 2:
        return None
    centre = features.mean(0, dtype=np.float64)
    projection = fisher_projection(features - centre, group, DIMENSION, SHRINKAGE)

    def project(looks: Looks) -> Looks:
        unit = normalised(looks)
        moved = normalised((unit - centre) @ projection)
        moved[~unit.any(axis=1)] = 0
        return moved

    return project


def _rows(looks: Sequence[Looks | None], ends: NDArray[np.int64], rows: NDArray[np.int64]) -> Looks:
    """Rows of all frames' embeddings, of which frame n's end at `ends[n]`."""
    frames = np.searchsorted(ends, rows, side="right")
    found = [(looks[frame], row - ends[frame]) for frame, row in zip(frames, rows, strict=True)]
    return np.stack([one[at] for one, at in found if one is not None])


def _let_go(source: SourceImage, again: bool) -> SourceImage:
    """The same image, which takes no memory."""
    blank = np.broadcast_to(np.uint8(0), source.image.shape)
    return SourceImage(source.number, source.time, source.pixels if again and callable(source.pixels) else blank)
