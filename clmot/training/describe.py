"""What a training's result says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clmot.data.frames import TrainingFrame
from clmot.files import content_hash
from clmot.model_description import (
    DESCRIPTION_FILE,
    ModelDescription,
    identities_seen,
    params_hash,
    read_description,
)
from clmot.models.network import OneShotTracker
from clmot.models.pretrained import RANDOM
from clmot.params import Params

SUPERVISED = "the embedding learnt from identity labels ('loss.embedding: supervised')"


def describe_detector(params: Params, frames: Sequence[TrainingFrame], model: OneShotTracker) -> ModelDescription:
    """What `pretrain` makes.

    Args:
        params: of the pipeline.
        frames: that it looks at.
        model: as it begins, with the weights of `model.weights`.
    """
    weights = params.model.weights
    return ModelDescription(
        input_size=params.model.input_size,
        detector_from="random" if weights == RANDOM else _named(Path(weights)),
        detector_epochs=params.pretrain.epochs,
        trained_on=_films(frames) if params.pretrain.epochs else {},
        boxes=_boxes(frames) if params.pretrain.epochs else 0,
        seen_identities=() if weights == RANDOM else _brought(Path(weights), model.config.embedding_dim),
        params=params_hash(params.seed, params.views, params.pretrain, params.loss.detection),
    )


def describe_tracker(
    params: Params,
    frames: Sequence[TrainingFrame],
    detector: Path,
    embedder: str,
) -> ModelDescription:
    """What `train` makes.

    Args:
        params: of the pipeline.
        frames: that it looks at.
        detector: folder of what it begins with.
        embedder: `head`, `crop`, or empty where nothing is embedded.
    """
    known = (detector / DESCRIPTION_FILE).is_file()
    begun = read_description(detector) if known else ModelDescription(params.model.input_size, detector.name, 0)
    supervised = (SUPERVISED,) if params.loss.embedding == "supervised" else ()
    epochs = params.train.epochs
    return ModelDescription(
        input_size=params.model.input_size,
        detector_from=begun.detector_from,
        detector_epochs=begun.detector_epochs,
        embedder=embedder,
        embedder_epochs=epochs,
        trained_on=_films(frames) if epochs else begun.trained_on,
        boxes=_boxes(frames) if epochs else begun.boxes,
        seen_identities=(*begun.seen_identities, *supervised),
        params=params_hash(begun.params, params.seed, params.views, params.train, params.loss, params.crop),
    )


def _named(weights: Path) -> str:
    """`ctdet_coco_dla_2x.pth (SHA-256 0123456789ab...)`: a name alone says little of a file."""
    return f"{weights.name} (SHA-256 {content_hash(weights)[:12]}...)"


def _brought(weights: Path, embedding_dim: int) -> tuple[str, ...]:
    """Why weights that were loaded have seen identities, as far as they tell."""
    folder = weights if weights.is_dir() else weights.parent
    if (folder / DESCRIPTION_FILE).is_file():  # one of our own models, which says so itself
        return identities_seen(folder)
    if not embedding_dim:
        return ()
    return (
        f"{weights.name}, with which it began, holds the head of an embedding, as trackers do that learnt from "
        "identities",
    )


def _films(frames: Sequence[TrainingFrame]) -> dict[str, int]:
    return dict(sorted(Counter(frame.film for frame in frames).items()))


def _boxes(frames: Sequence[TrainingFrame]) -> int:
    return sum(len(frame.boxes) for frame in frames)
