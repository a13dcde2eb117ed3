"""A comparison as people and programs read it: Markdown and JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from clmot.ablation.comparison import MEAN, Comparison, Row, Spread
from clmot.tables import markdown_rows

COUNTED = ("IDSW",)
"""The metrics of the comparison that count events; the others are fractions, shown in percent."""

DECIMALS = 6
"""Of what is computed here, in JSON."""

NOTHING = "-"


def markdown(comparison: Comparison, command: str, provenance: Sequence[str]) -> str:
    """The whole report: a table per metric, what each variant changes, and where the numbers come from.

    Args:
        comparison: the numbers.
        command: that makes this report.
        provenance: sentences on the commits behind the experiments.
    """
    seeds = len(comparison.seeds)
    lines = [f"# {comparison.set.title}", "", *_warnings(comparison.rows)]
    lines.append(
        "A row per variant, in percent but for IDSW (identity switches, the fewer the better). "
        + (
            f"Mean ± standard deviation (of n - 1) over the seeds {_listed(comparison.seeds)}; n counts the seeds that "
            "have results. "
            if seeds > 1
            else f"Seed {comparison.seeds[0]} alone, so nothing says how far chance carries. "
        )
        + f"The last column is the mean's difference to {comparison.rows[0].variant}, seed by seed."
    )
    measured = comparison.measured()
    if "ReID_mAP" in measured:
        lines[-1] += (
            " ReID_mAP judges the embedding alone (retrieval of the same person in other frames), "
            "AP the detections alone."
        )
    for metric in measured:
        lines += ["", *markdown_rows(metric_table(comparison, metric))]
    missing = [
        f"{row.variant} (seed {_listed([seed for seed in comparison.seeds if seed not in row.summaries])})"
        for row in comparison.rows
        if len(row.summaries) < seeds
    ]
    if missing:
        lines += ["", f"Without results: {', '.join(missing)}."]
    lines += ["", "## What each variant changes", ""]
    lines += [
        f"- {_shown(row)}: {', '.join(f'`{override}`' for override in row.overrides) or 'nothing'}"
        for row in comparison.rows
    ]
    lines += ["", "## Where this comes from", "", f"Made by `{command}`.", *provenance]
    lines.append(
        "`dvc exp show --all-commits` lists the experiments; MLflow's runs of them carry the tag "
        + _tag(comparison)
        + "."
    )
    return "\n".join(lines) + "\n"


def metric_table(comparison: Comparison, metric: str) -> list[list[str]]:
    """The cells of one metric: a row per variant; n, a column per benchmark, their mean, and its difference."""
    first = comparison.rows[0]
    columns = [*comparison.benchmarks, MEAN]
    rows = [[metric, "n", *columns, f"vs {first.variant}"]]
    for row in comparison.rows:
        cells = [_cell(row.spread(metric, column, comparison.benchmarks), metric) for column in columns]
        difference = None if row is first else row.difference(first, metric, comparison.benchmarks)
        rows.append([_shown(row), str(len(row.summaries)), *cells, _cell(difference, metric, signed=True)])
    return rows


def as_json(comparison: Comparison, command: str, provenance: Sequence[str]) -> dict[str, Any]:
    """The report for programs: every seed's whole summary, and the statistics of the tables (fractions, not
    percent)."""
    experiments = {(r.experiment.variant.name, r.experiment.seed): r for r in comparison.results}
    variants = []
    for row in comparison.rows:
        runs = {}
        for seed in row.summaries:
            result = experiments[row.variant, seed]
            runs[str(seed)] = {
                "experiment": str(result.experiment.name),
                "commit": result.commit,
                "summary": result.summary,
            }
        variants.append(
            {
                "name": row.variant,
                "overrides": list(row.overrides),
                "has_seen_identities": row.supervised,
                "seeds": runs,
                "statistics": {
                    metric: {
                        column: _numbers(row.spread(metric, column, comparison.benchmarks))
                        for column in (*comparison.benchmarks, MEAN)
                    }
                    for metric in comparison.measured()
                },
                "difference": {
                    metric: _numbers(row.difference(comparison.rows[0], metric, comparison.benchmarks))
                    for metric in comparison.measured()
                },
            }
        )
    return {
        "set": comparison.set.name,
        "title": comparison.set.title,
        "command": command,
        "provenance": list(provenance),
        "seeds": list(comparison.seeds),
        "benchmarks": list(comparison.benchmarks),
        "variants": variants,
    }


def command_line(path: str, default_path: str, seeds: Sequence[int], default_seeds: Sequence[int]) -> str:
    """The shortest `clmot ablation` that makes a report again."""
    words = ["clmot", "ablation"]
    if path != default_path:
        words += ["--set", path]
    if tuple(seeds) != tuple(default_seeds):
        words += ["--seeds", ",".join(map(str, seeds))]
    return shlex.join(words)


def _warnings(rows: Sequence[Row]) -> list[str]:
    names = [row.variant for row in rows if row.supervised]
    if not names:
        return []
    return [
        f"**{' and '.join(names)}: SUPERVISED BASELINE, which has seen the identity labels.** It is what the others "
        "are measured against, and no result of learning without identities.",
        "",
    ]


def _shown(row: Row) -> str:
    return f"**{row.variant} (HAS SEEN IDENTITIES)**" if row.supervised else row.variant


def _cell(spread: Spread | None, metric: str, signed: bool = False) -> str:
    if spread is None:
        return NOTHING
    scale = 1 if metric in COUNTED else 100
    # A single count is a whole number; a mean over benchmarks or seeds need not be.
    whole = metric in COUNTED and spread.deviation is None and float(spread.mean).is_integer()
    text = f"{scale * spread.mean + 0.0:{'+' if signed else ''}.{0 if whole else 1}f}"
    return text if spread.deviation is None else f"{text} ± {scale * spread.deviation:.1f}"


def _numbers(spread: Spread | None) -> dict[str, float | int | None] | None:
    if spread is None:
        return None
    deviation = None if spread.deviation is None else round(spread.deviation, DECIMALS) + 0.0
    return {"mean": round(spread.mean, DECIMALS) + 0.0, "deviation": deviation, "n": spread.count}


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _tag(comparison: Comparison) -> str:
    return f"`clmot.ablation = {comparison.set.name}`"
