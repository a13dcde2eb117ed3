"""Three learnt upsamplings of the deepest map (CenterNet's ResNets: Zhou et al., Objects as Points, 2019, section 5).

Names of modules and tensors are those of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clmot.models.dcn import Implementation
from clmot.models.necks.blocks import Operator, bilinear_kernel, convolution, reduction
from clmot.models.necks.interface import Neck

WIDTHS = (64, 128, 256)
"""Of the published networks at strides 4, 8, 16."""


def doubling(in_channels: int, out_channels: int, operator: Operator, implementation: Implementation) -> nn.Sequential:
    """Convolution, batch norm, ReLU; transposed convolution, batch norm, ReLU.

    Takes (B, in, H, W) to (B, out, 2H, 2W). The transposed convolution mixes all channels and begins as bilinear
    interpolation of each. (The original means the same, but sets the kernels that lead to the first channel and
    leaves the others random; what is trained from its weights is not concerned.)
    """
    up = nn.ConvTranspose2d(out_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False)
    with torch.no_grad():
        channel = torch.arange(out_channels)
        up.weight.zero_()
        up.weight[channel, channel] = bilinear_kernel(4)
    return nn.Sequential(
        convolution(in_channels, out_channels, operator, implementation),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        up,
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class DeconvNeck(Neck):
    """Stride 32 alone, doubled three times; the finer maps of the pyramid are not read."""

    def __init__(
        self,
        channels: Sequence[int],
        widths: Sequence[int],
        operator: Operator,
        implementation: Implementation,
    ) -> None:
        """`channels` of the backbone's maps, fine to coarse; `widths` of the neck there, empty: the published."""
        super().__init__()
        fine, middle, coarse, deepest = tuple(widths) or (*WIDTHS, channels[3])
        self.lateral = nn.ModuleDict()
        if deepest != channels[3]:
            self.lateral["3"] = reduction(channels[3], deepest)
        steps = ((deepest, coarse), (coarse, middle), (middle, fine))
        # One flat sequence of 18 layers, as published.
        self.deconv_layers = nn.Sequential(
            *(layer for wide, narrow in steps for layer in doubling(wide, narrow, operator, implementation))
        )
        self.width = fine

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        deepest = pyramid[3]
        for reduce in self.lateral.values():
            deepest = reduce(deepest)
        return self.deconv_layers(deepest)
