"""The frames of a sequence to its tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.images import read_image
from clmot.inference.film_projection import projected
from clmot.inference.found_ahead import FoundFrame, found_ahead
from clmot.inference.image_sources import SourceImage
from clmot.inference.pipeline import Detections, DetectionSource
from clmot.inference.session import Session
from clmot.params import TrackParams
from clmot.progress import progress
from clmot.tracking.linking import TrackLinker


@dataclass(frozen=True, eq=False)
class SequenceTracks:
    """The tracks of a sequence, a row for each box, ordered by frame and identity; and what they cost."""

    frame: NDArray[np.int64]
    """(R,) from 1"""
    identity: NDArray[np.int64]
    """(R,) from 1"""
    boxes: NDArray[np.float64]
    """(R, 4) x1 y1 x2 y2 in image pixels"""
    scores: NDArray[np.float64]
    """(R,)"""
    frames: int
    """Number of frames that were tracked, those without tracks included."""
    seconds: float
    """From the first file to the last track; what is below happens side by side."""
    network_seconds: float
    """From decoded images to detections, of all threads together; reading files is not in it."""
    association_seconds: float
    """From detections to tracks."""
    camera_seconds: float
    """Estimating the camera's motion; 0 with `camera_motion: false`."""


def track_frames(
    source: DetectionSource,
    frames: Sequence[Path],
    params: TrackParams,
    frame_rate: float,
    *,
    description: str | None = None,
    threads: int | None = None,
    record: Callable[[int, Detections], None] | None = None,
) -> SequenceTracks:
    """Track through images in order; frames count from 1.

    Args:
        source: gives the detections of each frame.
        frames: the images.
        params: association.
        frame_rate: frames per second.
        description: text before a progress bar; None: there is none.
        threads: that look at frames ahead, see `found_ahead`; they decide nothing about the tracks.
        record: is told what was found in each frame, in order.

    Raises:
        InputError: an image is missing or unreadable.
    """
    with closing(found_ahead(source, film_images(frames), threads)) as coming:
        return track_found(coming, len(frames), params, frame_rate, description=description, record=record)


def film_images(frames: Sequence[Path]) -> Iterator[SourceImage]:
    """The images of a film, read by whoever asks for them; frames count from 1."""
    return (SourceImage(number, 0.0, partial(read_image, path)) for number, path in enumerate(frames, 1))


def track_found(
    coming: Iterator[FoundFrame],
    length: int,
    params: TrackParams,
    frame_rate: float,
    *,
    description: str | None = None,
    record: Callable[[int, Detections], None] | None = None,
) -> SequenceTracks:
    """Track through what was found in a film; else as `track_frames`.

    Args:
        coming: from `found_ahead`; what comes after this film is left there.
        length: frames of the film.
        params: association.
        frame_rate: frames per second.
        description: as for `track_frames`.
        record: as for `track_frames`.

    Raises:
        InputError: an image is missing or unreadable.
    """
    began = time.perf_counter()
    session = Session(params, frame_rate)
    linker = TrackLinker(params, frame_rate) if params.link == "offline" else None
    session.watch = None if linker is None else linker.see
    numbers, identities, boxes, scores = [], [], [], []
    film: Iterable[FoundFrame] = islice(coming, length)
    if description is not None:
        film = progress(film, description, total=length, unit="frame")
    if params.projection == "film":
        film = projected(film, params.confidence, images=params.camera_motion)
    for found in film:
        began = min(began, found.begun)  # while the film before was tracked
        if record is not None:
            record(found.source.number, found.detections)
        tracked = session.follow(found.source.image, found.detections, seconds=found.seconds)
        numbers.append(np.full(len(tracked), tracked.number))
        identities.append(tracked.identities)
        boxes.append(tracked.boxes)
        scores.append(tracked.scores)
    frame = np.concatenate([np.zeros(0, np.int64), *numbers])
    identity = np.concatenate([np.zeros(0, np.int64), *identities])
    order = np.arange(len(frame))
    begin = time.perf_counter()
    if linker is not None:
        identity, order = linker.joined(frame, identity)
    ended = time.perf_counter()
    return SequenceTracks(
        frame=frame[order],
        identity=identity[order],
        boxes=np.concatenate([np.zeros((0, 4)), *boxes])[order],
        scores=np.concatenate([np.zeros(0), *scores])[order],
        frames=length,
        seconds=ended - began,
        network_seconds=session.network_seconds,
        association_seconds=session.association_seconds + ended - begin,
        camera_seconds=session.camera_seconds,
    )
