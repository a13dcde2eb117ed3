"""Scores as people and tools read them: Markdown tables, a summary for JSON, a row per sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from clmot.evaluation.benchmark import BenchmarkScores
from clmot.evaluation.clear import Evaluator
from clmot.evaluation.observations import OBSERVATION_METRICS, ObservationScores
from clmot.evaluation.score import COUNTS, METRICS, Scores
from clmot.motchallenge.splits import home_benchmark
from clmot.tables import markdown_rows

DECIMALS = 6
"""Of fractions in json and csv: far below what means anything, and stable in diffs."""

_NOTES = (
    "Percent, but whole numbers for {counts}. Official preprocessing; matches from IoU {threshold:g} on; "
    "frames without output count. MOTP is the mean IoU of the matched boxes (higher is better). {whose}"
)
_WHOSE = {
    "trackeval": "All as TrackEval counts them, the MOTChallenge's evaluator.",
    "motmetrics": "CLEAR metrics (MOTA, MOTP, IDSW, MT, ML, FP, FN, Frag) as motmetrics counts them, which is often "
    "kinder than official; IDF1, HOTA, DetA and AssA are TrackEval's.",
}
_OBSERVATION_NOTES = (
    "Before association, in percent. AP: of all recorded detections; precision and recall: of those that the tracker "
    "uses (scored {confidence:g} or more)."
)
_EMBEDDING_NOTES = (
    " TPR@FAR: share of the pairs of one person that are accepted where that share of the pairs of two people is. "
    "ReID mAP: retrieval of the same person in other frames. Both within each sequence, by cosine similarity."
)
_TITLES = {
    **{name: name.replace("TPR_", "TPR@FAR ") for name in OBSERVATION_METRICS},
    "ReID_mAP": "ReID mAP",
}

_SUPERVISED = (
    "**SUPERVISED BASELINE: the embedding learnt from identity labels (`loss.embedding: supervised`). These numbers "
    "are what training without identities is compared with, not its result.**"
)


def rounded(scores: Scores) -> dict[str, float | int]:
    """The metrics by name, fractions (0..1) rounded for storage, counts as they are."""
    return {
        name: value if name in COUNTS else round(value, DECIMALS) + 0.0  # + 0.0: never -0.0
        for name, value in scores.metrics().items()
    }


def rounded_observations(scores: ObservationScores | None) -> dict[str, float]:
    """The metrics that there are by name, rounded for storage; none without scores."""
    return {} if scores is None else {name: round(value, DECIMALS) for name, value in scores.metrics().items()}


def summary(benchmarks: Sequence[BenchmarkScores]) -> dict[str, dict[str, float | int]]:
    """`{benchmark: {metric: value}}`, those of tracks first, then those of detections and embeddings that there are; a
    benchmark without ground truth is left out, and one without identities has no metrics of tracks."""
    found: dict[str, dict[str, float | int]] = {}
    for item in benchmarks:
        scores = {} if item.combined is None else rounded(item.combined)
        known = scores | rounded_observations(item.observations)
        if known:
            found[item.benchmark] = known
    return found


def sequence_table(benchmarks: Sequence[BenchmarkScores]) -> pd.DataFrame:
    """A row per sequence: benchmark, sequence, frames, then the metrics as in the summary.

    Metrics of detections and embeddings are columns where any sequence has them, empty (nan) for those without.
    """
    rows = [
        {"benchmark": item.benchmark, "sequence": scores.sequence, "frames": scores.frames}
        | rounded(scores)
        | rounded_observations(scores.observations)
        for item in benchmarks
        for scores in item.sequences
    ]
    known = {name for row in rows for name in row}
    observed = [name for name in OBSERVATION_METRICS if name in known]
    return pd.DataFrame(rows, columns=["benchmark", "sequence", "frames", *METRICS, *observed])


def markdown_table(
    benchmarks: Sequence[BenchmarkScores],
    iou_threshold: float,
    evaluator: Evaluator = "trackeval",
    *,
    detections: str = "network",
    supervised: bool = False,
) -> str:
    """The tables of results: a row per benchmark in the order given, the original project's columns first; then what
    its detections and embeddings were worth before association, where they were scored.

    A benchmark without ground truth gets a row of dashes and a sentence on how its tracks are scored; one whose ground
    truth has no identities, a sentence on what cannot be scored. Where the tracker was not given what the network
    found, `detections` (as in `track.detections`), a sentence says so. Where training was `supervised` by identities,
    the first note says so: such numbers must not be taken for those of the method.
    """
    notes = []
    for item in benchmarks:
        official = [name for name in item.unscored if home_benchmark(name) is not None]
        own = [name for name in item.unscored if home_benchmark(name) is None]
        if official:
            notes.append(
                f"{item.benchmark}: there is no public ground truth for {', '.join(official)}; to have them "
                f"scored, upload what `clmot submit {item.benchmark}` writes to the MOTChallenge server."
            )
        if own:
            notes.append(f"{item.benchmark}: {', '.join(own)} came without boxes, so there is nothing to score there.")
        if item.unidentified:
            rest = "" if item.observations is None else "; AP, precision and recall need none, and count these boxes"
            notes.append(
                f"{item.benchmark}: the boxes of {', '.join(item.unidentified)} have no identities in the ground "
                f"truth, so tracks on them cannot be scored (no MOTA, IDF1, HOTA){rest}."
            )
        if item.combined is None and not item.unscored and not item.unidentified:
            notes.append(f"{item.benchmark}: the split tracks none of its sequences, so there is nothing to score.")
    lines = scores_table(
        {item.benchmark: item.combined for item in benchmarks},
        iou_threshold,
        evaluator,
        warning=_SUPERVISED if supervised else None,
    )
    if detections != "network":
        notes.append(
            f"The boxes were given to the tracker, 'track.detections: {detections}'; none of them is the network's."
        )
    observed = {item.benchmark: item.observations for item in benchmarks}
    return "\n".join([lines, *notes, *_observation_table(observed)]) + "\n"


def scores_table(
    rows: Mapping[str, Scores | None],
    iou_threshold: float,
    evaluator: Evaluator = "trackeval",
    label: str = "Dataset",
    warning: str | None = None,
) -> str:
    """A Markdown table of tracking metrics with a row per name (dashes for None), and a sentence on what they are.

    Args:
        rows: name -> scores, in the order of the rows.
        iou_threshold: from which a tracker box and a true box could match.
        evaluator: whose CLEAR metrics they are.
        label: what the names are, the first column's title.
        warning: a paragraph between table and sentence.
    """
    cells = [[name, *(_cells(scores) if scores is not None else ["-"] * len(METRICS))] for name, scores in rows.items()]
    note = _NOTES.format(counts=", ".join(COUNTS), threshold=iou_threshold, whose=_WHOSE[evaluator])
    notes = [note] if warning is None else [warning, "", note]
    return "\n".join([*markdown_rows([[label, *METRICS], *cells]), "", *notes])


def _observation_table(observed: Mapping[str, ObservationScores | None]) -> list[str]:
    """Lines of the second table; none when nothing was scored."""
    values = {name: scores.metrics() for name, scores in observed.items() if scores is not None}
    shown = [name for name in OBSERVATION_METRICS if any(name in metrics for metrics in values.values())]
    if not shown:
        return []
    rows = [["Dataset", *(_TITLES[name] for name in shown)]]
    for name in observed:
        metrics = values.get(name, {})
        rows.append([name, *(f"{100 * metrics[m]:.1f}" if m in metrics else "-" for m in shown)])
    (confidence,) = {scores.confidence for scores in observed.values() if scores is not None}
    note = _OBSERVATION_NOTES.format(confidence=confidence)
    return ["", *markdown_rows(rows), "", note + (_EMBEDDING_NOTES if "ReID_mAP" in shown else "")]


def _cells(scores: Scores) -> list[str]:
    return [str(value) if name in COUNTS else f"{100 * value + 0.0:.1f}" for name, value in scores.metrics().items()]
