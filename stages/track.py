"""Track people through the frames of one benchmark with the trained network."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clmot  # Before torch: it says how OpenMP's threads wait.

# isort: split
import cv2
import torch

from clmot.errors import InputError, run_as_script
from clmot.files import staged_directory, staged_file, write_json
from clmot.hardware import set_up
from clmot.images import read_image
from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.embeddings import NETWORK, Embedded, embedder
from clmot.inference.given_detections import GivenDetections, Recorder, given_detections
from clmot.inference.pipeline import DetectionSource, NetworkDetections, SequenceTracks, track_frames
from clmot.inference.recording import write_recording
from clmot.inference.tracked_frames import TrackedPart, find_tracked_parts
from clmot.models.checkpoint import load_model
from clmot.models.crop_weights import load_crop_encoder
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.splits import Split
from clmot.params import BENCHMARKS, Params, TrackParams, load_params
from clmot.reporting.drawing import draw_tracks, fullest_frame

FRAMES = Path("data/frames")
HELD_OUT = Path("data/held_out")
MODEL = Path("models/tracker")
TRACKS = Path("tracks")


def main() -> None:
    """data/frames/B + models/tracker -> tracks/B, tracks/B.detections, tracks/B.speed.json, tracks/B.jpg.

    `track.detections` may replace what the network finds by data/detections/B or data/held_out/B.
    """
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.track {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    params = load_params()
    setup = set_up(params.hardware)
    print(f"track {benchmark} runs on {setup}.", file=sys.stderr)
    device = setup.device
    parts = find_tracked_parts(FRAMES / benchmark, Split.from_params(params.data))
    sources = detection_sources(parts, benchmark, params, device)
    floor = min(params.track.recorded_confidence, params.track.confidence)
    tracks = {}
    # All are finished before the first takes its place, so that a stage that dies leaves none.
    with contextlib.ExitStack() as outs:
        directory = outs.enter_context(staged_directory(TRACKS / benchmark))
        detections = outs.enter_context(staged_directory(TRACKS / f"{benchmark}.detections"))
        speed = outs.enter_context(staged_file(TRACKS / f"{benchmark}.speed.json"))
        picture = outs.enter_context(staged_file(TRACKS / f"{benchmark}.jpg"))
        for name, part in parts.items():
            recorder = Recorder(sources[name], floor)
            found = track_frames(recorder, part.images, params.track, part.frame_rate, description=name)
            write_results(directory / f"{name}.txt", found.frame, found.identity, found.boxes, found.scores)
            write_recording(detections / f"{name}.safetensors", recorder.recorded())
            tracks[name] = found
        write_json(speed, speeds(tracks, device))
        picture.write_bytes(annotated_frame(tracks, {name: part.images for name, part in parts.items()}))


def detection_sources(
    parts: dict[str, TrackedPart], benchmark: str, params: Params, device: torch.device
) -> dict[str, DetectionSource]:
    """Where the detections of each sequence come from, as `track.detections` says.

    Raises:
        InputError: files of detections are absent or faulty, whichever sequence they belong to; or there is no model.
    """
    # All files are read before the first frame is tracked: a mistake in the last of them costs seconds, not hours.
    tables = {
        name: given_detections(
            params.track.detections, benchmark, name, part.frames, part.length, params.track.visible_from
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
    network = NetworkDetections(model, size, params.track.max_objects, device, embeddings=wanted)
    known = wanted and model.config.embedding_dim > 0
    encoder = load_crop_encoder(MODEL) if wanted else None
    floor = lowest_used(params.track)
    sources: dict[str, DetectionSource] = {}
    for name, table in tables.items():
        source: DetectionSource = (
            network if table is None else GivenDetections(table, model, size, device, embeddings=known)
        )
        embed = embedders[name]
        if embed is not None:
            source = Embedded(source, embed)
        elif encoder is not None:
            source = CropEmbeddings(source, encoder, device, floor)
        sources[name] = source
    return sources


def lowest_used(track: TrackParams) -> float:
    """The score below which neither tracking nor judging looks at a detection."""
    floors = [track.confidence, track.recorded_confidence]
    return min([*floors, track.second_pass_confidence] if track.second_pass else floors)


def annotated_frame(tracks: dict[str, SequenceTracks], frames: dict[str, list[Path]]) -> bytes:
    """The frame with the most tracks of all sequences, drawn, as JPEG."""
    numbers = {name: fullest_frame(found.frame) for name, found in tracks.items()}
    name = max(tracks, key=lambda name: (tracks[name].frame == numbers[name]).sum())
    rows = tracks[name].frame == numbers[name]
    image = read_image(frames[name][numbers[name] - 1])
    image = draw_tracks(image, tracks[name].boxes[rows], tracks[name].identity[rows])
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def speeds(tracks: dict[str, SequenceTracks], device: torch.device) -> dict[str, Any]:
    """Frames per second of network, association and, with `camera_motion`, following the camera, by sequence and in
    all, and where they were measured."""

    def row(sequences: Sequence[SequenceTracks]) -> dict[str, float | int]:
        frames = sum(s.frames for s in sequences)
        network = sum(s.network_seconds for s in sequences)
        association = sum(s.association_seconds for s in sequences)
        camera = sum(s.camera_seconds for s in sequences)
        return {
            "frames": frames,
            "network_fps": round(frames / network, 2),
            "association_fps": round(frames / association, 2),
            **({"camera_motion_fps": round(frames / camera, 2)} if camera else {}),
            "fps": round(frames / (network + association + camera), 2),
        }

    on_gpu = device.type == "cuda"
    return {
        "machine": {
            "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "clmot": clmot.__version__,
        },
        "all": row(list(tracks.values())),
        "sequences": {name: row([found]) for name, found in tracks.items()},
    }


if __name__ == "__main__":
    run_as_script(main)
