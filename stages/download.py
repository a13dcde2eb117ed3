"""Fetch a benchmark's archive; keep its frames and its ground truth (with identities) apart."""

from __future__ import annotations

import sys
from pathlib import Path

from clmot.data.sources import archives_dir, fetch_archive
from clmot.errors import run_as_script
from clmot.motchallenge.archive import extract_benchmark
from clmot.params import benchmark_argument, load_params


def main() -> None:
    """data.source -> data/frames/B, data/gt/B."""
    benchmark = benchmark_argument(sys.argv)
    params = load_params()
    data = params.data
    archive = fetch_archive(data.source, benchmark, archives_dir(), params.seed, data.synthetic.frames)
    extract_benchmark(
        archive, benchmark, data.split, Path("data/frames") / benchmark, Path("data/gt") / benchmark
    )


if __name__ == "__main__":
    run_as_script(main)
