"""Scores as people and tools read them: Markdown tables, a summary for JSON, a row per sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from clmot.evaluation.across_tracklets import BREAKS, LATER_SECONDS
from clmot.evaluation.benchmark import BenchmarkScores
from clmot.evaluation.clear import Evaluator
from clmot.evaluation.exam import EXAM_METRICS
from clmot.evaluation.observations import (
    ACROSS_METRICS,
    DETECTION_METRICS,
    EMBEDDING_METRICS,
    OBSERVATION_METRICS,
    ObservationScores,
)
from clmot.evaluation.purity import PURITY_METRICS
from clmot.evaluation.repeats import REPEATED_METRICS
from clmot.evaluation.score import COUNTS, METRICS, Scores
from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind
from clmot.motchallenge.splits import ITSELF, home_benchmark
from clmot.tables import markdown_rows

DECIMALS = 6
"""Of fractions in json and csv: far below what means anything, and stable in diffs."""

MEAN = "mean"
"""The name under which a summary has the mean over its benchmarks."""
MEAN_METRICS = ("IDF1", "HOTA", "MOTA", "AssA", "ReID_mAP")
"""What it is of: a run in five numbers, association first."""

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
    "The embedding alone, in percent, within each sequence, by cosine similarity. TPR@FAR: share of the pairs of one "
    "person that are accepted where that share of the pairs of two people is. ReID mAP: retrieval of the same person "
    "in other frames; across: in other tracklets of the person alone (a tracklet ends where overlap alone cannot link "
    "its boxes)."
)
_ACROSS_NOTES = (
    "What it knows beyond the moment. Found after 1, 3, 10 s: how often a person in a new tracklet is the most similar "
    "of all who are there so much later. AUC against place: how often a person who moved elsewhere is more similar "
    "than someone else at the same place at least {later:g} s later (50: chance). With distance, with height: "
    "Spearman's correlation of the similarity of different people with how far apart and how different in height they "
    "are (0: it does not look at that)."
)
_PURITY_NOTES = (
    "Purity: share of the tracks' boxes on people that are on their track's main person, in percent. Tracks per "
    "person: on how many tracks a person who was found is."
)
_EXAM_NOTES = (
    "Without labels, in percent: people whom boxes alone follow are hidden from the tracker for 1 to 4 s now and then. "
    "Recall: pairs of boxes of one of them that have one identity; precision: pairs of one identity that are one of "
    "them, of all that are known to be or not; exam: their harmonic mean. Looks decide: links between a box of a track "
    "and its next that are not made without embeddings."
)
_TITLES = {
    **{name: name.replace("TPR_", "TPR@FAR ") for name in OBSERVATION_METRICS},
    "ReID_mAP": "ReID mAP",
    "ReID_mAP_cross": "across",
    **{f"Link_{seconds}s": f"after {seconds} s" for seconds in BREAKS},
    "AUC_place": "AUC against place",
    "LooksDecide": "looks decide",
    "Rho_distance": "with distance",
    "Rho_height": "with height",
    "TracksPerPerson": "tracks per person",
    "ExamRecall": "recall",
    "ExamPrecision": "precision",
}
_SIGNED = ("Rho_distance", "Rho_height", "TracksPerPerson")
"""Shown as they are, not in percent."""

CONTROLS = {
    "none": "motion and overlap alone, with a first step of its own",
    "constant": "the same vector for everyone",
    "colour": "a histogram of the box, which nothing has learnt",
}
"""Controls that learn nothing, beside what is learnt."""

_ORACLE = (
    "**A BOUND: the embedding is the true identity (`track.embedding: oracle`). No embedding can tell more; what is "
    "missing to 100 is detection and association.**"
)
_SUPERVISED = (
    "**SUPERVISED BASELINE: the embedding learnt from identity labels (`loss.embedding: supervised`). These numbers "
    "are what training without identities is compared with, not its result.**"
)


def rounded(scores: Scores) -> dict[str, float | int]:
    """The metrics by name, fractions (0..1) rounded for storage, counts as they are; purity last."""
    return {
        name: value if name in COUNTS else round(value, DECIMALS) + 0.0  # + 0.0: never -0.0
        for name, value in {**scores.metrics(), **scores.purity.metrics()}.items()
    }


def rounded_observations(scores: ObservationScores | None) -> dict[str, float]:
    """The metrics that there are by name, rounded for storage; none without scores."""
    return {} if scores is None else {name: round(value, DECIMALS) + 0.0 for name, value in scores.metrics().items()}


def summary(benchmarks: Sequence[BenchmarkScores]) -> dict[str, dict[str, float | int]]:
    """`{benchmark: {metric: value}}`, those of tracks first, then those of detections and embeddings that there are; a
    benchmark without ground truth is left out, and one without identities has no metrics of tracks. Before them all,
    `mean`: `mean_scores` of these."""
    found: dict[str, dict[str, float | int]] = {}
    for item in benchmarks:
        scores = {} if item.combined is None else rounded(item.combined)
        repeated = {name: round(value, DECIMALS) + 0.0 for name, value in item.spread.items()}
        exam = {} if item.exam is None else item.exam.metrics()
        judged = {name: round(value, DECIMALS) + 0.0 for name, value in exam.items()}
        known = scores | repeated | judged | rounded_observations(item.observations)
        if known:
            found[item.benchmark] = known
    mean = mean_scores(found)
    return {MEAN: mean, **found} if mean else found


def mean_scores(benchmarks: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean over benchmarks of those of `MEAN_METRICS` that all of them have: over some, it would be another's."""
    return {
        name: round(sum(scores[name] for scores in benchmarks.values()) / len(benchmarks), DECIMALS) + 0.0
        for name in MEAN_METRICS
        if benchmarks and all(name in scores for scores in benchmarks.values())
    }


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
    observed = [name for name in (*PURITY_METRICS, *OBSERVATION_METRICS) if name in known]
    return pd.DataFrame(rows, columns=["benchmark", "sequence", "frames", *METRICS, *observed])


def _warnings(supervised: bool, seen_identities: Sequence[str], embedding: str) -> list[str]:
    """What must be read before the numbers."""
    warnings = [_SUPERVISED] if supervised else []
    if seen_identities and not supervised:
        warnings.append(
            f"**THIS MODEL HAS SEEN IDENTITIES: {'; '.join(seen_identities)}. These numbers are not what training "
            "without identities gives.**"
        )
    return [*warnings, _ORACLE] if embedding == "oracle" else warnings


def markdown_table(
    benchmarks: Sequence[BenchmarkScores],
    iou_threshold: float,
    evaluator: Evaluator = "trackeval",
    *,
    detections: str = "network",
    embedding: str = "network",
    drop: float = 0.0,
    supervised: bool = False,
    seen_identities: Sequence[str] = (),
    split: str = "half",
    kind: TrackedKind = PEDESTRIANS,
) -> str:
    """The tables of results: a row per benchmark in the order given, the original project's columns first; then what
    its detections and embeddings were worth before association, where they were scored.

    A benchmark without ground truth gets a row of dashes and a sentence on how its tracks are scored; one whose ground
    truth has no identities, a sentence on what cannot be scored. Where the tracker was not given what the network
    found, `detections` and `embedding` (as in `track`), or the `split` is the one in which the tracked frames train, a
    sentence says so, and so where objects of another `kind` than the benchmarks' were scored. Where it ran again with
    the share `drop` of its boxes left out, a table says how far chance carries. Where training was `supervised` by
    identities, or the embedding is the oracle's, the first note says so: such numbers must not be taken for those of
    the method. So it does where the model has `seen_identities` otherwise.
    """
    notes = [] if kind.official else [other_rules(kind)]
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
        warning="\n\n".join(_warnings(supervised, seen_identities, embedding)) or None,
    )
    if split == ITSELF:
        notes.append(
            "The frames that are tracked trained, by their boxes alone ('data.split: itself'): compare these numbers "
            "with those of others that had the whole film and its boxes."
        )
    if detections != "network":
        notes.append(
            f"The boxes were given to the tracker, 'track.detections: {detections}'; none of them is the network's."
        )
    if embedding in CONTROLS:
        notes.append(f"The embedding is a control, 'track.embedding: {embedding}': {CONTROLS[embedding]}.")
    elif embedding not in ("network", "oracle"):
        notes.append(f"The embeddings were given to the tracker, 'track.embedding: {embedding}', not the network's.")
    parts = [
        lines,
        *notes,
        *_spread_table(benchmarks, drop),
        *_purity_table(benchmarks),
        *_exam_table(benchmarks),
        *_observation_tables(benchmarks),
    ]
    return "\n".join(parts) + "\n"


def other_rules(kind: TrackedKind) -> str:
    """A sentence on what was scored where it is not what the benchmarks' own rules count."""
    return (
        f"Scored is what trained, the boxes of class {kind} as one kind of object ('strip.classes', 'strip.flagged'), "
        "and not the flagged pedestrians of the benchmarks' own rules: compare these numbers with none of theirs."
    )


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


def _spread_table(benchmarks: Sequence[BenchmarkScores], drop: float) -> list[str]:
    """Lines of a table of means and standard deviations over repeated runs; none where there were none."""
    if not any(item.spread for item in benchmarks):
        return []
    rows = [["Dataset", *REPEATED_METRICS]]
    for item in benchmarks:
        pairs = [(item.spread.get(f"{name}_drop"), item.spread.get(f"{name}_drop_sd")) for name in REPEATED_METRICS]
        cells = ["-" if m is None or sd is None else f"{100 * m:.1f} ± {100 * sd:.1f}" for m, sd in pairs]
        rows.append([item.benchmark, *cells])
    chosen = f"The tracker again, each time without {100 * drop:g} % of its boxes, chosen at random"
    return ["", *markdown_rows(rows), "", f"{chosen}: mean ± standard deviation."]


def _purity_table(benchmarks: Sequence[BenchmarkScores]) -> list[str]:
    values = {b.benchmark: {} if b.combined is None else b.combined.purity.metrics() for b in benchmarks}
    return _further_table(values, PURITY_METRICS, _PURITY_NOTES)


def _exam_table(benchmarks: Sequence[BenchmarkScores]) -> list[str]:
    values = {b.benchmark: {} if b.exam is None else b.exam.metrics() for b in benchmarks}
    return _further_table(values, EXAM_METRICS, _EXAM_NOTES)


def _observation_tables(benchmarks: Sequence[BenchmarkScores]) -> list[str]:
    """Detections, embeddings, and what those know beyond the moment: a table each; none when nothing was scored."""
    observed = {b.benchmark: b.observations for b in benchmarks}
    values = {name: {} if scores is None else scores.metrics() for name, scores in observed.items()}
    confidences = {scores.confidence for scores in observed.values() if scores is not None}
    note = "".join(_OBSERVATION_NOTES.format(confidence=confidence) for confidence in confidences)
    return [
        *_further_table(values, DETECTION_METRICS, note),
        *_further_table(values, (*EMBEDDING_METRICS, "ReID_mAP_cross"), _EMBEDDING_NOTES),
        *_further_table(values, ACROSS_METRICS[1:], _ACROSS_NOTES.format(later=LATER_SECONDS)),
    ]


def _further_table(values: Mapping[str, Mapping[str, float]], columns: Sequence[str], note: str) -> list[str]:
    """Lines of a table of those columns that any row has a value for, and a sentence on them; none without a value."""
    shown = [name for name in columns if any(name in metrics for metrics in values.values())]
    if not shown:
        return []
    rows = [["Dataset", *(_TITLES.get(name, name) for name in shown)]]
    for name, metrics in values.items():
        rows.append([name, *(_further_cell(column, metrics.get(column)) for column in shown)])
    return ["", *markdown_rows(rows), "", note]


def _further_cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value + 0.0:.2f}" if column in _SIGNED else f"{100 * value:.1f}"


def _cells(scores: Scores) -> list[str]:
    return [str(value) if name in COUNTS else f"{100 * value + 0.0:.1f}" for name, value in scores.metrics().items()]
