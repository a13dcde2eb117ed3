"""The network for inference: the same function without batch normalisation."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from clmot.inference.fast_network import TracedOnce, fast_network
from clmot.models.dcn import DeformConv2d
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import default_params

CPU = torch.device("cpu")


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def trained(**changes: object) -> OneShotTracker:
    """A small network whose normalisations and offsets do something."""
    torch.manual_seed(0)
    config = ModelConfig.from_params(default_params().model)
    model = OneShotTracker(dataclasses.replace(config, **changes)).eval()  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.1, 0.1)
        if isinstance(module, DeformConv2d):
            nn.init.normal_(module.conv_offset_mask.weight, std=0.02)
    return model


@pytest.mark.parametrize(
    ("backbone", "neck", "operator"),
    [
        ("mobilenetv4_conv_small_050", "dla", "conv"),
        ("mobilenetv4_conv_small_050", "dla", "dcn"),
        ("mobilenetv4_conv_small_050", "fpn", "conv"),
        ("mobilenetv4_conv_small_050", "concat", "conv"),
        ("resnet18", "deconv", "dcn"),
        ("hrnet_w18_small", "squeeze", "conv"),
        ("dla34", "dla", "dcn"),
        ("efficientnet_lite0", "dla", "conv"),
    ],
)
def test_outputs_stay_the_same(backbone: str, neck: str, operator: str) -> None:
    channels = (8, 8, 16, 16) if neck != "squeeze" else ()
    model = trained(backbone=backbone, neck=neck, operator=operator, neck_channels=channels)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = fast_network(model, CPU)
    used = norms(model) - sum(name.endswith("project.1.num_batches_tracked") for name in before)
    assert norms(fast) <= norms(model) - used, "what is left belongs to layers that no image passes"
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        wanted, found = model(images), fast(images)
    for name, values in wanted.items():
        spread = float(values.std())
        torch.testing.assert_close(found[name], values, atol=1e-4 * spread + 1e-5, rtol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), (
        "the model is as it was"
    )


def test_a_network_that_is_fast_already_is_not_copied() -> None:
    fast = fast_network(trained(), CPU)
    assert norms(fast) == 0
    assert fast_network(fast, CPU) is fast
    again = fast_network(trained(), CPU)
    assert all(torch.equal(a, b) for a, b in zip(fast.parameters(), again.parameters(), strict=True))


def test_a_convolution_that_is_used_twice_keeps_its_normalisations() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def features(self, images: torch.Tensor) -> torch.Tensor:
            return self.second(self.conv(self.first(self.conv(images))))

    model = Twice().eval()
    assert norms(fast_network(model, CPU)) == 2  # type: ignore[arg-type]


class Pair(nn.Module):
    """Features and heatmap of a network."""

    def __init__(self, model: OneShotTracker) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.model.features(images)
        return features, self.model.read(features, ["hm"])["hm"]


@pytest.mark.parametrize("operator", ["conv", "dcn"])
def test_a_recorded_network_gives_the_same_bits(operator: str) -> None:
    pair = Pair(fast_network(trained(operator=operator, neck_channels=(8, 8, 16, 16)), CPU)).eval()
    recorded = TracedOnce(pair)
    with torch.inference_mode():
        for size in ((64, 96), (96, 64)):
            for _ in range(5):
                images = torch.rand(1, 3, *size)
                for found, wanted in zip(recorded(images), pair(images), strict=True):
                    assert torch.equal(found, wanted)
    assert all(isinstance(ready, torch.jit.ScriptModule) for ready in recorded._ready.values())


def test_what_cannot_be_recorded_runs_as_it_is() -> None:
    class Chance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            self.calls += 1
            return (images * self.calls,)

    chance = Chance()
    recorded = TracedOnce(chance)
    ones = torch.ones(1, 3, 4, 4)
    first, second = recorded(ones)[0], recorded(ones)[0]
    assert second[0, 0, 0, 0] == first[0, 0, 0, 0] + 1
