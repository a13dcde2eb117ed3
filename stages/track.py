"""Track people through the frames of one benchmark with the trained network."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch

from clmot.data.images import read_image
from clmot.errors import InputError, run_as_script
from clmot.files import staged_directory, staged_file, write_json
from clmot.hardware import set_up
from clmot.models.checkpoint import load_model
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.sequence import SEQINFO_FILE, image_path, read_manifest, read_seqinfo
from clmot.motchallenge.splits import tracking_range
from clmot.params import BENCHMARKS, Params, load_params
from clmot.reporting.drawing import draw_tracks
from clmot.tracking.pipeline import SequenceTracks, track_sequence

FRAMES = Path("data/frames")
MODEL = Path("models/tracker")
TRACKS = Path("tracks")


def main() -> None:
    """data/frames/B + models/tracker -> tracks/B, tracks/B.speed.json, tracks/B.jpg."""
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.track {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    params = load_params()
    device = set_up(params.hardware).device
    frames = frames_to_track(FRAMES / benchmark, params)
    model = load_model(MODEL)
    tracks = {
        name: track_sequence(
            model, paths, params.model.input_size, params.track, frame_rate, device, description=name
        )
        for name, (paths, frame_rate) in frames.items()
    }
    # All three are finished before the first takes its place, so that a stage that dies leaves none.
    with contextlib.ExitStack() as outs:
        directory = outs.enter_context(staged_directory(TRACKS / benchmark))
        speed = outs.enter_context(staged_file(TRACKS / f"{benchmark}.speed.json"))
        picture = outs.enter_context(staged_file(TRACKS / f"{benchmark}.jpg"))
        for name, found in tracks.items():
            write_results(directory / f"{name}.txt", found.frame, found.identity, found.boxes, found.scores)
        write_json(speed, speeds(tracks, device))
        picture.write_bytes(annotated_frame(tracks, {name: paths for name, (paths, _) in frames.items()}))


def frames_to_track(directory: Path, params: Params) -> dict[str, tuple[list[Path], float]]:
    """The images that the split wants tracked, and the frame rate, of each sequence by name.

    Raises:
        InputError: there is nothing to track, or the manifest or a seqinfo.ini cannot be read.
    """
    found = {}
    for entry in read_manifest(directory):
        span = tracking_range(
            entry.name, entry.frames, entry.subset, params.data.split, params.data.validation_sequences
        )
        if span is not None:
            sequence = directory / entry.name
            info = read_seqinfo(sequence / SEQINFO_FILE)
            paths = [image_path(sequence, info, frame) for frame in range(span.first, span.last + 1)]
            found[entry.name] = (paths, entry.frame_rate)
    if not found:
        raise InputError(
            f"'data.split: {params.data.split}' tracks no frame of {directory}: take {directory.name} out of "
            "'data.benchmarks', or choose another split."
        )
    return found


def annotated_frame(tracks: dict[str, SequenceTracks], frames: dict[str, list[Path]]) -> bytes:
    """The frame with the most tracks of all sequences, drawn, as JPEG."""
    name = max(tracks, key=lambda name: len(tracks[name].in_frame(tracks[name].busiest_frame())[1]))
    number = tracks[name].busiest_frame()
    image = draw_tracks(read_image(frames[name][number - 1]), *tracks[name].in_frame(number))
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def speeds(tracks: dict[str, SequenceTracks], device: torch.device) -> dict[str, Any]:
    """Frames per second of network, association and, with `camera_motion`, following the camera, by sequence and in all,
    and where they were measured."""

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
        },
        "all": row(list(tracks.values())),
        "sequences": {name: row([found]) for name, found in tracks.items()},
    }


if __name__ == "__main__":
    run_as_script(main)
