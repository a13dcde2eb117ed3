"""Variants side by side: means over seeds, how far seeds spread, and differences to the first variant."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clmot.ablation.results import Result, Summary
from clmot.ablation.variants import VariantSet

METRICS = ("IDF1", "AssA", "HOTA", "MOTA", "IDSW", "ReID_mAP", "AP")
"""What is compared: association first, for that is what an embedding is for. The last two tell which of the two that
share a network made the difference: the embedding or the detector."""

MEAN = "mean"
"""The column of the mean over benchmarks."""


@dataclass(frozen=True)
class Spread:
    """A value over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation (of n - 1); None for a single seed."""
    count: int
    """Number of seeds."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of the values of some seeds; None if there are none."""
        if not values:
            return None
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))


@dataclass(frozen=True)
class Row:
    """A variant and what its seeds measured."""

    variant: str
    overrides: tuple[str, ...]
    supervised: bool
    summaries: Mapping[int, Summary]
    """By seed; a seed whose experiment failed or was not run is absent."""

    def value(self, seed: int, metric: str, column: str, benchmarks: Sequence[str]) -> float | None:
        """One seed's metric in a benchmark, or the mean over all `benchmarks`; None where it was not measured."""
        summary = self.summaries.get(seed, {})
        wanted = benchmarks if column == MEAN else [column]
        if not wanted or not all(metric in summary.get(name, {}) for name in wanted):
            return None
        return statistics.fmean(summary[name][metric] for name in wanted)

    def spread(self, metric: str, column: str, benchmarks: Sequence[str]) -> Spread | None:
        """The same over all seeds that have it."""
        values = [self.value(seed, metric, column, benchmarks) for seed in self.summaries]
        return Spread.of([value for value in values if value is not None])

    def difference(self, other: Row, metric: str, benchmarks: Sequence[str]) -> Spread | None:
        """By how much the mean over benchmarks exceeds that of `other`, seed by seed.

        A seed decides the films that are drawn and the order of training for all variants alike. What it makes easy or
        hard for both drops out of the difference, so that this spreads less than the values themselves.
        """
        differences = []
        for seed in self.summaries:
            mine, its = (row.value(seed, metric, MEAN, benchmarks) for row in (self, other))
            if mine is not None and its is not None:
                differences.append(mine - its)
        return Spread.of(differences)


@dataclass(frozen=True)
class Comparison:
    """All variants of a set for some seeds."""

    set: VariantSet
    seeds: tuple[int, ...]
    benchmarks: tuple[str, ...]
    rows: tuple[Row, ...]
    """In the set's order, every variant of it, with results or without."""
    results: tuple[Result, ...]

    def measured(self) -> tuple[str, ...]:
        """Those of `METRICS` that at least one experiment has."""
        summaries = [scores for row in self.rows for summary in row.summaries.values() for scores in summary.values()]
        return tuple(metric for metric in METRICS if any(metric in scores for scores in summaries))


def compare(chosen: VariantSet, seeds: Iterable[int], results: Sequence[Result], supervised: set[str]) -> Comparison:
    """Group results by variant and seed.

    Args:
        chosen: the set; its order is the rows'.
        seeds: that the comparison is about; results of others are left out.
        results: in any order.
        supervised: names of the variants that learn from identity labels.
    """
    seeds = tuple(seeds)
    kept = tuple(result for result in results if result.experiment.seed in seeds)
    found = {(result.experiment.variant.name, result.experiment.seed): result.summary for result in kept}
    rows = tuple(
        Row(
            variant.name,
            chosen.overrides(variant),
            variant.name in supervised,
            {seed: found[variant.name, seed] for seed in seeds if (variant.name, seed) in found},
        )
        for variant in chosen.variants
    )
    benchmarks = sorted({name for summary in found.values() for name in summary})
    return Comparison(chosen, seeds, tuple(benchmarks), rows, kept)
