"""Where the detections and embeddings of tracking come from, as params.yaml says."""

from __future__ import annotations

from pathlib import Path

import torch

from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.embeddings import NETWORK, Embedded, embedder
from clmot.inference.given_detections import GivenDetections, HeadEmbeddings, given_detections
from clmot.inference.pipeline import DetectionSource, NetworkDetections, Runner
from clmot.inference.session import lowest_used
from clmot.inference.tracked_frames import TrackedPart
from clmot.models.checkpoint import load_model
from clmot.models.crop_weights import load_crop_encoder
from clmot.params import Params

HELD_OUT = Path("data/held_out")
MODEL = Path("models/tracker")


def detection_sources(
    parts: dict[str, TrackedPart], benchmark: str, params: Params, device: torch.device
) -> dict[str, DetectionSource]:
    """Where the detections of each sequence come from, as `track.detections` says: one source for all of which the
    network and the model's encoder alone decide what is found, else each its own.

    Raises:
        InputError: files of detections are absent or faulty, whichever sequence they belong to; or there is no model.
    """
    # All files are read before the first frame is tracked: a mistake in the last of them costs seconds, not hours.
    tables = {
        name: given_detections(
            params.track.detections, benchmark, name, part.frames, part.length, params.track.visible_from, part.size
        )
        for name, part in parts.items()
    }
    held_out = HELD_OUT / benchmark
    embedders = {
        name: embedder(params.track.embedding, params.track.detections, held_out, name, part.frames)
        for name, part in parts.items()
    }
    model = load_model(MODEL)
    size, wanted = params.model.input_size, params.track.embedding == NETWORK
    runner = Runner(device, params.track.precision)
    network = NetworkDetections(
        model, size, params.track.max_objects, runner, embeddings=wanted, batch_size=params.track.batch_size
    )
    at_centres = HeadEmbeddings(network.model, size, runner) if wanted and model.config.embedding_dim else None
    encoder = load_crop_encoder(MODEL) if wanted else None
    floor = lowest_used(params.track)

    def encoded(source: DetectionSource) -> DetectionSource:
        return source if encoder is None else CropEmbeddings(source, encoder, runner, floor)

    finder = encoded(network)  # one for all films, so that they may share its batches
    sources: dict[str, DetectionSource] = {}
    for name, table in tables.items():
        source = finder if table is None else encoded(GivenDetections(table, at_centres))
        embed = embedders[name]
        sources[name] = source if embed is None else Embedded(source, embed)
    return sources
