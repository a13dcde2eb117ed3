"""Hold the Triton kernels of deformable convolution to the reference and to torchvision's operator, without a GPU.

A program of its own: Triton looks at TRITON_INTERPRET when it is imported.
"""

import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from clmot.models.dcn import deform_conv2d  # noqa: E402
from clmot.models.dcn_triton import TritonDeformConv2d  # noqa: E402

CASES = [  # (B, C, H, W), O, k, how far taps are moved
    ((2, 5, 4, 6), 3, 3, 2.0),
    ((1, 66, 3, 4), 4, 3, 30.0),
    ((1, 2, 1, 5), 1, 1, 0.3),
]


def both(leaves, grad):
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    output = TritonDeformConv2d.apply(*leaves)
    return output, torch.autograd.grad(output, leaves, grad)


def main():
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
        leaves = [leaf.requires_grad_() for leaf in leaves]
        wanted = deform_conv2d(*leaves, implementation="torchvision")
        torch.testing.assert_close(output, wanted, rtol=1e-4, atol=1e-4)
        for gradient, other in zip(gradients, torch.autograd.grad(wanted, leaves, grad), strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    main()
