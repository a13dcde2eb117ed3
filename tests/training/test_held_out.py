"""Frames that do not train: what they tell after every epoch, and which weights a training ends with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import INPUT_SIZE, TinyTracker, batch_of_film, film_of

from clmot.errors import InputError
from clmot.evaluation.detection import judge, match_detections
from clmot.evaluation.preprocessing import judge_truth
from clmot.hardware import set_up
from clmot.motchallenge.annotations import AnnotationTable
from clmot.params import load_params
from clmot.training import loop, resume
from clmot.training.criteria import DetectorCriterion, TrackerCriterion
from clmot.training.held_out import AP, LOSS, FoundBoxes, frames_and_held_out, hold_out
from clmot.training.kept_weights import KeptWeights
from clmot.training.loop import fit, write_history
from clmot.training.recipe import Recipe

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
CPU = dataclasses.replace(PARAMS.hardware, device="cpu", threads=1, workers=0)


@pytest.fixture
def frames(tmp_path):
    return film_of(tmp_path, [3, 4, 0, 2, 5], "MOT17/a") + film_of(tmp_path, [2, 3, 1], "MOT17/b", seed=1)


def train(frames, folder, share=0.25, epochs=3, criterion=None, **changes):
    """The weights, and the history."""
    torch.manual_seed(0)
    model = TinyTracker()
    settings = dataclasses.replace(PARAMS.train, epochs=epochs, batch_size=3, held_out=share, **changes)
    data, held_out = frames_and_held_out(frames, share, INPUT_SIZE)
    recipe = Recipe("train", 0, settings, data, held_out=held_out)
    criterion = criterion or TrackerCriterion(PARAMS.views, PARAMS.loss, PARAMS.train)
    history = fit(model, criterion, recipe, CPU, folder)
    return {name: value.clone() for name, value in model.state_dict().items()}, history


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("share", "numbers"),
    [(0.0, []), (0.1, [("a", 5), ("b", 3)]), (0.5, [("a", 3), ("a", 4), ("a", 5), ("b", 2), ("b", 3)])],
)
def test_the_last_frames_of_every_film_are_held_out(frames, share, numbers):
    image = dataclasses.replace(frames[0], film="extra/set", number=9, weight=2.0)
    taught, held_out = hold_out([*frames, image], share)
    assert [(frame.film[-1], frame.number) for frame in held_out] == numbers
    assert taught == [frame for frame in [*frames, image] if frame not in held_out]
    assert image in taught


def test_a_frame_of_every_film_trains(frames):
    taught, _ = hold_out(frames, 0.99)
    assert [(frame.film, frame.number) for frame in taught] == [("MOT17/a", 1), ("MOT17/b", 1)]


@pytest.mark.parametrize("alone", [[0], [0, 5], []])
def test_where_no_film_has_two_frames_none_can_be_held_out(frames, alone):
    with pytest.raises(InputError, match="no film has more than one: set it to 0"):
        hold_out([frames[at] for at in alone], 0.2)


@pytest.mark.parametrize("criterion", [TrackerCriterion, DetectorCriterion])
def test_they_tell_loss_and_ap_and_teach_nothing(frames, tmp_path, criterion):
    minimised = {
        TrackerCriterion: lambda: TrackerCriterion(PARAMS.views, PARAMS.loss, PARAMS.train),
        DetectorCriterion: lambda: DetectorCriterion(PARAMS.views, PARAMS.loss.detection),
    }[criterion]
    taught, _ = hold_out(frames, 0.25)
    plain, short = train(taught, tmp_path / "plain", share=0.0, criterion=minimised())
    judged, history = train(frames, tmp_path / "judged", criterion=minimised())
    assert same(plain, judged)
    assert [{**row, LOSS: 0, AP: 0} for row in short] == [{**row, LOSS: 0, AP: 0} for row in history]
    assert all(np.isfinite(row[LOSS]) and 0 <= row[AP] <= 1 for row in history)
    assert len({row[LOSS] for row in history}) == 3
    write_history(tmp_path / "history.csv", history, criterion.names)
    header = (tmp_path / "history.csv").read_text().splitlines()[0].split(",")
    assert header == ["epoch", *criterion.names, LOSS, AP, "learning_rate"]


def test_epochs_are_judged_through_the_same_views(frames, tmp_path, monkeypatch):
    """What learns nothing has the same loss after every epoch."""
    real = loop.begin

    def frozen(model, *rest):
        model.body[1].momentum = 0.0  # of batch norm's statistics
        return real(model, *rest)

    monkeypatch.setattr(loop, "begin", frozen)
    _, history = train(frames, tmp_path, learning_rate=1e-30)
    assert len({row["loss"] for row in history}) == 3
    assert len({row[LOSS] for row in history}) == 1


class Seer(TinyTracker):
    """Finds what it is told to find, in heatmap cells."""

    def __init__(self, boxes, scores):
        super().__init__()
        self.boxes, self.scores = boxes, scores

    def features(self, images):
        return torch.zeros(len(images), 1, images.shape[2] // 4, images.shape[3] // 4)

    def read(self, features, heads):
        heat = torch.full_like(features, -20)
        for box, score in zip(self.boxes, self.scores, strict=True):
            x, y = (int(side) for side in (box[:2] + box[2:]) / 2)
            heat[:, 0, y, x] = torch.logit(torch.tensor(score))
        return {"hm": heat}

    def read_at(self, features, cells, heads):
        width = features.shape[-1]
        values = {"wh": torch.zeros(*cells.shape, 2), "reg": torch.zeros(*cells.shape, 2)}
        for box in map(torch.as_tensor, self.boxes):
            centre = (box[:2] + box[2:]) / 2
            here = cells == int(centre[1]) * width + int(centre[0])
            values["wh"][here], values["reg"][here] = box[2:] - box[:2], centre - centre.floor()
        return values


@pytest.mark.parametrize("seed", range(4))
def test_ap_is_that_of_the_evaluation(tmp_path, seed):
    """Detections beside and on the true boxes, scored at random, in a frame of six people."""
    batch = batch_of_film(film_of(tmp_path, [6], seed=seed))
    true = batch.boxes[0][batch.valid[0]].numpy()
    random = np.random.default_rng(seed)
    found = true[random.permutation(6)[:5]] + random.normal(0, 1.5, (5, 4)).astype(np.float32)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 4)
    cells = (found / 4).astype(np.float32)
    centres = np.floor((cells[:, :2] + cells[:, 2:]) / 2)
    apart = [n for n in range(5) if all(np.abs(centres[n] - centres[m]).max() > 1 for m in range(n))]
    scores = np.linspace(0.9, 0.5, 5)[random.permutation(5)]
    judged = FoundBoxes()
    judged.add(Seer(cells[apart], scores[apart].tolist()), batch, set_up(CPU))

    def table(corners, confidence):
        box = np.concatenate([corners[:, :2] + 1, corners[:, 2:] - corners[:, :2]], 1).astype(float)
        ones = np.ones(len(box), np.int64)
        return AnnotationTable(ones, np.arange(len(box)), box, confidence, ones, np.ones(len(box)))

    truth = judge_truth(table(true, np.ones(len(true))), 1, "MOT17")
    boxes = table(found[apart], scores[apart])
    expected = judge(boxes.confidence, match_detections(truth, boxes), len(true)).average_precision
    assert judged.average_precision(torch.device("cpu")) == pytest.approx(expected, abs=1e-6)


def test_finding_what_is_forgiven_is_no_mistake(tmp_path):
    """The best detection is on no one: AP is as without it, if what it is on is forgiven."""
    batch = batch_of_film(film_of(tmp_path, [1], seed=1))
    true = batch.boxes[0, 0].numpy()
    elsewhere = np.where(true[0] > 48, [8, 8, 24, 40], [68, 8, 84, 40]).astype(np.float32)
    found = []
    half_of_it = np.add(elsewhere, [8, 0, 8, 0])  # IoU 1/3
    for forgiven in (np.zeros(4), elsewhere, half_of_it):
        judged = FoundBoxes()
        one = dataclasses.replace(batch, forgiven=torch.tensor(forgiven).float().reshape(1, 1, 4))
        judged.add(Seer(np.stack([true, elsewhere]) / 4, [0.5, 0.9]), one, set_up(CPU))
        found.append(judged.average_precision(torch.device("cpu")))
    assert found == pytest.approx([0.5, 1, 0.5])


@pytest.mark.parametrize("scores", [[0.1, 0.9, 0.5], [0.9, 0.9, 0.1], [0.0, 0.1, 0.2], [0.0, 0.0, 0.0]])
def test_the_best_epoch_is_kept(frames, tmp_path, monkeypatch, scores):
    """Of equal ones the first."""
    states = []

    def told(state, recipe, loader):
        states.append({name: value.clone() for name, value in state.model.state_dict().items()})
        return {LOSS: 1.0, AP: scores[len(states) - 1]}

    monkeypatch.setattr(loop, "judge", told)
    kept, _ = train(frames, tmp_path / "best", keep="best")
    assert same(kept, states[int(np.argmax(scores))])
    states.clear()
    last, _ = train(frames, tmp_path / "last")
    assert same(last, states[2])


def test_the_moving_average_is_what_it_says(frames, tmp_path, monkeypatch):
    steps = []
    real = KeptWeights.after_step

    def after_step(self):
        real(self)
        steps.append(self.model.heads["hm"].weight.detach().clone())

    monkeypatch.setattr(KeptWeights, "after_step", after_step)
    averaged, _ = train(frames, tmp_path / "averaged", weight_average=0.75)
    expected = steps[0]
    for weights in steps[1:]:
        expected = 0.75 * expected + 0.25 * weights
    torch.testing.assert_close(averaged["heads.hm.weight"], expected)
    trained, _ = train(frames, tmp_path / "trained")
    assert torch.equal(trained["heads.hm.weight"], steps[-1])
    assert torch.equal(averaged["body.1.running_mean"], trained["body.1.running_mean"])


@pytest.mark.parametrize("cut_after", [1, 3, 5])
def test_a_resumed_training_keeps_the_same(frames, tmp_path, monkeypatch, cut_after):
    monkeypatch.setattr(resume, "CHECKPOINT_SECONDS", -1)  # after every step
    asked = {"keep": "best", "weight_average": 0.6}
    whole = train(frames, tmp_path / "whole", **asked)
    real, steps = loop.check_losses, []

    def dying(*args):
        steps.append(args)
        if len(steps) > cut_after:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(loop, "check_losses", dying)
    with pytest.raises(KeyboardInterrupt):
        train(frames, tmp_path / "cut", **asked)
    monkeypatch.setattr(loop, "check_losses", real)
    resumed, history = train(frames, tmp_path / "cut", **asked)
    assert same(whole[0], resumed)
    assert history == whole[1]
