"""Throw the identities of a benchmark away; keep the boxes of the training frames."""

from __future__ import annotations

import sys
from pathlib import Path

from clmot.data.strip import TRUTH, DetectorBoxes, strip_benchmark
from clmot.data.strip_report import format_report
from clmot.errors import InputError, run_as_script
from clmot.params import BENCHMARKS, load_params


def main() -> None:
    """data/gt/B -> data/boxes/B, data/held_out/B (boxes of the tracked frames), data/identities/B (which says that
    there are none, except for the supervised baseline)."""
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.strip {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    params = load_params()
    detector = DetectorBoxes(
        params.strip.boxes,
        params.strip.min_score,
        Path("data/frames") / benchmark,
        Path("data/detections") / benchmark,
    )
    report = strip_benchmark(
        Path("data/gt") / benchmark,
        Path("data/boxes") / benchmark,
        benchmark,
        params.data.split,
        params.data.validation_sequences,
        params.strip.classes,
        params.strip.min_visibility,
        benchmarks=params.data.benchmarks,
        identities_dir=Path("data/identities") / benchmark,
        keep_identities=params.strip.keep_identities,
        held_out_dir=Path("data/held_out") / benchmark,
        held_out_identities=params.strip.held_out_identities,
        detector=None if params.strip.boxes == TRUTH else detector,
    )
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
