"""How the crop encoder learns: a start in closed form, contrast, and rounds in which tracklets find each other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clmot import ranks
from clmot.data.crop_views import context_of, make_crop_views, plain_view
from clmot.data.crops import CropBatch, FilmBoxes, TrainingCrops
from clmot.data.tracklets import group_tracklets
from clmot.errors import InputError
from clmot.files import staged_directory
from clmot.hardware import Setup, set_up
from clmot.losses.contrastive import contrast_sets
from clmot.model_description import ModelDescription, write_description
from clmot.models.checkpoint import save_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import create_crop_encoder, save_crop_encoder
from clmot.models.network import OneShotTracker
from clmot.models.projection import fisher_projection
from clmot.params import CropParams, HardwareParams, Params
from clmot.training.criteria import Criterion
from clmot.training.loop import Log, fit, write_history
from clmot.training.randomness import seeded
from clmot.training.recipe import Recipe
from clmot.training.resume import checkpoint_folder, decisions

AT_ONCE = 64
"""Crops that go through the network together where nothing is learnt."""
START_ROWS = 1200
"""Boxes from which the first projection is computed; more cost seconds and change little."""
ROWS_OF_A_TRACKLET = 8
"""Boxes from which a tracklet's look is averaged when tracklets are linked."""
SURE_LENGTH = 3
"""Boxes from which on a tracklet's look says anything about whom it may be joined with."""


class CropCriterion(Criterion):
    """Contrast between random views of crops."""

    names = ("loss", "same", "other")

    def __init__(self, params: CropParams, temperature: float) -> None:
        """`params` say how crops are changed, `temperature` is the contrast's."""
        super().__init__()
        self.params, self.temperature = params, temperature

    def forward(self, model: CropEncoder, batch: CropBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """`loss` to minimise; `same` and `other`, the mean cosines of positives and of negatives."""
        views = make_crop_views(batch.crops, self.params.input_size, self.params.views, generator)
        embeddings = model(views)
        unit = F.normalize(embeddings.detach().float(), dim=1)
        cosine = unit @ unit.T
        return {
            "loss": contrast_sets(embeddings, batch.positive, batch.negative, self.temperature),
            "same": _mean(cosine, batch.positive),
            "other": _mean(cosine, batch.negative),
        }


def fit_and_save_crops(
    detector: OneShotTracker,
    crops: TrainingCrops,
    params: Params,
    decided_by: Mapping[str, Any],
    out: str | os.PathLike[str],
    log: Log | None = None,
    description: ModelDescription | None = None,
) -> None:
    """Train the crop encoder that `params` describe, or go on where an earlier attempt stopped, and write the whole
    result or nothing.

    Args:
        detector: goes beside the encoder as it is.
        crops: what the encoder looks at.
        params: of the whole pipeline.
        decided_by: see `clmot.training.recipe.Recipe`.
        out: folder that gets the detector's and the encoder's files and history.csv.
        log: is told of every epoch.
        description: goes beside them, as model.json and MODEL_CARD.md.

    Raises:
        InputError: the loss is no contrast, weights cannot be had, or a training failed (see `fit`).
    """
    if params.loss.embedding != "nt_xent":
        raise InputError(
            f"params.yaml: 'model.embedder: crop' learns by 'loss.embedding: nt_xent' alone, not by "
            f"{params.loss.embedding}: set one of them."
        )
    with seeded(params.seed, "train", "weights"):
        encoder = create_crop_encoder(params.crop)
    recipe = Recipe("train", params.seed, params.train, crops, decided_by)
    temperature = params.loss.temperature
    with checkpoint_folder("train", decisions(recipe, encoder.config)) as folder:
        history = train_crop_encoder(encoder, crops, params.crop, temperature, recipe, params.hardware, folder, log)
        with staged_directory(out) as aside:
            save_model(aside, detector, detector.config)
            save_crop_encoder(aside, encoder)
            write_history(aside / "history.csv", history, CropCriterion.names)
            if description is not None:
                begun = encoder.config.pretrained or "random"
                write_description(aside, dataclasses.replace(description, embedder_from=begun))


def train_crop_encoder(
    encoder: CropEncoder,
    crops: TrainingCrops,
    params: CropParams,
    temperature: float,
    recipe: Recipe,
    hardware: HardwareParams,
    folder: Path,
    log: Log | None = None,
) -> list[dict[str, float]]:
    """Train `encoder` in place; returns the history, rounds one after another.

    Args:
        encoder: with pretrained weights; is left on the CPU, in eval mode.
        crops: what it looks at.
        params: section `crop`.
        temperature: of the contrast.
        recipe: whose data are `crops`.
        hardware: decides nothing about the result.
        folder: for checkpoints, see `clmot.training.loop.fit`.
        log: is told of every epoch.
    """
    setup = set_up(hardware, recipe.params.precision)
    encoder.freeze(params.frozen_stride)
    begin_projection(encoder, crops, params, recipe.generator("projection"), setup)
    history: list[dict[str, float]] = []
    for number in range(params.rounds):
        if number:
            crops.films = [_linked(film, encoder, crops, params, setup) for film in crops.films]
        one = dataclasses.replace(recipe, seed=recipe.seed + 1_000_003 * number, data=crops)
        for row in fit(encoder, CropCriterion(params, temperature), one, hardware, folder / f"round{number}", None):
            history.append({**row, "epoch": len(history) + 1.0})
            if log:
                log(len(history), {key: value for key, value in history[-1].items() if key != "epoch"})
    return history


def begin_projection(
    encoder: CropEncoder, crops: TrainingCrops, params: CropParams, generator: torch.Generator, setup: Setup
) -> None:
    """Give the encoder's last layer the Fisher projection of the films' sure tracklets, seen in random views.

    What the views change, and what changes along a tracklet, counts little from the first step on.
    """
    tracklet = np.concatenate([film.tracklet + 1_000_000 * n for n, film in enumerate(crops.films)])
    _, tracklet, size = np.unique(tracklet, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(size[tracklet] > 1)
    if len(rows) < 2:  # nobody was seen twice: two views of a box must do
        rows = np.arange(len(crops))
    order = torch.randperm(len(rows), generator=generator).numpy()
    rows = rows[order[:START_ROWS]]
    features = np.concatenate(
        [
            _features(encoder, crops, part, params, generator, setup)
            for _ in range(2)
            for part in np.array_split(rows, -(-len(rows) // AT_ONCE))
        ]
    ).astype(np.float64)
    centre, spread = features.mean(0), features.std(0) + 1e-3
    # Maps count the same, however many channels they have.
    channels = [params.parts * width for width in encoder.backbone.feature_info.channels()]
    weight = 1 / np.sqrt(np.repeat(channels, channels)) / spread
    chosen = fisher_projection(
        (features - centre) * weight, np.tile(tracklet[rows], 2), params.dimension, params.shrinkage
    )
    projection = np.zeros((features.shape[1], params.dimension))
    projection[:, : chosen.shape[1]] = chosen * weight[:, None]
    encoder.set_projection(*(torch.from_numpy(array).float() for array in (centre, projection, 1 / weight)))


@torch.no_grad()
def _features(
    encoder: CropEncoder,
    crops: TrainingCrops,
    rows: NDArray[np.int64],
    params: CropParams,
    generator: torch.Generator,
    setup: Setup,
) -> NDArray[np.float32]:
    encoder.to(setup.device).eval()
    pixels = crops.pixels(rows).to(setup.device)
    views = make_crop_views(pixels, params.input_size, params.views, generator)
    return encoder.features(views).float().cpu().numpy()


@torch.no_grad()
def _linked(film: FilmBoxes, encoder: CropEncoder, crops: TrainingCrops, params: CropParams, setup: Setup) -> FilmBoxes:
    """The film with tracklets joined that look alike, as alike as hardly any two do that existed at one moment."""
    encoder.to(setup.device).eval()
    size = np.bincount(film.tracklet)
    looks = []
    for one in range(len(size)):
        rows = np.flatnonzero(film.tracklet == one)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, ROWS_OF_A_TRACKLET).round().astype(int))]
        pixels = crops.pixels(film.first + rows).to(setup.device)
        found = encoder(plain_view(pixels, params.input_size, context_of(params.views)))
        looks.append(F.normalize(F.normalize(found, dim=1).mean(0), dim=0).cpu().numpy())
    similarity = np.stack(looks).astype(np.float64) @ np.stack(looks).T
    long = size >= SURE_LENGTH
    others = similarity[np.triu(film.together) & long[:, None] & long]
    if not len(others):
        return film
    threshold = float(np.quantile(others, 1 - params.link_confusion))
    veto = film.together | ~(long[:, None] & long)
    group = group_tracklets(similarity, veto, size.astype(np.float64), threshold)
    ranks.tell(f"{film.name}: {len(size)} tracklets make {group.max() + 1} groups (cosine from {threshold:.2f}).")
    return film.regrouped(group)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values; 0 where there are none."""
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
