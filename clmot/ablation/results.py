"""Results of finished experiments, read where DVC keeps them: in the commits that it makes of experiments.

Not from the folder: experiments run in copies of it, and metrics/summary.json there belongs to the last `dvc repro`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clmot.ablation.experiments import Experiment
from clmot.ablation.git import experiment_commits, file_at, modified
from clmot.ablation.snapshot import pipeline_paths, read_pipeline
from clmot.errors import InputError
from clmot.params import PARAMS_FILE, Params, parse_params

SUMMARY_FILE = "metrics/summary.json"

Summary = Mapping[str, Mapping[str, float]]
"""`{benchmark: {metric: value}}`; fractions are 0..1."""


@dataclass(frozen=True)
class Result:
    """What one experiment measured."""

    experiment: Experiment
    commit: str
    """That DVC made of it."""
    baseline: str
    """The commit it derives from."""
    summary: Summary


def read_results(experiments: Iterable[Experiment]) -> tuple[Result, ...]:
    """The results of those experiments that have any, in their order.

    Raises:
        InputError: an experiment's commit does not hold what it should, or was made with other params.
    """
    commits = experiment_commits()
    results = []
    for experiment in experiments:
        name = str(experiment.name)
        if name not in commits:
            continue
        commit, baseline = commits[name]
        check_params(name, file_at(commit, PARAMS_FILE), experiment.params)
        results.append(Result(experiment, commit, baseline, parse_summary(name, file_at(commit, SUMMARY_FILE))))
    return tuple(results)


def parse_summary(name: str, text: str | None) -> Summary:
    """The metrics of experiment `name` from its summary.json.

    Raises:
        InputError: they are not there, or are no numbers.
    """
    again = f"`dvc exp remove {name}` and start again."
    if text is None:
        raise InputError(f"experiment {name} holds no {SUMMARY_FILE}: {again}")
    try:
        summary = json.loads(text)
        return {
            str(benchmark): {str(metric): value + 0 for metric, value in scores.items()}
            for benchmark, scores in summary.items()
        }
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{SUMMARY_FILE} of experiment {name} is damaged: {again}") from None


def check_params(name: str, text: str | None, expected: Params) -> None:
    """Compare an experiment's params.yaml with what it was planned with.

    DVC reads the value of an override by rules of its own. Where they differ from YAML's, the experiment ran with
    another value than the set of variants says.

    Raises:
        InputError: they differ.
    """
    actual = parse_params(text or "", f"{PARAMS_FILE} of experiment {name}").flat()
    for key, value in expected.flat().items():
        if actual[key] != value:
            raise InputError(
                f"experiment {name} ran with {key}={actual[key]!r} where {value!r} was meant: write the value so that "
                f"both YAML and `dvc exp run -S` read it, `dvc exp remove {name}`, and start again."
            )


def provenance(results: Sequence[Result], base: str) -> list[str]:
    """A sentence for every commit that the experiments derive from, and on what they had beyond it.

    Args:
        results: of the experiments.
        base: the text of the params.yaml that the variants change.
    """
    paths = pipeline_paths(read_pipeline())
    sentences = []
    by_baseline: dict[str, Result] = {}
    for result in results:
        by_baseline.setdefault(result.baseline, result)
    for baseline, result in sorted(by_baseline.items()):
        beyond = [f"changes in {name}" for name in modified(paths, baseline, result.commit)]
        beyond += _param_changes(file_at(baseline, PARAMS_FILE), base)
        count = sum(1 for other in results if other.baseline == baseline)
        text = f"{count} experiment{'s' if count != 1 else ''} from commit {baseline[:10]}"
        sentences.append(f"{text} with {', '.join(beyond)}." if beyond else f"{text}.")
    return sentences


def _param_changes(committed: str | None, base: str) -> list[str]:
    """`key=value` of every param in which the text `base` differs from the commit's."""
    new = parse_params(base).flat()
    try:
        old = parse_params(committed or "").flat()
    except InputError:  # a commit from before a param was there
        return ["another params.yaml"]
    return [f"{key}={json.dumps(value)}" for key, value in new.items() if old[key] != value]
