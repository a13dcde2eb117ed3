"""The runs that MLflow has recorded, read again to be compared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.evaluation.table import MEAN, MEAN_METRICS
from clmot.reporting.mlflow_run import EXPERIMENT, get_ready, reason_of, sqlite_file, store_uri
from clmot.wording import listed


@dataclass(frozen=True)
class RecordedRun:
    """One execution of the pipeline."""

    id: str
    name: str
    status: str
    """MLflow's: RUNNING, FINISHED, FAILED or KILLED."""
    started: datetime
    """Local time."""
    params: Mapping[str, str]
    """As MLflow keeps them: text."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Those of `MEAN_METRICS` that it has, over benchmarks; fractions."""


def latest_runs(count: int) -> tuple[str, list[RecordedRun]]:
    """The experiment's id and its `count` latest runs, the oldest of them first.

    Raises:
        InputError: there is no run, or the store cannot be read.
    """
    experiment, found = _search(count)
    return experiment, found[::-1]


def find_runs(names: Sequence[str]) -> tuple[str, list[RecordedRun]]:
    """The experiment's id and the runs of these names, or beginnings of ids, in this order; of equal names the latest.

    Raises:
        InputError: there is no such run, or the store cannot be read.
    """
    experiment, runs = _search(None)
    found = []
    for name in names:
        # A run's name may say what differs behind the experiment's own: `jolly-nail: loss.temperature=0.1`.
        named = [run for run in runs if name in (run.name, run.name.split(": ")[0])]
        named = named or [run for run in runs if len(name) >= 4 and run.id.startswith(name)]
        if not named:
            known = listed([repr(run.name) for run in runs])
            raise InputError(f"MLflow has no run '{name}': it has {known} (names or ids).")
        found.append(named[0])
    return experiment, found


def differing(runs: Sequence[RecordedRun]) -> list[str]:
    """The params in which any of the runs differ, by name."""
    keys = sorted({key for run in runs for key in run.params})
    return [key for key in keys if len({run.params.get(key) for run in runs}) > 1]


def _search(most: int | None) -> tuple[str, list[RecordedRun]]:
    """The experiment's id and its runs, the latest first."""
    uri = store_uri()
    nothing = InputError("MLflow has no run of this project yet: `make repro` records one.")
    file = sqlite_file(uri)
    if file is not None and not Path(file).exists():
        raise nothing
    try:
        experiment, runs = _read(uri, most)
    except Exception as error:  # a store can fail in any way
        raise InputError(f"MLflow's runs cannot be read ({reason_of(error)}): see to MLFLOW_TRACKING_URI.") from error
    if not runs:
        raise nothing
    return experiment, runs


def _read(uri: str, most: int | None) -> tuple[str, list[RecordedRun]]:
    get_ready()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)
    if experiment is None:
        return "", []
    found: list[Any] = []
    token = None
    while most is None or len(found) < most:
        size = 1000 if most is None else most - len(found)
        page = client.search_runs(
            [experiment.experiment_id], order_by=["attributes.start_time DESC"], max_results=size, page_token=token
        )
        found += page
        token = page.token
        if not token:
            break
    return str(experiment.experiment_id), [_recorded(run) for run in found]


def _recorded(run: Any) -> RecordedRun:
    metrics = run.data.metrics
    return RecordedRun(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000),
        params=dict(run.data.params),
        means={name: metrics[f"{MEAN}/{name}"] for name in MEAN_METRICS if f"{MEAN}/{name}" in metrics},
    )
