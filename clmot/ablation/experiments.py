"""From a set of variants and seeds to experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clmot.ablation.experiment_name import ExperimentName
from clmot.ablation.snapshot import Snapshot
from clmot.ablation.variants import VariantSet
from clmot.params import Params


@dataclass(frozen=True)
class Experiment:
    """One variant with one seed."""

    name: ExperimentName
    overrides: tuple[str, ...]
    """Everything that `dvc exp run -S` is given, the seed last."""
    params: Params
    copies: tuple[str, ...] = ()
    """Files unknown to Git that it needs."""

    def command(self) -> list[str]:
        """The arguments of `dvc` that queue it."""
        arguments = ["exp", "run", "--queue", "--name", str(self.name)]
        for override in self.overrides:
            arguments += ["-S", override]
        for path in self.copies:
            arguments += ["-C", path]
        return arguments


def expand(chosen: VariantSet, seeds: Iterable[int], snapshot: Snapshot) -> tuple[Experiment, ...]:
    """Every variant for every seed, seed by seed: a whole comparison is there before the second seed starts.

    Raises:
        InputError: a variant's overrides are no valid params; no experiment is made then.
    """
    experiments = []
    for seed in seeds:
        for variant in chosen.variants:
            params = chosen.params(variant, seed, snapshot.base)
            name = ExperimentName(chosen.name, variant.name, seed, snapshot.key(params))
            overrides = (*chosen.overrides(variant), f"seed={seed}")
            experiments.append(Experiment(name, overrides, params, snapshot.copies(params)))
    return tuple(experiments)


def waves(experiments: Sequence[Experiment], done: Iterable[str], jobs: int) -> list[list[Experiment]]:
    """Those without results, in groups that are run one group after the other.

    One after the other (`jobs` 1) what the first experiment makes, the next takes from DVC's cache. Side by side, two
    that need the same stage would both run it: so the first of all goes ahead of the others (the data), then the first
    of each seed (the detector), then the rest.
    """
    done = set(done)
    if jobs == 1:
        groups = [list(experiments)]
    else:
        first = {experiment.name.seed: experiment for experiment in reversed(experiments)}
        leaders = [experiment for experiment in experiments if experiment is first[experiment.name.seed]]
        groups = [leaders[:1], leaders[1:], [experiment for experiment in experiments if experiment not in leaders]]
    waiting = [[experiment for experiment in group if str(experiment.name) not in done] for group in groups]
    return [group for group in waiting if group]
