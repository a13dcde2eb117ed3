"""Where the networks run: device, threads, arithmetic."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from clmot.errors import InputError
from clmot.params import HardwareParams

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 2**31 - 1
"""Of glibc's malloc.h, and the highest value that they take."""
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""There where the kernel has loaded NVIDIA's driver, in containers too."""


@dataclass(frozen=True)
class Setup:
    """Device and arithmetic of a run. As text, what it runs on: `cpu, float32, 2 threads, 0 workers`."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    """Arithmetic of the network: `float32` (on CUDA with TF32) or `bfloat16`."""
    workers: int | None
    """Processes that read images; None: not told."""
    remark: str = ""
    """Why there is no GPU where one would be expected."""

    def autocast(self) -> torch.autocast:
        """A context in which the network runs in `precision`."""
        lower = self.precision != "float32"
        return torch.autocast(self.device.type, torch.bfloat16 if lower else None, enabled=lower)

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        parts = [name, self.precision, _count(torch.get_num_threads(), "thread")]
        parts += [] if self.workers is None else [_count(self.workers, "worker")]
        return ", ".join(parts) + self.remark


def set_up(
    hardware: HardwareParams, precision: Literal["float32", "bfloat16"] = "float32", workers: bool = False
) -> Setup:
    """Choose the device, the number of threads and deterministic kernels.

    Args:
        hardware: from params.yaml.
        precision: of the network.
        workers: whether the run has worker processes, which are then told as well.

    Raises:
        InputError: the device does not exist here, or is not known.
    """
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    device = pick_device(hardware.device)
    reason = why_no_gpu() if hardware.device == "auto" and device.type == "cpu" else None
    if device.type == "cpu":
        # CPU kernels all have deterministic forms; on CUDA a few that we use have none.
        torch.use_deterministic_algorithms(True)
        # By default that also fills all new memory, against code that reads what it has not written; nothing here does,
        # and it costs a tenth of a training step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    else:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    remark = f" (an NVIDIA driver is here, but no GPU is used: {reason})" if reason else ""
    return Setup(device, precision, hardware.workers if workers else None, remark)


def keep_memory() -> None:
    """Let glibc keep what is freed for what comes next, where this process runs on it.

    By default it hands large blocks back to the kernel, which clears them again when a layer asks for the same amount a
    moment later. A training needs as much at every step, so that nothing is lost by keeping it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    # An older glibc refuses the first; with the second alone it would hand back more.
    if mallopt is not None and mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


@contextlib.contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Run a block with one thread an operator, where it runs on a CPU.

    By the number of threads torch chooses between kernels and splits sums, so that last bits depend on it: with one
    they do not, and threads that take a frame each use all cores, without waiting for each other at every layer. The
    number belongs to the calling thread; the others keep theirs.
    """
    before = torch.get_num_threads()
    if device.type != "cpu" or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def send(device: torch.device, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Small tensors of one type of number, brought from the CPU to a device together.

    They are packed in page-locked memory: one copy, for which the CPU does not wait. An ordinary copy of each would
    stop it until the device has done all its work.
    """
    if device.type == "cpu":
        return tensors
    packed = torch.cat([tensor.reshape(-1) for tensor in tensors])
    packed = (packed.pin_memory() if device.type == "cuda" else packed).to(device, non_blocking=True)
    parts = packed.split([tensor.numel() for tensor in tensors])
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


def pick_device(name: str) -> torch.device:
    """`auto` (CUDA where present, else the CPU) or a device by name.

    Raises:
        InputError: the name is unknown, or there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if _cuda_is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"params.yaml: 'hardware.device' should be auto, cpu, cuda or cuda:N, got '{name}'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        reason = why_no_gpu()
        raise InputError(
            f"params.yaml: 'hardware.device' is '{name}', but this machine shows {torch.cuda.device_count()} CUDA "
            f"devices{f' ({reason})' if reason else ''}; set it to auto."
        )
    return device


def why_no_gpu() -> str | None:
    """Why torch uses no GPU although this machine has NVIDIA's driver; None: it uses one, or there is no driver."""
    if not (NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi")) or _cuda_is_available():
        return None
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # "The NVIDIA driver on your system is too old ...", and others
        return " ".join(str(error).split()).rstrip(".")
    return f"torch {torch.__version__} finds no device"


def _cuda_is_available() -> bool:
    """`torch.cuda.is_available()` without the warning it adds where the driver is too old: `why_no_gpu` says that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.cuda.is_available()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
