"""What a run says that it runs on, and why it has no GPU where one would be expected."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from clmot import hardware
from clmot.errors import InputError
from clmot.hardware import keep_memory, pick_device, set_up, why_no_gpu
from clmot.params import load_params

HARDWARE = load_params(Path(__file__).parents[2] / "params.yaml").hardware
TOO_OLD = "The NVIDIA driver on your system is too old\n(found version 11040). Update your GPU driver."


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with an NVIDIA driver too old for torch's CUDA."""
    (tmp_path / "version").touch()
    monkeypatch.setattr(hardware, "NVIDIA_DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    cannot_start(monkeypatch, RuntimeError(TOO_OLD))
    return monkeypatch


def cannot_start(monkeypatch, error):
    def init():
        if error:
            raise error

    monkeypatch.setattr(torch.cuda, "init", init)


@pytest.mark.parametrize(
    ("cuda", "error", "reason"),
    [
        (None, AssertionError("Torch not compiled with CUDA enabled"), r"torch \S+ is built without CUDA"),
        ("13.0", RuntimeError(TOO_OLD), r"The NVIDIA driver .* too old \(found .*\)\. Update your GPU driver"),
        ("13.0", RuntimeError("No CUDA GPUs are available"), "No CUDA GPUs are available"),
        ("13.0", None, r"torch \S+ finds no device"),
    ],
)
def test_a_driver_without_a_usable_gpu_is_explained(machine, cuda, error, reason):
    machine.setattr(torch.version, "cuda", cuda)
    cannot_start(machine, error)
    assert re.fullmatch(reason, why_no_gpu())


@pytest.mark.parametrize(
    ("driver", "usable"),
    [(False, False), (True, True), (False, True)],
)
def test_nothing_is_to_be_explained(machine, tmp_path, driver, usable):
    """Neither without a driver nor with a GPU that works."""
    if not driver:
        machine.setattr(hardware, "NVIDIA_DRIVER", tmp_path / "none")
        machine.setattr(hardware.shutil, "which", lambda _: None)
    machine.setattr(torch.cuda, "is_available", lambda: usable)
    assert why_no_gpu() is None


def test_what_a_run_runs_on_is_one_line(machine, tmp_path):
    threads = torch.get_num_threads()
    try:
        asked = dataclasses.replace(HARDWARE, device="cpu", threads=1, workers=2)
        assert str(set_up(asked)) == "cpu, float32, 1 thread"
        assert str(set_up(asked, "bfloat16", workers=True)) == "cpu, bfloat16, 1 thread, 2 workers"
        auto = str(set_up(dataclasses.replace(asked, device="auto")))
        assert auto.startswith("cpu, float32, 1 thread (an NVIDIA driver is here, but no GPU is used: The NVIDIA")
        assert "\n" not in auto
    finally:
        torch.set_num_threads(threads)


def test_a_gpu_that_is_asked_for_and_cannot_be_used_says_why(machine):
    with pytest.raises(
        InputError, match=r"'cuda', but this machine shows 0 CUDA devices \(The NVIDIA driver .*auto\.$"
    ):
        pick_device("cuda")


@pytest.mark.parametrize(("answer", "expected"), [(1, [-3, -1]), (0, [-3]), (None, [])])
def test_freed_memory_is_kept_where_glibc_takes_both_thresholds(
    answer: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second alone an older glibc would hand back more than by default."""
    asked: list[int] = []

    def mallopt(what: int, _: int) -> int | None:
        asked.append(what)
        return answer

    library = SimpleNamespace() if answer is None else SimpleNamespace(mallopt=mallopt)
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)
    monkeypatch.setattr("sys.platform", "linux")
    keep_memory()
    assert asked == expected
