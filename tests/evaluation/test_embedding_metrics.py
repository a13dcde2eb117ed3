"""Verification and retrieval by embeddings, against the definitions spelt out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from clmot.evaluation import embedding
from clmot.evaluation.embedding import (
    FALSE_ACCEPT_RATES,
    SIMILARITY_BINS,
    combine_comparisons,
    compare_embeddings,
    sample_readings,
)


def readings(
    seed: int, people: int = 6, frames: int = 15, noise: float = 0.6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, identities and frames in random order; no one is in every frame."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(people, 8))
    seen = np.argwhere(rng.random((people, frames)) < 0.6)
    seen = seen[rng.permutation(len(seen))]
    vectors = looks[seen[:, 0]] + noise * rng.normal(size=(len(seen), 8))
    return vectors * rng.uniform(0.1, 9, (len(seen), 1)), seen[:, 0] * 7 - 3, seen[:, 1] + 1


def spelt_out(
    vectors: np.ndarray, identity: np.ndarray, frame: np.ndarray
) -> tuple[list[float], list[float], list[float]]:
    """Similarities of same and different pairs, and every query's average precision."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    same, different, precisions = [], [], []
    for i in range(len(unit)):
        for j in range(i):
            (same if identity[i] == identity[j] else different).append(similarity[i, j])
        gallery = [j for j in range(len(unit)) if frame[j] != frame[i]]
        gallery.sort(key=lambda j: -similarity[i, j])
        hits = [rank for rank, j in enumerate(gallery, 1) if identity[j] == identity[i]]
        if hits:
            precisions.append(np.mean([n / rank for n, rank in enumerate(hits, 1)]))
    return same, different, precisions


@pytest.mark.parametrize("seed", range(5))
def test_retrieval_is_the_mean_of_all_queries(seed: int) -> None:
    vectors, identity, frame = readings(seed)
    _, _, precisions = spelt_out(vectors, identity, frame)
    compared = compare_embeddings(vectors, identity, frame)
    assert compared.queries == len(precisions)
    assert compared.retrieval_precision == pytest.approx(np.mean(precisions), abs=1e-6)
    assert 0.2 < np.mean(precisions) < 0.99


@pytest.mark.parametrize("seed", range(5))
def test_verification_accepts_no_more_than_it_may(seed: int) -> None:
    """The rate lies between those of the exact threshold and one step of similarity beside it."""
    vectors, identity, frame = readings(seed, people=12, frames=40)
    same, different, _ = (np.sort(values) for values in spelt_out(vectors, identity, frame))
    compared = compare_embeddings(vectors, identity, frame)
    assert (compared.same.sum(), compared.different.sum()) == (2 * len(same), 2 * len(different))
    step = 2 / SIMILARITY_BINS
    for rate in FALSE_ACCEPT_RATES:
        allowed = int(rate * len(different) + 1e-9)
        threshold = different[len(different) - allowed - 1]  # the first that may not be accepted
        found = compared.true_positive_rate(rate)
        assert found is not None
        assert (same > threshold + 2 * step).mean() <= found <= (same > threshold - 2 * step).mean()
        assert 0 < found < 1


def test_everybody_alike_and_everybody_apart() -> None:
    identity, frame = np.repeat([3, 9], 4), np.tile([1, 2, 3, 4], 2)
    alike = compare_embeddings(np.ones((8, 2)), identity, frame)
    assert [alike.true_positive_rate(rate) for rate in FALSE_ACCEPT_RATES] == [0.0] * 3
    # 3 partners rank behind the other person's 3 readings in other frames.
    assert alike.retrieval_precision == pytest.approx(np.mean([1 / 4, 2 / 5, 3 / 6]))
    apart = compare_embeddings(np.repeat(np.eye(2), 4, axis=0), identity, frame)
    assert [apart.true_positive_rate(rate) for rate in FALSE_ACCEPT_RATES] == [1.0] * 3
    assert apart.retrieval_precision == 1.0


def test_what_cannot_be_compared_is_absent() -> None:
    one = np.ones((1, 4))
    for count, identities in ((0, []), (1, [5]), (3, [1, 2, 3])):
        compared = compare_embeddings(np.repeat(one, count, 0), np.array(identities, int), np.arange(count))
        assert compared.retrieval_precision is None
        assert compared.true_positive_rate(0.1) is None
    alone = compare_embeddings(np.repeat(one, 3, 0), np.ones(3, int), np.arange(3))
    assert alone.retrieval_precision == 1.0
    assert alone.true_positive_rate(0.1) is None


def test_zeros_are_similar_to_nothing() -> None:
    compared = compare_embeddings(np.zeros((4, 3)), np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    assert np.nonzero(compared.same)[0].tolist() == [SIMILARITY_BINS // 2]


def test_lengths_and_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, identity, frame = readings(7)
    one = compare_embeddings(vectors, identity, frame)
    order = np.random.default_rng(1).permutation(len(vectors))
    monkeypatch.setattr(embedding, "_BLOCK", 4)  # and not how many are compared at once
    other = compare_embeddings(4 * vectors[order], identity[order], frame[order])
    assert one.precision_sum == other.precision_sum
    assert one.same.tolist() == other.same.tolist()


def test_the_order_of_summation_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library with other vector instructions would do: to the last bit nothing changes."""
    vectors, identity, frame = readings(8, people=12, frames=40)
    assert len(vectors) > 200
    unit = embedding.unit_vectors(vectors.astype(np.float16))
    products = unit @ unit.T
    for shuffled in (np.random.default_rng(2).permutation(8), np.arange(8)[::-1]):
        assert np.array_equal(products, np.ascontiguousarray(unit[:, shuffled]) @ unit[:, shuffled].T)
        mixed = compare_embeddings(vectors[:, shuffled], identity, frame)
        plain = compare_embeddings(vectors, identity, frame)
        assert (mixed.precision_sum, mixed.same.tolist()) == (plain.precision_sum, plain.same.tolist())
    assert np.abs(products - products.astype(np.float32)).max() > 0, "which float32 could not hold"


def test_sequences_do_not_meet() -> None:
    """Pairs are formed within a sequence; rates are those of all pairs together."""
    first, second = compare_embeddings(*readings(1)), compare_embeddings(*readings(2))
    both = combine_comparisons([first, second])
    assert both.same.sum() == first.same.sum() + second.same.sum()
    assert both.queries == first.queries + second.queries
    mean = (first.precision_sum + second.precision_sum) / both.queries
    assert both.retrieval_precision == pytest.approx(mean)


class TestSample:
    def test_all_that_fit(self) -> None:
        _, identity, frame = readings(3)
        sample = sample_readings(identity, frame, len(identity))
        assert sorted(sample.tolist()) == list(range(len(identity)))
        assert np.array_equal(np.lexsort((frame[sample], identity[sample])), np.arange(len(sample)))

    def test_those_with_many_give_up_most(self) -> None:
        identity = np.repeat([1, 2, 3], [3, 50, 100])
        frame = np.concatenate([np.arange(n) for n in (3, 50, 100)])
        sample = sample_readings(identity, frame, 44)
        assert np.unique(identity[sample], return_counts=True)[1].tolist() == [3, 20, 20]
        kept = frame[sample][identity[sample] == 3]
        assert (kept[0], kept[-1]) == (0, 99)
        assert set(np.diff(kept).tolist()) <= {5, 6}
        assert np.array_equal(sample, sample_readings(identity, frame, 44))

    def test_everybody_keeps_two(self) -> None:
        identity, frame = np.repeat(np.arange(30), 5), np.tile(np.arange(5), 30)
        sample = sample_readings(identity, frame, 10)
        assert len(sample) == 60
        assert set(frame[sample].tolist()) == {0, 4}

    def test_nobody(self) -> None:
        assert len(sample_readings(np.zeros(0, int), np.zeros(0, int))) == 0
