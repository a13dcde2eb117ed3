"""Where MLflow shows runs: the addresses of its pages.

An experiment's plain address opens MLflow's pages for language models; these open the table of runs. Of itself the
table has no scores: a view that is kept with the experiment, and named in the address, has their columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from clmot.addresses import readable
from clmot.evaluation.table import MEAN, MEAN_METRICS

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PORT = 5000
"""On which `make mlflow` serves the runs that are recorded in a file."""
VIEW = "scores"
"""Name of the view that has the means of a run's scores as columns."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""Of an experiment: where MLflow's pages look for that view."""


def is_server(uri: str) -> bool:
    """Whether a store is a server, which shows its runs itself."""
    return uri.startswith(("http://", "https://", "databricks"))


def address_of(uri: str, port: int = PORT) -> str:
    """Where the runs of a store are shown: the server's own address, or where `make mlflow` serves them.

    >>> address_of("sqlite:///mlflow.db"), address_of("https://me:secret@runs.example.org/")
    ('http://127.0.0.1:5000', 'https://runs.example.org')
    """
    return readable(uri).rstrip("/") if is_server(uri) else f"http://127.0.0.1:{port}"


def keep_view(client: MlflowClient, experiment: str) -> bool:
    """Keep the view of scores with an experiment; False where the store does not take it."""
    columns = [f"metrics.`{MEAN}/{name}`" for name in MEAN_METRICS]
    try:
        client.set_experiment_tag(experiment, VIEW_TAG, json.dumps({"selectedColumns": columns}))
    except Exception:  # a store can fail in any way, and a server may let people record runs alone
        return False
    return True


def runs_page(address: str, experiment: str, view: bool = False) -> str:
    """The table of an experiment's runs, with the view of scores where the experiment has it.

    >>> runs_page("http://127.0.0.1:5000", "1", view=True)
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=scores'
    """
    page = f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={VIEW}" if view else page


def compare_page(address: str, experiment: str, runs: Sequence[str]) -> str:
    """Some runs beside each other, by their ids."""
    return f"{address}/#/compare-runs?runs={_listed(runs)}&experiments={_listed([experiment])}"


def _listed(items: Sequence[str]) -> str:
    return quote(json.dumps(list(items), separators=(",", ":")), safe=",")
