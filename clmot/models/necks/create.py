"""A neck by its name in params.yaml."""

from __future__ import annotations

from collections.abc import Sequence

from clmot.models.dcn import Implementation
from clmot.models.necks.blocks import Operator
from clmot.models.necks.concat import ConcatNeck, SqueezeNeck
from clmot.models.necks.deconv import DeconvNeck
from clmot.models.necks.dla import DLANeck
from clmot.models.necks.fpn import FPNNeck
from clmot.models.necks.interface import Neck, NeckName


def create_neck(
    name: NeckName,
    channels: Sequence[int],
    widths: Sequence[int],
    operator: Operator,
    implementation: Implementation,
) -> Neck:
    """Build a neck with random weights.

    Args:
        name: which one.
        channels: of the backbone's maps at strides 4, 8, 16, 32.
        widths: of the neck at these strides; empty: those of the published networks (`dla`, `concat`: the
            backbone's; `squeeze`: the backbone's, then 64; `deconv`, `fpn`: 64, 128, 256 and the backbone's).
        operator: of the nodes; `concat` and `squeeze` have none.
        implementation: of deformable convolution.
    """
    if name == "dla":
        return DLANeck(channels, widths, operator, implementation)
    if name == "deconv":
        return DeconvNeck(channels, widths, operator, implementation)
    if name == "fpn":
        return FPNNeck(channels, widths, operator, implementation)
    if name == "squeeze":
        return SqueezeNeck(channels, widths)
    return ConcatNeck(channels, widths)
