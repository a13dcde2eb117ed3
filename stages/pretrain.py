"""Train the detector on frames and boxes. Identities do not exist here."""

from __future__ import annotations

from pathlib import Path

from clmot.data.frames import check_extra_frames, find_training_frames
from clmot.errors import run_as_script
from clmot.models.pretrained import RANDOM, create_detector
from clmot.motchallenge.sequence import read_manifest
from clmot.motchallenge.splits import check_split
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training.criteria import DetectorCriterion
from clmot.training.loop import fit_and_save
from clmot.training.randomness import seeded
from clmot.training.recipe import Recipe, TrainingFrames


def main() -> None:
    """data/frames + data/boxes + data/extra + weights to begin with -> models/detector."""
    params = load_params()
    benchmarks = params.data.benchmarks
    # `strip` saw one benchmark at a time; whether a film trains in one and is tracked in another shows only here.
    sequences = {benchmark: read_manifest(f"data/frames/{benchmark}") for benchmark in benchmarks}
    check_split(sequences, params.data.split, params.data.validation_sequences)
    frames = find_training_frames("data/frames", "data/boxes", benchmarks, extra_dir="data/extra")
    check_extra_frames(frames, sequences, params.data.split, params.data.validation_sequences)
    with seeded(params.seed, "pretrain", "weights"):
        model = create_detector(params.model)
    weights = params.model.weights
    recipe = Recipe(
        "pretrain",
        params.seed,
        params.pretrain,
        TrainingFrames(frames, params.model.input_size),
        decided_by={
            "views": params.views,
            "loss.detection": params.loss.detection,
            "model.weights": weights if weights == RANDOM else Path(weights),
        },
    )
    with training_run(params, "pretrain") as log:
        criterion = DetectorCriterion(params.views, params.loss.detection)
        fit_and_save(model, criterion, recipe, params.hardware, "models/detector", log)


if __name__ == "__main__":
    run_as_script(main)
