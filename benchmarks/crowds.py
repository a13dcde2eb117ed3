"""What association is measured on: generated crowds, or given detections.

Layout of an .npz: `frame` (R,) from 1, ascending or not; `boxes` (R, 4) x1 y1 x2 y2 in pixels from 0;
`scores` (R,); optional `embeddings` (R, D); optional `frame_rate` and `length` (single numbers; 30, and the
last frame); optional ground truth `gt_frame` (G,), `gt_identity` (G,), `gt_boxes` (G, 4).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError

SCENE = np.array([1920.0, 1080.0])
FRAME_RATE = 30.0


@dataclass(frozen=True, eq=False)
class Frame:
    """Detections of a frame, and who was really there."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    embeddings: NDArray[np.float32] | None
    true_identities: NDArray[np.int64]
    true_boxes: NDArray[np.float64]


def generated_crowd(people: int, dimension: int, frames: int, seed: int) -> Iterator[Frame]:
    """Walking people, frame by frame, so that a long film needs no more memory than a short one.

    Everyone walks on with small changes of speed; a person who leaves comes back as someone else. One in ten
    detections is missed at random and one person in ten is hidden, for ten frames on average; a false
    detection comes with every twentieth person. Same seeds give the same crowd.
    """
    rng = np.random.default_rng(seed)
    identity = np.arange(1, people + 1)
    centre = rng.uniform(0, SCENE, (people, 2))
    speed = rng.normal(0, [2.5, 0.8], (people, 2))
    height = rng.uniform(60, 180, people)
    looks = _looks(rng, people, dimension)
    hidden = np.zeros(people, bool)
    for _ in range(frames):
        speed += rng.normal(0, 0.15, speed.shape)
        centre += speed
        height *= np.exp(rng.normal(0, 0.003, people))
        gone = ((centre < -20) | (centre > SCENE + 20)).any(axis=1)
        if gone.any():
            count = int(gone.sum())
            identity[gone] = identity.max() + 1 + np.arange(count)
            side = rng.integers(0, 2, count)
            centre[gone] = np.stack((side * SCENE[0], rng.uniform(0, SCENE[1], count)), axis=1)
            speed[gone] = np.stack(((1 - 2 * side) * rng.uniform(1, 4, count), rng.normal(0, 0.8, count)), axis=1)
            height[gone] = rng.uniform(60, 180, count)
            looks[gone] = _looks(rng, count, dimension)
        hidden = np.where(hidden, rng.random(people) > 0.1, rng.random(people) < 0.011)
        half = np.stack((0.2 * height, 0.5 * height), axis=1)
        true_boxes = np.concatenate((centre - half, centre + half), axis=1)
        seen = ~hidden & (rng.random(people) > 0.1)
        noise = rng.normal(0, 0.02, true_boxes.shape) * height[:, None]
        false = rng.poisson(people / 20)
        corner = rng.uniform(0, SCENE, (false, 2))
        size = rng.uniform(60, 180, (false, 1)) * [0.4, 1]
        # Noise half as long as the vector: cosine distance .1 to the same person's looks, 1 to others'.
        vectors = looks + rng.standard_normal(looks.shape, np.float32) * np.float32(0.5 / dimension**0.5)
        yield Frame(
            np.concatenate(((true_boxes + noise)[seen], np.concatenate((corner, corner + size), axis=1))),
            np.concatenate((rng.uniform(0.5, 1, int(seen.sum())), rng.uniform(0.3, 0.7, false))),
            np.concatenate((vectors[seen], _looks(rng, false, dimension))),
            identity.copy(),
            true_boxes,
        )


def _looks(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, dimension), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def read_npz(path: Path) -> tuple[list[Frame], float]:
    """The frames of a file laid out as this module's docstring says, and its frame rate.

    Raises:
        InputError: the file cannot be read, or an array is missing or has another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as .npz ({error}).") from None
    missing = [name for name in ("frame", "boxes", "scores") if name not in arrays]
    if missing:
        raise InputError(f"{path} has no array '{missing[0]}': see `python -m benchmarks.association --help`.")
    number = arrays["frame"].astype(np.int64)
    embeddings = arrays.get("embeddings")
    truth = arrays.get("gt_frame", np.zeros(0, np.int64)).astype(np.int64)
    identities = arrays.get("gt_identity", np.zeros(0, np.int64)).astype(np.int64)
    true_boxes = arrays.get("gt_boxes", np.zeros((0, 4)))
    rows = {"boxes": arrays["boxes"], "scores": arrays["scores"]}
    if embeddings is not None:
        rows["embeddings"] = embeddings
    for names, values, count in [(n, v, len(number)) for n, v in rows.items()] + [
        ("gt_identity", identities, len(truth)),
        ("gt_boxes", true_boxes, len(truth)),
    ]:
        if len(values) != count:
            raise InputError(f"{path}: '{names}' has {len(values)} rows, expected {count}, one for each frame number.")
    length = int(arrays.get("length", max(number.max(initial=0), truth.max(initial=0))))
    frames = []
    for frame in range(1, length + 1):
        here, there = number == frame, truth == frame
        frames.append(
            Frame(
                arrays["boxes"][here].astype(np.float64),
                arrays["scores"][here].astype(np.float64),
                None if embeddings is None else embeddings[here],
                identities[there],
                true_boxes[there].astype(np.float64),
            )
        )
    return frames, float(arrays.get("frame_rate", FRAME_RATE))
