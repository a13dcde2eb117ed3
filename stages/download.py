"""Fetch a benchmark's archive; keep its frames, its ground truth (with identities) and its detections apart."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from clmot.archives.extract import Reading, extract_benchmark
from clmot.errors import InputError, run_as_script
from clmot.films.open_films import open_with_films
from clmot.params import BENCHMARKS, load_params
from clmot.sources.fetch import archives_dir, fetch_archives
from clmot.sources.scenes import SYNTHETIC, read_scenes


def main() -> None:
    """data.source + data/scenes.json -> data/frames/B, data/gt/B, data/detections/B."""
    if len(sys.argv) != 2 or sys.argv[1] not in BENCHMARKS:
        raise InputError(f"usage: python -m stages.download {{{','.join(BENCHMARKS)}}}")
    benchmark = sys.argv[1]
    data = load_params().data
    seed, frames = read_scenes("data/scenes.json") if data.source == SYNTHETIC else (0, 0)
    archives = fetch_archives(data.source, benchmark, archives_dir(), seed, frames, data.archives)
    extract_benchmark(
        archives,
        benchmark,
        data.split,
        Path("data/frames") / benchmark,
        Path("data/gt") / benchmark,
        Path("data/detections") / benchmark,
        reading=Reading(functools.partial(open_with_films, classes=data.classes), data.classes),
    )


if __name__ == "__main__":
    run_as_script(main)
