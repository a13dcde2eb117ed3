"""Read the sets of images that train beside the films; keep their boxes, without identities."""

from __future__ import annotations

from clmot.data.index import collect_sets, format_report
from clmot.errors import run_as_script
from clmot.params import load_params


def main() -> None:
    """data.extra -> data/extra."""
    print(format_report(collect_sets(load_params().data.extra, "data/extra")))


if __name__ == "__main__":
    run_as_script(main)
