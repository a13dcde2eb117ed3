"""Train detector and embedding together: two views of every frame, and nobody's identity."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from clmot.data.frames import count_identities, find_training_frames
from clmot.errors import InputError, run_as_script
from clmot.models.checkpoint import load_model
from clmot.models.network import ModelConfig
from clmot.models.pretrained import create_tracker
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training.loop import fit_and_save, seeded
from clmot.training.tracker_criterion import TrackerCriterion


def main() -> None:
    """data/frames + data/boxes + data/extra + models/detector -> models/tracker."""
    params = load_params()
    supervised = params.loss.embedding == "supervised"
    if supervised:
        print("SUPERVISED BASELINE: this training reads identity labels (data/identities).", file=sys.stderr)
    frames = find_training_frames(
        "data/frames",
        "data/boxes",
        params.data.benchmarks,
        "data/identities" if supervised else None,
        extra_dir="data/extra",
    )
    detector = Path("models/detector")
    detections = load_model(detector)
    config = ModelConfig.from_params(
        params.model,
        embedding=params.loss.embedding != "none",
        identities=count_identities(frames),
        box_channels=detections.config.box_channels,
    )
    if not params.train.epochs:
        check_embedding(detections.config.embedding_dim, config.embedding_dim)
    with seeded(params.seed, "train", "weights"):
        model = create_tracker(detections, config, source=str(detector))
    with training_run(params, "train") as log:
        fit_and_save(
            model,
            TrackerCriterion(params.views, params.loss, params.train),
            frames,
            params.model.input_size,
            params.train,
            params.hardware,
            params.seed,
            stage="train",
            decided_by=[dataclasses.asdict(params.views), dataclasses.asdict(params.loss), detector],
            out="models/tracker",
            log=log,
        )


def check_embedding(found: int, wanted: int) -> None:
    """Refuse to pass on an embedding that nobody trained, which would look like a tracker.

    Args:
        found: length of the embedding in the detector's weights, 0 where there is none.
        wanted: length of the tracker's, 0 where it is to have none.

    Raises:
        InputError: it is wanted, and the detector does not bring it.
    """
    if wanted and found != wanted:
        brings = f"an embedding of {found} numbers" if found else "no embedding"
        advice = f"'model.embedding_dim: {found}'" if found else "'train.epochs', or 'loss.embedding: none'"
        raise InputError(
            f"params.yaml: 'train.epochs: 0' trains no embedding of {wanted} numbers, and the weights that 'pretrain' "
            f"began with bring {brings}: set {advice}."
        )


if __name__ == "__main__":
    run_as_script(main)
