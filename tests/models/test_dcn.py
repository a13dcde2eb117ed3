"""Deformable convolution: every formulation, against the original's compiled code and each other."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.models.dcn import DeformConv2d, Implementation, deform_conv2d

IMPLEMENTATIONS: tuple[Implementation, ...] = ("torchvision", "grid_sample")
INPUTS = ("x", "offset", "mask", "weight", "bias")


def outputs_and_gradients(
    inputs: list[torch.Tensor], grad_out: torch.Tensor, implementation: Implementation
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    leaves = [value.clone().requires_grad_() for value in inputs]
    output = deform_conv2d(*leaves, implementation=implementation)
    return output.detach(), list(torch.autograd.grad(output, leaves, grad_out))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_reference_forward_and_gradients(implementation: Implementation) -> None:
    with np.load(Path(__file__).parents[1] / "reference" / "dcnv2.npz") as file:
        reference = {name: torch.from_numpy(file[name]) for name in file}
    output, gradients = outputs_and_gradients(
        [reference[name] for name in INPUTS], reference["grad_out"], implementation
    )
    torch.testing.assert_close(output, reference["y"], rtol=1e-4, atol=1e-5)
    for name, gradient in zip(INPUTS, gradients, strict=True):
        torch.testing.assert_close(gradient, reference[f"grad_{name}"], rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    in_channels=st.integers(1, 5),
    out_channels=st.integers(1, 5),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    side=st.sampled_from([1, 3, 5]),
    reach=st.sampled_from([0.0, 0.3, 2.0, 30.0]),
    seed=st.integers(0, 2**16),
)
def test_formulations_agree(
    batch: int,
    in_channels: int,
    out_channels: int,
    height: int,
    width: int,
    side: int,
    reach: float,
    seed: int,
) -> None:
    """Also on maps of one cell, and with offsets far outside the map."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    taps = side * side
    # Away from whole cells, where interpolation has a kink and either one-sided gradient is right.
    offset = (draw(batch, 2 * taps, height, width) * reach).floor() + (
        0.1 + 0.8 * torch.rand(batch, 2 * taps, height, width, generator=generator, dtype=torch.float64)
    )
    inputs = [
        draw(batch, in_channels, height, width),
        offset,
        draw(batch, taps, height, width).sigmoid(),
        draw(out_channels, in_channels, side, side),
        draw(out_channels),
    ]
    grad_out = draw(batch, out_channels, height, width)
    expected, expected_gradients = outputs_and_gradients(inputs, grad_out, "torchvision")
    output, gradients = outputs_and_gradients(inputs, grad_out, "grid_sample")
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_module_begins_as_half_a_convolution(implementation: Implementation) -> None:
    module = DeformConv2d(4, 6, implementation)
    images = torch.randn(2, 4, 5, 7)
    expected = 0.5 * F.conv2d(images, module.weight, padding=1)
    torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16_autocast_keeps_offsets_exact(implementation: Implementation) -> None:
    """On a map wider than bfloat16 can count (256), coordinates must not be rounded to whole cells."""
    module = DeformConv2d(2, 2, implementation)
    torch.nn.init.constant_(module.conv_offset_mask.bias, 0.25)
    images = torch.randn(1, 2, 3, 600)
    expected = module(images)
    with torch.autocast("cpu", torch.bfloat16):
        output = module(images)
    assert (output.float() - expected).abs().max() < 0.03 * expected.abs().max()


def test_auto_is_grid_sample_on_a_cpu() -> None:
    inputs = [
        torch.randn(1, 2, 4, 4),
        torch.randn(1, 18, 4, 4),
        torch.rand(1, 9, 4, 4),
        torch.randn(3, 2, 3, 3),
        torch.randn(3),
    ]
    assert torch.equal(deform_conv2d(*inputs), deform_conv2d(*inputs, implementation="grid_sample"))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_gradients_in_bfloat16_point_where_those_in_float32_do(implementation: Implementation) -> None:
    """Offsets of hundreds of cells too: a coordinate in bfloat16 would have lost its fraction."""
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(2, 16, 12, 400, generator=generator),
        torch.randn(2, 18, 12, 400, generator=generator),
        torch.rand(2, 9, 12, 400, generator=generator),
        torch.randn(8, 16, 3, 3, generator=generator) / 12,
        torch.randn(8, generator=generator),
    ]
    grad = torch.randn(2, 8, 12, 400, generator=generator)
    output, gradients = outputs_and_gradients(inputs, grad, implementation)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outputs_and_gradients([inputs[0].bfloat16(), *inputs[1:]], grad.bfloat16(), implementation)
    for exact, other in zip((output, *gradients), (rounded[0], *rounded[1]), strict=True):
        assert torch.cosine_similarity(exact.flatten(), other.float().flatten(), dim=0) > 0.999


def test_kernels_for_gpus_agree() -> None:
    """On a CPU, where Triton interprets them: slowly, but with the same arithmetic."""
    script = Path(__file__).parents[1] / "support" / "interpreted_kernels.py"
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, script], check=True, env=environment, cwd=Path(__file__).parents[2])
