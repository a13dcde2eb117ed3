"""Train the detector on frames and boxes. Identities do not exist here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clmot.data.frames import find_training_frames
from clmot.errors import run_as_script
from clmot.files import dvc_root, staged_directory
from clmot.losses.criterion import DetectorCriterion
from clmot.models.checkpoint import save_model
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.motchallenge.sequence import read_manifest
from clmot.motchallenge.splits import check_split
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training import checkpoint_key, fit, remove_checkpoints, seeded, write_history


def main() -> None:
    """data/frames + data/boxes -> models/detector."""
    params = load_params()
    benchmarks = params.data.benchmarks
    # `strip` saw one benchmark at a time; whether a film is trained on in one and tracked in another shows here.
    check_split(
        {benchmark: read_manifest(f"data/frames/{benchmark}") for benchmark in benchmarks},
        params.data.split,
        params.data.validation_sequences,
    )
    frames = find_training_frames("data/frames", "data/boxes", benchmarks)
    config = ModelConfig.from_params(params.model, embedding=False)
    key = checkpoint_key(
        params.seed,
        dataclasses.asdict(config),
        params.model.input_size,
        dataclasses.asdict(params.views),
        dataclasses.asdict(params.pretrain),
        dataclasses.asdict(params.loss.detection),
        dataclasses.asdict(params.hardware),
        frames=frames,
    )
    checkpoints = dvc_root() / ".checkpoints" / f"pretrain-{key}"
    with seeded(params.seed, "pretrain", "weights"):
        model = OneShotTracker(config)
    criterion = DetectorCriterion(params.views, params.loss.detection)
    with training_run(params, "pretrain") as log:
        history = fit(
            model,
            criterion,
            frames,
            params.model.input_size,
            params.pretrain,
            params.hardware,
            params.seed,
            "pretrain",
            checkpoints,
            log,
        )
    with staged_directory(Path("models/detector")) as out:
        save_model(out, model, config)
        write_history(out / "history.csv", history)
    remove_checkpoints(checkpoints)


if __name__ == "__main__":
    run_as_script(main)
