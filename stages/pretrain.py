"""Train the detector on frames and boxes. Identities do not exist here."""

from __future__ import annotations

from pathlib import Path

from clmot import ranks
from clmot.data.frames import find_training_frames
from clmot.errors import run_as_script
from clmot.models.pretrained import RANDOM, create_detector
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training.criteria import DetectorCriterion
from clmot.training.describe import describe_detector
from clmot.training.held_out import frames_and_held_out
from clmot.training.loop import fit_and_save
from clmot.training.randomness import seeded
from clmot.training.recipe import Recipe


def main() -> None:
    """data/training + data/extra + weights to begin with -> models/detector."""
    params = load_params()
    ranks.launch(params.hardware)
    frames = find_training_frames("data/training", params.data.benchmarks, extra_dir="data/extra")
    with seeded(params.seed, "pretrain", "weights"):
        model = create_detector(params.model)
    data, held_out = frames_and_held_out(frames, params.pretrain.held_out, params.model.input_size)
    description = describe_detector(params, data.frames, model)
    weights = params.model.weights
    recipe = Recipe(
        "pretrain",
        params.seed,
        params.pretrain,
        data,
        decided_by={
            "views": params.views,
            "loss.detection": params.loss.detection,
            "model.weights": weights if weights == RANDOM else Path(weights),
        },
        held_out=held_out,
    )
    with training_run(params, "pretrain", "models/detector", record=ranks.is_first()) as log:
        criterion = DetectorCriterion(params.views, params.loss.detection)
        fit_and_save(model, criterion, recipe, params.hardware, "models/detector", log, description)


if __name__ == "__main__":
    run_as_script(main)
