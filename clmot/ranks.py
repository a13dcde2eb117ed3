"""One training in several processes: ranks, each with a GPU of its own, on one machine or several.

A batch is shared out among the ranks, and every rank's losses are its part of the sums over the whole batch, divided by
counts over the whole batch. So losses and gradients are sums over ranks, and do not depend on how many there are.
Lightning Fabric starts the processes and finds those that torchrun or SLURM started; PyTorch's collectives do the rest.
In one process every function here returns what it was given, and Fabric is not imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from clmot.errors import InputError
from clmot.params import HardwareParams


def launch(hardware: HardwareParams) -> None:
    """Become one of `hardware.devices` x `hardware.nodes` ranks, starting the others where no launcher has.

    Fabric starts a rank by running this very command again, so a program calls this before it does anything else.
    torchrun's and srun's processes are taken as they are, whatever `hardware` says.

    Raises:
        InputError: the numbers do not fit this machine, or no launcher has started the other machines.
    """
    started = _started()
    devices, nodes = started or (hardware.devices, hardware.nodes)
    if started is None and nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise InputError(
            f"params.yaml: 'hardware.nodes: {nodes}', but neither torchrun nor srun has started this process: start "
            "the stage with one of them, on every machine (docs/scale.md, Training on several GPUs), or set it to 1."
        )
    if devices * nodes == 1:
        return
    if ":" in hardware.device:
        raise InputError(
            f"params.yaml: 'hardware.device: {hardware.device}' names one GPU, but {devices} x {nodes} processes train "
            "together: set it to auto."
        )
    fabric_type = _fabric()
    accelerator = "cuda" if hardware.device != "cpu" and torch.cuda.is_available() else "cpu"
    if started is None:
        # In a job of SLURM, Fabric takes itself for one of srun's processes; where `dvc repro` runs, there are none.
        os.environ.pop("SLURM_NTASKS", None)
    try:
        fabric = fabric_type(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy="ddp")
        fabric.launch()
    except (ValueError, RuntimeError) as error:  # there are fewer GPUs, or other machines do not answer
        reason = " ".join(str(error).split())
        raise InputError(f"params.yaml: 'hardware.devices' or 'hardware.nodes': {reason}") from None
    if accelerator == "cuda":
        torch.cuda.set_device(fabric.device)
    elif not hardware.threads and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _started() -> tuple[int, int] | None:
    """Processes of each machine, and machines, where torchrun or srun has started them; None: nobody has.

    Raises:
        InputError: srun's machines have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        return each, int(os.environ["WORLD_SIZE"]) // each
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))  # in a step of srun alone, unlike SLURM_NTASKS
    if tasks == 1:
        return None
    nodes = int(os.environ["SLURM_STEP_NUM_NODES"])
    if tasks % nodes:
        raise InputError(
            f"srun has started {tasks} processes on {nodes} machines: start equally many on each (--ntasks-per-node)."
        )
    return tasks // nodes, nodes


def _fabric() -> Any:
    """The class, from its own package or, where that is installed, from the whole of Lightning."""
    for package, module in (("lightning_fabric", "lightning_fabric"), ("lightning", "lightning.fabric")):
        if importlib.util.find_spec(package) is not None:
            return importlib.import_module(module).Fabric
    raise InputError("'hardware.devices' and 'hardware.nodes' above 1 need Lightning Fabric: install lightning-fabric.")


def count() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this process is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this process is the one that writes and tells."""
    return rank() == 0


def tell(sentence: str) -> None:
    """Print on stderr, once for all ranks."""
    if is_first():
        print(sentence, file=sys.stderr)


def other_name() -> tuple[int, ...]:
    """For streams of random numbers of which every rank has another: its number, or nothing for the first."""
    return () if is_first() else (rank(),)


def share(examples: Sequence[int]) -> slice:
    """Which part of a batch is this rank's: parts follow each other and differ by one at most."""
    ranks, this = count(), rank()
    return slice(len(examples) * this // ranks, len(examples) * (this + 1) // ranks)


def total(value: Tensor) -> Tensor:
    """A count or a sum over all ranks, without a gradient."""
    if count() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def gather_rows(tensor: Tensor, dim: int) -> Tensor:
    """The tensors of all ranks, one after the other along `dim`, with gradients to the ranks they come from.

    Other sides than `dim` may be shorter on some ranks: zeros fill them up.
    """
    if count() == 1:
        return tensor
    sizes = torch.zeros(count(), tensor.ndim, dtype=torch.long, device=tensor.device)
    sizes[rank()] = torch.tensor(tensor.shape, device=tensor.device)
    shapes = total(sizes).tolist()  # one wait for the device, which several ranks cost only here
    most = [max(side) for side in zip(*shapes, strict=True)]
    missing = [whole - side for side, whole in zip(tensor.shape, most, strict=True)]
    padding = [amount for side in missing[::-1] for amount in (0, side)]  # of the last side first
    padded = nn.functional.pad(tensor, padding)
    parts = _Gather.apply(padded)
    return torch.cat([part.narrow(dim, 0, shape[dim]) for part, shape in zip(parts, shapes, strict=True)], dim)


class _Gather(torch.autograd.Function):
    """(...) -> (ranks, ...); a rank's gradient is the sum of what all ranks have for its tensor."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        everyone = [torch.empty_like(tensor) for _ in range(count())]
        dist.all_gather(everyone, tensor.contiguous())
        return torch.stack(everyone)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[rank()]


class _Sum(torch.autograd.Function):
    """The sum over ranks, which every rank goes on with: so the gradient is the sum of theirs as well."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return total(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


def add_up_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Give every rank the sum of all ranks' gradients.

    All of them in one buffer, once they are complete. Tens of megabytes take a millisecond between GPUs of one machine:
    sending them while the backward pass runs, as DDP does, would gain less than that.
    """
    if count() == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    parts = together.split([gradient.numel() for gradient in gradients])
    for parameter, part in zip(parameters, parts, strict=True):
        if parameter.grad is None:
            parameter.grad = part.view_as(parameter).clone()
        else:
            parameter.grad.copy_(part.view_as(parameter))


def add_up(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars by name, summed over ranks; no gradient."""
    if count() == 1:
        return dict(losses)
    summed = total(torch.stack([value.detach().float() for value in losses.values()]))
    return dict(zip(losses, summed.unbind(), strict=True))


def synchronise_batch_norm(model: nn.Module) -> None:
    """Let every batch norm of a network take its mean and variance from the whole batch.

    On GPUs by torch's `SyncBatchNorm`, which has no form for CPUs; there by sums that autograd knows. The network's
    tensors and their names stay as they are.
    """
    if count() == 1:
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = _Synchronised(module)  # type: ignore[method-assign,assignment]


def leave_batch_norm(model: nn.Module) -> None:
    """Undo `synchronise_batch_norm`."""
    for module in model.modules():
        if isinstance(module.__dict__.get("forward"), _Synchronised):
            del module.forward


class _Synchronised:
    """The forward pass of a batch norm, over all ranks while it trains."""

    def __init__(self, module: nn.BatchNorm2d) -> None:
        self.module, self.alone = module, module.forward
        # timm's batch norms have an activation inside.
        self.after = [child for child in (getattr(module, "drop", None), getattr(module, "act", None)) if child]
        self.on_gpu = nn.SyncBatchNorm(module.num_features, module.eps, module.momentum or 0.0)
        self.on_gpu.weight, self.on_gpu.bias = module.weight, module.bias

    def __call__(self, features: Tensor) -> Tensor:
        module = self.module
        if not module.training:
            return self.alone(features)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self.on_gpu, name, getattr(module, name))
        out = self.on_gpu(features) if features.is_cuda else self.by_sums(features)
        for layer in self.after:
            out = layer(out)
        return out

    def by_sums(self, features: Tensor) -> Tensor:
        """Mean first, then squares of what differs from it: a sum of squares alone would lose the variance."""
        module, over = self.module, (0, 2, 3)
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        size = torch.full_like(wide[0, :1, 0, 0], wide.numel() // wide.shape[1])
        number = total(size)
        mean = _Sum.apply(wide.sum(over)) / number
        centred = wide - mean.view(1, -1, 1, 1)
        variance = _Sum.apply(centred.square().sum(over)) / number
        with torch.no_grad():
            momentum = module.momentum or 0.0
            assert module.running_mean is not None
            assert module.running_var is not None
            assert module.num_batches_tracked is not None
            module.running_mean.lerp_(mean, momentum)
            module.running_var.lerp_(variance * number / (number - 1).clamp_min(1), momentum)
            module.num_batches_tracked.add_(1)
        scale = torch.rsqrt(variance + module.eps) * module.weight
        return torch.addcmul(module.bias.view(1, -1, 1, 1), centred, scale.view(1, -1, 1, 1)).to(features.dtype)
