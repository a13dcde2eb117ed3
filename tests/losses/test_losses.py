"""The losses against the original code's numbers, and on frames that are not ordinary."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.losses.contrastive import nt_xent, shared_cells, triplet
from clmot.losses.detection import PROBABILITY_FLOOR, detection_losses, focal_loss, masked_l1
from clmot.losses.weighting import UncertaintyWeighting
from clmot.models.decode import gather_cells
from clmot.models.targets import Targets
from clmot.params import load_params

REFERENCE = Path(__file__).parents[1] / "reference"
CASES = sorted({key.split("/")[0] for key in np.load(REFERENCE / "contrastive_losses.npz")})
ROOT = Path(__file__).parents[2]


def dense(raw, ids, images):
    """The original's flat rows (n, D) as (V, B, N, D) and (V, B, N)."""
    frames = int(images.max()) + 1 if len(images) else 1
    objects = int(ids.max()) + 1 if len(ids) else 0
    seen: dict[tuple[int, int], int] = {}
    places = []
    for image, number in zip(images.tolist(), ids.tolist(), strict=True):
        view = seen.get((image, number), 0)
        seen[image, number] = view + 1
        places.append((view, int(image), int(number)))
    views = max([view for view, _, _ in places], default=0) + 1
    present = torch.zeros(views, frames, objects, dtype=torch.bool)
    if not places:
        return raw[None, None], present
    where = tuple(torch.tensor(places).T)
    present[where] = True
    return torch.zeros(views, frames, objects, raw.shape[1]).index_put(where, raw), present


def reference_case(case):
    """A case's arrays by name, and its embeddings with a graph: raw rows (n, D), (V, B, N, D) and (V, B, N)."""
    with np.load(REFERENCE / "contrastive_losses.npz") as arrays:
        reference = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{case}/")}
    raw = torch.tensor(reference["emb_raw"]).requires_grad_()
    return reference, raw, *dense(raw, reference["ids"], reference["img_labels"])


def assert_value_and_gradient(loss, raw, reference, name):
    """The loss has a graph, always, and equals the original's value; so does its gradient through the normalisation."""
    loss.backward()
    np.testing.assert_allclose(loss.detach(), reference[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(raw.grad, reference[f"{name}/grad_raw"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.07])
@pytest.mark.parametrize("case", CASES)
def test_nt_xent_reference(case, temperature):
    """Where the original returned a constant without a graph (no positive, no negative, no one at all: its array
    `no_graph`), training on such a batch alone failed; ours has the same value, and a graph with a gradient of 0."""
    reference, raw, embeddings, present = reference_case(case)
    loss = nt_xent(embeddings, present, temperature)
    assert_value_and_gradient(loss, raw, reference, f"ntxent_T{temperature}")
    if f"ntxent_T{temperature}/no_graph" in reference:
        assert not raw.grad.any()


@pytest.mark.parametrize("case", CASES)
def test_nt_xent_reference_by_dot_product(case):
    """The original's dot product version is fed with normalised rows, where a dot product is a cosine: it is the same
    loss, and we do not offer it apart."""
    reference, raw, embeddings, present = reference_case(case)
    assert_value_and_gradient(nt_xent(embeddings, present, 0.5), raw, reference, "ntxent_dot_T0.5")


@pytest.mark.parametrize("margin", [0.3, 0.5])
@pytest.mark.parametrize("case", CASES)
def test_triplet_all_reference(case, margin):
    reference, raw, embeddings, present = reference_case(case)
    loss = triplet(embeddings, present, margin, "all")
    assert_value_and_gradient(loss, raw, reference, f"triplet_batch_all_m{margin}")


WHOLE = [case for case in CASES if case[0] in "ABD"]
"""Cases in which every object has a positive and a negative."""


@pytest.mark.parametrize("margin", [0.3, 0.5])
@pytest.mark.parametrize("case", WHOLE)
def test_triplet_hard_reference(case, margin):
    reference, raw, embeddings, present = reference_case(case)
    loss = triplet(embeddings, present, margin, "hard")
    assert_value_and_gradient(loss, raw, reference, f"triplet_batch_hard_m{margin}")


@pytest.mark.parametrize("margin", [0.3, 0.5])
@pytest.mark.parametrize("case", sorted(set(CASES) - set(WHOLE)))
def test_triplet_hard_departs_from_the_reference_where_there_is_no_triplet(case, margin):
    """The original gave anchors without a positive (distance 0) or a negative (the row's largest distance) a loss,
    divided by all anchors, and raised on an empty batch. Ours is the mean over real triplets: the original's sum
    less what it made up."""
    reference, raw, embeddings, present = reference_case(case)
    loss = triplet(embeddings, present, margin, "hard")
    loss.backward()
    assert torch.isfinite(raw.grad).all()
    name = f"triplet_batch_hard_m{margin}"
    if f"{name}/error" in reference:
        assert not len(raw)
        assert loss == 0
        return
    real, invented, anchors = original_hard_terms(raw.detach(), reference, margin)
    np.testing.assert_allclose((sum(real) + sum(invented)) / anchors, reference[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.detach(), sum(real) / max(1, len(real)), rtol=1e-4, atol=1e-5)


def original_hard_terms(raw, reference, margin):
    """The original's batch-hard terms: of anchors with positive and negative, of the others, and how many anchors."""
    unit = torch.nn.functional.normalize(raw.double(), dim=-1)
    distance = torch.cdist(unit, unit).numpy()
    ids, images = reference["ids"], reference["img_labels"]
    real, invented = [], []
    for a in range(len(ids)):
        positive = (ids == ids[a]) & (images == images[a]) & (np.arange(len(ids)) != a)
        negative = (ids != ids[a]) & (images == images[a])
        farthest = distance[a][positive].max() if positive.any() else 0.0
        nearest = distance[a][negative].min() if negative.any() else distance[a].max()
        (real if positive.any() and negative.any() else invented).append(max(0.0, farthest - nearest + margin))
    return real, invented, len(ids)


def literal_nt_xent(embeddings, present, temperature, merged=None):
    """The definition, pair by pair."""
    views, frames, objects, _ = embeddings.shape
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    losses = []
    for b in range(frames):
        rows = [(v, n) for v in range(views) for n in range(objects) if present[v, b, n]]

        def negatives_of(number, frame, rows=rows):
            return [(v, n) for v, n in rows if n != number and (merged is None or not merged[frame, number, n])]

        for av, an in rows:
            for pv, pn in rows:
                if an != pn or av == pv:
                    continue
                anchor = unit[av, b, an]
                positive = torch.exp(anchor @ unit[pv, b, pn] / temperature)
                negatives = sum(
                    (torch.exp(anchor @ unit[nv, b, nn] / temperature) for nv, nn in negatives_of(an, b)),
                    torch.zeros(()),
                )
                losses.append(-torch.log(positive / (positive + negatives)))
    return torch.stack(losses).mean() if losses else torch.zeros(())


@settings(max_examples=25, deadline=None)
@given(
    views=st.integers(1, 3),
    frames=st.integers(1, 3),
    objects=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_nt_xent_is_its_definition(views, frames, objects, seed):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(views, frames, objects, 8, generator=generator)
    present = torch.rand(views, frames, objects, generator=generator) < 0.7
    expected = literal_nt_xent(embeddings.double(), present, 0.3).double()
    torch.testing.assert_close(nt_xent(embeddings, present, 0.3).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objects", [0, 1, 2, 300])
@pytest.mark.parametrize("seen_twice", [True, False])
def test_nt_xent_is_finite_for_any_number_of_people(objects, seen_twice):
    embeddings = torch.randn(2, 1, objects, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    present = torch.ones(2, 1, objects, dtype=torch.bool)
    present[1] = seen_twice
    loss = nt_xent(embeddings, present, 0.05)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    assert (loss > 0) == (seen_twice and objects > 1)


def test_nt_xent_of_zero_vectors_has_finite_gradient():
    embeddings = torch.zeros(2, 1, 4, 8, requires_grad=True)
    nt_xent(embeddings, torch.ones(2, 1, 4, dtype=torch.bool), 0.1).backward()
    assert torch.isfinite(embeddings.grad).all()


def test_nt_xent_never_compares_across_frames():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(2, 1, 4, 8, generator=generator)
    other = torch.randn(2, 1, 4, 8, generator=generator)
    present = torch.ones(2, 1, 4, dtype=torch.bool)
    alone = (nt_xent(first, present, 0.2) + nt_xent(other, present, 0.2)) / 2
    together = nt_xent(torch.cat([first, other], 1), present.repeat(1, 2, 1), 0.2)
    torch.testing.assert_close(together, alone)


def test_objects_that_share_a_cell_are_no_negatives():
    cells = torch.tensor([[[3, 3, 9]], [[5, 6, 9]]])  # objects 0 and 1 meet in view 1 only
    present = torch.ones(2, 1, 3, dtype=torch.bool)
    merged = shared_cells(cells, present)
    assert merged[0].tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    embeddings = torch.randn(2, 1, 3, 8, generator=torch.Generator().manual_seed(3))
    embeddings[0, 0, 1] = embeddings[0, 0, 0]  # read from one cell
    loss = nt_xent(embeddings, present, 0.2, merged)
    torch.testing.assert_close(loss, literal_nt_xent(embeddings, present, 0.2, merged))
    assert loss < nt_xent(embeddings, present, 0.2)  # which pushes equal vectors apart


def test_absent_objects_never_merge():
    cells = torch.zeros(2, 1, 2, dtype=torch.int64)
    present = torch.tensor([[[True, False]], [[False, True]]])
    assert not shared_cells(cells, present).any()


def test_focal_loss_reference():
    reference = np.load(REFERENCE / "detection_losses.npz")
    for prefix, truth in (("focal", reference["focal_gt"]), ("focal_nopos", np.zeros((2, 1, 12, 20), "f"))):
        logits = torch.tensor(reference["focal_logit"]).requires_grad_()
        probability = logits.detach().sigmoid().clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
        np.testing.assert_allclose(probability, reference["focal_prob"], rtol=1e-5)
        loss = focal_loss(logits, torch.tensor(truth), 2, 4)
        loss.backward()
        np.testing.assert_allclose(loss.detach(), reference[f"{prefix}_loss"], rtol=1e-4)
        np.testing.assert_allclose(logits.grad, reference[f"{prefix}_grad_logit"], rtol=1e-4, atol=1e-5)


def test_masked_l1_reference():
    reference = np.load(REFERENCE / "detection_losses.npz")
    features = torch.tensor(reference["regl1_feat"]).requires_grad_()
    mask = torch.tensor(reference["regl1_mask"]).bool()
    cells, target = torch.tensor(reference["regl1_ind"]), torch.tensor(reference["regl1_target"])
    loss = masked_l1(gather_cells(features, cells), target, mask)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), reference["regl1_loss"], rtol=1e-4)
    np.testing.assert_allclose(features.grad, reference["regl1_grad"], rtol=1e-4, atol=1e-5)
    empty = masked_l1(gather_cells(features, cells), target, torch.zeros_like(mask))
    assert float(empty.detach()) == reference["regl1_empty_mask_loss"]


def test_gathered_and_normalised_embeddings_reference():
    reference = np.load(REFERENCE / "detection_losses.npz")
    columns = gather_cells(torch.tensor(reference["extract_map"]), torch.tensor(reference["extract_ind"]))
    unit = torch.nn.functional.normalize(columns[torch.tensor(reference["extract_mask"]).bool()], dim=-1)
    np.testing.assert_allclose(unit, reference["extract_out"], rtol=1e-4, atol=1e-5)


def test_detection_losses_of_an_empty_frame_are_finite():
    outputs = {"hm": torch.randn(1, 1, 4, 4), "wh": torch.randn(1, 0, 2), "reg": torch.randn(1, 0, 2)}
    for values in outputs.values():
        values.requires_grad_()
    nothing = Targets(
        torch.zeros(1, 1, 4, 4),
        torch.zeros(1, 0, 2),
        torch.zeros(1, 0, 2),
        torch.zeros(1, 0, dtype=torch.int64),
        torch.zeros(1, 0, dtype=torch.bool),
    )
    losses = detection_losses(outputs, nothing, load_params(ROOT / "params.yaml").loss.detection)
    losses["detection"].backward()
    assert torch.isfinite(losses["detection"])
    assert losses["box_size"] == losses["offset"] == 0
    assert torch.isfinite(outputs["hm"].grad).all()


def random_targets(objects, present):
    """Of two images in which `present` of `objects` rows are someone."""
    generator = torch.Generator().manual_seed(0)
    heatmap = torch.rand(2, 1, 8, 12, generator=generator)
    heatmap[:, :, 3, 4] = 1
    return Targets(
        heatmap,
        10 * torch.rand(2, objects, 2, generator=generator),
        torch.rand(2, objects, 2, generator=generator),
        torch.zeros(2, objects, dtype=torch.int64),
        (torch.arange(objects) < present).expand(2, -1),
    )


@pytest.mark.parametrize("average", ["objects", "frames"])
@pytest.mark.parametrize("head", ["hm", "wh", "reg"])
def test_detection_losses_of_bfloat16_outputs_are_computed_in_float32(head, average):
    """Whatever the network runs in: 602 numbers counted in bfloat16 would be 600."""
    params = dataclasses.replace(load_params(ROOT / "params.yaml").loss.detection, average=average)
    targets = random_targets(objects=320, present=301)
    generator = torch.Generator().manual_seed(1)
    shapes = {"hm": (2, 1, 8, 12), "wh": (2, 320, 2), "reg": (2, 320, 2)}
    outputs = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    outputs[head] = outputs[head].bfloat16()
    found = detection_losses(outputs, targets, params)
    wanted = detection_losses({name: values.float() for name, values in outputs.items()}, targets, params)
    for name, value in wanted.items():
        assert found[name].dtype == torch.float32, name
        assert found[name] == value, name


def test_four_sided_boxes_reach_half_of_the_size_to_every_side():
    params = load_params(ROOT / "params.yaml").loss.detection
    targets = random_targets(objects=5, present=4)
    half = targets.sizes / 2
    outputs = {"hm": torch.zeros(2, 1, 8, 12), "wh": torch.cat((half, half), -1), "reg": targets.offsets}
    losses = detection_losses(outputs, targets, params)
    assert losses["box_size"] == losses["offset"] == 0
    outputs["wh"] = outputs["wh"] + torch.tensor([1.0, 2, 3, 4])  # left, top, right, bottom
    assert detection_losses(outputs, targets, params)["box_size"].item() == pytest.approx(2.5, rel=1e-4)


def test_learnt_weights_learn_and_frozen_ones_do_not():
    original = {"initial_detection_uncertainty": -1.85, "initial_embedding_uncertainty": -1.05}
    params = dataclasses.replace(load_params(ROOT / "params.yaml").loss, **original)
    for weighting, learns in (("learnt", True), ("frozen", False)):
        module = UncertaintyWeighting(dataclasses.replace(params, weighting=weighting))
        total = module(torch.tensor(2.0, requires_grad=True), torch.tensor(3.0))
        expected = 0.5 * (np.exp(1.85) * 2 + np.exp(1.05) * 3 - 1.85 - 1.05)
        np.testing.assert_allclose(total.detach(), expected, rtol=1e-5)
        total.backward()
        assert (module.detection.grad is not None) == learns


def test_averaging_over_frames_lets_no_crowd_dominate():
    """Every image's loss is its own, however many people the others show."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 12, 20, generator=generator)
    target = torch.rand(3, 1, 12, 20, generator=generator) * 0.9
    target[0].view(-1)[:40] = 1  # a crowd
    target[1].view(-1)[:2] = 1
    target[2].view(-1)[:1] = 1
    alone = [focal_loss(logits[i : i + 1], target[i : i + 1], 2, 4) for i in range(3)]
    torch.testing.assert_close(focal_loss(logits, target, 2, 4, "frames"), torch.stack(alone).mean())

    predicted, truth = torch.randn(3, 5, 2, generator=generator), torch.zeros(3, 5, 2)
    mask = torch.tensor([[True] * 5, [True] + [False] * 4, [False] * 5])
    per_frame = [masked_l1(predicted[i : i + 1], truth[:1], mask[i : i + 1]) for i in range(2)]
    # The third image has no one, so it has no say.
    torch.testing.assert_close(masked_l1(predicted, truth, mask, "frames"), torch.stack(per_frame).mean())
    assert masked_l1(predicted, truth, torch.zeros_like(mask), "frames") == 0
