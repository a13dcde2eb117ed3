"""List what trains beside the films, without identities; refuse a film that trains and is tracked."""

from __future__ import annotations

from clmot.data.index import format_report, index_sets
from clmot.errors import run_as_script
from clmot.motchallenge.sequence import read_manifest
from clmot.motchallenge.splits import Split, check_split, tracked_films
from clmot.params import load_params


def main() -> None:
    """data.extra + data/held_out -> data/extra."""
    data = load_params().data
    split = Split.from_params(data)
    # `strip` saw one benchmark at a time; whether a film trains in one and is tracked in another shows only here.
    sequences = {name: read_manifest(f"data/held_out/{name}", "strip") for name in data.benchmarks}
    check_split(sequences, split)
    print(format_report(index_sets(data.extra, "data/extra", tracked_films(sequences, split))))


if __name__ == "__main__":
    run_as_script(main)
