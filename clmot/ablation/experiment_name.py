"""What an experiment of a set is called.

Only the name is certain to reach a stage: DVC hands it to the copy of the project in which a queued experiment
runs, whichever worker it is; an environment variable reaches only the workers that were started with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SET_NAME = r"[a-z0-9][a-z0-9_-]*"
VARIANT_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.))*"
"""Part of the name of a Git reference, which must not hold two dots in a row."""

_NAME = re.compile(rf"({SET_NAME})\.({VARIANT_NAME})\.seed([0-9]+)\.([0-9a-f]{{8}})")


@dataclass(frozen=True)
class ExperimentName:
    """`<set>.<variant>.seed<n>.<key>`, as in `ablation.triplet_hard.seed0.1f0c4b7e`."""

    set: str
    """The file of variants, without folder and ending."""
    variant: str
    seed: int
    key: str
    """Eight hexadecimal digits that change with every param and with the pipeline's code."""

    def __str__(self) -> str:
        return f"{self.set}.{self.variant}.seed{self.seed}.{self.key}"

    @classmethod
    def parse(cls, text: str) -> ExperimentName | None:
        """The parts of a name; None for an experiment that is of no set."""
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        name, variant, seed, key = found.groups()
        return cls(name, variant, int(seed), key)

    def tags(self) -> dict[str, str]:
        """Tags of the experiment's run in MLflow: all runs of one set, or of one variant, can be filtered by them."""
        return {"clmot.ablation": self.set, "clmot.variant": self.variant, "clmot.seed": str(self.seed)}
