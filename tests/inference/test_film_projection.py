"""Embeddings projected by what a film's own boxes show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from clmot.inference.film_projection import projected
from clmot.inference.found_ahead import FoundFrame
from clmot.inference.image_sources import SourceImage
from clmot.inference.pipeline import Detections

PEOPLE, LENGTH, DIMENSION = 4, 60, 12


def film(seed: int = 0, scale: float = 1.0, score: float = 0.9) -> list[FoundFrame]:
    """People who stand far apart. What tells them apart is small beside what all of them do: they turn, and look alike
    as they do."""
    random = np.random.default_rng(seed)
    own = random.normal(size=(PEOPLE, DIMENSION))
    pose, phase = random.normal(size=(2, DIMENSION)), random.uniform(0, 6, PEOPLE)
    found = []
    for number in range(1, LENGTH + 1):
        left = 100.0 * np.arange(PEOPLE) + number / 10
        boxes = np.stack([left, np.full(PEOPLE, 10.0), left + 40, np.full(PEOPLE, 90.0)], 1)
        angle = phase + number / 5
        looks = own + 5 * (np.cos(angle)[:, None] * pose[0] + np.sin(angle)[:, None] * pose[1])
        looks = scale * (looks + 0.1 * random.normal(size=looks.shape))
        image = SourceImage(number, number / 30, np.zeros((4, 6, 3), np.uint8))
        found.append(FoundFrame(image, Detections(boxes, np.full(PEOPLE, score), looks.astype(np.float32)), 0.0, 0.0))
    return found


def embeddings(frames: list[FoundFrame]) -> NDArray[np.float32]:
    """(LENGTH, PEOPLE, D)"""
    looks = [one.detections.embeddings for one in frames]
    return np.stack([one for one in looks if one is not None])


def separation(looks: NDArray[np.float32]) -> float:
    """Share of pairs in which somebody is more like themselves half a film later than like another then."""
    unit = looks / np.linalg.norm(looks, axis=-1, keepdims=True)
    cosine = np.einsum("fpd,fqd->fpq", unit[: LENGTH // 2], unit[LENGTH // 2 :])
    own = np.einsum("fpp->fp", cosine)[:, :, None]
    return float((own > cosine)[:, ~np.eye(PEOPLE, dtype=bool)].mean())


@pytest.mark.parametrize("seed", range(4))
def test_what_everybody_does_counts_less(seed: int) -> None:
    before = film(seed)
    after = list(projected(before, 0.5))
    looks = embeddings(after)
    assert separation(embeddings(before)) < 0.99
    assert separation(looks) == 1
    np.testing.assert_allclose(np.linalg.norm(looks, axis=-1), 1, rtol=1e-5)
    for one, other in zip(before, after, strict=True):
        assert (one.source.number, one.source.time) == (other.source.number, other.source.time)
        np.testing.assert_array_equal(one.detections.boxes, other.detections.boxes)
        assert other.source.image.shape == (4, 6, 3)
    # Lengths mean nothing.
    np.testing.assert_allclose(embeddings(list(projected(film(seed, scale=7), 0.5))), looks, atol=1e-4)


def test_no_embedding_stays_none() -> None:
    frames = film()
    looks = frames[7].detections.embeddings
    assert looks is not None
    looks[2] = 0
    after = embeddings(list(projected(frames, 0.5)))
    assert not after[7, 2].any()
    assert np.isfinite(after).all()


@pytest.mark.parametrize("why", ["doubtful", "short", "alone", "nobody", "boxes alone"])
def test_a_film_that_shows_too_little_stays_as_it_is(why: str) -> None:
    frames = film(score=0.4) if why == "doubtful" else film()
    if why == "short":
        frames = frames[:2]
    keep = {"alone": slice(0, 1), "nobody": slice(0, 0)}.get(why, slice(None))
    cut = []
    for one in frames:
        seen = one.detections
        assert seen.embeddings is not None
        looks = None if why == "boxes alone" else seen.embeddings[keep]
        cut.append(FoundFrame(one.source, Detections(seen.boxes[keep], seen.scores[keep], looks), 0.0, 0.0))
    for one, other in zip(cut, projected(cut, 0.5), strict=True):
        assert one.detections is other.detections


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_came_before_an_error_is_projected(error: type[BaseException]) -> None:
    def broken() -> object:
        yield from film()[:40]
        raise error

    coming = projected(broken(), 0.5)  # type: ignore[arg-type]
    assert [next(coming).source.number for _ in range(40)] == list(range(1, 41))
    with pytest.raises(error):
        next(coming)
