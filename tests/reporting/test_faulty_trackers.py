"""Whatever a tracking server does: a warning and some seconds, and the training is as if there were none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_tracking_server import FAULTS, WAITING, running

from clmot.params import parse_params
from clmot.reporting import mlflow_run
from clmot.reporting.mlflow_run import in_time, training_run

ROOT = Path(__file__).parents[2]
PARAMS = parse_params((ROOT / "params.yaml").read_text(encoding="utf-8"))
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    import mlflow.tracking  # noqa: F401  (its seconds are not the server's)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_faulty_server_costs_a_warning_and_seconds(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mlflow_run, "SERVER_SECONDS", 1.0)
    with running(FAULTS[kind]) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("//", f"//me:{SECRET}@"))
        started = time.monotonic()
        with training_run(PARAMS, "train") as log:
            for epoch in range(1, 4):
                log(epoch, {"loss": 1.0})
        seconds = time.monotonic() - started
    out, err = capsys.readouterr()
    assert err.startswith("warning: MLflow does not record this stage (")
    assert (out, err.count("\n")) == ("", 1)
    assert SECRET not in err
    assert "\x1b" not in err
    assert seconds < 4


STAGE = """
import mlflow.tracking, os, resource, sys, time
from clmot.params import load_params
from clmot.reporting.mlflow_run import training_run
print("loaded", flush=True)
for address in sys.stdin.read().split():
    os.environ["MLFLOW_TRACKING_URI"] = address
    started = time.monotonic()
    with training_run(load_params(), "train") as log:
        for epoch in range(1, 4):
            log(epoch, {"loss": 1.0})
    print(time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""A training for each address on stdin; the seconds of each, and the memory so far in KiB."""


@pytest.mark.slow
def test_a_stage_ends_in_time(tmp_path: Path) -> None:
    """With the patience that users get, as a process that has to end: 15 seconds more than without a server at most,
    and no memory for an answer without an end. Those that only wait do so at the same time."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    quick = [kind for kind in FAULTS if kind not in WAITING]
    groups = [[kind] for kind in WAITING] + [quick]
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in groups:
            process = subprocess.Popen(
                [sys.executable, "-c", STAGE],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "loaded\n"
        for process, kinds in zip(processes, groups, strict=True):
            assert process.stdin is not None
            process.stdin.write(" ".join(stack.enter_context(running(FAULTS[kind])) for kind in kinds))
            process.stdin.close()
            process.stdin = None  # `communicate` would write to it
        for process, kinds in zip(processes, groups, strict=True):
            out, err = process.communicate()
            assert process.returncode == 0, err
            assert err.count("\n") == len(kinds), err
            for kind, line in zip(kinds, out.splitlines(), strict=True):
                seconds, kilobytes = map(float, line.split())
                assert seconds < 15, kind
                if kind != "a body without an end":  # its end is a matter of seconds or of bytes, whichever come first
                    assert (seconds > 7) == (kind in WAITING), kind
                assert kilobytes < 2_000_000, kind


@pytest.mark.parametrize("wait", [lambda: time.sleep(60), lambda: os.read(os.pipe()[0], 1), threading.Event().wait])
def test_what_takes_too_long_is_left_alone(wait: Callable[[], object]) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="in time"):
        in_time(lambda: wait() and None, 0.2)
    assert time.monotonic() - started < 5


def test_a_loop_that_takes_too_long_is_stopped() -> None:
    """It would fill the memory for as long as the training runs."""
    turns = [0]

    def loop() -> None:
        while True:
            turns[0] += 1

    with pytest.raises(TimeoutError):
        in_time(loop, 0.2)
    deadline = time.monotonic() + 10
    before = -1
    while before != turns[0] and time.monotonic() < deadline:
        before = turns[0]
        time.sleep(0.1)
    assert before == turns[0]


@pytest.mark.parametrize("block", [1_000_000, 10_000_000, 50_000_000])
def test_what_takes_too_much_memory_is_stopped(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast a server sends, before its time is over."""
    monkeypatch.setattr(mlflow_run, "ANSWER_BYTES", 60_000_000)
    kept: list[bytes] = []

    def collect() -> None:
        for number in range(10_000):
            kept.append(bytes([number % 255 + 1]) * block)
            time.sleep(0.02)  # so that the size of the last is bounded, on any machine

    before = mlflow_run._memory()
    with pytest.raises(TimeoutError, match="no end"):
        in_time(collect, 60)
    assert mlflow_run._memory() < before + 600_000_000


def test_a_slow_server_may_watch_a_long_training() -> None:
    """Of a day it may take an hour; of its first minute ten seconds."""
    patience = mlflow_run.Patience.with_store("http://127.0.0.1:9")
    patience.waited = 9
    with pytest.raises(TimeoutError):
        patience.call(lambda: time.sleep(5))
    patience.began -= 3600
    patience.call(lambda: time.sleep(0.01))
    assert 9 < patience.waited < 15


def test_files_are_given_the_time_that_they_need() -> None:
    for uri in ("sqlite:////mlruns/mlflow.db", "file:///mlruns", "mlruns"):
        assert mlflow_run.Patience.with_store(uri).seconds > mlflow_run.LOCK_SECONDS
    for uri in ("https://example.org", "postgresql://example.org/mlflow", "databricks://profile"):
        assert mlflow_run.Patience.with_store(uri).seconds == mlflow_run.SERVER_SECONDS
