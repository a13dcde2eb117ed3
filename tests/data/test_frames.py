"""Finding the frames that train: all of the training range, and none beyond it."""

from __future__ import annotations

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from tiny_training import batch_of_film, film_of, training_folder
from torch.utils.data._utils.pin_memory import pin_memory

from clmot.data.frames import FrameDataset, collate, find_training_frames
from clmot.errors import InputError


@pytest.fixture
def data(tmp_path):
    """Film `a` with 4 frames that train; frame 2 shows no one."""
    rows = ["1,-1,1,1,10,20,1,1,1", "1,-1,11,6,10,20,1,1,0.5", "3,-1,2,3,10,20,1,1,1", "4,-1,5,5,4,4,1,1,1"]
    training_folder(tmp_path, "a", 4, rows)
    return tmp_path / "data" / "training"


def test_every_frame_of_the_training_range_is_found(data):
    frames = find_training_frames(data, ["MOT17"])
    assert [(f.film, f.number, len(f.boxes)) for f in frames] == [
        ("MOT17/a", 1, 2),
        ("MOT17/a", 2, 0),
        ("MOT17/a", 3, 1),
        ("MOT17/a", 4, 1),
    ]
    assert [f.image.name for f in frames] == [f"{n:06d}.jpg" for n in range(1, 5)]
    # The file counts pixels from 1; inside, the first pixel begins at 0.
    np.testing.assert_array_equal(frames[0].boxes, [[0, 0, 10, 20], [10, 5, 20, 25]])


def test_a_frame_that_is_missing_is_named_before_training_starts(data):
    image = data / "MOT17" / "a" / "img1" / "000003.jpg"
    image.unlink()
    with pytest.raises(InputError, match=f"^{image} is missing: delete .*/MOT17 and run `dvc repro`"):
        find_training_frames(data, ["MOT17"])
    shutil.rmtree(image.parent)
    with pytest.raises(InputError, match=r"000001\.jpg is missing"):
        find_training_frames(data, ["MOT17"])


def test_nothing_to_train_on_is_a_sentence(data):
    report = data / "MOT17" / "strip.json"
    report.write_text(json.dumps({"benchmark": "MOT17", "sequences": {}}))
    with pytest.raises(InputError, match=r"holds no training frame of MOT17: check `data\.split`"):
        find_training_frames(data, ["MOT17"])


def test_a_batch_pads_boxes_and_knows_which_are_real(data):
    frames = find_training_frames(data, ["MOT17"])
    for frame in frames:
        cv2.imwrite(str(frame.image), np.full((30, 40, 3), (0, 0, 255), np.uint8))
    dataset = FrameDataset(frames, (96, 64))
    batch = collate([dataset[i] for i in range(4)])
    assert batch.images.shape == (4, 3, 64, 96)
    assert batch.valid.tolist() == [[True, True], [False, False], [True, False], [True, False]]
    assert batch.boxes[~batch.valid].abs().sum() == 0
    red, green, blue = batch.images[0, :, 32, 48].tolist()
    assert red > 250
    assert green < 5
    assert blue < 5


def test_a_batch_holds_the_pixels_in_rgb_and_in_their_places(data):
    frames = find_training_frames(data, ["MOT17"])
    image = np.zeros((30, 40, 3), np.uint8)
    image[5, 7] = (10, 20, 200)  # BGR
    for frame in frames:
        cv2.imwrite(str(frame.image.with_suffix(".png")), image)
    dataset = FrameDataset([dataclasses.replace(f, image=f.image.with_suffix(".png")) for f in frames], (40, 30))
    batch = collate([dataset[0], dataset[1]])
    assert batch.images.shape == (2, 3, 30, 40)
    assert batch.images[1, :, 5, 7].tolist() == [200, 20, 10]
    assert batch.images.sum() == 2 * 230


def test_who_somebody_is_in_the_frame_before(tmp_path):
    """The supervised baseline learns from the frame before as well: row n is the person of row n, in any order."""
    first, second = film_of(tmp_path, [4, 4], step=0.1, identities=True)
    order = [2, 0, 3, 1]
    second = dataclasses.replace(second, boxes=second.boxes[order], identities=second.identities[order])
    batch = batch_of_film([first, second], previous_min_iou=0.75)
    assert batch.previous.valid.all()
    assert batch.identities.tolist() == [[0, 1, 2, 3], order]
    assert torch.equal(batch.previous.identities, batch.identities)
    assert torch.equal(batch.previous.boxes[1], batch.boxes[0, order])


def test_a_loader_pins_every_tensor_of_a_batch(tmp_path, monkeypatch):
    """torch knows lists and mappings; a batch that is neither is left in pageable memory unless it pins itself."""
    batch = batch_of_film(film_of(tmp_path, [2, 0, 1]), previous_min_iou=0.75)
    pinned = []

    def remember(tensor, *_):
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", remember)
    found = pin_memory(batch)
    for one, before in ((found, batch), (found.previous, batch.previous)):
        for name in ("images", "boxes", "valid", "content", "identities"):
            assert any(getattr(one, name) is tensor for tensor in pinned), name
            assert torch.equal(getattr(one, name), getattr(before, name)), name
        assert one.indices == before.indices
