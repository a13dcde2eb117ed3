"""Train detector and embedding together: two views of every frame, and nobody's identity."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from clmot.data.frames import count_identities, find_training_frames
from clmot.errors import run_as_script
from clmot.losses.tracker_criterion import TrackerCriterion
from clmot.models.checkpoint import load_model, load_weights
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training import fit_and_save, seeded


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
    with seeded(params.seed, "train", "weights"):
        model = OneShotTracker(config)
    # Everything but the embedding's own layers comes from the detector.
    load_weights(
        model,
        detections.state_dict(),
        expected=lambda name: not name.startswith(("id.", "projection.", "classifier.")),
        source=str(detector),
    )
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


if __name__ == "__main__":
    run_as_script(main)
