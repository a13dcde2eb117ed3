"""Where the networks run: device, threads, arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clmot.errors import InputError
from clmot.params import HardwareParams


@dataclass(frozen=True)
class Setup:
    """Device and arithmetic of a run."""

    device: torch.device
    autocast: torch.dtype | None


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
