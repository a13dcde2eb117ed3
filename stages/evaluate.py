"""Score the tracks against identities that no training has seen."""

from __future__ import annotations

from pathlib import Path

from clmot.errors import run_as_script
from clmot.evaluation.benchmark import Scoring, score_benchmark
from clmot.evaluation.curves import curves
from clmot.evaluation.exam import Exam
from clmot.evaluation.repeats import Repeats
from clmot.evaluation.speed import measured_speeds
from clmot.evaluation.table import markdown_table, sequence_table, summary
from clmot.files import staged_directory, write_json, write_text
from clmot.model_description import identities_seen
from clmot.motchallenge.classes import TrackedKind
from clmot.motchallenge.splits import Split
from clmot.params import load_params
from clmot.reporting.evaluation import report_evaluation
from clmot.reporting.mlflow_run import watched

TRACKS = Path("tracks")
METRICS = Path("metrics")
MODEL = Path("models/tracker")


def main() -> None:
    """tracks (with their detections) + data/gt -> metrics/{summary.json,sequences.csv,table.md,speed.json,plots}."""
    params = load_params()
    split = Split.from_params(params.data)
    repeats = None
    if params.evaluate.repeats:
        repeats = Repeats(params.evaluate.repeats, params.evaluate.drop, params.seed, params.track)
    exam = Exam(params.seed, params.track) if params.evaluate.exam else None
    kind = TrackedKind(params.strip.classes, params.strip.flagged)
    benchmarks = [
        score_benchmark(
            TRACKS / benchmark,
            Path("data/gt") / benchmark,
            benchmark,
            split,
            Scoring(
                params.evaluate.iou_threshold, params.evaluate.evaluator, params.track.confidence, repeats, exam, kind
            ),
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
        seen_identities=identities_seen(MODEL),
        split=params.data.split,
        kind=kind,
    )
    speeds = measured_speeds(TRACKS, params.data.benchmarks)
    write_json(METRICS / "summary.json", numbers)
    write_text(METRICS / "sequences.csv", sequences.to_csv(index=False, lineterminator="\n"))
    write_text(METRICS / "table.md", table)
    write_json(METRICS / "speed.json", speeds)
    with staged_directory(METRICS / "plots") as drafts:
        for name, drawn in curves(benchmarks, numbers).items():
            write_text(drafts / f"{name}.csv", drawn.to_csv(index=False, lineterminator="\n"))
    print(table, end="")
    report_evaluation(params, numbers, sequences, METRICS / "table.md")


if __name__ == "__main__":
    run_as_script(watched(main))
