"""Joining tracks once the film is over: who it joins, and whom never."""

from __future__ import annotations

import numpy as np
import pytest
from moving_people import fixed_params, person

from clmot.tracking.calibrated import start_tracker
from clmot.tracking.linking import TrackLinker

RATE = 10
GONE = range(60, 100)
"""Frames in which someone is behind a wall: much longer than a lost track is kept."""


def looks(count: int, seed: int, spread: float = 0.25) -> np.ndarray:
    """(count, T, 16) embeddings of people that differ, each in its own way from frame to frame."""
    random = np.random.default_rng(seed)
    middle = random.standard_normal((count, 1, 16))
    return (middle + spread * random.standard_normal((count, 160, 16))).astype(np.float32)


def linked(places, seen, vectors, **changes):
    """Identities by frame and person (0: not tracked) with `link: offline`.

    Args:
        places: person, frame -> x of the box's left edge.
        seen: person, frame -> whether there is a box.
        vectors: (P, T, D), or None.
    """
    people = len(vectors) if vectors is not None else 3
    params = fixed_params(association="calibrated", lost_seconds=1.0, refind_seconds=0.0, link="offline", **changes)
    tracker, linker = start_tracker(params, RATE), TrackLinker(params, RATE)
    frames, names, who = [], [], []
    for frame in range(1, 161):
        there = [p for p in range(people) if seen(p, frame)]
        boxes = np.array([person(places(p, frame)) for p in there]).reshape(-1, 4)
        embeddings = None if vectors is None else vectors[there, frame - 1]
        tracks = tracker.update(boxes, np.full(len(there), 0.9), embeddings)
        linker.see(frame, tracks, embeddings)
        frames += [frame] * len(tracks)
        names += tracks.identities.tolist()
        who += [there[index] for index in tracks.detections]
    identity, order = linker.joined(np.array(frames), np.array(names))
    assert (np.diff(np.array(frames)[order]) >= 0).all()
    return {p: set(identity[np.array(who) == p].tolist()) for p in set(who)}, np.unique(identity)


@pytest.mark.parametrize("seed", range(3))
def test_who_was_away_for_long_is_one_person(seed: int) -> None:
    """They walk on behind the wall; two others stand beside."""
    names, every = linked(lambda p, t: 300 * p + 2 * t, lambda p, t: p != 1 or t not in GONE, looks(3, seed))
    assert [len(names[p]) for p in range(3)] == [1, 1, 1]
    assert len(every) == 3


@pytest.mark.parametrize("seed", range(3))
def test_who_comes_instead_is_another(seed: int) -> None:
    """The same place, other looks: person 2 leaves, person 3 comes where they would be."""
    vectors = looks(4, seed)
    names, _ = linked(
        lambda p, t: 300 * min(p, 2) + 2 * t, lambda p, t: (p != 2 or t < 60) and (p != 3 or t >= 100), vectors
    )
    assert not names[2] & names[3]


@pytest.mark.parametrize("seed", range(3))
def test_two_who_met_stay_two(seed: int) -> None:
    """However alike: twins stand beside each other all the time, and a third person comes and goes."""
    vectors = looks(3, seed)
    vectors[1] = vectors[0]
    names, _ = linked(lambda p, t: 300 * p, lambda p, t: p < 2 or t not in GONE, vectors)
    assert not names[0] & names[1]


@pytest.mark.parametrize("vectors", [None, np.ones((3, 160, 4), np.float32), np.zeros((3, 160, 4), np.float32)])
def test_without_looks_nothing_is_joined(vectors: np.ndarray | None) -> None:
    names, every = linked(lambda p, t: 300 * p + 2 * t, lambda p, t: p != 1 or t not in GONE, vectors)
    assert len(names[1]) == 2
    assert len(every) == 4


def test_embedding_none_looks_at_no_one() -> None:
    """Whatever else the boxes come with: it is the control."""
    names, every = linked(
        lambda p, t: 300 * p + 2 * t, lambda p, t: p != 1 or t not in GONE, looks(3, 0), embedding="none"
    )
    assert (len(names[1]), len(every)) == (2, 4)


def test_a_film_without_anyone() -> None:
    linker = TrackLinker(fixed_params(link="offline"), RATE)
    nothing = np.zeros(0, np.int64)
    assert [len(part) for part in linker.joined(nothing, nothing)] == [0, 0]
