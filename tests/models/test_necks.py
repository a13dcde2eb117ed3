"""The necks: shapes, what they read, what learns, how many parameters, and the published names."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clmot.errors import InputError
from clmot.models.backbone import create_backbone
from clmot.models.necks.create import create_neck
from clmot.models.necks.deconv import doubling
from clmot.models.necks.interface import Neck
from clmot.models.network import ModelConfig, OneShotTracker

NECKS = ("dla", "deconv", "fpn", "concat", "squeeze")
CHANNELS = (6, 8, 12, 20)
WIDTHS = (4, 6, 8, 10)


def neck_of(name: str, operator: str = "conv", widths: Sequence[int] = WIDTHS, implementation: str = "auto") -> Neck:
    torch.manual_seed(0)
    given: Any = (name, CHANNELS, widths, operator, implementation)
    return create_neck(*given)


def pyramid(height: int = 32, width: int = 64) -> list[Tensor]:
    """Maps of an image of four times that size, as a backbone gives them."""
    torch.manual_seed(1)
    return [torch.randn(2, c, height >> level, width >> level) for level, c in enumerate(CHANNELS)]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("operator", ["conv", "dcn"])
@pytest.mark.parametrize("widths", [(), WIDTHS, CHANNELS])
@pytest.mark.parametrize("name", NECKS)
def test_one_map_at_stride_4(name: str, widths: tuple[int, ...], operator: str) -> None:
    neck = neck_of(name, operator, widths)
    finest = {"deconv": 64, "fpn": 64, "dla": CHANNELS[0], "squeeze": 64}
    wanted = sum(widths or CHANNELS) if name == "concat" else (widths[0] if widths else finest[name])
    assert neck.width == wanted
    assert neck(pyramid()).shape == (2, wanted, 32, 64)


@pytest.mark.parametrize("name", NECKS)
def test_what_of_the_pyramid_is_read(name: str) -> None:
    """All of it; only CenterNet's ResNets go up from the deepest map alone."""
    neck = neck_of(name).eval()
    maps = pyramid()
    with torch.no_grad():
        before = neck(maps)
        read = [
            not torch.equal(before, neck([m + (level == changed) for level, m in enumerate(maps)]))
            for changed in range(4)
        ]
    assert read == ([False, False, False, True] if name == "deconv" else [True] * 4)


@pytest.mark.parametrize("operator", ["conv", "dcn"])
@pytest.mark.parametrize("name", NECKS)
def test_every_parameter_of_a_neck_learns(name: str, operator: str) -> None:
    neck = neck_of(name, operator)
    neck(pyramid()).square().mean().backward()
    for key, parameter in neck.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        # The bias of a convolution before batch norm changes nothing, in the original neither.
        assert parameter.grad.any() or key.endswith("bias"), key


def test_a_pyramid_stays_as_it_is() -> None:
    """ReLUs and sums work in place; none may write into what the backbone gave."""
    for name in NECKS:
        maps = pyramid()
        neck_of(name, widths=CHANNELS)(maps)
        assert all(torch.equal(one, other) for one, other in zip(maps, pyramid(), strict=True)), name


def test_concat_is_bilinear() -> None:
    """The finest map as it is; constants of coarser maps stay constants."""
    maps = pyramid()
    constant = [maps[0], *(torch.full_like(m, level) for level, m in enumerate(maps[1:], start=1))]
    output = neck_of("concat", widths=())(constant)
    assert torch.equal(output[:, : CHANNELS[0]], maps[0])
    levels = output[:, CHANNELS[0] :].split(CHANNELS[1:], dim=1)
    for level, part in enumerate(levels, start=1):
        torch.testing.assert_close(part, torch.full_like(part, level))


def test_a_doubling_begins_bilinear() -> None:
    """Each channel keeps its slope away from the border, and none leaks into another."""
    up = doubling(3, 4, "conv", "auto")[3]
    slopes = torch.zeros(1, 4, 6, 6)
    slopes[0, 2] = torch.arange(6.0)
    with torch.no_grad():
        raised = up(slopes)
    assert raised.shape == (1, 4, 12, 12)
    assert not raised[0, [0, 1, 3]].any()
    wanted = (torch.arange(12.0) + 0.5) / 2 - 0.5
    torch.testing.assert_close(raised[0, 2, 6, 2:10], wanted[2:10])


# ---------------------------------------------------------------- the published networks


def deformable(wide: int, narrow: int) -> int:
    """Parameters of a DCNv2 of 3x3: its kernel and bias, and 27 channels of offsets and masks."""
    return 9 * wide * narrow + narrow + 27 * (9 * wide + 1)


def doubled(wide: int, narrow: int) -> int:
    """DCNv2, batch norm, a full transposed convolution of 4x4 without bias, batch norm."""
    return deformable(wide, narrow) + 2 * narrow + 16 * narrow**2 + 2 * narrow


def node(wide: int, narrow: int) -> int:
    return deformable(wide, narrow) + 2 * narrow


def heads(width: int, hidden: int, embedding: int) -> int:
    outputs = (1, 2, 2, embedding)
    return sum(9 * width * hidden + hidden + hidden * channels + channels for channels in outputs)


RESNETS = {"resnet18": 11_689_512, "resnet34": 21_797_672}
"""Parameters of torchvision's classifiers, of which 513,000 are the last layer's."""


@pytest.mark.parametrize("backbone", RESNETS)
def test_parameters_of_centernet_s_resnets(backbone: str) -> None:
    model = OneShotTracker(ModelConfig(backbone, "deconv", "dcn", "auto", (), 64, 128))  # type: ignore[arg-type]
    neck = doubled(512, 256) + doubled(256, 128) + doubled(128, 64)
    assert parameters(model) == RESNETS[backbone] - 513_000 + neck + heads(64, 64, 128)


def test_parameters_of_fairmot_s_resnet_fpn() -> None:
    model = OneShotTracker(ModelConfig("resnet34", "fpn", "dcn", "auto", (), 256, 128))
    steps = [(512, 256), (256, 128), (128, 64)]
    # In a ResNet-34 the lateral maps are as wide as the neck.
    neck = sum(doubled(wide, narrow) + 2 * node(narrow, narrow) for wide, narrow in steps)
    assert parameters(model) == RESNETS["resnet34"] - 513_000 + neck + heads(64, 256, 128)


@pytest.mark.parametrize(("backbone", "finest"), [("hrnet_w18", 18), ("hrnet_w32", 32)])
def test_hrnet_gives_its_four_resolutions_unwidened(backbone: str, finest: int) -> None:
    module, found = create_backbone(backbone)
    assert found.channels == (finest, 2 * finest, 4 * finest, 8 * finest)
    assert {name.split(".")[0] for name in module.state_dict()} == {
        *("conv1", "bn1", "conv2", "bn2", "layer1"),
        *("transition1", "stage2", "transition2", "stage3", "transition3", "stage4"),
    }


def test_parameters_of_hrnet() -> None:
    model = OneShotTracker(ModelConfig("hrnet_w18", "concat", "dcn", "auto", (), 256, 128))
    (neck,) = model.neck
    assert (neck.width, parameters(neck)) == (18 + 36 + 72 + 144, 0)
    assert parameters(model) == parameters(model.base) + heads(270, 256, 128)


def test_hrnet_of_the_original_squeezes() -> None:
    """CL-MOT's HRNet brings its 270 channels down to 64 by a convolution with a bias before the heads."""
    model = OneShotTracker(ModelConfig("hrnet_w18", "squeeze", "dcn", "auto", (), 256, 512))
    assert neck_shapes(model) == {
        "id.0.weight": (256, 64, 3, 3),
        "id.0.bias": (256,),
        "id.2.weight": (512, 256, 1, 1),
        "id.2.bias": (512,),
        "last_layer.0.weight": (64, 270, 1, 1),
        "last_layer.0.bias": (64,),
        **batch_norm("last_layer.1", 64),
    }


def batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.num_batches_tracked": (), **{f"{name}.{kind}": (channels,) for kind in kinds}}


def deformed(name: str, wide: int, narrow: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.weight": (narrow, wide, 3, 3),
        f"{name}.bias": (narrow,),
        f"{name}.conv_offset_mask.weight": (27, wide, 3, 3),
        f"{name}.conv_offset_mask.bias": (27,),
    }


def published_doubling(name: str, first: int, wide: int, narrow: int) -> dict[str, tuple[int, ...]]:
    """Six layers from number `first` on; ReLUs (2 and 5) have no tensors."""
    return {
        **deformed(f"{name}.{first}", wide, narrow),
        **batch_norm(f"{name}.{first + 1}", narrow),
        f"{name}.{first + 3}.weight": (narrow, narrow, 4, 4),
        **batch_norm(f"{name}.{first + 4}", narrow),
    }


STEPS = [(512, 256), (256, 128), (128, 64)]


def neck_shapes(model: OneShotTracker) -> dict[str, tuple[int, ...]]:
    """What belongs neither to the backbone nor to a head."""
    others = ("base.", "hm.", "wh.", "reg.")
    return {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.startswith(others)}


def test_published_names_of_deconv() -> None:
    """As in CenterNet's ctdet_coco_resdcn18.pth."""
    model = OneShotTracker(ModelConfig("resnet18", "deconv", "dcn", "auto", (), 64, 0))
    wanted: dict[str, tuple[int, ...]] = {}
    for step, (wide, narrow) in enumerate(STEPS):
        wanted |= published_doubling("deconv_layers", 6 * step, wide, narrow)
    assert neck_shapes(model) == wanted


def test_published_names_of_fpn() -> None:
    model = OneShotTracker(ModelConfig("resnet34", "fpn", "dcn", "auto", (), 256, 0))
    wanted: dict[str, tuple[int, ...]] = {}
    for step, (wide, narrow) in enumerate(STEPS, start=1):
        wanted |= published_doubling(f"deconv_layer{step}", 0, wide, narrow)
        for name in (f"smooth_layer{step}", f"project_layer{step}"):
            wanted |= {**deformed(f"{name}.conv", narrow, narrow), **batch_norm(f"{name}.actf.0", narrow)}
    assert neck_shapes(model) == wanted


# ---------------------------------------------------------------- necks in the network


@pytest.mark.parametrize("neck", NECKS)
@pytest.mark.parametrize("backbone", ["test_resnet", "convnext_atto"])
def test_any_backbone_with_any_neck(backbone: str, neck: str) -> None:
    config: Any = ModelConfig(backbone, neck, "conv", "auto", (8, 8, 12, 16), 8, 5)  # type: ignore[arg-type]
    outputs = OneShotTracker(config)(torch.rand(2, 3, 64, 96))
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        "hm": (1, 16, 24),
        "wh": (2, 16, 24),
        "reg": (2, 16, 24),
        "id": (5, 16, 24),
    }


@pytest.mark.parametrize(
    ("backbone", "neck"), [("resnet18", "deconv"), ("resnet18", "fpn"), ("hrnet_w18_small", "squeeze")]
)
def test_every_parameter_of_the_network_learns(backbone: str, neck: str) -> None:
    torch.manual_seed(0)
    model = OneShotTracker(ModelConfig(backbone, neck, "dcn", "auto", (8, 8, 12, 16), 8, 5))  # type: ignore[arg-type]
    torch.stack([output.square().mean() for output in model(torch.rand(2, 3, 64, 64)).values()]).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


def test_deconv_on_hrnet_is_refused() -> None:
    with pytest.raises(InputError, match=r"'deconv' reads stride 32 alone.*hrnet_w18.*squeeze"):
        OneShotTracker(ModelConfig("hrnet_w18", "deconv", "dcn", "auto", (), 256, 128))


def test_a_copied_network_is_its_own() -> None:
    """The neck's layers are the network's; a copy must compute with its own."""
    model = OneShotTracker(ModelConfig("test_resnet", "fpn", "conv", "auto", (4, 4, 4, 4), 4, 2)).eval()
    twin = copy.deepcopy(model)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = model(images)["hm"]
        for parameter in twin.parameters():
            parameter.add_(0.5)
        assert torch.equal(model(images)["hm"], before)
        assert not torch.equal(twin(images)["hm"], before)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in twin.named_parameters()]
    assert not any(name.startswith("neck") for name in model.state_dict())


# ---------------------------------------------------------------- ONNX


def to_onnx(neck: Neck) -> None:
    """Convert every operator; without the package onnx only the last step, the writing, is impossible."""

    class OnFour(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neck = neck

        def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
            return self.neck([a, b, c, d])

    try:
        torch.onnx.export(OnFour().eval(), tuple(pyramid()), io.BytesIO(), dynamo=False, opset_version=17)
    except torch.onnx.errors.UnsupportedOperatorError:
        raise
    except torch.onnx.errors.OnnxExporterError as error:
        assert "onnx is not installed" in str(error)  # noqa: PT017


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NECKS)
def test_necks_are_made_of_operators_that_onnx_has(name: str) -> None:
    to_onnx(neck_of(name, "dcn" if name == "deconv" else "conv"))


@pytest.mark.filterwarnings("ignore")
def test_the_compiled_deformable_convolution_is_none_of_them() -> None:
    """A check of the test above. (torchvision knows how to convert it, and stumbles over the sizes it is given.)"""
    with pytest.raises((torch.onnx.errors.UnsupportedOperatorError, TypeError)):
        to_onnx(neck_of("deconv", "dcn", implementation="torchvision"))
