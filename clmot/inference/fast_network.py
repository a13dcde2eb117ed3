"""A trained network as it runs fastest where nothing learns: the same function, in other numbers' last bits."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from clmot.models.dcn import DeformConv2d
from clmot.models.network import OneShotTracker

M = TypeVar("M", bound=nn.Module)

RUNS = 3
"""After which a recording is as optimised as it becomes."""

EXAMPLE_SIDE = 64
"""Pixels of the image whose way through the network tells what follows what."""


def fast_network(model: OneShotTracker, device: torch.device) -> OneShotTracker:
    """The network for inference on `device`: batch normalisation folded into the convolutions before it, and pixels
    with their channels together, as convolutions of both CPUs and GPUs read them fastest.

    A network with batch normalisation is copied and stays as it is; one without (as this returns them) is not.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        model = copy.deepcopy(model)
    model = model.eval()
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    fold_batch_norms(model, torch.zeros(1, 3, EXAMPLE_SIDE, EXAMPLE_SIDE, device=place))
    return channels_together(model.to(device))


def channels_together(model: M) -> M:
    """The model with its weights laid out as (out, height, width, in): faster by a half for crops on a CPU."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class TracedOnce:
    """A network of a fixed function, recorded with its first images and from then on run without Python.

    Threads that take a frame each would otherwise wait for Python's lock at each of some hundred layers: on two busy
    cores that costs a quarter of the processor's time. What was recorded gives the same numbers, bit for bit; if it
    does not, or nothing can be recorded, the network runs as it is.
    """

    def __init__(self, network: nn.Module) -> None:
        """`network`: a tensor -> a tuple of tensors, in eval mode; its steps depend on the tensor's shape alone."""
        self.network = network.eval()
        self._ready: dict[torch.Size, Callable[[Tensor], Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, images: Tensor) -> Any:
        """What the network gives."""
        if images.shape not in self._ready:
            with self._lock:
                if images.shape not in self._ready:
                    self._ready[images.shape] = self._recorded(images)
        return self._ready[images.shape](images)

    def _recorded(self, images: Tensor) -> Callable[[Tensor], Any]:
        wanted = self.network(images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constants of the shape are meant; and torch would have another recorder
            try:
                recorded = torch.jit.freeze(torch.jit.trace(self.network, images, check_trace=False))
                # It is optimised after its first runs.
                found = [recorded(images) for _ in range(RUNS)]
            except Exception:  # some backbone's code, or a torch without a recorder
                return self.network
        same = all(torch.equal(a, b) for one in found for a, b in zip(one, wanted, strict=True))
        return recorded if same else self.network


@torch.no_grad()
def fold_batch_norms(model: OneShotTracker, images: Tensor) -> int:
    """Make each batch normalisation a part of the convolution whose output alone it reads; returns how many were.

    Which follows which is seen as `images` pass: names and the order of registration, in which other people's backbones
    differ, say nothing. In float32 the network's outputs stay the same except for rounding (Jacob et al., Quantization
    and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018, section 3.2).

    Args:
        model: in eval mode; is changed.
        images: (B, 3, H, W) that the network can take.
    """
    outputs: list[tuple[nn.Module, Tensor]] = []
    pairs: list[tuple[nn.Module, nn.BatchNorm2d]] = []

    def seen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d):
            pairs.extend((conv, module) for conv, tensor in outputs if tensor is inputs[0])
        else:
            outputs.append((module, output))  # held, so that no other tensor can be taken for it

    layers = (nn.BatchNorm2d, nn.Conv2d, nn.ConvTranspose2d, DeformConv2d)
    hooks = [module.register_forward_hook(seen) for module in model.modules() if isinstance(module, layers)]
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        model.features(images)
    for hook in hooks:
        hook.remove()
    uses = [module for module, _ in outputs]
    folded = [(conv, norm) for conv, norm in pairs if uses.count(conv) == 1 and not _is_grouped(conv)]
    for conv, norm in folded:
        _fold(conv, norm)
    replaced = {id(norm): getattr(norm, "act", nn.Identity()) for _, norm in folded}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in replaced:
                setattr(parent, name, replaced[id(child)])
    return len(folded)


def _is_grouped(conv: nn.Module) -> bool:
    """A transposed convolution in groups, whose weights are not those of one output channel each."""
    return isinstance(conv, nn.ConvTranspose2d) and conv.groups > 1


def _fold(conv: Any, norm: Any) -> None:
    transposed = isinstance(conv, nn.ConvTranspose2d)
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transposed)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
