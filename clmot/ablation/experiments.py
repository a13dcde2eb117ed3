"""From a set of variants and seeds to the experiments they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clmot.ablation.experiment_name import ExperimentName
from clmot.ablation.snapshot import Snapshot
from clmot.ablation.variants import Variant, VariantSet
from clmot.params import Params


@dataclass(frozen=True)
class Experiment:
    """One variant with one seed."""

    name: ExperimentName
    variant: Variant
    overrides: tuple[str, ...]
    """Everything that `dvc exp run -S` is given, the seed last."""
    params: Params
    stage_keys: tuple[str, ...]
    """See `Snapshot.stage_keys`."""
    copies: tuple[str, ...]
    """Files unknown to Git that it needs."""

    @property
    def seed(self) -> int:
        """Of all its random choices."""
        return self.params.seed

    @property
    def supervised(self) -> bool:
        """Whether its embedding learns from identity labels."""
        return self.params.loss.embedding == "supervised"

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
            experiments.append(
                Experiment(
                    ExperimentName(chosen.name, variant.name, seed, snapshot.key(params)),
                    variant,
                    (*chosen.overrides(variant), f"seed={seed}"),
                    params,
                    snapshot.stage_keys(params),
                    snapshot.unknown_to_git(params),
                )
            )
    return tuple(experiments)


def next_wave(
    waiting: Sequence[Experiment], made: Iterable[str], jobs: int, pending: Iterable[Experiment] = ()
) -> tuple[Experiment, ...]:
    """Those of the waiting experiments that may run beside each other and beside the pending ones.

    At least one if any waits and none is pending. One after the other (`jobs` 1) all may: what the first trains, the
    next takes from DVC's cache. Side by side, two experiments that need the same stage would both run it, so of those
    that share one which is not in `made` (keys of stages whose outs DVC has) only the first may run, and none if a
    pending one does.
    """
    if jobs == 1:
        return tuple(waiting)
    known = set(made)
    claimed = {key for other in pending for key in other.stage_keys} - known
    wave = []
    for experiment in waiting:
        needed = set(experiment.stage_keys) - known
        if not needed & claimed:
            wave.append(experiment)
            claimed |= needed
    return tuple(wave)
