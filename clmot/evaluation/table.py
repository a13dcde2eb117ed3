"""Scores as people and tools read them: a Markdown table, a summary for JSON, a row per sequence."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clmot.evaluation.benchmark import BenchmarkScores
from clmot.evaluation.markdown import aligned
from clmot.evaluation.score import COUNTS, METRICS, Scores

DECIMALS = 6
"""Of fractions in json and csv: far below what means anything, and stable in diffs."""

_NOTES = (
    "Percent, but whole numbers for {counts}. Official preprocessing; matches from IoU {threshold:g} on; "
    "frames without output count. MOTP is the mean IoU of the matched boxes (higher is better). CLEAR and "
    "identity metrics are motmetrics', HOTA, DetA and AssA trackeval's."
)

_SUPERVISED = (
    "**SUPERVISED BASELINE: the embedding learnt from identity labels (`loss.embedding: supervised`). These numbers are "
    "what training without identities is compared with, not its result.**"
)


def rounded(scores: Scores) -> dict[str, float | int]:
    """The metrics by name, fractions (0..1) rounded for storage, counts as they are."""
    return {
        name: value if name in COUNTS else round(value, DECIMALS) + 0.0  # + 0.0: never -0.0
        for name, value in scores.metrics().items()
    }


def summary(benchmarks: Sequence[BenchmarkScores]) -> dict[str, dict[str, float | int]]:
    """`{benchmark: {metric: value}}`; a benchmark without ground truth is left out."""
    combined = {item.benchmark: item.combined for item in benchmarks}
    return {name: rounded(scores) for name, scores in combined.items() if scores is not None}


def sequence_table(benchmarks: Sequence[BenchmarkScores]) -> pd.DataFrame:
    """A row per sequence: benchmark, sequence, frames, then the metrics as in the summary."""
    return pd.DataFrame(
        [
            [item.benchmark, scores.sequence, scores.frames, *rounded(scores).values()]
            for item in benchmarks
            for scores in item.sequences
        ],
        columns=["benchmark", "sequence", "frames", *METRICS],
    )


def markdown_table(
    benchmarks: Sequence[BenchmarkScores], iou_threshold: float, supervised: bool = False
) -> str:
    """The table of results: a row per benchmark in the order given, the original project's columns first.

    A benchmark without ground truth gets a row of dashes and a sentence on how its tracks are scored. Where training
    was `supervised` by identities, the first note says so: such numbers must not be taken for those of the method.
    """
    rows = [["Dataset", *METRICS]]
    notes = []
    for item in benchmarks:
        scores = item.combined
        rows.append([item.benchmark, *(_cells(scores) if scores is not None else ["-"] * len(METRICS))])
        if item.unscored:
            notes.append(
                f"{item.benchmark}: there is no public ground truth for {', '.join(item.unscored)}; to have "
                f"them scored, upload the files of tracks/{item.benchmark} to the MOTChallenge server in one "
                f"zip{_MOT17_NAMES if item.benchmark == 'MOT17' else ''}."
            )
        elif scores is None:
            notes.append(
                f"{item.benchmark}: the split tracks none of its sequences, so there is nothing to score."
            )
    notes.insert(0, _NOTES.format(counts=", ".join(COUNTS), threshold=iou_threshold))
    if supervised:
        notes[:0] = [_SUPERVISED, ""]  # a paragraph of its own
    return "\n".join([*aligned(rows), "", *notes]) + "\n"


_MOT17_NAMES = " (each file under its three official names, -DPM, -FRCNN and -SDP)"


def _cells(scores: Scores) -> list[str]:
    return [
        str(value) if name in COUNTS else f"{100 * value + 0.0:.1f}"
        for name, value in scores.metrics().items()
    ]
