"""Frames a second of training, beside another checkout of this project (the commit before, say), in one run.

    git worktree add ../before COMMIT
    python -m benchmarks.training ../before --results benchmarks/results/training.json

Both train on the same frames of data/training with their own params.yaml, in turn and in processes of their own, after
an epoch that is not measured. A round is one epoch of each; the ratio is taken within rounds. `cpu` are seconds of the
processor, which say more where others use the machine as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STAGES = ("pretrain", "train")


def worker(data: Path, batches: int) -> dict[str, list[float]]:
    """Seconds by the clock, of the processor, and frames of one epoch of each stage by the code that is imported."""
    from clmot.data.frames import find_training_frames
    from clmot.models.network import ModelConfig, OneShotTracker
    from clmot.params import load_params
    from clmot.training.criteria import DetectorCriterion, TrackerCriterion
    from clmot.training.loop import fit
    from clmot.training.randomness import seeded
    from clmot.training.recipe import Recipe, TrainingFrames

    params = load_params()
    frames = find_training_frames(data, params.data.benchmarks)
    found = {}
    for stage in STAGES:
        settings = dataclasses.replace(getattr(params, stage), epochs=2, frame_stride=1)
        part = frames[:: max(1, len(frames) // (batches * settings.batch_size))][: batches * settings.batch_size]
        with seeded(0, stage):
            model = OneShotTracker(ModelConfig.from_params(params.model, embedding=stage == "train"))
        criterion = (
            DetectorCriterion(params.views, params.loss.detection)
            if stage == "pretrain"
            else TrackerCriterion(params.views, params.loss, params.train)
        )
        recipe = Recipe(stage, 0, settings, TrainingFrames(part, params.model.input_size))
        marks: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            fit(
                model,
                criterion,
                recipe,
                params.hardware,
                Path(folder),
                lambda *_: marks.append((time.perf_counter(), time.process_time())),  # noqa: B023
            )
        (begun, processor), (ended, used) = marks
        found[stage] = [ended - begun, used - processor, len(part)]
    return found


def measure(
    checkout: Path, data: Path, batches: int, environment: Mapping[str, str] | None = None
) -> dict[str, list[float]]:
    """What `worker` says of a checkout, whose process sees `environment` beside this one's."""
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(data.resolve()), str(batches)]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(checkout.resolve())},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        name: float(f"{of(values):.4g}")
        for name, of in (("median", statistics.median), ("least", min), ("greatest", max))
    }


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--data", type=Path, default=Path("data/training"))
    parser.add_argument("--batches", type=int, default=8, help="steps of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    rounds = []
    for number in range(options.rounds):
        order = [("before", options.before), ("now", here)]
        rounds.append(
            {name: measure(path, options.data, options.batches) for name, path in order[:: 1 - 2 * (number % 2)]}
        )
    report: dict[str, Any] = {"cores": os.cpu_count(), "rounds": options.rounds, "batches": options.batches}
    for stage in STAGES:
        report[stage] = {}
        for place, kind in enumerate(("clock", "cpu")):
            rates = {who: [one[who][stage][2] / one[who][stage][place] for one in rounds] for who in ("before", "now")}
            report[stage][kind] = {
                "frames_per_second": {who: spread(values) for who, values in rates.items()},
                "ratio": spread([now / before for before, now in zip(rates["before"], rates["now"], strict=True)]),
            }
    print(json.dumps(report, indent=2))
    if options.results:
        options.results.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
