"""Score the tracks against identities that no training has seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from clmot.errors import InputError, run_as_script
from clmot.evaluation.benchmark import Scoring, score_benchmark
from clmot.evaluation.repeats import Repeats
from clmot.evaluation.table import markdown_table, sequence_table, summary
from clmot.files import write_json, write_text
from clmot.motchallenge.splits import Split
from clmot.params import Params, load_params

TRACKS = Path("tracks")
METRICS = Path("metrics")


def main() -> None:
    """tracks (with their detections) + data/gt -> metrics/{summary.json, sequences.csv, table.md, speed.json}."""
    params = load_params()
    split = Split.from_params(params.data)
    repeats = None
    if params.evaluate.repeats:
        repeats = Repeats(params.evaluate.repeats, params.evaluate.drop, params.seed, params.track)
    benchmarks = [
        score_benchmark(
            TRACKS / benchmark,
            Path("data/gt") / benchmark,
            benchmark,
            split,
            Scoring(params.evaluate.iou_threshold, params.evaluate.evaluator, params.track.confidence, repeats),
            TRACKS / f"{benchmark}.detections",
        )
        for benchmark in sorted(params.data.benchmarks)
    ]
    numbers = summary(benchmarks)
    sequences = sequence_table(benchmarks)
    table = markdown_table(
        benchmarks,
        params.evaluate.iou_threshold,
        params.evaluate.evaluator,
        detections=params.track.detections,
        embedding=params.track.embedding,
        drop=params.evaluate.drop,
        supervised=params.loss.embedding == "supervised",
        split=params.data.split,
    )
    speeds = measured_speeds(params.data.benchmarks)
    write_json(METRICS / "summary.json", numbers)
    write_text(METRICS / "sequences.csv", sequences.to_csv(index=False, lineterminator="\n"))
    write_text(METRICS / "table.md", table)
    write_json(METRICS / "speed.json", speeds)
    print(table, end="")
    report(params, numbers, sequences)


def measured_speeds(benchmarks: tuple[str, ...]) -> dict[str, Any]:
    """`{benchmark: what track measured}`, for the benchmarks that it measured."""
    speeds = {}
    for benchmark in sorted(benchmarks):
        path = TRACKS / f"{benchmark}.speed.json"
        if path.is_file():
            try:
                speeds[benchmark] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                raise InputError(f"{path} is not JSON: run the track stage again (`dvc repro track`).") from None
    return speeds


def report(params: Params, numbers: dict[str, dict[str, float | int]], sequences: pd.DataFrame) -> None:
    """Complete this execution's MLflow run. The measurements are written: nothing here may fail the stage."""
    pictures = {name: TRACKS / f"{name}.jpg" for name in sorted(params.data.benchmarks)}
    histories = {
        stage: Path("models", model, "history.csv") for stage, model in (("pretrain", "detector"), ("train", "tracker"))
    }
    try:
        from clmot.reporting.mlflow_run import log_evaluation

        log_evaluation(
            params,
            numbers,
            sequences,
            METRICS / "table.md",
            {name: path for name, path in pictures.items() if path.is_file()},
            {stage: path for stage, path in histories.items() if path.is_file()},
        )
    except Exception as error:
        print(f"warning: metrics/ is complete, but MLflow was not told of it ({error})", file=sys.stderr)


if __name__ == "__main__":
    run_as_script(main)
