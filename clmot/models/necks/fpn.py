"""Learnt upsampling with lateral connections: FairMOT's ResNet-FPN-DCN (Zhang et al., IJCV 2021; feature pyramids:
Lin et al., CVPR 2017).

Names of modules and tensors are those of the published networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from clmot.models.dcn import Implementation
from clmot.models.necks.blocks import Node, Operator, reduction
from clmot.models.necks.deconv import WIDTHS, doubling
from clmot.models.necks.interface import Neck


class FPNNeck(Neck):
    """From stride 32 up: double, add the backbone's map of that stride, smooth.

    The lateral connections are nodes (3x3, deformable where `operator` says so), as in the original, not the 1x1
    convolutions of the first feature pyramids.
    """

    def __init__(
        self,
        channels: Sequence[int],
        widths: Sequence[int],
        operator: Operator,
        implementation: Implementation,
    ) -> None:
        """`channels` of the backbone's maps, fine to coarse; `widths` of the neck there, empty: the published."""
        super().__init__()
        widths = tuple(widths) or (*WIDTHS, channels[3])
        self.lateral = nn.ModuleDict()
        if widths[3] != channels[3]:
            self.lateral["3"] = reduction(channels[3], widths[3])
        self.levels = (2, 1, 0)  # of the pyramid, in the order in which they are reached
        for step, level in enumerate(self.levels, start=1):
            width = widths[level]
            self.add_module(f"deconv_layer{step}", doubling(widths[level + 1], width, operator, implementation))
            self.add_module(f"smooth_layer{step}", Node(width, width, operator, implementation))
            self.add_module(f"project_layer{step}", Node(channels[level], width, operator, implementation))
        self.width = widths[0]

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        merged = pyramid[3]
        for reduce in self.lateral.values():
            merged = reduce(merged)
        for step, level in enumerate(self.levels, start=1):
            raised = self.get_submodule(f"deconv_layer{step}")(merged)
            lateral = self.get_submodule(f"project_layer{step}")(pyramid[level])
            merged = self.get_submodule(f"smooth_layer{step}")(raised + lateral)
        return merged
