"""Train detector and embedding together, or the crop encoder beside the detector; no identity is read."""

from __future__ import annotations

from pathlib import Path

from clmot import ranks
from clmot.data.crops import TrainingCrops
from clmot.data.frames import count_identities, find_training_frames, frame_rates
from clmot.errors import run_as_script
from clmot.hardware import set_up
from clmot.models.checkpoint import load_model
from clmot.models.network import ModelConfig
from clmot.models.pretrained import check_embedding, create_tracker
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
from clmot.training.criteria import TrackerCriterion
from clmot.training.crop_training import fit_and_save_crops
from clmot.training.describe import describe_tracker
from clmot.training.faults import check_contrast_fits
from clmot.training.held_out import frames_and_held_out
from clmot.training.loop import fit_and_save
from clmot.training.randomness import seeded
from clmot.training.recipe import Recipe


def main() -> None:
    """data/training + data/extra + models/detector -> models/tracker."""
    params = load_params()
    if params.model.embedder == "head":  # the crop encoder is small enough for one device
        ranks.launch(params.hardware)
    supervised = params.loss.embedding == "supervised"
    if supervised:
        ranks.tell("SUPERVISED BASELINE: this training reads identity labels (data/identities).")
    frames = find_training_frames(
        "data/training",
        params.data.benchmarks,
        "data/identities" if supervised else None,
        extra_dir="data/extra",
    )
    detector = Path("models/detector")
    detections = load_model(detector)
    if params.model.embedder == "crop":
        crops = TrainingCrops(frames, params.crop, frame_rates("data/training", frames))
        decided_by = {"crop": params.crop, "loss": params.loss, "models/detector": detector}
        description = describe_tracker(params, frames, detector, "crop")
        with training_run(params, "train", "models/tracker") as log:
            fit_and_save_crops(detections, crops, params, decided_by, "models/tracker", log, description)
        return
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
    criterion = TrackerCriterion(params.views, params.loss, params.train)
    size, previous = params.model.input_size, criterion.previous_min_iou
    data, held_out = frames_and_held_out(frames, params.train.held_out, size, previous)
    check_contrast_fits(params, [len(frame.boxes) for frame in data.frames], set_up(params.hardware))
    recipe = Recipe(
        "train",
        params.seed,
        params.train,
        data,
        decided_by={"views": params.views, "loss": params.loss, "models/detector": detector},
        held_out=held_out,
    )
    with training_run(params, "train", "models/tracker", record=ranks.is_first()) as log:
        description = describe_tracker(params, data.frames, detector, "head" if config.embedding_dim else "")
        fit_and_save(model, criterion, recipe, params.hardware, "models/tracker", log, description)


if __name__ == "__main__":
    run_as_script(main)
