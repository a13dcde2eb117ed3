"""`clmot compare`: runs beside each other in the terminal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clmot.errors import InputError

if TYPE_CHECKING:
    from clmot.reporting.recorded_runs import RecordedRun

MOST_SHOWN = 8
"""Params of a run in the table: more of them are other profiles, which --json tells apart."""


def add_command(commands: Any) -> None:
    """Add `compare` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "compare",
        help="show runs beside each other: what differs, then their scores",
        description="Show runs that MLflow has recorded beside each other, a line for each: the params in which they "
        "differ, then the mean over benchmarks of IDF1, HOTA, MOTA, AssA and ReID mAP.",
        epilog="example: clmot compare --last 5",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="names, or beginnings of ids (default: the latest)")
    parser.add_argument("--last", type=int, default=10, metavar="N", help="how many of the latest (default 10)")
    parser.add_argument("--json", action="store_true", help="print JSON, with every param that differs")
    parser.set_defaults(action=_compare_given)


def _compare_given(given: argparse.Namespace) -> None:
    if given.last < 1:
        raise InputError("--last should be a whole number from 1 on.")
    compare(given.runs, given.last, given.json)


def compare(names: Sequence[str] = (), last: int = 10, as_json: bool = False) -> None:
    """Print some runs, or the latest.

    Args:
        names: of the runs, or beginnings of their ids; none: the latest.
        last: how many, without names.
        as_json: print JSON instead of a table.

    Raises:
        InputError: there is no such run.
    """
    # Loads MLflow; the other commands need not wait for it.
    from clmot.reporting.mlflow_run import store_uri
    from clmot.reporting.recorded_runs import differing, find_runs, latest_runs
    from clmot.reporting.run_pages import address_of, compare_page, is_server

    experiment, runs = find_runs(names) if names else latest_runs(last)
    keys = differing(runs)
    if as_json:
        print(json.dumps([_as_dict(run, keys) for run in runs], indent=2))
        return
    print(_table(runs, keys))
    uri = store_uri()
    first = "" if is_server(uri) else "`make mlflow`, then "
    print(f"\n{first}{compare_page(address_of(uri), experiment, [run.id for run in runs])}")


def _table(runs: Sequence[RecordedRun], keys: Sequence[str]) -> str:
    from clmot.evaluation.table import MEAN_METRICS
    from clmot.tables import plain_table

    rows = [["run", "started", "what differs", *(name.replace("_", " ") for name in MEAN_METRICS)]]
    for run in runs:
        name = run.name if run.status == "FINISHED" else f"{run.name} ({run.status.lower()})"
        scores = [f"{100 * run.means[one]:.1f}" if one in run.means else "-" for one in MEAN_METRICS]
        rows.append([name, f"{run.started:%Y-%m-%d %H:%M}", _differences(run, keys), *scores])
    return plain_table(rows, left=(0, 1, 2))


def _differences(run: RecordedRun, keys: Sequence[str]) -> str:
    shown = " ".join(f"{key}={run.params.get(key, '-')}" for key in keys[:MOST_SHOWN])
    more = len(keys) - MOST_SHOWN
    return (f"{shown} and {more} more" if more > 0 else shown) or "nothing"


def _as_dict(run: RecordedRun, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "started": run.started.isoformat(timespec="seconds"),
        "differs": {key: run.params.get(key) for key in keys},
        "mean": dict(run.means),
    }
