"""The training loop: resuming, determinism, schedules, and what it says when things go wrong."""

from __future__ import annotations

import dataclasses
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_training import INPUT_SIZE, TinyTracker
from torch import nn

from clmot.data.frames import FrameDataset, TrainingFrame, collate, epoch_order
from clmot.errors import InputError
from clmot.hardware import full_precision, pick_device, set_up
from clmot.images import STRIDE, read_image
from clmot.params import load_params
from clmot.training import loop, resume
from clmot.training.criteria import Criterion, DetectorCriterion, TrackerCriterion
from clmot.training.loop import Loader, fit, write_history
from clmot.training.optimizer import learning_rate, learning_rates, make_optimizer
from clmot.training.randomness import derived_generator
from clmot.training.recipe import Recipe, TrainingFrames

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture
def frames(tmp_path):
    """Ten frames of two films; one frame without people, one with a single person."""
    random = np.random.default_rng(0)
    found = []
    for film, count in (("MOT15/a", 6), ("MOT17/b", 4)):
        for number in range(1, count + 1):
            path = tmp_path / f"{film.replace('/', '-')}-{number}.png"
            cv2.imwrite(str(path), random.integers(0, 256, (70, 90, 3), np.uint8))
            people = {1: 0, 2: 1}.get(number, 5)
            low = random.uniform(0, 50, (people, 2))
            boxes = np.concatenate([low, low + random.uniform(8, 20, (people, 2))], 1).astype(np.float32)
            found.append(TrainingFrame(path, film, number, boxes.reshape(-1, 4)))
    return found


def settings(**changes):
    return dataclasses.replace(PARAMS.train, **{"epochs": 3, "batch_size": 3, **changes})


def fit_tiny(model, frames, folder, log=None, workers=0, loss=TrackerCriterion, **changes):
    criterion = loss(PARAMS.views, PARAMS.loss, PARAMS.train)
    hardware = dataclasses.replace(PARAMS.hardware, device="cpu", threads=1, workers=workers)
    data = TrainingFrames(frames, INPUT_SIZE, criterion.previous_min_iou)
    return fit(model, criterion, Recipe("train", 0, settings(**changes), data), hardware, folder, log)


def train(frames, folder, log=None, **changes):
    torch.manual_seed(0)
    model = TinyTracker()
    history = fit_tiny(model, frames, folder, log, **changes)
    return {k: v.clone() for k, v in model.state_dict().items()}, history


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


def test_training_learns_and_tells_its_history(frames, tmp_path):
    seen = []
    _, history = train(frames, tmp_path / "c", log=lambda epoch, row: seen.append((epoch, row)), epochs=8)
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["loss"] < history[0]["loss"]
    assert [epoch for epoch, _ in seen] == list(range(1, 9))
    assert {"loss", "heatmap", "box_size", "offset", "embedding", "learning_rate"} <= set(seen[0][1])
    write_history(tmp_path / "history.csv", history, TrackerCriterion.names)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,")
    assert len(lines) == 9


def test_same_in_same_out(frames, tmp_path):
    first, again = train(frames, tmp_path / "1"), train(frames, tmp_path / "2")
    assert same(first[0], again[0])
    assert first[1] == again[1]


def test_python_and_numpy_randomness_changes_nothing(frames, tmp_path):
    """The original never seeded them, so no two of its runs agreed."""
    import random

    first, _ = train(frames, tmp_path / "1")
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    again, _ = train(frames, tmp_path / "2")
    assert same(first, again)


def test_a_network_that_draws_by_itself_is_seeded_too(frames, tmp_path):
    """Stochastic depth, which timm's FasterNets have unasked, draws from torch's global generator."""
    found = []
    for history in (1, 2):  # of the generator
        torch.manual_seed(0)
        model = TinyTracker()
        model.body.append(nn.Dropout(0.5))
        torch.manual_seed(history)
        fit_tiny(model, frames, tmp_path / str(history))
        found.append(model.state_dict())
    assert same(*found)


def test_no_two_steps_of_such_a_network_draw_the_same(frames, tmp_path):
    """One dropout for all steps of an epoch, or for one step of every epoch, would train a part of the network."""
    draws = []

    class Spy(TinyTracker):
        def features(self, images):
            draws.append(float(torch.rand(1)))
            return super().features(images)

    fit_tiny(Spy(), frames, tmp_path / "c", epochs=2)
    assert len(set(draws)) == len(draws) == 6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_network_runs_in_the_precision_that_is_asked_for(frames, tmp_path, precision):
    """Its layers alone: losses and weights stay float32."""
    layers, losses = set(), set()

    class Spy(TrackerCriterion):
        def forward(self, model, batch, generator):
            found = super().forward(model, batch, generator)
            losses.update(value.dtype for value in found.values())
            return found

    model = TinyTracker()
    for layer in (model.body[0], model.heads["hm"]):
        layer.register_forward_hook(
            lambda _, inputs, output: layers.add((torch.is_autocast_enabled("cpu"), output.dtype))
        )
    fit_tiny(model, frames, tmp_path / "c", loss=Spy, precision=precision, epochs=1)
    assert layers == {(precision == "bfloat16", getattr(torch, precision))}
    assert losses == {torch.float32}
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_on_a_cpu_nothing_but_deterministic_operators_runs():
    """Same in, same out depends on it wherever an operator has a faster form that sums in any order."""
    enabled = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        set_up(dataclasses.replace(PARAMS.hardware, device="cpu", threads=0))
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory  # which costs, and changes nothing
    finally:
        torch.use_deterministic_algorithms(enabled)
        torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.parametrize("cut_after", [1, 2, 3, 5, 8])
def test_a_resumed_run_ends_with_the_same_weights(frames, tmp_path, monkeypatch, cut_after):
    """Cut off after any number of steps, in the middle of an epoch too; the original's resume crashed."""
    monkeypatch.setattr(resume, "CHECKPOINT_SECONDS", -1)  # after every step
    whole, whole_history = train(frames, tmp_path / "whole")

    class PowerCutError(Exception):
        pass

    steps = 0
    real = loop.check_losses

    def dying(*args):
        nonlocal steps
        steps += 1
        if steps > cut_after:
            raise PowerCutError
        real(*args)

    monkeypatch.setattr(loop, "check_losses", dying)
    with pytest.raises(PowerCutError):
        train(frames, tmp_path / "cut")
    monkeypatch.setattr(loop, "check_losses", real)
    resumed, history = train(frames, tmp_path / "cut")
    assert same(whole, resumed)
    assert history == whole_history


def test_a_damaged_checkpoint_is_named(frames, tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged: delete"):
        train(frames, folder)


def test_a_loss_that_is_not_finite_stops_with_a_sentence(frames, tmp_path):
    with pytest.raises(
        InputError,
        match=r"^train stopped in epoch \d, step \d: the loss is not finite .*: lower 'train\.learning_rate', "
        r"set 'train\.max_gradient_norm' above 0, or check",
    ):
        train(frames, tmp_path / "c", learning_rate=1e12, max_gradient_norm=0.0, epochs=20)


class CountingCriterion(Criterion):
    """A loss whose gradient is the step's number, for each of the batches of a training."""

    names = ("loss",)

    def __init__(self, bad=None):
        super().__init__()
        self.calls, self.bad = 0, bad

    def forward(self, model, batch, generator):
        self.calls += 1
        return {"loss": model.weight.sum() * (float("nan") if self.calls == self.bad else self.calls)}


def count(frames, folder, criterion=None, **changes):
    recipe = Recipe("train", 0, settings(**changes), TrainingFrames(frames, INPUT_SIZE))
    hardware = dataclasses.replace(PARAMS.hardware, device="cpu", threads=1)
    model = nn.Linear(1, 1, bias=False)
    return model, fit(model, criterion or CountingCriterion(), recipe, hardware, folder)


@pytest.mark.parametrize("bad", [1, 2, 3, 5])
def test_the_step_whose_loss_was_not_finite_is_named(frames, tmp_path, monkeypatch, bad):
    """It is looked at when the next step is under way; what the weights were after it is in no checkpoint."""
    monkeypatch.setattr(resume, "CHECKPOINT_SECONDS", -1)
    epoch, step = divmod(bad - 1, 3)
    with pytest.raises(InputError, match=rf"^train stopped in epoch {epoch + 1}, step {step + 1}: the loss is not"):
        count(frames, tmp_path / "c", CountingCriterion(bad))
    if bad > 1:
        saved = torch.load(tmp_path / "c" / "checkpoint.pt", weights_only=True)
        assert (saved["epoch"], saved["step"]) == (epoch, step)
        assert torch.isfinite(saved["model"]["weight"]).all()


def test_accumulated_batches_make_one_step_of_their_mean(frames, tmp_path, monkeypatch):
    """The last step of an epoch takes the batches that are left."""
    seen = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self: (seen.append(float(self.param_groups[0]["params"][0].grad)), real(self)),
    )
    count(frames, tmp_path / "c", batch_size=2, accumulate=2, epochs=2, max_gradient_norm=0.0)
    assert seen == [1.5, 3.5, 5, 6.5, 8.5, 10]


def test_workers_live_as_long_as_the_training(frames, tmp_path):
    """Every epoch reads other batches, by the same processes."""
    setup = dataclasses.replace(set_up(dataclasses.replace(PARAMS.hardware, device="cpu", threads=1)), workers=1)
    loader = Loader(TrainingFrames(frames, INPUT_SIZE), setup)
    processes = set()
    for batches in ([[0, 3], [5]], [[1]], [[2, 4], [6, 7], [9]]):
        assert [list(batch.indices) for batch in loader.read(batches)] == batches
        processes |= {worker.pid for worker in loader.loader._iterator._workers}
    assert len(processes) == 1


def test_a_compiled_network_is_saved_as_it_was(frames, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function.__name__) or function)
    plain, _ = train(frames, tmp_path / "plain", epochs=1)
    fast, _ = train(frames, tmp_path / "fast", epochs=1, compile=True)
    assert compiled == ["features"]
    assert same(plain, fast)


def test_a_gpu_that_is_too_small_says_what_to_lower(frames, tmp_path, monkeypatch):
    def too_much(*given):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(TinyTracker, "features", too_much)
    with pytest.raises(
        InputError, match=r"^train: .* too little memory .* 3 frames at once: lower 'train\.batch_size'"
    ):
        train(frames, tmp_path / "c")


def test_a_gradient_that_is_not_finite_leaves_no_weights(frames, tmp_path):
    """In the last step no further loss tells of it."""

    class SteepCriterion(TrackerCriterion):
        def forward(self, model, batch, generator):
            losses = super().forward(model, batch, generator)
            nothing = (0 * losses["loss"]).sqrt()  # with an infinite slope
            return {**losses, "loss": losses["loss"] + nothing}

    with pytest.raises(
        InputError,
        match=r"^train stopped after epoch 1: .*weights are no longer finite: lower 'train\.learning_rate', "
        r"lower 'train\.max_gradient_norm'\.$",
    ):
        fit_tiny(TinyTracker(), frames, tmp_path / "c", loss=SteepCriterion, epochs=1, batch_size=10)
    assert not list(tmp_path.glob("c/*"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_frame_is_named(frames, tmp_path, workers):
    frames[3].image.unlink()
    with pytest.raises(InputError, match=f"^{frames[3].image} is missing: .*$") as caught:
        train(frames, tmp_path / "c", workers=workers)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_image_is_named(frames):
    frames[3].image.write_text("no image")
    with pytest.raises(InputError, match="not a readable image"):
        read_image(frames[3].image)


def test_frames_without_people_alone_train(frames, tmp_path):
    empty = [f for f in frames if len(f.boxes) == 0]
    weights, _ = train(empty, tmp_path / "c")
    assert all(torch.isfinite(v).all() for v in weights.values())


def test_detector_criterion_never_asks_for_the_embedding(frames):
    asked = []

    class Spy(TinyTracker):
        def read(self, features, heads):
            asked.extend(heads)
            return super().read(features, heads)

    dataset = FrameDataset(frames, INPUT_SIZE)
    batch = collate([dataset[i] for i in range(3)])
    losses = DetectorCriterion(PARAMS.views, PARAMS.loss.detection)(Spy(), batch, torch.Generator())
    assert asked == ["hm", "wh", "reg"]
    assert set(DetectorCriterion.names) <= set(losses)


@pytest.mark.parametrize(("forgiven", "taught"), [("masked", False), ("background", True)])
@pytest.mark.parametrize("embedding", [False, True])
def test_where_finding_is_no_mistake_the_heatmap_learns_nothing(frames, forgiven, taught, embedding):
    """The whole picture is forgiven: the centres alone teach, and elsewhere the heatmap may say anything."""
    logits = []

    class Spy(TinyTracker):
        def read(self, features, heads):
            maps = super().read(features, heads)
            for values in [maps["hm"]] if "hm" in heads else []:
                values.retain_grad()
                logits.append(values)
            return maps

    everything = np.array([[0, 0, 90, 70]], np.float32)
    dataset = FrameDataset([dataclasses.replace(frame, forgiven=everything) for frame in frames], INPUT_SIZE)
    detection = dataclasses.replace(PARAMS.loss.detection, forgiven=forgiven)
    still = dataclasses.replace(PARAMS.views, flip=0.0, rotate=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0)
    criterion: Any = DetectorCriterion(still, detection)
    if embedding:
        criterion = TrackerCriterion(still, dataclasses.replace(PARAMS.loss, detection=detection), PARAMS.train)
    batch = collate([dataset[i] for i in range(3)])
    criterion(Spy(), batch, torch.Generator())["loss"].backward()
    (heatmap,) = logits
    assert heatmap.grad is not None
    left, top, right, bottom = (batch.content[0] / STRIDE).round().int().tolist()
    moved = heatmap.grad[:, 0, top:bottom, left:right].abs() > 1e-12
    people = int(batch.valid.sum()) * (2 if embedding else 1)
    assert (moved.sum() > people) == taught
    assert moved.any()


def test_without_an_embedding_loss_no_uncertainty_moves(frames):
    params = dataclasses.replace(PARAMS.loss, embedding="none")
    criterion = TrackerCriterion(PARAMS.views, params, PARAMS.train)
    dataset = FrameDataset(frames, INPUT_SIZE)
    losses = criterion(TinyTracker(), collate([dataset[i] for i in range(3)]), torch.Generator())
    assert losses["embedding"] == 0
    assert losses["loss"] == losses["detection"]
    losses["loss"].backward()
    assert criterion.weighting.embedding.grad is None


def test_image_size_is_obeyed(frames):
    """The original's size options had no effect."""
    for size in ((96, 64), (160, 96)):
        item = FrameDataset(frames, size)[4]
        assert item["image"].shape == (size[1], size[0], 3)
        assert item["boxes"][:, 2].max() <= size[0]


def test_epoch_order_takes_every_frame_once_and_differs_between_epochs(frames):
    first = epoch_order(frames, 0, 1, 3, derived_generator(0, "order", 0))
    second = epoch_order(frames, 1, 1, 3, derived_generator(0, "order", 1))
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert [len(batch) for batch in first] == [3, 3, 4]  # no batch of one
    alone = epoch_order(frames, 0, 1, 1, derived_generator(0, "order", 0))
    assert [len(batch) for batch in alone] == [1] * 10  # unless that is asked for


def test_epoch_order_strides_within_films(frames):
    taken = [set(chain(*epoch_order(frames, epoch, 2, 3, derived_generator(0, epoch)))) for epoch in range(2)]
    assert taken[0] | taken[1] == set(range(10))
    assert not taken[0] & taken[1]


def test_learning_rate_schedules():
    cosine = settings(schedule="cosine", learning_rate=1.0)
    rates = [learning_rate(step, 100, 0, cosine) for step in range(100)]
    assert rates[4] == 1.0
    assert rates[0] < rates[2] < rates[4]
    assert all(a >= b for a, b in pairwise(rates[4:]))
    assert rates[-1] < 0.01
    steps = settings(schedule="step", milestones=(20, 27), learning_rate=1e-4)
    np.testing.assert_allclose(
        [learning_rate(0, 1, epoch, steps) for epoch in (0, 19, 20, 26, 27, 29)],
        [1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6],
    )


def test_the_rate_goes_on_through_all_epochs():
    cosine = settings(schedule="cosine", learning_rate=1.0)
    rates = learning_rates([3, 2, 4], cosine)
    assert [len(epoch) for epoch in rates] == [3, 2, 4]
    assert list(chain(*rates)) == [learning_rate(step, 9, 0, cosine) for step in range(9)]
    assert learning_rates([1, 1], settings(schedule="step", milestones=(1,), learning_rate=1.0)) == [[1.0], [0.1]]


def test_no_two_steps_draw_the_same_views(frames, tmp_path):
    seeds = []

    class Spy(TrackerCriterion):
        def forward(self, model, batch, generator):
            seeds.append(generator.initial_seed())
            return super().forward(model, batch, generator)

    fit_tiny(TinyTracker(), frames, tmp_path / "c", loss=Spy, epochs=2)
    assert len(set(seeds)) == len(seeds) == 6


def test_only_weights_decay():
    """Not biases and norms, nor the uncertainties, which decay would pull towards equal shares."""
    model, uncertainty = TinyTracker(), nn.Parameter(torch.tensor(-1.0))
    optimizer = make_optimizer([*model.parameters()], [uncertainty], settings(weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert len(decay) == len(named) + 1
    for name, parameter in named.items():
        assert decay[id(parameter)] == (0.1 if parameter.ndim == 4 else 0), name
    assert decay[id(uncertainty)] == 0


def test_gradients_are_clipped_to_the_norm(frames, tmp_path, monkeypatch):
    norms = []

    class Spy(torch.optim.SGD):
        def step(self):
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()))

    def optimizer(trainable, _, params):
        return Spy(trainable, lr=params.learning_rate)

    monkeypatch.setattr(loop, "make_optimizer", optimizer)
    for largest in (0.0, 0.01):
        fit_tiny(TinyTracker(), frames, tmp_path / str(largest), epochs=1, batch_size=10, max_gradient_norm=largest)
    free, clipped = norms
    assert free > 0.1
    assert clipped == pytest.approx(0.01, rel=1e-3)


def test_unknown_device_is_refused():
    with pytest.raises(InputError, match=r"hardware\.device.*got 'abacus'"):
        pick_device("abacus")


def test_full_precision_ends_with_its_block():
    allowed = torch.get_float32_matmul_precision()
    ones = torch.ones(2, 2)
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with pytest.raises(ZeroDivisionError), full_precision(torch.device("cpu")):
                assert torch.get_float32_matmul_precision() == "highest"
                assert (ones @ ones).dtype == torch.float32
                raise ZeroDivisionError
            assert (ones @ ones).dtype == torch.bfloat16
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(allowed)


def test_derived_generators_differ_by_name():
    draws = {float(torch.rand(1, generator=derived_generator(0, *names))) for names in (("a", 1), ("a", 2), ("b", 1))}
    assert len(draws) == 3
