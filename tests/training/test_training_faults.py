"""Faults of the original training, one test each: every test here would fail on the code this project began from.

Resuming, unseeded randomness and image sizes without effect have theirs in test_training.py; anchors without triplets
and batches without a graph in test_losses.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torchvision
import yaml
from tiny_training import INPUT_SIZE, SMALL_NETWORK, TinyTracker, batch_of_film, film_of
from torch.nn import functional as F

from clmot.data.frames import carried_boxes
from clmot.data.views import gaussian_blur, luminance, make_views
from clmot.errors import InputError
from clmot.hardware import set_up
from clmot.losses.contrastive import nt_xent
from clmot.models.checkpoint import load_model, save_model
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import Params, load_params, parse_params
from clmot.training import faults
from clmot.training.criteria import DetectorCriterion, TrackerCriterion
from clmot.training.loop import fit
from clmot.training.recipe import Recipe, TrainingFrames
from stages import train as stage

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
STILL = dataclasses.replace(
    PARAMS.views, flip=0.0, saturation=0.0, value=0.0, rotate=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0
)


def changed_text(**values) -> str:
    """params.yaml with other values by dotted name (`__` for the dot)."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, value in values.items():
        *sections, key = name.split("__")
        section = tree
        for step in sections:
            section = section[step]
        section[key] = value
    return yaml.safe_dump(tree)


def changed(**values) -> Params:
    """The params of `changed_text`."""
    return parse_params(changed_text(**values))


def train(frames, folder, params=PARAMS, model=None, **settings):
    """A short training; returns the model and its history."""
    torch.manual_seed(0)
    model = TinyTracker() if model is None else model
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    hardware = dataclasses.replace(params.hardware, device="cpu", threads=1)
    settings = dataclasses.replace(params.train, **{"epochs": 2, "batch_size": 2, **settings})
    data = TrainingFrames(frames, INPUT_SIZE, criterion.previous_min_iou)
    return model, fit(model, criterion, Recipe("train", 0, settings, data), hardware, folder)


# ---------------------------------------------------------------- who is in a frame


def test_boxes_without_identities_train(tmp_path):
    """The original took the logarithm of the number of identities, which was 0."""
    frames = film_of(tmp_path, [3, 4, 5])
    assert all(frame.identities is None for frame in frames)
    _, history = train(frames, tmp_path / "c")
    assert all(np.isfinite(value) for row in history for value in row.values())


def test_identities_that_nobody_knows_are_no_class(tmp_path):
    """Even the supervised baseline takes frames whose people are unknown: they teach detection alone."""
    known = film_of(tmp_path, [3, 4], "MOT17/known", identities=True)
    unknown = film_of(tmp_path, [5, 2], "MOT17/unknown")
    params = changed(loss__embedding="supervised", strip__keep_identities=True)
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    for frames, teaches in ((known, True), (unknown, False), (known + unknown, True)):
        losses = criterion(TinyTracker(identities=4), batch_of_film(frames), torch.Generator().manual_seed(0))
        assert (losses["embedding"] > 0) == teaches
        losses["loss"].backward()


def test_more_people_than_any_table_train(tmp_path):
    """The original's tables had K = 128 rows, and person 129 was an index error."""
    frames = film_of(tmp_path, [200, 129, 0])
    model, history = train(frames, tmp_path / "c", epochs=1)
    assert np.isfinite(history[0]["loss"])
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_crowded_frames_dominate_only_where_that_is_asked_for():
    """The mean over pairs counts a frame by its pairs; over frames, everybody's frame counts the same."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 2, 30, 8, generator=generator)
    present = torch.ones(2, 2, 30, dtype=torch.bool)
    present[:, 1, 2:] = False
    crowd, pair = (nt_xent(embeddings[:, i : i + 1], present[:, i : i + 1], 0.2) for i in range(2))
    frames = nt_xent(embeddings, present, 0.2, average="frames")
    pairs = nt_xent(embeddings, present, 0.2)
    torch.testing.assert_close(frames, (crowd + pair) / 2)
    torch.testing.assert_close(pairs, (30 * crowd + 2 * pair) / 32)
    assert abs(crowd - pair) > 0.1


CONTRASTS = ["nt_xent", "triplet_hard", "triplet_all"]


def contrast_loss(embedding, off_centre=False):
    """Params of a loss that is above 0 for any two people: no two unit vectors are further apart than the margin."""
    return dataclasses.replace(PARAMS.loss, embedding=embedding, margin=2.5, off_centre=off_centre)


@pytest.mark.parametrize("embedding", CONTRASTS)
def test_people_who_share_a_cell_are_no_negatives(tmp_path, embedding):
    """Two boxes with one centre are read from one cell: as each other's negatives they would have similarity 1, and a
    loss that nothing can reduce."""
    (frame,) = film_of(tmp_path, [2])
    boxes = np.array([[20, 10, 40, 60], [24, 14, 36, 56]], np.float32)
    twins = [dataclasses.replace(frame, boxes=boxes)]
    apart = [dataclasses.replace(frame, boxes=boxes + np.array([[0, 0, 0, 0], [30, 0, 30, 0]], np.float32))]
    criterion = TrackerCriterion(STILL, contrast_loss(embedding), PARAMS.train)
    losses = [
        criterion(TinyTracker(), batch_of_film(frames), torch.Generator().manual_seed(0))["embedding"]
        for frames in (twins, apart)
    ]
    assert losses[0] == 0
    assert losses[1] > 0


@pytest.mark.parametrize("embedding", CONTRASTS)
def test_people_who_meet_beside_their_centres_are_no_negatives(tmp_path, embedding):
    """Read off the centre they share a cell now and then, though their centres never do."""
    (frame,) = film_of(tmp_path, [2])
    boxes = np.array([[22, 28, 46, 36], [26, 28, 50, 36]], np.float32)  # low and wide: they meet often
    batch = batch_of_film([dataclasses.replace(frame, boxes=boxes)])
    read = []

    class Spy(TinyTracker):
        def read_at(self, features, cells, heads):
            if heads == ["id"]:
                read.append(cells)
            return super().read_at(features, cells, heads)

    model = Spy()
    criterion = TrackerCriterion(STILL, contrast_loss(embedding, off_centre=True), PARAMS.train)
    met = []
    for seed in range(40):
        loss = criterion(model, batch, torch.Generator().manual_seed(seed))["embedding"]
        at, beside = (cells.unbind(-1) for cells in read[-2:])  # of both people, in every view
        assert not (at[0] == at[1]).any()
        meet = [bool((a == b).any()) for a, b in ((beside[0], beside[1]), (at[0], beside[1]), (beside[0], at[1]))]
        assert (loss == 0) == any(meet)
        met.append(meet)
    alone = {tuple(meet) for meet in met if sum(meet) <= 1}
    assert len(alone) == 4  # nowhere; both beside; one of them where the other is in the middle


def test_who_is_in_one_view_only_has_no_positive_but_is_somebody():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 1, 3, 8, generator=generator)
    present = torch.tensor([[[True, True, True]], [[True, True, False]]])
    loss = nt_xent(embeddings, present, 0.2)
    elsewhere = embeddings.clone()
    elsewhere[1, 0, 2] = 9  # read from where the third person is not
    assert nt_xent(elsewhere, present, 0.2) == loss
    assert nt_xent(embeddings[:, :, :2], present[:, :, :2], 0.2) < loss  # without the third as a negative


# ---------------------------------------------------------------- the frame before


def colour_at(image, box):
    """Mean colour (3,) of the middle of a box."""
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return image[:, y - 1 : y + 2, x - 1 : x + 2].mean((1, 2))


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_an_object_is_the_same_in_the_frame_before_whatever_is_mirrored(tmp_path, flip):
    """Of the identities that the original carried, 82 % were wrong where only one of the two frames had been mirrored.
    Here everybody has a colour, and wherever an object is, in every view of both frames, it has that colour."""
    random = np.random.default_rng(3)
    places = np.array([[4 + 22 * n, 5 + 33 * row] for n in range(4) for row in range(2)], float)
    people = np.concatenate([places, places + np.array([14, 26])], 1).astype(np.float32)
    colours = random.permutation(np.linspace(0, 255, 8)).round()[:, None].repeat(3, 1)
    colours[:, 1] = 255 - colours[:, 0]
    frames = film_of(tmp_path, [0, 0, 0])
    for number, frame in enumerate(frames):
        order = random.permutation(8)  # rows are not in the same order in every frame
        boxes = (people + np.float32([number, 0, number, 0]))[order]
        image = np.zeros((70, 90, 3), np.uint8)
        for (x1, y1, x2, y2), colour in zip(boxes.astype(int).tolist(), colours[order].tolist(), strict=True):
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), colour, cv2.FILLED)
        cv2.imwrite(str(frame.image), image)
        frames[number] = dataclasses.replace(frame, boxes=boxes)
    params = dataclasses.replace(PARAMS.views, flip=flip, saturation=0, value=0)
    batch = batch_of_film(frames, 0.75)
    assert batch.previous is not None
    assert batch.previous.valid.all()
    views = make_views(batch, params, 2, torch.Generator().manual_seed(1))
    assert views.images.shape[:2] == (4, 3)
    compared = 0
    for b in range(3):
        for n in range(8):
            seen = [colour_at(views.images[v, b], views.boxes[v, b, n]) for v in range(4) if views.present[v, b, n]]
            compared += len(seen) - 1
            assert all((colour - seen[0]).abs().max() < 0.06 for colour in seen)
    assert compared > 60


@pytest.mark.parametrize("unit", [1.0, 1 / 1000])
def test_the_gate_of_the_frame_before_gates_in_any_unit(unit):
    """The original added a pixel to boxes that were fractions of the image: every IoU was almost 1."""
    boxes = np.array([[0, 0, 10, 40], [100, 0, 110, 40], [200, 0, 210, 40]], np.float32)
    moved = boxes + np.array([[1, 0, 1, 0], [3, 0, 3, 0], [60, 0, 60, 0]], np.float32)
    carried, found = carried_boxes(boxes * np.float32(unit), moved * np.float32(unit), 0.75)
    assert found.tolist() == [True, False, False]  # IoU 9/11, 7/13 and 0
    np.testing.assert_allclose(carried, np.where(found[:, None], moved * unit, 0), rtol=1e-6)


def test_two_poor_pairs_do_not_outbid_a_good_one():
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10]], np.float32)
    before = np.array([[0.5, 0, 10.5, 10], [-2, 0, 8, 10]], np.float32)
    # The largest sum of all IoUs would pair 0 with 1 and 1 with 0: 0.67 and 0.74 instead of 0.9 and 0.43.
    carried, found = carried_boxes(boxes, before, 0.75)
    assert found.tolist() == [True, False]
    np.testing.assert_array_equal(carried[0], before[0])


def test_nobody_before_is_nobody_found():
    for ours, theirs in ((0, 3), (3, 0), (0, 0)):
        boxes, before = np.zeros((ours, 4), np.float32), np.zeros((theirs, 4), np.float32)
        carried, found = carried_boxes(boxes, before, 0.75)
        assert carried.shape == (ours, 4)
        assert not found.any()


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("height", range(20, 44))
def test_blur_works_at_every_height(height):
    """The original's kernel was a tenth of the height, which is even as often as odd, and then an error."""
    images = torch.zeros(1, 3, height, 40)
    images[0, :, height // 2, 20] = 1
    blurred = gaussian_blur(images, torch.tensor([1.5]))
    assert blurred.shape == images.shape
    torch.testing.assert_close(blurred.sum(), images.sum())
    assert blurred[0, 0].argmax() == images[0, 0].argmax()  # it moved nothing
    torch.testing.assert_close(blurred.flip(-1)[..., :-1], blurred.flip(-1).flip(-1)[..., 1:])


def test_colours_change_in_rgb(tmp_path):
    """The original jittered BGR as if it were RGB. Red stays red to the network and in the grey of the jitter."""
    (frame,) = film_of(tmp_path, [0])
    cv2.imwrite(str(frame.image), np.full((70, 90, 3), (0, 0, 255), np.uint8))  # OpenCV writes blue first
    views = make_views(batch_of_film([frame]), STILL, 1, torch.Generator())
    middle = views.images[0, 0, :, 32, 48]
    torch.testing.assert_close(middle, torch.tensor([1.0, 0, 0]), atol=0.02, rtol=0)
    torch.testing.assert_close(luminance(middle.view(1, 3, 1, 1)).item(), 0.299, atol=0.01, rtol=0)


# ---------------------------------------------------------------- what learns, and what is kept


def test_the_projection_learns_and_is_saved(tmp_path):
    """The original kept its MLP in the loss, which no checkpoint contains."""
    config = ModelConfig("lcnet_050", "dla", "conv", "auto", (8, 8, 8, 8), 8, 8, projection_dim=4)
    torch.manual_seed(0)
    model = OneShotTracker(config)
    before = {name: value.clone() for name, value in model.projection.state_dict().items()}
    frames = film_of(tmp_path, [4, 5])
    params = changed(model__projection_dim=4)
    train(frames, tmp_path / "c", params, model)
    after = model.projection.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    save_model(tmp_path, model, config)
    again = load_model(tmp_path)
    assert all(torch.equal(value, again.projection.state_dict()[name]) for name, value in after.items())


def test_the_supervised_classifier_learns(tmp_path):
    """The original gave it to no optimizer."""
    frames = film_of(tmp_path, [6, 6, 6, 6], identities=True)
    torch.manual_seed(0)
    model = TinyTracker(identities=6)
    before = model.classifier.weight.detach().clone()
    params = changed(loss__embedding="supervised", strip__keep_identities=True)
    _, history = train(frames, tmp_path / "c", params, model, epochs=12, learning_rate=0.01)
    assert not torch.equal(before, model.classifier.weight)
    assert history[-1]["embedding"] < history[0]["embedding"]


@pytest.mark.parametrize("weighting", ["learnt", "frozen"])
def test_the_uncertainties_learn_where_they_should(tmp_path, weighting):
    """The original wrote them as parameters of a module that no optimizer knew."""
    frames = film_of(tmp_path, [4, 5, 3, 4])
    _, history = train(frames, tmp_path / "c", changed(loss__weighting=weighting), epochs=3)
    loss = PARAMS.loss
    starts = (loss.initial_detection_uncertainty, loss.initial_embedding_uncertainty)
    for name, start in zip(("detection_uncertainty", "embedding_uncertainty"), starts, strict=True):
        last = history[-1][name]
        assert (last == pytest.approx(start, abs=1e-6)) == (weighting == "frozen")


def test_every_view_teaches_detection(tmp_path):
    """The original computed the detection heads of the mirrored view and threw them away."""
    outputs = []

    class Spy(TinyTracker):
        def read(self, features, heads):
            result = super().read(features, heads)
            if "hm" in result:
                result["hm"].retain_grad()
                outputs.append(result["hm"])
            return result

    frames = film_of(tmp_path, [4, 5])
    criterion = TrackerCriterion(PARAMS.views, PARAMS.loss, PARAMS.train)
    criterion(Spy(), batch_of_film(frames), torch.Generator().manual_seed(0))["heatmap"].backward()
    gradient = outputs[0].grad
    assert gradient.shape[0] == 2 * len(frames)
    assert gradient.flatten(1).abs().sum(1).gt(0).all()


def test_the_frame_before_teaches_no_detection(tmp_path):
    """Of its people only those who were found again have boxes: the others would be taught to be no one."""
    computed, read = [], []

    class Spy(TinyTracker):
        def features(self, images):
            computed.append(super().features(images))
            return computed[-1]

        def read(self, features, heads):
            if "id" not in heads:
                read.append((list(heads), features))
            return super().read(features, heads)

    frames = film_of(tmp_path, [4, 5, 3])
    params = changed(train__previous_frame=True)
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    batch = batch_of_film(frames, criterion.previous_min_iou)
    criterion(Spy(), batch, torch.Generator().manual_seed(0))
    (features,) = computed
    taught = params.train.views * len(frames)
    assert len(features) == 2 * taught
    assert [heads for heads, _ in read] == [["hm"], ["wh", "reg"]]
    assert all(torch.equal(part, features[:taught]) for _, part in read)


def test_the_frame_before_teaches_whom_the_supervised_baseline_knows(tmp_path):
    frames = film_of(tmp_path, [5, 5, 5], step=0.0, identities=True)
    loss = dataclasses.replace(PARAMS.loss, embedding="supervised")
    classified = []
    model = TinyTracker(identities=5)
    model.classifier.register_forward_hook(lambda _, inputs, output: classified.append(len(output)))
    for previous in (False, True):
        criterion = TrackerCriterion(STILL, loss, dataclasses.replace(PARAMS.train, previous_frame=previous))
        batch = batch_of_film(frames, criterion.previous_min_iou)
        criterion(model, batch, torch.Generator().manual_seed(0))
    assert classified[0] > 0
    assert classified[1] == 2 * classified[0]  # no one walks, so all are found again


def test_the_contrast_keeps_no_pairs_of_pairs():
    """12 frames of 128 people: the original's matrix had 3072 positive by 780288 negative pairs, 8.9 GiB a copy."""
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    embeddings = torch.randn(2, 12, 128, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    present = torch.ones(2, 12, 128, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        nt_xent(embeddings, present, 0.5).backward()
    assert max(kept) <= 12 * (2 * 128) ** 2


def test_a_step_uses_no_global_randomness(tmp_path):
    """Whatever python, numpy or torch have drawn before, and they have drawn nothing after."""
    frames = film_of(tmp_path, [4, 5])
    params = changed(
        views__colour="simclr", views__blur_probability=0.5, loss__off_centre=True, train__previous_frame=True
    )
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    batch = batch_of_film(frames, criterion.previous_min_iou)
    torch.manual_seed(0)
    model = TinyTracker()
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        results.append(criterion(model.eval(), batch, torch.Generator().manual_seed(7))["loss"])
        assert torch.equal(torch.get_rng_state(), state)
    assert results[0] == results[1]


# ---------------------------------------------------------------- flags that do nothing

CHANGES: dict[str, tuple[object, dict[str, object]]] = {
    "views.flip": (0.0, {}),
    "views.colour": ("simclr", {}),
    "views.saturation": (0.9, {}),
    "views.value": (0.9, {}),
    "views.colour_strength": ([0.1, 0.1, 0.1, 0.1], {"views.colour": "simclr"}),
    "views.colour_probability": (0.1, {"views.colour": "simclr"}),
    "views.blur_probability": (1.0, {}),
    "views.blur_sigma": ([2.0, 3.0], {"views.blur_probability": 1.0}),
    "views.rotate": (20, {}),
    "views.translate": (0.3, {}),
    "views.scale": ([0.5, 0.7], {}),
    "views.shear": (10, {}),
    "views.min_box_side": (12, {}),
    "views.min_box_area_ratio": (0.99, {}),
    "views.max_box_aspect": (1.5, {}),
    "loss.detection.focal_alpha": (3, {}),
    "loss.detection.focal_beta": (3, {}),
    "loss.detection.min_overlap": (0.3, {}),
    "loss.detection.average": ("objects", {}),
    "loss.detection.forgiven": ("background", {}),
    "loss.detection.box_size_weight": (1, {}),
    "loss.detection.offset_weight": (2, {}),
    "loss.embedding": ("triplet_all", {}),
    "loss.temperature": (0.7, {}),
    "loss.margin": (0.9, {"loss.embedding": "triplet_hard"}),
    "loss.negatives": ("batch", {}),
    "loss.average": ("frames", {}),
    "loss.off_centre": (True, {}),
    "loss.weighting": ("frozen", {}),
    "loss.initial_detection_uncertainty": (0, {}),
    "loss.initial_embedding_uncertainty": (-1, {}),
    "train.epochs": (3, {}),
    "train.batch_size": (3, {}),
    "train.accumulate": (2, {}),
    "train.frame_stride": (2, {}),
    "train.learning_rate": (0.01, {}),
    "train.schedule": ("step", {}),
    "train.milestones": ([1], {"train.schedule": "step"}),
    "train.weight_decay": (0.5, {}),
    "train.max_gradient_norm": (0.001, {}),
    "train.precision": ("bfloat16", {}),
    "train.views": (3, {}),
    "train.previous_frame": (True, {}),
    "train.previous_min_iou": (0.3, {"train.previous_frame": True}),
    "train.held_out": (0.3, {}),
    "train.keep": ("best", {"train.held_out": 0.3}),  # where no epoch finds anything the first is best
    "train.weight_average": (0.5, {}),
    "model.backbone": ("lcnet_075", {}),
    "model.operator": ("dcn", {}),
    "model.dcn_implementation": ("torchvision", {"model.operator": "dcn"}),
    "model.neck_channels": ([8, 8, 8, 16], {}),
    "model.head_channels": (16, {}),
    "model.embedding_dim": (16, {}),
    "model.projection_dim": (4, {}),
    "model.input_size": ([128, 64], {"train.epochs": 1}),
}
"""Key -> another value, and what must be set for the key to matter."""
ELSEWHERE = {"model.embedder", "model.neck", "model.weights", "train.compile", "train.sync_batch_norm"}
"""Proved with the tests of networks, of their weights and of the loop."""
SMALL: dict[str, object] = {**SMALL_NETWORK, "train.epochs": 2, "train.batch_size": 2}


def test_every_key_of_training_is_tried():
    sections = ("views.", "loss.", "train.", "model.")
    keys = {key for key in PARAMS.flat() if key.startswith(sections)}
    assert set(CHANGES) | ELSEWHERE == keys


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    forgiven = np.array([[10, 5, 40, 30]], np.float32)
    film = film_of(tmp_path_factory.mktemp("film"), [5, 7, 6, 4, 5], step=2.0)
    return [dataclasses.replace(frame, forgiven=forgiven) for frame in film]


def calls_of_torchvision(model, images):
    """How often its deformable convolution runs: the formulations give equal numbers."""
    calls = []
    real = torchvision.ops.deform_conv2d

    def counted(*args, **kwargs):
        calls.append(args)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(torchvision.ops, "deform_conv2d", counted)
        model(images)
    return len(calls)


def result_of_stage(text, frames, folder):
    """All weights that the stage `train` makes of a random detector and a params.yaml, as one flat tensor."""
    folder.mkdir()
    (folder / "params.yaml").write_text(text)
    torch.manual_seed(0)
    detector = OneShotTracker(ModelConfig.from_params(parse_params(text).model, embedding=False))
    save_model(folder / "models/detector", detector, detector.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.setattr(stage, "find_training_frames", lambda *_, **__: frames)
        patch.setattr(stage, "training_run", lambda *_, **__: contextlib.nullcontext())
        stage.main()
    return torch.cat([w.flatten().float() for w in load_model(folder / "models/tracker").state_dict().values()])


def result_of(key, values, frames, folder):
    """What a key has a say in: views, the network, the losses of a step, or a short training; as one flat tensor."""
    values = {name.replace(".", "__"): value for name, value in values.items()}
    if key in ("model.input_size", "train.held_out", "train.keep", "train.weight_average"):
        text = changed_text(**values, hardware__device="cpu", hardware__threads=1)
        return result_of_stage(text, frames[:2], folder)
    params = changed(**values)
    section = key.split(".")[0]
    if section == "views":
        views = make_views(batch_of_film(frames), params.views, 2, torch.Generator().manual_seed(3))
        return torch.cat([views.images.flatten(), views.boxes.flatten(), views.present.flatten().float()])
    if section == "model":
        torch.manual_seed(0)
        model = OneShotTracker(ModelConfig.from_params(params.model)).eval()
        images = torch.linspace(0, 1, 3 * 64 * 96).view(1, 3, 64, 96)
        if key == "model.dcn_implementation":
            return torch.tensor([calls_of_torchvision(model, images)])
        with torch.no_grad():
            outputs = model(images)
            projected = model.projection(outputs["id"].mean((2, 3)))
        return torch.cat([value.flatten() for value in (*outputs.values(), projected)])
    if section == "train" or key == "loss.weighting":
        model, history = train(
            frames,
            folder,
            params,
            epochs=params.train.epochs,
            batch_size=params.train.batch_size,
        )
        learnt = [value.flatten() for value in model.state_dict().values()]
        return torch.cat([*learnt, torch.tensor([row["detection_uncertainty"] for row in history])])
    torch.manual_seed(0)
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    losses = criterion(TinyTracker(), batch_of_film(frames), torch.Generator().manual_seed(3))
    return losses["loss"].detach()[None]


@pytest.mark.parametrize("key", CHANGES)
def test_no_key_does_nothing(key, crowd, tmp_path):
    """Several flags of the original had no effect. The same values twice change nothing; another value does."""
    value, needed = CHANGES[key]
    base = SMALL | needed
    first = result_of(key, base, crowd, tmp_path / "1")
    again = result_of(key, base, crowd, tmp_path / "2")
    other = result_of(key, base | {key: value}, crowd, tmp_path / "3")
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_the_detector_obeys_views_and_detection_losses(crowd):
    """`pretrain` reads these two sections only."""
    params = changed(**{name.replace(".", "__"): value for name, value in SMALL.items()})

    def loss_of(views, loss):
        torch.manual_seed(0)
        criterion = DetectorCriterion(views, loss)
        return criterion(TinyTracker(), batch_of_film(crowd), torch.Generator().manual_seed(3))["loss"]

    first = loss_of(params.views, params.loss.detection)
    assert first == loss_of(params.views, params.loss.detection)
    assert first != loss_of(dataclasses.replace(params.views, rotate=20), params.loss.detection)
    assert first != loss_of(params.views, dataclasses.replace(params.loss.detection, focal_alpha=3))
    assert F.relu(first) == first


def test_a_contrast_of_whole_batches_that_cannot_fit_is_refused_before_it_begins(monkeypatch):
    """Twelve frames of 220 people in four views: 10560 readings, 2.8 GB."""
    params = changed(loss__negatives="batch", train__previous_frame=True, train__batch_size=12)
    setup = set_up(dataclasses.replace(params.hardware, device="cpu"))
    for free, fits in ((3e9, True), (2.5e9, False)):
        monkeypatch.setattr(faults, "_free_memory", lambda free=free: free)
        sentence = pytest.raises(InputError, match=r"up to 10560 readings of 12 .* 2\.8 GB .*, but 2\.5 GB are free")
        with contextlib.nullcontext() if fits else sentence:
            faults.check_contrast_fits(params, [3, 220, 0], setup)
    faults.check_contrast_fits(PARAMS, [10**6], setup)
