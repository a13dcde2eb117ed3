"""What every neck is: four maps in, one map at stride 4 out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

NeckName = Literal["dla", "deconv", "fpn", "concat", "squeeze"]


class Neck(nn.Module):
    """Brings a pyramid together at stride 4.

    Its layers are its direct children. The network takes them in under these very names, which are those of the
    published weights; so a neck holds no parameters or buffers but in its children.
    """

    width: int
    """Channels of the map it gives."""

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_s, H/s, W/s) of strides s = 4, 8, 16, 32 -> (B, width, H/4, W/4)."""
        raise TypeError(f"{type(self).__name__} does not say how it brings a pyramid together")
