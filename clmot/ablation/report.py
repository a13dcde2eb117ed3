"""Results of experiments beside each other: means over seeds, how far seeds spread, differences to the first variant.

They are read where DVC keeps them, in the commits that it makes of experiments: those run in copies of the project, and
metrics/summary.json in the folder belongs to the last `dvc repro`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from clmot.ablation.dvc_queue import finished_experiments
from clmot.ablation.experiments import Experiment
from clmot.ablation.snapshot import PIPELINE_FILE, Snapshot, changed_files, git
from clmot.ablation.variants import VariantSet
from clmot.errors import InputError
from clmot.params import PARAMS_FILE, parse_params
from clmot.tables import markdown_rows

SUMMARY_FILE = "metrics/summary.json"

METRICS = (
    *("IDF1", "IDF1_drop", "IDF1_drop_sd", "AssA", "HOTA", "HOTA_drop", "MOTA", "IDSW", "Purity"),
    *("ReID_mAP", "ReID_mAP_cross", "AUC_place", "AP"),
)
"""What is compared: association first, for that is what an embedding is for; `_drop`: the mean of runs without some of
the boxes, and their standard deviation. The last four tell which of the two that
share a network made the difference: the embedding or the detector."""

COUNTED = ("IDSW",)
"""Those that count events; the others are fractions, shown in percent."""

MEAN = "mean"
"""The mean over benchmarks, in the file and as a column."""


@dataclass(frozen=True)
class Result:
    """What one experiment measured."""

    experiment: Experiment
    commit: str
    """That DVC made of it."""
    baseline: str
    """The commit it derives from."""
    summary: Mapping[str, Mapping[str, float]]
    """`{benchmark: {metric: value}}`; fractions are 0..1."""


def read_results(experiments: Iterable[Experiment]) -> tuple[Result, ...]:
    """The results of those experiments that have any, in their order.

    Raises:
        InputError: an experiment's commit does not hold what it should, or was made with other params: DVC reads the
            value of an override by rules of its own, and where they differ from YAML's it ran with another value than
            the set of variants says.
    """
    commits = finished_experiments()
    results = []
    for experiment in experiments:
        name = str(experiment.name)
        if name not in commits:
            continue
        commit, baseline = commits[name]
        again = f"`dvc exp remove {name}` and start again."
        ran = parse_params(git("show", f"{commit}:./{PARAMS_FILE}"), f"{PARAMS_FILE} of experiment {name}").flat()
        for key, value in experiment.params.flat().items():
            if ran[key] != value:
                raise InputError(
                    f"experiment {name} ran with {key}={ran[key]!r} where {value!r} was meant: write the value so that "
                    f"both YAML and `dvc exp run -S` read it, {again}"
                )
        try:
            summary = {
                str(benchmark): {str(metric): value + 0 for metric, value in scores.items()}
                for benchmark, scores in json.loads(git("show", f"{commit}:./{SUMMARY_FILE}")).items()
                if benchmark != MEAN  # which `Comparison` takes of every metric
            }
        except (InputError, ValueError, TypeError, AttributeError):
            raise InputError(f"experiment {name} holds no {SUMMARY_FILE}, or a damaged one: {again}") from None
        results.append(Result(experiment, commit, baseline, summary))
    return tuple(results)


@dataclass(frozen=True)
class Comparison:
    """All variants of a set for some seeds."""

    chosen: VariantSet
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    supervised: frozenset[str]
    """Names of the variants that learn from identity labels."""

    @property
    def names(self) -> list[str]:
        """The variants that have results, in the set's order, after the first, which the others are compared with."""
        there = {result.experiment.name.variant for result in self.results}
        first, *others = (variant.name for variant in self.chosen.variants)
        return [first, *(name for name in others if name in there)]

    @property
    def benchmarks(self) -> list[str]:
        """That any experiment has, sorted."""
        return sorted({name for result in self.results for name in result.summary})

    def measured(self) -> list[str]:
        """Those of `METRICS` that any experiment has."""
        found = {metric for result in self.results for scores in result.summary.values() for metric in scores}
        return [metric for metric in METRICS if metric in found]

    def values(self, metric: str) -> pd.DataFrame:
        """A row per variant and seed, a column per benchmark and one for their mean, which needs them all."""
        places = [(result.experiment.name.variant, result.experiment.name.seed) for result in self.results]
        rows = [{name: scores.get(metric) for name, scores in result.summary.items()} for result in self.results]
        index = pd.MultiIndex.from_tuples(places, names=["variant", "seed"])
        frame = pd.DataFrame(rows, index, self.benchmarks, dtype=float)
        frame[MEAN] = frame.mean(axis=1, skipna=False)
        return frame

    def differences(self, metric: str) -> pd.DataFrame:
        """By how much the mean over benchmarks exceeds that of the first variant: a row per variant and seed.

        A seed decides the films that are drawn and the order of training for all variants alike. What it makes easy or
        hard for both drops out of the difference, so that this spreads less than the values themselves.
        """
        means = self.values(metric)[[MEAN]]
        first = means[means.index.get_level_values("variant") == self.names[0]].droplevel("variant")
        return means - first.reindex(means.index.get_level_values("seed")).to_numpy()


def metric_table(comparison: Comparison, metric: str) -> list[list[str]]:
    """The cells of one metric: a row per variant; n, a column per benchmark, their mean, and its difference."""
    values, differences = comparison.values(metric), comparison.differences(metric)
    rows = [[metric, "n", *values.columns, f"vs {comparison.names[0]}"]]
    for name in comparison.names:
        own = values[values.index.get_level_values("variant") == name]
        cells = [_cell(own[column].dropna(), metric) for column in values.columns]
        beyond = differences[differences.index.get_level_values("variant") == name][MEAN].dropna()
        last = "-" if name == comparison.names[0] else _cell(beyond, metric, "+")
        rows.append([_shown(comparison, name), str(len(own)), *cells, last])
    return rows


def _cell(values: pd.Series, metric: str, sign: str = "") -> str:
    if not len(values):
        return "-"
    scale = 1 if metric in COUNTED else 100
    mean = values.mean()
    if len(values) > 1:
        return f"{scale * mean + 0.0:{sign}.1f} ± {scale * values.std():.1f}"
    # A single count is a whole number; a mean over benchmarks need not be.
    return f"{scale * mean + 0.0:{sign}.{0 if scale == 1 and float(mean).is_integer() else 1}f}"


def _shown(comparison: Comparison, name: str) -> str:
    return f"**{name} (HAS SEEN IDENTITIES)**" if name in comparison.supervised else name


def markdown(comparison: Comparison, command: str, provenance: Sequence[str]) -> str:
    """The whole report: a table per metric, what each variant changes, and where the numbers come from.

    Args:
        comparison: the numbers.
        command: that makes this report.
        provenance: sentences on the commits behind the experiments.
    """
    seeds, first = ", ".join(map(str, comparison.seeds)), comparison.names[0]
    lines = [f"# {comparison.chosen.title}", ""]
    guided = [name for name in comparison.names if name in comparison.supervised]
    if guided:
        lines += [
            f"**{' and '.join(guided)}: SUPERVISED BASELINE, which has seen the identity labels.** It is what the "
            "others are measured against, and no result of learning without identities.",
            "",
        ]
    spread = (
        f"Mean ± standard deviation (of n - 1) over the seeds {seeds}; n counts the seeds that have results."
        if len(comparison.seeds) > 1
        else f"Seed {seeds} alone, so nothing says how far chance carries."
    )
    alone = (
        " ReID_mAP judges the embedding alone (retrieval of the same person in other frames), AP the detections alone."
        if "ReID_mAP" in comparison.measured()
        else ""
    )
    lines.append(
        f"A row per variant, in percent except IDSW (identity switches, the fewer the better). {spread} The last "
        f"column is the mean's difference to {first}, seed by seed.{alone}"
    )
    for metric in comparison.measured():
        lines += ["", *markdown_rows(metric_table(comparison, metric))]
    there = {(result.experiment.name.variant, result.experiment.name.seed) for result in comparison.results}
    missing = {
        name: ", ".join(str(seed) for seed in comparison.seeds if (name, seed) not in there)
        for name in (variant.name for variant in comparison.chosen.variants)
    }
    if any(missing.values()):
        lines += ["", f"Without results: {', '.join(f'{name} (seed {s})' for name, s in missing.items() if s)}."]
    lines += ["", "## What each variant changes", ""]
    for variant in comparison.chosen.variants:
        overrides = ", ".join(f"`{override}`" for override in comparison.chosen.overrides(variant))
        lines.append(f"- {_shown(comparison, variant.name)}: {overrides or 'nothing'}")
    lines += ["", "## Where this comes from", "", f"Made by `{command}`.", *provenance]
    lines.append(
        "`dvc exp show --all-commits` lists the experiments; MLflow's runs of them carry the tag "
        f"`clmot.ablation = {comparison.chosen.name}`."
    )
    return "\n".join(lines) + "\n"


def as_json(comparison: Comparison, command: str, provenance: Sequence[str]) -> str:
    """The report for programs, a line for each variant and for each result (fractions, not percent)."""
    head = {
        "set": comparison.chosen.name,
        "title": comparison.chosen.title,
        "command": command,
        "provenance": list(provenance),
        "seeds": list(comparison.seeds),
        "benchmarks": comparison.benchmarks,
    }
    variants = [
        {
            "name": variant.name,
            "overrides": list(comparison.chosen.overrides(variant)),
            "has_seen_identities": variant.name in comparison.supervised,
        }
        for variant in comparison.chosen.variants
    ]
    results = [
        {
            "variant": result.experiment.name.variant,
            "seed": result.experiment.name.seed,
            "experiment": str(result.experiment.name),
            "commit": result.commit,
            "summary": result.summary,
        }
        for result in comparison.results
    ]
    return compact_json(head, {"variants": variants, "results": results})


def compact_json(head: Mapping[str, object], lists: Mapping[str, Sequence[object]]) -> str:
    """One JSON object in which each value of `head`, and each item of each list, has a line of its own."""
    parts = [f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in head.items()]
    for key, items in lists.items():
        inside = ",\n".join(f"  {json.dumps(item, allow_nan=False)}" for item in items)
        parts.append(f" {json.dumps(key)}: [\n{inside}\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def provenance(results: Sequence[Result], snapshot: Snapshot) -> list[str]:
    """A sentence for every commit that the experiments derive from, and on what they had beyond it."""
    sentences = []
    for baseline in sorted({result.baseline for result in results}):
        own = [result for result in results if result.baseline == baseline]
        beyond = [
            f"changes in {name}" for name in changed_files([PIPELINE_FILE, *snapshot.code], baseline, own[0].commit)
        ]
        beyond += _param_changes(git("show", f"{baseline}:./{PARAMS_FILE}"), snapshot.base)
        text = f"{len(own)} experiment{'s' if len(own) != 1 else ''} from commit {baseline[:10]}"
        sentences.append(f"{text} with {', '.join(beyond)}." if beyond else f"{text}.")
    return sentences


def _param_changes(committed: str, base: str) -> list[str]:
    """`key=value` of every param in which the text `base` differs from the commit's."""
    try:
        old = parse_params(committed).flat()
    except InputError:  # a commit from before a param was there
        return ["another params.yaml"]
    return [f"{key}={json.dumps(value)}" for key, value in parse_params(base).flat().items() if old[key] != value]
