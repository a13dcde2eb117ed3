"""What `evaluate` tells of: its numbers, the histories of the trainings, and a drawn frame of every benchmark.

It watches: whatever happens here, the measurements are complete and the stage succeeds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import pandas as pd

from clmot.errors import InputError
from clmot.images import read_image
from clmot.inference.tracked_frames import find_tracked_parts
from clmot.motchallenge.annotations import read_results
from clmot.motchallenge.classes import TrackedKind
from clmot.motchallenge.splits import Split
from clmot.params import Params
from clmot.reporting.drawing import draw_tracks, fullest_frame
from clmot.reporting.mlflow_run import reason_of

FRAMES = Path("data/frames")
TRACKS = Path("tracks")
JPEG_QUALITY = 90


def report_evaluation(
    params: Params, numbers: Mapping[str, Mapping[str, float]], sequences: pd.DataFrame, table: Path
) -> None:
    """Complete this execution's MLflow run, and say what is special about it and where it is shown. Nothing here fails.

    Args:
        params: of this execution.
        numbers, sequences: as `clmot.reporting.mlflow_run.log_evaluation` takes them.
        table: the table that was written.
    """
    histories = {
        stage: Path("models", model, "history.csv") for stage, model in (("pretrain", "detector"), ("train", "tracker"))
    }
    try:
        from clmot.reporting.mlflow_run import log_evaluation

        with tempfile.TemporaryDirectory() as folder:
            shown = log_evaluation(
                params,
                numbers,
                sequences,
                table,
                annotated_frames(params, Path(folder)) | identity_pictures(params, Path(folder)),
                {stage: path for stage, path in histories.items() if path.is_file()},
            )
        print(f"\n{shown}")
    except Exception as error:
        print(f"warning: metrics/ is complete, but MLflow was not told of it ({reason_of(error)})", file=sys.stderr)


def annotated_frames(params: Params, out: Path) -> dict[str, Path]:
    """Draw a frame of every benchmark whose frames are here and tracked into `out`; the pictures by benchmark."""
    pictures: dict[str, Path] = {}
    for benchmark in sorted(params.data.benchmarks):
        if (FRAMES / benchmark).is_dir():
            path = out / f"{benchmark}.jpg"
            try:
                drawn = annotated_frame(benchmark, Split.from_params(params.data))
                path.write_bytes(drawn)
            except (InputError, OSError) as error:
                print(f"warning: no frame of {benchmark} is drawn ({reason_of(error)})", file=sys.stderr)
            else:
                pictures |= {benchmark: path} if drawn else {}
    return pictures


def identity_pictures(params: Params, out: Path) -> dict[str, Path]:
    """Timelines, clips, neighbours and maps, see `clmot.reporting.identity_pictures`, in `out`; none where there is no
    ground truth or it cannot be drawn."""
    from clmot.reporting.identity_pictures import draw_identities

    if not all((FRAMES / benchmark).is_dir() for benchmark in params.data.benchmarks):
        return {}
    kind = TrackedKind(params.strip.classes, params.strip.flagged)
    try:
        return draw_identities([], out, params.track.confidence, kind)
    except (InputError, OSError) as error:
        print(f"warning: no timeline is drawn ({reason_of(error)})", file=sys.stderr)
        return {}


def annotated_frame(benchmark: str, split: Split) -> bytes:
    """The frame with the most tracks of all sequences of a benchmark, drawn, as JPEG; empty where none is tracked.

    Raises:
        InputError: frames or tracks are absent or faulty.
    """
    parts = find_tracked_parts(FRAMES / benchmark, split)
    if not parts:
        return b""
    tracks = {name: read_results(TRACKS / benchmark / f"{name}.txt") for name in parts}
    numbers = {name: fullest_frame(found.frame) for name, found in tracks.items()}
    name = max(tracks, key=lambda name: (tracks[name].frame == numbers[name]).sum())
    shown = tracks[name].select(tracks[name].frame == numbers[name])
    image = draw_tracks(read_image(parts[name].images[numbers[name] - 1]), shown.corners(), shown.identity)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
