"""Where the networks run: device, threads, arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from clmot.errors import InputError
from clmot.params import HardwareParams


@dataclass(frozen=True)
class Setup:
    """Device and arithmetic of a run."""

    device: torch.device
    autocast: torch.dtype | None
    """What the network is autocast to in training; None: it runs in float32 (on CUDA with TF32)."""


def set_up(hardware: HardwareParams) -> Setup:
    """Choose the device, the number of threads and deterministic kernels.

    Raises:
        InputError: the device does not exist here, or is not known.
    """
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    device = pick_device(hardware.device)
    if device.type == "cpu":
        # CPU kernels all have deterministic forms; on CUDA a few that we use have none.
        torch.use_deterministic_algorithms(True)
        # By default that also fills all new memory, against code that reads what it has not written; nothing here does,
        # and it costs a tenth of a training step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    return Setup(device, torch.bfloat16 if hardware.precision == "bfloat16" else None)


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Run a block in float32, whatever the network on `device` runs in: without autocast, and without TF32.

    TF32, which `set_up` allows on CUDA, rounds the factors of matrix products to 11 bits. That is enough for a network,
    but a coordinate of 1000 pixels has steps of half a pixel. Gradients are another matter: the backward pass runs
    later, in what is allowed then.
    """
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def pick_device(name: str) -> torch.device:
    """`auto` (CUDA where present, else the CPU) or a device by name.

    Raises:
        InputError: the name is unknown, or there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"params.yaml: 'hardware.device' should be auto, cpu, cuda or cuda:N, got '{name}'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"params.yaml: 'hardware.device' is '{name}', but this machine shows {torch.cuda.device_count()} CUDA "
            "devices; set it to auto."
        )
    return device
