"""Throw the identities of a benchmark away; put what training may see into one folder."""

from __future__ import annotations

import sys

from clmot.data.strip import format_report, strip_benchmark
from clmot.errors import InputError, run_as_script
from clmot.motchallenge.splits import Split
from clmot.params import BENCHMARKS, load_params


def main() -> None:
    """data/gt/B + data/frames/B -> data/training/B, data/held_out/B (boxes of the tracked frames), data/identities/B
    (which says that there are none, except for the supervised baseline)."""
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.strip {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    params = load_params()
    split = Split.from_params(params.data)
    report = strip_benchmark("data", benchmark, split, params.strip, params.data.benchmarks)
    print(format_report(benchmark, report))
    if params.strip.held_out_identities:
        print(
            "A BOUND: 'strip.held_out_identities' is true, so the boxes of the tracked frames keep their identities in "
            f"data/held_out/{benchmark}; training reads none of them.",
            file=sys.stderr,
        )
    if params.strip.keep_identities:
        print(
            "SUPERVISED BASELINE: 'strip.keep_identities' is true, so the identity labels of the training frames are "
            f"in data/identities/{benchmark}.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_as_script(main)
