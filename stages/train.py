"""Train detector and embedding together: two views of every frame, and nobody's identity."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clmot.data.frames import find_training_frames
from clmot.errors import run_as_script
from clmot.files import dvc_root, staged_directory
from clmot.losses.criterion import TrackerCriterion
from clmot.models.checkpoint import load_model, load_weights, save_model
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training import checkpoint_key, fit, remove_checkpoints, seeded, write_history


def main() -> None:
    """data/frames + data/boxes + models/detector -> models/tracker."""
    params = load_params()
    frames = find_training_frames("data/frames", "data/boxes", params.data.benchmarks)
    config = ModelConfig.from_params(params.model)
    detector = Path("models/detector")
    key = checkpoint_key(
        params.seed,
        dataclasses.asdict(config),
        params.model.input_size,
        detector,
        dataclasses.asdict(params.views),
        dataclasses.asdict(params.train),
        dataclasses.asdict(params.loss),
        dataclasses.asdict(params.hardware),
        frames=frames,
    )
    checkpoints = dvc_root() / ".checkpoints" / f"train-{key}"
    with seeded(params.seed, "train", "weights"):
        model = OneShotTracker(config)
    # Everything but the embedding's head comes from the detector.
    load_weights(
        model,
        load_model(detector).state_dict(),
        expected=lambda name: not name.startswith("id."),
        source=str(detector),
    )
    criterion = TrackerCriterion(params.views, params.loss)
    with training_run(params, "train") as log:
        history = fit(
            model,
            criterion,
            frames,
            params.model.input_size,
            params.train,
            params.hardware,
            params.seed,
            "train",
            checkpoints,
            log,
        )
    with staged_directory(Path("models/tracker")) as out:
        save_model(out, model, config)
        write_history(out / "history.csv", history)
    remove_checkpoints(checkpoints)


if __name__ == "__main__":
    run_as_script(main)
