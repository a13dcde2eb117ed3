"""The crop encoder's training: who is who in a batch, views, and equal bytes from equal seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import film_of

from clmot.data.crop_views import context_of, make_crop_views, plain_view
from clmot.data.crops import TrainingCrops
from clmot.errors import InputError
from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.pipeline import Detections
from clmot.models.crop_weights import load_crop_encoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params
from clmot.training.crop_training import fit_and_save_crops

ROOT = Path(__file__).parents[2]
ALL = load_params(ROOT / "params.yaml")
CROP = dataclasses.replace(
    ALL.crop, weights="weights/none", backbone="mobilenetv4_conv_small_050", dimension=8, steps=2, every_seconds=0.0
)
PARAMS = dataclasses.replace(
    ALL,
    crop=CROP,
    loss=dataclasses.replace(ALL.loss, embedding="nt_xent"),
    train=dataclasses.replace(ALL.train, epochs=1, batch_size=6),
    hardware=dataclasses.replace(ALL.hardware, device="cpu", workers=0),
)
RATE = {"MOT17/film": 10.0, "MOT17/other": 10.0}


@pytest.fixture
def frames(tmp_path):
    return film_of(tmp_path, [3] * 6) + film_of(tmp_path, [2] * 4, film="MOT17/other", seed=1)


def test_who_is_who_in_a_batch(frames):
    crops = TrainingCrops(frames, CROP, RATE)
    assert len(crops) == 26
    batch = crops.collate(range(26))
    film = np.repeat([0, 1], [18, 8])
    across = torch.from_numpy(film[:, None] != film)
    assert not (batch.positive & across).any()
    assert not (batch.negative & across).any()
    assert not (batch.positive & batch.negative).any()
    assert not batch.positive.diagonal().any()
    # Whoever shares a frame is someone else, and a tracklet's boxes are one person in all frames.
    for place, one in enumerate(crops.films):
        rows = np.flatnonzero(film == place)
        same = one.tracklet[:, None] == one.tracklet
        np.fill_diagonal(same, False)
        np.testing.assert_array_equal(batch.positive[np.ix_(rows, rows)].numpy(), same)


def test_partners_are_of_the_same_tracklet_and_near(frames):
    crops = TrainingCrops(frames, dataclasses.replace(CROP, gap_seconds=0.1), RATE)
    for batch in crops.batches(0, PARAMS.train, torch.Generator().manual_seed(0)):
        assert len(batch) == 12
        for anchor, partner in zip(batch[:6], batch[6:], strict=True):
            film = next(one for one in reversed(crops.films) if one.first <= anchor)
            a, b = anchor - film.first, partner - film.first
            assert film.tracklet[a] == film.tracklet[b]
            assert abs(film.frame[a] - film.frame[b]) <= 1


def test_identities_change_nothing(tmp_path, frames):
    """The wall, once more from behind: whatever identities a frame may carry, crops and relations are the same."""
    named = [dataclasses.replace(one, identities=np.arange(len(one.boxes))[::-1].copy()) for one in frames]
    assert TrainingCrops(frames, CROP, RATE).fingerprint() == TrainingCrops(named, CROP, RATE).fingerprint()


def test_time_is_thinned_out_and_meetings_are_not_forgotten(frames):
    crops = TrainingCrops(frames, dataclasses.replace(CROP, every_seconds=0.3), RATE)
    assert sorted(set(crops.films[0].frame.tolist())) == [1, 4]


def test_no_box_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no box to learn"):
        TrainingCrops(film_of(tmp_path, [0, 0]), CROP, RATE)


def test_a_plain_view_is_the_box(frames):
    crops = TrainingCrops(frames, CROP, RATE)
    view = plain_view(crops.pixels(np.array([2])), (16, 32), context_of(CROP.views))
    assert view.shape == (1, 3, 32, 16)
    # The person in front is of one colour and fills the box; what is around is grey noise.
    assert float(view[0, :, 8:24, 4:12].flatten(1).std(1).max()) < 0.05


def test_views_depend_on_the_generator_alone(frames):
    crops = TrainingCrops(frames, CROP, RATE).pixels(np.arange(5))
    first, again, other = (
        make_crop_views(crops, (16, 32), CROP.views, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("rounds", [1, 2])
def test_equal_seeds_give_equal_bytes(tmp_path, frames, monkeypatch, rounds):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = dataclasses.replace(PARAMS, crop=dataclasses.replace(CROP, rounds=rounds))
    detector = OneShotTracker(ModelConfig.from_params(ALL.model, embedding=False))
    contents = []
    for out in ("one", "two"):
        crops = TrainingCrops(frames, params.crop, RATE)
        fit_and_save_crops(detector, crops, params, {"crop": params.crop}, tmp_path / out)
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / out).iterdir())})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"config.json", "crop.json", "crop.safetensors", "history.csv", "model.safetensors"}
    assert len(contents[0]["history.csv"].splitlines()) == 1 + rounds
    assert not (tmp_path / ".checkpoints").exists()

    encoder = load_crop_encoder(tmp_path / "one")
    found = Detections(np.array([[5.0, 5, 20, 40], [30, 5, 45, 40]]), np.array([0.9, 0.1]), None)
    source = CropEmbeddings(lambda frame, image: found, encoder, torch.device("cpu"), floor=0.5)
    seen = source(1, np.zeros((70, 90, 3), np.uint8))
    assert seen.embeddings.shape == (1, 8)
    np.testing.assert_array_equal(seen.boxes, found.boxes[:1])


def test_other_losses_are_refused(tmp_path, frames):
    params = dataclasses.replace(PARAMS, loss=dataclasses.replace(ALL.loss, embedding="none"))
    with pytest.raises(InputError, match=r"learns by 'loss.embedding: nt_xent' alone"):
        fit_and_save_crops(None, TrainingCrops(frames, CROP, RATE), params, {}, tmp_path / "out")
