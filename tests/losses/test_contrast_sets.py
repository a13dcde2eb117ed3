"""The contrast with sets of positives and negatives, against its definition written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.losses.contrastive import contrast_sets, nt_xent, relate

examples = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def batches(draw):
    """Embeddings (M, D), positive and negative (M, M)."""
    count = draw(st.integers(0, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    embeddings = torch.randn(count, 5, generator=generator)
    kind = torch.randint(0, 3, (count, count), generator=generator)
    return embeddings, kind == 0, kind == 1


def literal(embeddings, positive, negative, temperature):
    """Pair by pair, in double precision."""
    unit = torch.nn.functional.normalize(embeddings.double(), dim=-1)
    means = []
    for a in range(len(unit)):
        total = sum(math.exp(float(unit[a] @ unit[n]) / temperature) for n in range(len(unit)) if negative[a, n])
        near = [math.exp(float(unit[a] @ unit[p]) / temperature) for p in range(len(unit)) if positive[a, p] and p != a]
        if near:
            means.append(sum(-math.log(one / (one + total)) for one in near) / len(near))
    return sum(means) / max(1, len(means))


@examples
@given(batch=batches(), temperature=st.sampled_from([0.1, 0.5]))
def test_it_is_its_definition(batch, temperature):
    embeddings, positive, negative = batch
    embeddings.requires_grad_()
    loss = contrast_sets(embeddings, positive, negative, temperature)
    assert float(loss.detach()) == pytest.approx(
        literal(embeddings.detach(), positive, negative, temperature), rel=1e-4
    )
    loss.backward()
    assert torch.isfinite(embeddings.grad).all()


@examples
@given(seed=st.integers(0, 2**31), frames=st.integers(1, 3), objects=st.integers(1, 4))
def test_with_one_positive_each_it_is_nt_xent(seed, frames, objects):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(2, frames, objects, 6, generator=generator)
    present = torch.ones(2, frames, objects, dtype=torch.bool)
    relations = relate(present, negatives="batch")
    found = contrast_sets(embeddings.flatten(0, 2), relations.positive[0], relations.negative[0], 0.2)
    torch.testing.assert_close(found, nt_xent(embeddings, present, 0.2, negatives="batch"), rtol=1e-5, atol=1e-6)


def test_who_is_neither_has_no_say():
    embeddings = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    positive, negative = torch.zeros(2, 5, 5, dtype=torch.bool)
    positive[0, 1] = positive[1, 0] = True
    negative[0, 2] = negative[1, 2] = True
    contrast_sets(embeddings, positive, negative, 0.1).backward()
    assert embeddings.grad[:3].abs().sum(1).gt(0).all()
    assert not embeddings.grad[3:].any()
