"""Track people through the frames of one benchmark with the trained network."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from clmot.errors import InputError, run_as_script
from clmot.files import dvc_root, staged_directory, staged_file, write_json
from clmot.hardware import set_up
from clmot.inference.film_tracker import FilmTracker
from clmot.inference.kept_tracks import KeptTracks, track_films
from clmot.inference.speed import speeds
from clmot.inference.tracked_frames import find_tracked_parts
from clmot.motchallenge.splits import Split
from clmot.params import BENCHMARKS, load_params
from clmot.reporting.mlflow_run import watched

FRAMES = Path("data/frames")
TRACKS = Path("tracks")


def main() -> None:
    """data/frames/B + models/tracker -> tracks/B, tracks/B.detections, tracks/B.speed.json.

    `track.detections` may replace what the network finds by data/detections/B or data/held_out/B.
    """
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.track {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    params = load_params()
    setup = set_up(params.hardware)
    print(f"track {benchmark} runs on {setup}.", file=sys.stderr)
    parts = find_tracked_parts(FRAMES / benchmark, Split.from_params(params.data))
    if not parts:
        print(f"'data.validation_sequences' holds out no film of {benchmark}: there is none to track.", file=sys.stderr)
    kept = KeptTracks(dvc_root() / ".checkpoints" / "tracks" / benchmark)
    films, seconds = track_films(FilmTracker(benchmark, parts, params), kept)
    # All are finished before the first takes its place, so that a stage that dies leaves none.
    with contextlib.ExitStack() as outs:
        directory = outs.enter_context(staged_directory(TRACKS / benchmark))
        detections = outs.enter_context(staged_directory(TRACKS / f"{benchmark}.detections"))
        speed = outs.enter_context(staged_file(TRACKS / f"{benchmark}.speed.json"))
        kept.put(films, directory, detections)
        write_json(speed, speeds(films, seconds, setup.device) if films else {})


if __name__ == "__main__":
    run_as_script(watched(main))
