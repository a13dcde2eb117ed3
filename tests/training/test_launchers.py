"""Processes that torchrun or srun started train as those that the project starts itself."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import SMALL_NETWORK
from train_on_ranks import Launch

from clmot import ranks
from clmot.errors import InputError
from clmot.params import HardwareParams

ROOT = Path(__file__).parents[2]
TRAINING: dict[str, Any] = {**SMALL_NETWORK, "train.batch_size": 4, "train.epochs": 1, "train.learning_rate": 0.0001}
LAUNCHERS = ("LOCAL_", "MASTER_", "NODE_", "WORLD_", "RANK", "GROUP_", "TORCHELASTIC_", "SLURM_")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def torchrun(*options: str) -> list[str]:
    return ["-m", "torch.distributed.run", *options, "-m"]


def srun(number: int, nodes: int) -> dict[str, str]:
    """What SLURM's `srun` tells the process of this `number`, of two on so many machines."""
    return {
        "SLURM_JOB_ID": "10007",
        "SLURM_JOB_NAME": "train",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": str(2 // nodes),
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number if nodes == 1 else 0),
        "SLURM_NODEID": str(0 if nodes == 1 else number),
    }


Process = tuple[list[str], dict[str, str]]
"""What is before the module on the command line, and what the environment has more."""


def processes(way: str) -> list[Process]:
    """Those that a launcher starts."""
    port = str(free_port())
    if way == "torchrun":
        return [(torchrun("--standalone", "--nproc-per-node", "2"), {})]
    if way == "torchrun on two machines":
        meet = ("--master-addr", "127.0.0.1", "--master-port", port)
        return [(torchrun("--nnodes", "2", "--node-rank", str(rank), *meet), {}) for rank in range(2)]
    if way in ("srun", "srun on two machines"):
        return [(["-m"], srun(rank, 1 if way == "srun" else 2) | {"MASTER_PORT": port}) for rank in range(2)]
    # A job's script, which one process runs, as `dvc repro` in it does.
    return [(["-m"], {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "repro", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"})]


def environment(more: dict[str, str]) -> dict[str, str]:
    """Of a process that no launcher started, and `more`."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    return found | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])} | more


def learnt(folder: Path, way: list[Process], devices: int) -> tuple[dict[str, torch.Tensor], str]:
    """The weights that these processes train, and what they told; `devices`: the param."""
    given = json.dumps(dataclasses.asdict(Launch({str(folder): TRAINING}, devices=devices)))
    started = [
        subprocess.Popen(
            [sys.executable, *before, "train_on_ranks", given],
            env=environment(more),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for before, more in way
    ]
    told = "".join(process.communicate(timeout=300)[1] for process in started)
    assert [process.returncode for process in started] == [0] * len(started), told
    return load_file(folder / "model/model.safetensors"), told


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process learns of the whole batches."""
    return learnt(tmp_path_factory.mktemp("alone"), [(["-m"], {})], 1)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["torchrun", "torchrun on two machines", "srun", "srun on two machines", "a job's script"]
)
def test_a_launchers_processes_learn_what_one_does(way: str, alone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Two ranks, once, whatever the params say where a launcher has started them."""
    weights, told = learnt(tmp_path, processes(way), 2 if way == "a job's script" else 1)
    assert told.count("2 ranks") == 1
    assert told.count("train epoch 1/1") == 1
    assert weights.keys() == alone.keys()
    assert max(float((weights[name].double() - alone[name].double()).abs().max()) for name in alone) < 1e-5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}, None),  # a job's script, not srun's process
        (srun(1, 2) | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, None),
        (srun(1, 1), (2, 1)),
        (srun(1, 2), (1, 2)),
        (srun(5, 2) | {"SLURM_STEP_NUM_TASKS": "8"}, (4, 2)),
        ({"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "12"}, (4, 3)),
        (srun(0, 2) | {"TORCHELASTIC_RUN_ID": "7", "LOCAL_WORLD_SIZE": "8", "WORLD_SIZE": "16"}, (8, 2)),
    ],
)
def test_who_started_how_many_processes(
    given: dict[str, str], expected: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each machine, and machines; torchrun may be srun's process on each of them."""
    monkeypatch.setattr(os, "environ", environment(given))
    assert ranks._started() == expected


@pytest.mark.parametrize(
    ("given", "hardware", "why"),
    [
        ({}, {"nodes": 2}, r"'hardware\.nodes: 2', but neither torchrun nor srun has started this process: start"),
        ({"SLURM_NTASKS": "16", "SLURM_NNODES": "2"}, {"devices": 8, "nodes": 2}, r"neither torchrun nor srun"),
        (srun(0, 2) | {"SLURM_STEP_NUM_TASKS": "3"}, {}, "3 processes on 2 machines: start equally many on each"),
        (
            srun(0, 1) | {"SLURM_NTASKS_PER_NODE": "4"},
            {},
            r"'hardware\.devices' or 'hardware\.nodes': .*tasks per node",
        ),
    ],
)
def test_what_cannot_train_together_is_told(
    given: dict[str, str], hardware: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, instead of waiting for machines that do not come."""
    monkeypatch.setattr(os, "environ", environment(given))
    with pytest.raises(InputError, match=why):
        ranks.launch(HardwareParams("cpu", 0, 0, **hardware))
