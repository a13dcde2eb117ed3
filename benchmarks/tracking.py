"""Frames per second of tracking, of this code beside another checkout of it, by turns in one run.

    git worktree add ../before REVISION
    python -m benchmarks.tracking ../before --model models/tracker --films data/frames/MOT17/*

Each side is a process of its own that stays; they take turns, film by film, so that whatever else the machine does
meets both. A turn is what `clmot track` does without drawing: files are read, people found and followed. Time on the
clock and processor time are told, as the first depends on who else is at work; the tracks of both are compared row by
row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

WORKER = """
import clmot  # before torch: it says how OpenMP's threads wait
import json, sys, time
from pathlib import Path
import numpy as np
import torch
from clmot.hardware import set_up
from clmot.inference.pipeline import NetworkDetections
from clmot.inference.track_frames import track_frames
from clmot.model_description import read_description
from clmot.models.checkpoint import load_model
from clmot.params import HardwareParams, TrackParams

model, device, out = sys.argv[1:4]
params = TrackParams()
setup = set_up(HardwareParams(device, int(sys.argv[4]), 0))
size = read_description(Path(model)).input_size
source = NetworkDetections(load_model(model), size, params.max_objects, setup.device)
for line in sys.stdin:
    number, files = json.loads(line)
    begin, used = time.perf_counter(), time.process_time()
    found = track_frames(source, [Path(file) for file in files], params, 25.0)
    answer = {"seconds": time.perf_counter() - begin, "processor": time.process_time() - used, "setup": str(setup)}
    np.savez(Path(out) / f"{number}.npz", frame=found.frame, identity=found.identity, boxes=found.boxes)
    print(json.dumps(answer), flush=True)
"""


class Side:
    """One checkout at work."""

    def __init__(self, checkout: Path, model: Path, device: str, threads: int, out: Path) -> None:
        """Start it; it loads the model and waits."""
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | {"PYTHONPATH": str(checkout)}
        command = [sys.executable, "-c", WORKER, str(model.resolve()), device, str(out), str(threads)]
        self.process = subprocess.Popen(
            command, cwd=checkout, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.turns: list[dict[str, Any]] = []

    def turn(self, number: int, files: list[str]) -> dict[str, Any]:
        """Track one film."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([number, files]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a side has ended: see its error above")
        return json.loads(line)

    def tracks(self, number: int) -> dict[str, Any]:
        """Of the film of a turn."""
        with np.load(self.out / f"{number}.npz") as found:
            return dict(found)

    def summary(self, frames: int) -> dict[str, Any]:
        """Medians over the turns."""
        return {
            "frames_per_second": round(statistics.median(frames / t["seconds"] for t in self.turns), 2),
            "processor_ms_per_frame": round(statistics.median(1000 * t["processor"] / frames for t in self.turns), 2),
            "runs_on": self.turns[0]["setup"],
        }


def compared(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """How far the tracks of two sides differ: rows of other identities, and pixels where they are the same."""
    same, rows, pixels = 0, 0, 0.0
    for one, other in zip(ours, theirs, strict=True):
        keys = [set(zip(t["frame"].tolist(), t["identity"].tolist(), strict=True)) for t in (one, other)]
        rows += max(map(len, keys))
        same += len(keys[0] & keys[1])
        if keys[0] == keys[1]:
            pixels = max(pixels, float(np.abs(one["boxes"] - other["boxes"]).max(initial=0.0)))
    return {"rows": rows, "rows_in_both": same, "largest_difference_in_pixels": pixels}


def main() -> None:
    """Measure, print, and write json where it is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout of this project")
    parser.add_argument("--model", type=Path, default=Path("models/tracker"))
    parser.add_argument("--films", type=Path, nargs="+", required=True, help="folders of MOTChallenge sequences")
    parser.add_argument("--frames", type=int, default=60, help="of each film (default: 60)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side with each film (default: 5)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="hardware.threads of both (default: 0, all cores)")
    parser.add_argument("--scratch", type=Path, default=Path(".bench"), help="where tracks are put to compare them")
    parser.add_argument("--output", type=Path, help="json")
    options = parser.parse_args()
    folders = [film / "img1" for film in options.films if (film / "img1").is_dir()]
    films = [sorted(str(file.resolve()) for file in folder.iterdir())[: options.frames] for folder in folders]
    given = options.model, options.device, options.threads
    scratch = options.scratch.resolve()
    ours = Side(Path(__file__).resolve().parents[1], *given, scratch / "this")
    theirs = Side(options.other.resolve(), *given, scratch / "other")
    for side in (ours, theirs):
        side.turn(0, films[0][:10])  # the first operators of a process are slow
    ratios = []
    for round_ in range(options.rounds):
        for number, files in enumerate(films):
            order = (ours, theirs) if (round_ + number) % 2 else (theirs, ours)
            for side in order:
                side.turns.append(side.turn(number, files))
            ratios.append(theirs.turns[-1]["seconds"] / ours.turns[-1]["seconds"])
    frames = len(films[0])
    result = {
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "films": len(films),
        "frames_of_each": frames,
        "rounds": options.rounds,
        "this": ours.summary(frames),
        "other": theirs.summary(frames),
        "times_faster": {
            "median": round(statistics.median(ratios), 2),
            "lowest": round(min(ratios), 2),
            "highest": round(max(ratios), 2),
            "by_processor_time": round(
                statistics.median(t["processor"] for t in theirs.turns)
                / statistics.median(t["processor"] for t in ours.turns),
                2,
            ),
        },
        "tracks": compared(*([side.tracks(n) for n in range(len(films))] for side in (ours, theirs))),
    }
    print(json.dumps(result, indent=2))
    if options.output is not None:
        options.output.write_text(json.dumps(result, indent=2) + "\n")
    for side in (ours, theirs):
        side.process.communicate()


if __name__ == "__main__":
    main()
