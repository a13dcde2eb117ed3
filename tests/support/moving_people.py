"""People who walk through a video, as a detector with embeddings sees them; for the tests of tracking."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from clmot.params import TrackParams, load_params
from clmot.tracking.calibrated import start_tracker

AXES = np.eye(8)  # embeddings that no one confuses


def fixed_params(**others):
    """Fixed thresholds, all switches off: what is tested must not move with the default profile."""
    fixed = {
        "confidence": 0.4,
        "new_track_confidence": 0.5,
        "embedding": "network",
        "association": "fairmot",
        "look_weight": 0.05,
        "look_veto": 1.5,
        "covered_missed": 0.2,
        "refind_evidence": 3.0,
        "refind_looks": 1.0,
        "refind_trust": 0.6,
        "reentry": "same",
        "embedding_momentum": 0.9,
        "motion_weight": 0.98,
        "overlap_weight": 0,
        "gating_probability": 0.95,
        "match_threshold": 0.4,
        "iou_threshold": 0.5,
        "iou_threshold_alone": 0.5,
        "inclusive_pixels": False,
        "unconfirmed_threshold": 0.7,
        "duplicate_threshold": 0.15,
        "lost_seconds": 1.0,
        "second_pass": False,
        "second_pass_confidence": 0.1,
        "second_pass_threshold": 0.5,
        "camera_motion": False,
        "refind_seconds": 0.0,
        "refind_threshold": 0.2,
        "link": "none",
        "min_box_area": 50.0,
        "max_aspect": 1.6,
    }
    track = load_params(Path(__file__).parents[2] / "params.yaml").track
    return dataclasses.replace(track, **{**fixed, **others})


def person(x, y=100.0, height=100.0):
    return [x, y, x + 0.4 * height, y + height]


def run(tracker, frames):
    """Feed (boxes, embeddings) or None per frame, all with score 0.9; identities per frame."""
    found = []
    for frame in frames:
        boxes, embeddings = frame if frame is not None else ([], None)
        found.append(tracker.update(boxes, [0.9] * len(boxes), embeddings).identities.tolist())
    return found


def names_in_another_order(params: TrackParams, frames: Iterable, seed: int) -> dict[int, int]:
    """What the identities of a film are called once each frame's detections are permuted, asserting that nothing else
    changes: the numbers of people who appear in the same frame depend on which comes first."""
    rng = np.random.default_rng(seed)
    straight, shuffled = start_tracker(params, 30), start_tracker(params, 30)
    names: dict[int, int] = {}
    for boxes, scores, embeddings in frames:
        order = rng.permutation(len(boxes))
        a = straight.update(boxes, scores, embeddings)
        b = shuffled.update(boxes[order], scores[order], embeddings[order])
        one = dict(zip(a.detections.tolist(), a.identities.tolist(), strict=True))
        other = dict(zip(order[b.detections].tolist(), b.identities.tolist(), strict=True))
        assert one.keys() == other.keys()
        for detection, identity in one.items():
            assert names.setdefault(identity, other[detection]) == other[detection]
    assert len(set(names.values())) == len(names)
    return names


def crowd(seed, people, frames, dimension=16, miss=0.1, false=2.0, noise=0.3, size=(800, 500)):
    """Walking people with appearances: lists of boxes, scores, embeddings per frame; distinct numbers."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, size, (people, 2))
    speed = rng.normal(0, 2.5, (people, 2))
    height = rng.uniform(60, 140, people)
    looks = rng.normal(size=(people, dimension))
    for _ in range(frames):
        centre = centre + speed
        outside = (centre < 0) | (centre > size)
        speed = np.where(outside, -speed, speed)
        half = np.stack((0.2 * height, 0.5 * height), axis=1)
        boxes = np.concatenate((centre - half, centre + half), axis=1) + rng.normal(0, 1, (people, 4))
        seen = rng.random(people) >= miss
        extra = rng.poisson(false)
        corner = rng.uniform(0, size, (extra, 2))
        ghosts = np.concatenate((corner, corner + rng.uniform([20, 50], [50, 120], (extra, 2))), axis=1)
        embeddings = np.concatenate(
            ((looks + rng.normal(0, noise, looks.shape))[seen], rng.normal(size=(extra, dimension)))
        )
        boxes = np.concatenate((boxes[seen], ghosts))
        yield boxes, rng.uniform(0.3, 1, len(boxes)), embeddings
