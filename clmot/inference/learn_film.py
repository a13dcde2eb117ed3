"""A crop encoder that learns the people of one film, from somebody's boxes of it: what the film profile does, without a
pipeline around it and without a frame on disk."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.data.crops import TrainingCrops
from clmot.data.frames import TrainingFrame
from clmot.errors import InputError
from clmot.files import staged_directory
from clmot.inference.image_sources import ImageSource, SourceImage
from clmot.model_description import write_description
from clmot.models.checkpoint import save_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import create_crop_encoder, save_crop_encoder
from clmot.models.pack import packed_track
from clmot.models.pretrained import create_detector
from clmot.motchallenge.annotations import AnnotationTable
from clmot.motchallenge.detection_files import usable_scores
from clmot.params import Params
from clmot.training.crop_training import train_crop_encoder
from clmot.training.describe import describe_tracker
from clmot.training.randomness import seeded
from clmot.training.recipe import Recipe


def learn_film(images: ImageSource, boxes: AnnotationTable, params: Params, keep: Path | None = None) -> CropEncoder:
    """Learn who is who, from boxes alone.

    Args:
        images: the film, which is read to the last of the boxes' frames, and closed.
        boxes: of its people, frames as it numbers them; those scored below `strip.min_score` do not train.
        params: sections `crop`, `train`, `loss`, `strip`, `seed` and `hardware` decide.
        keep: folder of a model that gets the encoder, and the params of tracking; None: it is not kept.

    Raises:
        InputError: no box is sure enough, the film ends before the boxes do, or weights cannot be had.
    """
    film = training_frames(boxes, images.name, params.strip.min_score)
    with seeded(params.seed, "train", "weights"):
        encoder = create_crop_encoder(params.crop)
    with closing(images):
        crops = TrainingCrops(film, params.crop, {images.name: images.frame_rate}, reader(images))
    recipe = Recipe("train", params.seed, params.train, crops)
    with tempfile.TemporaryDirectory() as folder:
        train_crop_encoder(encoder, crops, params.crop, params.loss.temperature, recipe, params.hardware, Path(folder))
    if keep is not None:
        _keep(encoder, film, params, keep)
    return encoder


def _keep(encoder: CropEncoder, film: Sequence[TrainingFrame], params: Params, folder: Path) -> None:
    """Write the model that the film profile's pipeline would: the encoder beside a detector that never learnt."""
    with seeded(params.seed, "pretrain", "weights"):
        detector = create_detector(params.model)
    description = dataclasses.replace(
        describe_tracker(params, film, Path(params.model.weights), "crop"),
        detector_from="random",
        embedder_from=encoder.config.pretrained or "random",
        track=packed_track(params),
    )
    with staged_directory(folder) as aside:
        save_model(aside, detector, detector.config)
        save_crop_encoder(aside, encoder)
        write_description(aside, description)


def training_frames(boxes: AnnotationTable, film: str, min_score: float) -> list[TrainingFrame]:
    """Every frame up to the last with a box, with those of its boxes that are sure.

    Raises:
        InputError: none is.
    """
    sure = (usable_scores(boxes.confidence) >= min_score) & (boxes.box[:, 2:] > 0).all(axis=1)
    if not sure.any():
        raise InputError(
            f"{film}: no box scores {min_score:g} or more, so nothing can be learnt: `--set strip.min_score=0` takes "
            "them all."
        )
    table = boxes.select(sure).sorted_by_box()
    corners, last = table.corners().astype(np.float32), int(table.frame.max())
    rows = np.searchsorted(table.frame, np.arange(1, last + 2))
    return [
        TrainingFrame(Path(film), film, number, corners[rows[number - 1] : rows[number]])
        for number in range(1, last + 1)
    ]


def reader(images: ImageSource) -> Callable[[TrainingFrame], NDArray[np.uint8]]:
    """Reads frames of a film that are asked for in order, and none twice."""
    coming = iter(images)
    ahead: list[SourceImage] = []

    def read(frame: TrainingFrame) -> NDArray[np.uint8]:
        while True:
            one = ahead.pop() if ahead else next(coming, None)
            if one is None:
                raise InputError(
                    f"{images.name} ends before frame {frame.number}, for which there are boxes: they are of another "
                    f"film, or it is cut off{f' ({images.trouble})' if images.trouble else ''}."
                )
            if one.number == frame.number:
                return np.ascontiguousarray(one.image[:, :, ::-1])
            if one.number > frame.number:
                raise InputError(f"{images.name} has no frame {frame.number}, for which there are boxes.")

    return read
