"""Hold the Triton kernels to the reference and to PyTorch's and torchvision's operators, without a GPU.

A program of its own: Triton looks at TRITON_INTERPRET when it is imported.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from clmot.models.dcn import deform_conv2d  # noqa: E402
from clmot.models.dcn_triton import TritonDeformConv2d  # noqa: E402
from clmot.models.upsample_triton import TritonUpsample  # noqa: E402

CASES = [  # (B, C, H, W), O, k, how far taps are moved
    ((2, 5, 4, 6), 3, 3, 2.0),
    ((1, 66, 3, 4), 4, 3, 30.0),
    ((1, 2, 1, 5), 1, 1, 0.3),
    ((1, 3, 9, 17), 2, 3, 3.0),  # several windows, which some taps leave
]
UPSAMPLED = [  # (B, C, H, W), factor
    ((2, 5, 3, 4), 2),
    ((1, 66, 4, 3), 4),
    ((3, 2, 1, 1), 8),
]


def both(leaves, grad):
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    output = TritonDeformConv2d.apply(*leaves)
    return output, torch.autograd.grad(output, leaves, grad)


def deformable_convolution():
    with np.load(ROOT / "tests/reference/dcnv2.npz") as file:
        reference = {name: torch.from_numpy(file[name]) for name in file}
    names = ("x", "offset", "mask", "weight", "bias")
    output, gradients = both([reference[name] for name in names], reference["grad_out"])
    torch.testing.assert_close(output, reference["y"], rtol=1e-4, atol=1e-5)
    for name, gradient in zip(names, gradients, strict=True):
        torch.testing.assert_close(gradient, reference[f"grad_{name}"], rtol=1e-4, atol=1e-5)
    generator = torch.Generator().manual_seed(0)
    for (batch, channels, height, width), outputs, side, reach in CASES:
        shapes = {"offset": (batch, 2 * side**2, height, width), "mask": (batch, side**2, height, width)}
        leaves = [
            torch.randn(batch, channels, height, width, generator=generator).to(memory_format=torch.channels_last),
            torch.randn(shapes["offset"], generator=generator) * reach,
            torch.rand(shapes["mask"], generator=generator),
            torch.randn(outputs, channels, side, side, generator=generator),
            torch.randn(outputs, generator=generator),
        ]
        grad = torch.randn(batch, outputs, height, width, generator=generator)
        output, gradients = both(leaves, grad)
        halves = both([leaves[0].half(), *leaves[1:]], grad.half())
        for exact, other in zip((output, *gradients), (halves[0], *halves[1]), strict=True):
            assert (other.float() - exact).norm() <= 0.003 * exact.norm()
        leaves = [leaf.requires_grad_() for leaf in leaves]
        wanted = deform_conv2d(*leaves, implementation="torchvision")
        torch.testing.assert_close(output, wanted, rtol=1e-4, atol=1e-4)
        for gradient, other in zip(gradients, torch.autograd.grad(wanted, leaves, grad), strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


def upsampling():
    generator = torch.Generator().manual_seed(0)
    for (batch, channels, height, width), factor in UPSAMPLED:
        features = torch.randn(batch, channels, height, width, generator=generator, requires_grad=True)
        weight = torch.randn(channels, 1, 2 * factor, 2 * factor, generator=generator, requires_grad=True)
        output = TritonUpsample.apply(features, weight)
        wanted = F.conv_transpose2d(features, weight, stride=factor, padding=factor // 2, groups=channels)
        torch.testing.assert_close(output, wanted, rtol=1e-5, atol=1e-5)
        grad = torch.randn(wanted.shape, generator=generator)
        gradients = [torch.autograd.grad(result, (features, weight), grad) for result in (output, wanted)]
        for gradient, other in zip(*gradients, strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    deformable_convolution()
    upsampling()
