"""Where MLflow shows runs: the addresses of its pages.

An experiment's plain address opens MLflow's pages for language models; these open the table of runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from clmot.addresses import readable

PORT = 5000
"""On which `make mlflow` serves the runs that are recorded in a file."""


def is_server(uri: str) -> bool:
    """Whether a store is a server, which shows its runs itself."""
    return uri.startswith(("http://", "https://", "databricks"))


def address_of(uri: str, port: int = PORT) -> str:
    """Where the runs of a store are shown: the server's own address, or where `make mlflow` serves them.

    >>> address_of("sqlite:///mlflow.db"), address_of("https://me:secret@runs.example.org/")
    ('http://127.0.0.1:5000', 'https://runs.example.org')
    """
    return readable(uri).rstrip("/") if is_server(uri) else f"http://127.0.0.1:{port}"


def runs_page(address: str, experiment: str) -> str:
    """The table of an experiment's runs.

    >>> runs_page("http://127.0.0.1:5000", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning'
    """
    return f"{address}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def compare_page(address: str, experiment: str, runs: Sequence[str]) -> str:
    """Some runs beside each other, by their ids."""
    return f"{address}/#/compare-runs?runs={_listed(runs)}&experiments={_listed([experiment])}"


def _listed(items: Sequence[str]) -> str:
    return quote(json.dumps(list(items), separators=(",", ":")), safe=",")
