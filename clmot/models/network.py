"""The one-shot tracker's network: one pass gives where people are, how large, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clmot.errors import InputError
from clmot.models.backbone import create_backbone, is_hrnet
from clmot.models.dcn import Implementation
from clmot.models.necks.blocks import Operator
from clmot.models.necks.create import create_neck
from clmot.models.necks.interface import NeckName
from clmot.params import ModelParams

HEATMAP_PRIOR_LOGIT = -2.19
"""Every cell begins with probability 0.1, so that the first steps are not spent on unlearning people
everywhere (Lin et al., Focal Loss for Dense Object Detection, 2017)."""


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to rebuild the network; saved beside the weights as config.json."""

    backbone: str
    """timm's name of the backbone."""
    neck: NeckName
    """How four strides become one map at stride 4."""
    operator: Operator
    """Operator of the neck's nodes."""
    dcn_implementation: Implementation
    """Which formulation of deformable convolution (and of upsampling beside it) runs; does not change the weights."""
    neck_channels: tuple[int, ...]
    """Channels of the neck at strides 4, 8, 16, 32; empty: those of the published networks."""
    head_channels: int
    """Hidden channels of each head."""
    embedding_dim: int
    """Length of the embedding; 0: there is no `id` head (a detector)."""
    projection_dim: int = 0
    """Output length of the MLP between embedding and contrast; 0: there is none."""
    identities: int = 0
    """Classes of the supervised baseline's classifier; 0: there is none."""
    box_channels: Literal[2, 4] = 2
    """Of the `wh` head: 2 = width, height; 4 = distances to left, top, right, bottom (newer FairMOT)."""

    @classmethod
    def from_params(
        cls,
        params: ModelParams,
        *,
        embedding: bool = True,
        identities: int = 0,
        box_channels: Literal[2, 4] = 2,
    ) -> ModelConfig:
        """The network that `params` describe, with the embedding head or without.

        Args:
            embedding: whether there is an `id` head (and the MLP behind it, where `params` want one).
            identities: classes of the supervised baseline's classifier.
            box_channels: of the `wh` head.
        """
        return cls(
            backbone=params.backbone,
            neck=params.neck,
            operator=params.operator,
            dcn_implementation=params.dcn_implementation,
            neck_channels=params.neck_channels,
            head_channels=params.head_channels,
            embedding_dim=params.embedding_dim if embedding else 0,
            projection_dim=params.projection_dim if embedding else 0,
            identities=identities if embedding else 0,
            box_channels=box_channels,
        )

    @property
    def outputs(self) -> dict[str, int]:
        """Name and channels of every head, in the order in which they are computed."""
        heads = {"hm": 1, "wh": self.box_channels, "reg": 2}
        return {**heads, "id": self.embedding_dim} if self.embedding_dim else heads


class OneShotTracker(nn.Module):
    """Backbone, neck and heads at stride 4 (CL-MOT; FairMOT, Zhang et al., IJCV 2021).

    With backbone `dla34`, neck `dla`, operator `dcn`, no `neck_channels` and 256 head channels this is the original's
    network, tensor for tensor and name for name. So are its ResNets (`deconv`, `fpn`) and HRNets (`squeeze`; newer
    FairMOT's: `concat`), but that the backbone's names begin with `base.`, as DLA's do.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Build with random weights.

        Raises:
            InputError: the backbone does not exist, gives no pyramid, or does not go with the neck.
        """
        super().__init__()
        self.config = config
        if config.neck == "deconv" and is_hrnet(config.backbone):
            raise InputError(
                f"model.neck: 'deconv' reads stride 32 alone, but {config.backbone} is built to keep the finer "
                f"strides; take squeeze (the original's), concat (FairMOT's), dla or fpn."
            )
        self.base, self.pyramid = create_backbone(config.backbone)
        neck = create_neck(
            config.neck,
            self.pyramid.channels,
            config.neck_channels,
            config.operator,
            config.dcn_implementation,
        )
        # The neck's layers are at the top level, under the names that published weights have for them. The tuple keeps
        # the neck itself from being registered, which would put all of them into the state a second time.
        for name, layers in neck.named_children():
            self.add_module(name, layers)
        self.neck = (neck,)
        for name, width in config.outputs.items():
            self.add_module(name, _head(name, neck.width, config.head_channels, width))
        # Trained with the embedding and used by its losses alone. They belong to the network, so that they are saved
        # with it: a loss that owned layers would lose them.
        wide, narrow = config.embedding_dim, config.projection_dim
        self.projection: nn.Module = nn.Identity()
        if narrow:
            self.projection = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, narrow))
        self.classifier = nn.Linear(wide, config.identities) if config.identities else None

    def forward(self, images: Tensor, heads: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Images -> raw head outputs.

        Args:
            images: (B, 3, H, W) RGB in 0..1; H and W multiples of 32.
            heads: which heads to compute; None: all there are.

        Returns:
            With h = H/4 and w = W/4: `hm` (B, 1, h, w) logits of "a person's centre is here";
            `wh` (B, 2 or 4, h, w) width and height of the box, or distances to its sides (see `ModelConfig`), in cells;
            `reg` (B, 2, h, w) x and y of the centre inside its cell, in cells; `id` (B, D, h, w) embedding, not
            normalised.
        """
        return self.read(self.features(images), heads)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> the map all heads read, (B, C, H/4, W/4)."""
        (neck,) = self.neck
        return neck(self.pyramid.select(self.base(images), (images.shape[-2], images.shape[-1])))

    def read(self, features: Tensor, heads: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Outputs of `heads` (None: all) for `features`, whose batch may be a part of what was computed."""
        names = self.config.outputs if heads is None else heads
        return {name: self.get_submodule(name)(features) for name in names}

    def read_at(self, features: Tensor, cells: Tensor, heads: Sequence[str]) -> dict[str, Tensor]:
        """Outputs of `heads` at some cells of every image; what `read` gives there, at the cost of those cells alone.

        Only the heatmap is needed everywhere. Box, offset and embedding are needed where people are: in a hundred
        cells of ten thousand and more.

        Args:
            features: (B, C, h, w) from `features`.
            cells: (B, K) int64, y * w + x.

        Returns:
            (B, K, channels) by name of the head.
        """
        around = neighbourhoods(features, cells).flatten(2)  # (B, K, C*9)
        outputs = {}
        for name in heads:
            first, _, last = self.get_submodule(name).children()
            hidden = F.relu(F.linear(around, first.get_parameter("weight").flatten(1), first.get_parameter("bias")))
            outputs[name] = F.linear(hidden, last.get_parameter("weight").flatten(1), last.get_parameter("bias"))
        return outputs


def neighbourhoods(features: Tensor, cells: Tensor) -> Tensor:
    """The 3x3 neighbourhood of each of the given cells, zero beyond the map's edge.

    Args:
        features: (B, C, h, w).
        cells: (B, K) int64, y * w + x.

    Returns:
        (B, K, C, 3, 3), as a 3x3 convolution with padding 1 sees them.
    """
    batch, channels, _, width = features.shape
    row, column = cells.div(width, rounding_mode="floor"), cells % width
    steps = torch.arange(3, device=cells.device)
    # In the padded map the upper left neighbour of (row, column) has these very indices.
    index = (row[..., None, None] + steps[:, None]) * (width + 2) + column[..., None, None] + steps  # (B, K, 3, 3)
    padded = F.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1).flatten(1, 2)  # (B, (h+2)*(w+2), C)
    chosen = padded.gather(1, index.flatten(1)[..., None].expand(batch, -1, channels))  # (B, K*9, C)
    return chosen.unflatten(1, index.shape[1:]).movedim(-1, 2)


def _head(name: str, in_channels: int, hidden: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution, ReLU, 1x1 convolution; biases start at zero, except the heatmap's, which starts at its prior."""
    first = nn.Conv2d(in_channels, hidden, kernel_size=3, padding=1)
    last = nn.Conv2d(hidden, out_channels, kernel_size=1)
    for layer, bias in ((first, 0.0), (last, HEATMAP_PRIOR_LOGIT if name == "hm" else 0.0)):
        nn.init.constant_(layer.get_parameter("bias"), bias)
    return nn.Sequential(first, nn.ReLU(inplace=True), last)
