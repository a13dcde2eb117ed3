"""Deep layer aggregation: from four strides up to one feature map at stride 4.

Yu et al., Deep Layer Aggregation, CVPR 2018; with the iterative upward aggregation of CenterNet (Zhou et al.,
Objects as Points, 2019). Names of modules and tensors are those of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clmot.models.dcn import Implementation, formulation
from clmot.models.necks.blocks import Node, Operator, bilinear_kernel, reductions
from clmot.models.necks.interface import Neck


class Upsample(nn.ConvTranspose2d):
    """Learnt upsampling by a power of two, channel by channel; begins as bilinear interpolation."""

    def __init__(self, channels: int, factor: int, implementation: Implementation = "auto") -> None:
        """`implementation`: `auto` and `triton` take a kernel of ours on a GPU, where cuDNN's is slow."""
        super().__init__(
            channels,
            channels,
            kernel_size=2 * factor,
            stride=factor,
            padding=factor // 2,
            groups=channels,
            bias=False,
        )
        with torch.no_grad():
            self.weight.copy_(bilinear_kernel(2 * factor))  # the same for every channel
        self.implementation: Implementation = implementation

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, factor * H, factor * W)."""
        if formulation(self.implementation, features) == "triton":
            from clmot.models.upsample_triton import TritonUpsample  # Triton is not everywhere

            output: Tensor = TritonUpsample.apply(features, self.weight)
            return output
        return super().forward(features, output_size)


class IDAUp(nn.Module):
    """Iterative aggregation: each coarser map is projected, raised, and merged into its finer neighbour."""

    def __init__(
        self,
        out_channels: int,
        in_channels: Sequence[int],
        factors: Sequence[int],
        operator: Operator,
        implementation: Implementation,
    ) -> None:
        """`in_channels` and `factors` (of upsampling to the finest map), fine to coarse; factors[0] is 1."""
        super().__init__()
        self.steps = range(1, len(in_channels))
        for i in self.steps:
            self.add_module(f"proj_{i}", Node(in_channels[i], out_channels, operator, implementation))
            self.add_module(f"up_{i}", Upsample(out_channels, factors[i], implementation))
            self.add_module(f"node_{i}", Node(out_channels, out_channels, operator, implementation))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Maps, fine to coarse -> as many maps, all at the finest stride; the last has seen them all."""
        merged = [features[0]]
        for i in self.steps:
            raised = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(features[i]))
            merged.append(self.get_submodule(f"node_{i}")(raised + merged[-1]))
        return merged


class DLAUp(nn.Module):
    """Hierarchical aggregation: IDAUp over the two coarsest maps, then the three coarsest, up to all."""

    def __init__(self, channels: Sequence[int], operator: Operator, implementation: Implementation) -> None:
        """`channels` of the pyramid, fine to coarse, each map half as large as the one before."""
        super().__init__()
        widths = list(channels)
        strides = [2**i for i in range(len(channels))]
        self.levels = range(len(channels) - 2, -1, -1)
        for step, level in enumerate(self.levels):
            factors = [stride // strides[level] for stride in strides[level:]]
            self.add_module(f"ida_{step}", IDAUp(channels[level], widths[level:], factors, operator, implementation))
            # From here on, everything coarser than `level` has its stride and its width.
            strides[level + 1 :] = [strides[level]] * len(strides[level + 1 :])
            widths[level + 1 :] = [channels[level]] * len(widths[level + 1 :])

    def forward(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Pyramid, fine to coarse -> the most aggregated map of every stride, fine to coarse."""
        maps = list(pyramid)
        best = [maps[-1]]
        for step, level in enumerate(self.levels):
            maps[level:] = self.get_submodule(f"ida_{step}")(maps[level:])
            best.insert(0, maps[-1])
        return best


class DLANeck(Neck):
    """The original's neck: DLAUp over the pyramid, then IDAUp of the three finest maps that it gives."""

    def __init__(
        self,
        channels: Sequence[int],
        widths: Sequence[int],
        operator: Operator,
        implementation: Implementation,
    ) -> None:
        """`channels` of the backbone's maps, fine to coarse; `widths` of the neck there, empty: the same."""
        super().__init__()
        widths = tuple(widths or channels)
        self.lateral = reductions(channels, widths) if widths != tuple(channels) else None
        self.dla_up = DLAUp(widths, operator, implementation)
        self.ida_up = IDAUp(widths[0], widths[:3], (1, 2, 4), operator, implementation)
        self.width = widths[0]

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        if self.lateral is not None:
            pyramid = [reduce(level) for reduce, level in zip(self.lateral, pyramid, strict=True)]
        return self.ida_up(self.dla_up(pyramid)[:3])[-1]
