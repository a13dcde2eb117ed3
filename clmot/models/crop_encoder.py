"""What a person looks like, seen in the box alone: a network that turns boxes of an image into embeddings.

It knows nothing of the rest of the frame, so it works with anybody's boxes, and training it leaves a detector alone. It
reads a backbone's maps of several strides, averages each over some horizontal stripes (Sun et al., Beyond Part Models,
2018: heads, shirts and trousers lie at known heights of a box) and joins all of it by one linear layer. Fine maps see
colour and texture, which tell the people of one film apart better than what deep maps know of objects.
"""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from clmot.errors import InputError

_HUB_SECONDS = 5  # for an answer of any kind; a hub that takes longer would take minutes for weights
WEIGHT_SCALE = 0.02
"""Root mean square of the linear layer's weights at the start. A constant factor beside them gives the layer its actual
size, so that one learning rate suits it and the backbone, whose weights are about as large."""


@dataclass(frozen=True)
class CropConfig:
    """All that is needed to build the encoder again; stands beside saved weights."""

    backbone: str
    """timm's name of the backbone."""
    input_size: tuple[int, int]
    """Width and height to which boxes are resized, pixels."""
    strides: tuple[int, ...]
    """The backbone's maps that are read."""
    parts: int
    """Horizontal stripes over which each map is averaged."""
    dimension: int
    """Length of the embedding."""
    mean: tuple[float, float, float]
    """Of RGB in 0..1, that the backbone was trained with."""
    std: tuple[float, float, float]
    """Likewise, the standard deviation."""
    pretrained: str = ""
    """Where the weights began, with tag and licence where they are known; empty: at random."""


class CropEncoder(nn.Module):
    """Crops of people -> embeddings.

    Batch normalisation keeps the statistics it was pretrained with, and so is a part of the convolution before it: the
    network is built without (half of the time on a CPU, the same function).
    """

    mean: Tensor
    std: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, config: CropConfig, backbone: Any = None) -> None:
        """Build with random weights, or on a backbone that has some.

        Args:
            config: what to build.
            backbone: of `create_crop_backbone`, with pretrained weights; None: a random one.

        Raises:
            InputError: the backbone does not exist, or has no maps of these strides.
        """
        super().__init__()
        self.config = config
        self.backbone = create_crop_backbone(config.backbone, config.strides) if backbone is None else backbone
        fold_batch_norm(self.backbone)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1))
        channels = config.parts * sum(self.backbone.feature_info.channels())
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.head = nn.Linear(channels, config.dimension, bias=False)

    def features(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W), RGB in 0..1, of `input_size` -> what the linear layer reads (N, C), before centring."""
        maps = self.backbone((crops - self.mean) / self.std)
        return torch.cat([F.adaptive_avg_pool2d(one, (self.config.parts, 1)).flatten(1) for one in maps], 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, H, W), RGB in 0..1, of `input_size` -> embeddings (N, D), not normalised."""
        return self.head((self.features(crops) - self.centre) * self.scale)

    def set_projection(self, centre: Tensor, projection: Tensor, spread: Tensor) -> None:
        """Begin with the linear function features (C,) -> (features - centre) @ projection.

        Args:
            centre: (C,).
            projection: (C, D).
            spread: (C,) above 0, the features' standard deviations: the weights are stored for features of spread 1.
        """
        weight = (projection * spread[:, None]).T  # (D, C)
        size = weight.square().mean().sqrt()
        with torch.no_grad():
            self.centre.copy_(centre)
            self.scale.copy_(size / WEIGHT_SCALE / spread)
            self.head.weight.copy_(weight * WEIGHT_SCALE / size)

    def freeze(self, stride: int) -> None:
        """Keep the weights of all layers up to the map of `stride` as they are; 0: all learn."""
        info = self.backbone.feature_info
        modules = [entry["module"] for entry in info.info if entry["reduction"] <= stride]
        if not modules:
            return
        last = modules[-1]
        names = [name for name, _ in self.backbone.named_parameters()]
        inside = [index for index, name in enumerate(names) if name.startswith((f"{last}.", f"{flat(last)}."))]
        for parameter in list(self.backbone.parameters())[: max(inside, default=-1) + 1]:
            parameter.requires_grad_(False)


def flat(name: str) -> str:
    """`blocks.1` -> `blocks_1`: how timm calls the layers of some backbones as a pyramid."""
    return name.replace(".", "_")


def create_crop_backbone(name: str, strides: tuple[int, ...], *, pretrained: bool = False) -> Any:
    """timm model `name`, giving its maps of `strides`, finest first; layers beyond are left out.

    Args:
        name: timm's, with a tag or without.
        strides: which maps.
        pretrained: with timm's weights, which it fetches where they are not in its cache; else random.

    Raises:
        InputError: timm has no such model, it has no map of one of these strides, or its weights cannot be had.
    """
    if not timm.is_model(name):
        raise InputError(f"crop.backbone: timm {timm.__version__} has no model '{name}'.")
    try:
        found = timm.create_model(name, pretrained=False, features_only=True).feature_info.reduction()
        missing = sorted(set(strides) - set(found))
        if missing:
            raise InputError(
                f"crop.strides: '{name}' has maps of strides {', '.join(map(str, found))}, not of {missing[0]}."
            )
        # Of several maps of one stride the last is the deepest.
        indices = tuple(len(found) - 1 - found[::-1].index(stride) for stride in sorted(strides))
        module = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
    except (RuntimeError, AttributeError, AssertionError, TypeError) as error:
        raise InputError(f"crop.backbone: '{name}' gives no feature maps ({error}).") from error
    return module if not pretrained else _with_timm_weights(name, indices)


def _with_timm_weights(name: str, indices: tuple[int, ...]) -> Any:
    """Raises `InputError` whatever keeps timm from its weights."""
    try:
        with _offline_where_it_is():
            return timm.create_model(name, pretrained=True, features_only=True, out_indices=indices)
    except Exception as error:  # hub, network, cache and timm itself fail in a dozen ways; a user can do one thing
        raise InputError(
            f"crop.weights: timm's weights of '{name}' cannot be had ({type(error).__name__}): go online once, or set "
            "'crop.weights' to a file of them."
        ) from error


@contextlib.contextmanager
def _offline_where_it_is() -> Iterator[None]:
    """Where the hub of timm's weights cannot be reached, its library looks into its cache at once, rather than trying
    again for a minute first."""
    from huggingface_hub import constants

    before: bool = constants.HF_HUB_OFFLINE
    try:
        asked = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        with contextlib.suppress(urllib.error.HTTPError):  # an answer all the same
            urllib.request.urlopen(asked, timeout=_HUB_SECONDS).close()
    except (OSError, ValueError):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def fold_batch_norm(module: nn.Module) -> int:
    """Make every batch normalisation that follows a convolution a part of it, with the statistics it has; its
    activation stays. Returns how many were.

    A convolution is followed by the layer that its parent registered next: true of timm's convolutional networks, and
    `tests` hold it to equal outputs.
    """
    count = 0
    for parent in list(module.modules()):
        children = list(parent.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                weight, bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                )
                conv.weight, conv.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
                setattr(parent, name, getattr(norm, "act", nn.Identity()))
                count += 1
    return count
