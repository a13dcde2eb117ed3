"""`make mlflow`: serve the runs that are recorded here, and say where to look at them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from clmot.errors import InputError, run_as_script
from clmot.reporting.mlflow_run import QUIET, store_uri
from clmot.reporting.recorded_runs import latest_runs
from clmot.reporting.run_pages import PORT, address_of, compare_page, is_server, keep_view, runs_page

ALONE = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Of a server for one reader: no further processes that wait for jobs, which no one here gives it."""


def main() -> None:
    """Serve on the port that the command line names; nothing is served where a server has the runs."""
    given = sys.argv[1] if len(sys.argv) > 1 else str(PORT)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise InputError(f"'{given}' is no port: name a free one, as in `make mlflow PORT=5001`.")
    serve(int(given))


def serve(port: int) -> None:
    """Start MLflow's server with one worker, print the pages worth opening, and wait until it ends.

    Raises:
        InputError: the port is taken.
    """
    uri = store_uri()
    address = address_of(uri, port)
    if is_server(uri):
        print(f"MLFLOW_TRACKING_URI names a server, which has the runs and shows them: open {address}")
        return
    _refuse_taken(port)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1", "--port", str(port)]
    # Whoever ends this command alone, and not from its terminal, means the server.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    server = subprocess.Popen(command, env={**QUIET, **ALONE, **os.environ})
    try:
        print("\n".join(pages(address)), flush=True)  # found while the server starts
        server.wait()
    except KeyboardInterrupt:
        server.wait()  # the terminal has told it as well
        raise
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()
        signal.signal(signal.SIGTERM, before)
    if server.returncode:
        raise InputError(f"MLflow's server ended with exit code {server.returncode}: see above.")


def pages(address: str) -> list[str]:
    """Lines that say where all runs, and the latest two beside each other, are shown."""
    try:
        experiment, runs = latest_runs(2)
    except InputError as error:
        return [str(error)]
    from mlflow.tracking import MlflowClient

    view = keep_view(MlflowClient(tracking_uri=store_uri()), experiment)  # runs may be older than it
    lines = [f"all runs:       {runs_page(address, experiment, view)}"]
    if len(runs) > 1:
        lines.append(f"the latest two: {compare_page(address, experiment, [run.id for run in runs])}")
    return lines


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({error.strerror}): name another, as in `make mlflow PORT=5001`."
            ) from None


if __name__ == "__main__":
    run_as_script(main)
