"""What a cosine distance says, learnt from pairs: monotone, without a scale of its own, nothing without pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.tracking.evidence import FEWEST, LARGEST, SELDOM, LookEvidence

ANY = np.linspace(0, 2, 41)


def learnt(seed=0, batches=30, same=(2, 12), other=(6, 6), scale=1.0):
    rng = np.random.default_rng(seed)
    evidence = LookEvidence()
    for _ in range(batches):
        evidence.learn(scale * rng.beta(*same, 20), scale * rng.beta(*other, 60))
    return evidence


def test_before_enough_pairs_it_says_nothing():
    evidence = LookEvidence()
    evidence.learn(np.zeros(FEWEST - 1), np.ones(100))
    assert not evidence.ready
    np.testing.assert_array_equal(evidence(ANY), 0)
    evidence.learn(np.zeros(1), np.ones(1))
    assert evidence.ready


def test_without_a_second_person_it_says_nothing():
    evidence = LookEvidence()
    evidence.learn(np.zeros(1000), np.zeros(0))
    np.testing.assert_array_equal(evidence(ANY), 0)


@pytest.mark.parametrize("distance", [0.0, 1e-8, 0.3])
def test_an_embedding_that_is_the_same_for_everyone_says_nothing(distance):
    evidence = LookEvidence()
    for _ in range(20):
        evidence.learn(np.full(20, distance), np.full(80, distance))
    np.testing.assert_allclose(evidence(ANY), 0, atol=1e-9)


def test_looks_that_tell_nothing_apart_say_almost_nothing():
    evidence = learnt(same=(4, 8), other=(4, 8))
    assert np.abs(evidence(np.linspace(0.1, 0.6, 20))).max() < 1


def test_a_perfect_embedding_is_believed_more_the_more_was_seen():
    found = []
    for batches in (1, 4, 50):
        evidence = LookEvidence()
        for _ in range(batches):
            evidence.learn(np.zeros(20), np.ones(80))
        alike, unlike = evidence(np.array([0.0, 1.0]))
        assert 0 < alike <= LARGEST
        assert -LARGEST <= unlike < 0
        found.append((alike, -unlike))
    assert (np.diff(found, axis=0) > 0).all()


def test_what_is_less_alike_never_speaks_more_for_one_person():
    for seed in range(10):
        nats = learnt(seed)(np.linspace(0, 2, 400))
        assert (np.diff(nats) <= 0).all()
        assert nats[0] > 2
        assert nats[-1] < -2


def test_the_evidence_is_that_of_the_true_densities():
    """Within half a nat where pairs are many; beta densities of 2, 12 and 6, 6."""
    from scipy.stats import beta

    at = np.linspace(0.1, 0.5, 9)
    true = beta(2, 12).logpdf(at) - beta(6, 6).logpdf(at)
    assert np.abs(learnt(batches=90)(at) - true).mean() < 0.5


def test_a_scale_of_distances_is_none_of_evidence():
    at = np.linspace(0.05, 0.4, 8)
    np.testing.assert_allclose(learnt(scale=0.5)(0.5 * at), learnt()(at), atol=0.4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 2), min_size=10, max_size=60), st.lists(st.floats(0, 2), min_size=10, max_size=60))
def test_any_pairs_give_finite_monotone_evidence_whatever_their_order(same, other):
    straight, turned = LookEvidence(), LookEvidence()
    straight.learn(np.array(same), np.array(other))
    turned.learn(np.array(same[::-1]), np.array(other[::-1]))
    nats = straight(ANY)
    assert np.isfinite(nats).all()
    assert (np.diff(nats) <= 0).all()
    assert np.abs(nats).max() <= LARGEST
    np.testing.assert_array_equal(nats, turned(ANY))


def test_old_looks_of_a_film_fade():
    evidence = learnt(batches=100)
    before = evidence(np.array([0.5]))
    rng = np.random.default_rng(1)
    for _ in range(600):  # the light changes: people look less like themselves
        evidence.learn(rng.beta(6, 6, 20), rng.beta(12, 2, 60))
    assert before < -1
    assert evidence(np.array([0.5])) > 1


# What a person's own pairs may look like without being held against them.


def test_before_enough_pairs_nobody_is_suspected():
    assert LookEvidence().innocent == 0


@pytest.mark.parametrize("mistaken", [0.0, 0.02, 0.1, 0.2])
def test_pairs_of_two_people_among_those_of_one_excuse_nobody(mistaken):
    """Boxes that seem sure are another person's now and then: an embedding that shows it is right to object."""
    evidence, rng = LookEvidence(), np.random.default_rng(0)
    for _ in range(100):
        other = rng.normal(0.9, 0.05, 80)
        same = np.where(rng.random(20) < mistaken, rng.choice(other, 20), rng.beta(2, 20, 20))
        evidence.learn(same, other)
    assert evidence.innocent < 0.5
    assert evidence(np.array([0.9]))[0] < -1


@pytest.mark.parametrize("wolf", [0.03, 0.06, 0.12])
@pytest.mark.parametrize("near", [0.3, 0.5])
def test_an_embedding_that_cries_wolf_is_excused_for_all_but_one_in_a_hundred(wolf, near):
    """A share of a person's pairs lies where many others' do, and not as those do: nearer to the person."""
    evidence, rng = LookEvidence(), np.random.default_rng(1)

    def own(count):
        return np.where(rng.random(count) < wolf, near + rng.uniform(0, 0.2, count), rng.beta(2, 30, count))

    for _ in range(100):
        evidence.learn(own(20), rng.uniform(near, 1.2, 80))
    refused = (evidence(own(20_000)) < -evidence.innocent).mean()
    assert refused <= 1.5 * SELDOM
    assert evidence.innocent > 0.5


@given(st.lists(st.floats(0, 2), min_size=FEWEST, max_size=60), st.lists(st.floats(0, 2), min_size=FEWEST, max_size=60))
def test_whatever_was_seen_nobody_is_suspected_beyond_what_looks_can_say(same, other):
    evidence = LookEvidence()
    evidence.learn(np.array(same), np.array(other))
    assert 0 <= evidence.innocent <= evidence.against
