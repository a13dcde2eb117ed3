"""What holds for every contrast, whatever its options and whoever is in the frames."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import TinyTracker, batch_of_film, film_of

from clmot.data.views import make_views
from clmot.losses.contrastive import nt_xent, shared_cells, triplet
from clmot.losses.supervised import identity_cross_entropy
from clmot.params import load_params
from clmot.training.criteria import TrackerCriterion

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
LOSSES = {
    "nt_xent": lambda *given: nt_xent(*given[:2], 0.3, *given[2:]),
    "triplet_hard": lambda *given: triplet(*given[:2], 0.4, "hard", *given[2:]),
    "triplet_all": lambda *given: triplet(*given[:2], 0.4, "all", *given[2:]),
}
"""Embeddings, present, merged, negatives, average -> loss."""
OPTIONS = list(itertools.product(LOSSES, ("frame", "batch"), ("pairs", "frames")))
each_option = pytest.mark.parametrize(("name", "negatives", "average"), OPTIONS)
examples = settings(max_examples=12, deadline=None, derandomize=True)


@st.composite
def batches(draw):
    """Embeddings (V, B, N, D), present (V, B, N), merged (B, N, N)."""
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    embeddings = torch.randn(*shape, 6, generator=generator)
    present = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.2, 0.7, 1.0]))
    cells = torch.randint(0, draw(st.sampled_from([3, 1000])), shape, generator=generator)
    return embeddings, present, shared_cells(cells, present)


def literal(name, embeddings, present, merged, negatives, average):
    """The definitions, reading by reading, in double precision."""
    unit = torch.nn.functional.normalize(embeddings.double(), dim=-1)
    readings = [tuple(place) for place in present.nonzero().tolist()]  # view, frame, object

    def is_negative(a, n):
        if a[1] != n[1]:
            return negatives == "batch"
        return a[2] != n[2] and not merged[a[1], a[2], n[2]]

    terms = {frame: [] for frame in range(present.shape[1])}
    for a in readings:
        similar = {r: float(unit[a] @ unit[r]) for r in readings}
        apart = {r: math.sqrt(max(0.0, 2 - 2 * s)) for r, s in similar.items()}
        positives = [p for p in readings if p[1:] == a[1:] and p != a]
        others = [n for n in readings if is_negative(a, n)]
        if name == "nt_xent":
            total = sum(math.exp(similar[n] / 0.3) for n in others)
            for p in positives:
                near = math.exp(similar[p] / 0.3)
                terms[a[1]].append(-math.log(near / (near + total)))
        elif name == "triplet_hard":
            if positives and others:
                worst = max(apart[p] for p in positives) - min(apart[n] for n in others)
                terms[a[1]].append(max(0.0, worst + 0.4))
        else:
            excess = [apart[p] - apart[n] + 0.4 for p in positives for n in others]
            terms[a[1]] += [e for e in excess if e > 0]
    groups = [frame for frame in terms.values() if frame]
    if average == "pairs":
        groups = [list(itertools.chain(*groups))] if groups else []
    return sum(sum(group) / len(group) for group in groups) / max(1, len(groups))


@each_option
@examples
@given(batch=batches())
def test_dense_is_the_definition(name, negatives, average, batch):
    embeddings, present, merged = batch
    embeddings.requires_grad_()
    loss = LOSSES[name](embeddings, present, merged, negatives, average)
    expected = literal(name, embeddings.detach(), present, merged, negatives, average)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    loss.backward()
    assert torch.isfinite(embeddings.grad).all()
    assert not embeddings.grad[~present].any()  # no one learns from who is not there


@each_option
@examples
@given(batch=batches(), seed=st.integers(0, 2**31))
def test_order_means_nothing(name, negatives, average, batch, seed):
    """Neither of views nor of frames nor of the objects of a frame."""
    embeddings, present, merged = batch
    generator = torch.Generator().manual_seed(seed)
    views, frames, objects = (torch.randperm(n, generator=generator) for n in present.shape)
    moved = (
        embeddings[views][:, frames][:, :, objects],
        present[views][:, frames][:, :, objects],
        merged[frames][:, objects][:, :, objects],
    )
    first, second = (LOSSES[name](*given, negatives, average) for given in ((*batch,), moved))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@each_option
@examples
@given(batch=batches(), seed=st.integers(0, 2**31))
def test_neither_padding_nor_length_counts(name, negatives, average, batch, seed):
    embeddings, present, merged = batch
    generator = torch.Generator().manual_seed(seed)
    padding = torch.randn(*present.shape[:2], 2, embeddings.shape[-1], generator=generator)
    longer = torch.cat([embeddings, padding], 2)
    longer = longer * (0.1 + torch.rand(longer.shape[:3], generator=generator)[..., None])
    padded = (
        longer,
        torch.nn.functional.pad(present, (0, 2)),
        torch.nn.functional.pad(merged, (0, 2, 0, 2), value=True),
    )
    first, second = (LOSSES[name](*given, negatives, average) for given in ((*batch,), padded))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@each_option
@pytest.mark.parametrize("people", [0, 1, 300])
def test_any_number_of_people(name, negatives, average, people):
    generator = torch.Generator().manual_seed(people)
    embeddings = torch.randn(2, 2, people, 16, generator=generator).requires_grad_()
    present = torch.ones(2, 2, people, dtype=torch.bool)
    present[1, :, ::7] = False  # vanished in the second view
    merged = torch.zeros(2, people, people, dtype=torch.bool)
    loss = LOSSES[name](embeddings, present, merged, negatives, average)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    assert (loss > 0) == (people > 1)


@each_option
def test_equal_embeddings_have_a_finite_gradient(name, negatives, average):
    """A collapsed network must be able to leave its collapse without a NaN."""
    for value in (0.0, 1.0):
        embeddings = torch.full((2, 2, 5, 8), value, requires_grad=True)
        present = torch.ones(2, 2, 5, dtype=torch.bool)
        LOSSES[name](embeddings, present, None, negatives, average).backward()
        assert torch.isfinite(embeddings.grad).all()


@examples
@given(batch=batches())
def test_more_negatives_are_harder(batch):
    embeddings, present, merged = batch
    frame, whole = (nt_xent(embeddings, present, 0.3, merged, negatives) for negatives in ("frame", "batch"))
    assert whole >= frame - 1e-6


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOSSES)
def test_autocast_leaves_the_loss_in_float32(name, precision):
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 3, 6, 16, generator=generator)
    present = torch.ones(2, 3, 6, dtype=torch.bool)
    given = embeddings, present, None, "frame", "pairs"
    with torch.autocast("cpu", dtype=precision):
        inside = LOSSES[name](*given)
    assert torch.equal(inside, LOSSES[name](*given))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_supervised_loss_in_float32(precision):
    """Its classifier is a layer, but a part of the loss: rounded logits would handicap the baseline."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 3, 6, 16, generator=generator)
    identities = torch.arange(18).view(3, 6).expand(2, 3, 6)
    usable = torch.ones(2, 3, 6, dtype=torch.bool)
    torch.manual_seed(0)
    given = embeddings, identities, usable, torch.nn.Linear(16, 18)
    with torch.autocast("cpu", dtype=precision):
        inside = identity_cross_entropy(*given)
    assert torch.equal(inside, identity_cross_entropy(*given))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Nobody, one person, five, and two of whom the first is gone again."""
    return film_of(tmp_path_factory.mktemp("film"), [0, 1, 5, 2])


def losses_of(frames, embedding, negatives="frame", average="pairs", off_centre=False, previous=False):
    """Named losses of a step, and the network's gradients."""
    loss = dataclasses.replace(
        PARAMS.loss, embedding=embedding, negatives=negatives, average=average, off_centre=off_centre
    )
    train = dataclasses.replace(PARAMS.train, previous_frame=previous)
    # Far shifts, so that some leave one view and stay in the other.
    views = dataclasses.replace(PARAMS.views, translate=0.3)
    criterion = TrackerCriterion(views, loss, train)
    torch.manual_seed(0)
    model = TinyTracker(identities=300)
    batch = batch_of_film(frames, criterion.previous_min_iou)
    losses = criterion(model, batch, torch.Generator().manual_seed(1))
    losses["loss"].backward()
    assert all(torch.isfinite(value).all() for value in losses.values())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    return losses, model


STEPS = [
    (*options, off_centre, previous)
    for options in (*OPTIONS, ("supervised", "frame", "pairs"))
    for off_centre in (False, True)
    for previous in (False, True)
]


@pytest.mark.parametrize(("embedding", "negatives", "average", "off_centre", "previous"), STEPS)
def test_a_step_is_finite_with_every_option(crowd, embedding, negatives, average, off_centre, previous):
    if embedding == "supervised":
        crowd = [dataclasses.replace(frame, identities=torch.arange(len(frame.boxes)).numpy()) for frame in crowd]
    losses, model = losses_of(crowd, embedding, negatives, average, off_centre, previous)
    assert losses["embedding"] > 0
    assert model.heads["id"].weight.grad.any()
    # A batch of which no one can learn anything about people is ordinary too.
    losses, _ = losses_of(crowd[:1], embedding, negatives, average, off_centre, previous)
    assert losses["embedding"] == 0


def test_a_step_weighs_detection_against_embedding(crowd):
    losses, _ = losses_of(crowd, "nt_xent")
    parts = {name: float(losses[name].detach()) for name in ("detection", "embedding", "loss")}
    s_det, s_id = PARAMS.loss.initial_detection_uncertainty, PARAMS.loss.initial_embedding_uncertainty
    assert s_det != s_id
    weighted = math.exp(-s_det) * parts["detection"] + math.exp(-s_id) * parts["embedding"]
    assert parts["loss"] == pytest.approx(0.5 * (weighted + s_det + s_id), rel=1e-5)


def test_off_centre_readings_lie_within_the_box(tmp_path):
    """Up to a quarter of the width to either side and half of the height up and down, in cells of 4 pixels."""
    (frame,) = film_of(tmp_path, [100])
    batch = batch_of_film([frame])
    batch.boxes[:] = torch.tensor([40.0, 4, 56, 60])
    still = dataclasses.replace(
        PARAMS.views,
        flip=0.0,
        rotate=0.0,
        translate=0.0,
        scale=(1.0, 1.0),
        shear=0.0,
        saturation=0.0,
        value=0.0,
    )
    criterion = TrackerCriterion(still, dataclasses.replace(PARAMS.loss, off_centre=True), PARAMS.train)
    read = []

    class Spy(TinyTracker):
        def read_at(self, features, cells, heads):
            if heads == ["id"]:
                read.append(cells)
            return super().read_at(features, cells, heads)

    criterion(Spy(), batch, torch.Generator().manual_seed(0))
    centre, beside = read
    assert (centre == 8 * 24 + 12).all()  # pixel (48, 32), also where it is mirrored
    assert set((beside % 24).flatten().tolist()) == {11, 12}
    assert set((beside // 24).flatten().tolist()) == set(range(1, 15))


@pytest.mark.parametrize("embedding", LOSSES)
def test_a_step_with_300_people(tmp_path, embedding):
    frames = film_of(tmp_path, [300, 0])
    losses, _ = losses_of(frames, embedding, average="frames", off_centre=True)
    assert losses["embedding"] > 0


def test_some_of_these_people_are_in_one_view_only(crowd):
    """Otherwise the tests above would say less than they seem to."""
    views = dataclasses.replace(PARAMS.views, translate=0.3)
    present = make_views(batch_of_film(crowd), views, 2, torch.Generator().manual_seed(1)).present
    assert (present[0] ^ present[1]).any()


@pytest.mark.parametrize("embedding", LOSSES)
def test_a_step_does_not_see_the_order_of_people(crowd, embedding):
    turned = [dataclasses.replace(frame, boxes=frame.boxes[::-1].copy()) for frame in crowd]
    first, _ = losses_of(crowd, embedding)
    second, _ = losses_of(turned, embedding)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)


def test_with_more_views_everybody_has_more_positives(crowd):
    for count in (2, 3, 4):
        criterion = TrackerCriterion(PARAMS.views, PARAMS.loss, dataclasses.replace(PARAMS.train, views=count))
        seen = []

        class Spy(TinyTracker):
            def features(self, images, seen=seen):
                seen.append(len(images))
                return super().features(images)

        losses = criterion(Spy(), batch_of_film(crowd), torch.Generator().manual_seed(1))
        assert seen == [count * len(crowd)]
        assert torch.isfinite(losses["loss"])
