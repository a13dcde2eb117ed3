"""From a batch of frames to named losses: what a step of a training computes, and what `pretrain` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clmot.data.frames import Batch
from clmot.data.views import make_views
from clmot.losses.detection import detection_losses
from clmot.models.network import OneShotTracker
from clmot.models.targets import make_targets
from clmot.params import DetectionLossParams, ViewParams

BOX_HEADS = ("wh", "reg")
"""What is read where an object is; the heatmap, which says where, is read everywhere."""


class Criterion(nn.Module):
    """What a training minimises: frames in, named losses out. Owns no layer of the network."""

    names: tuple[str, ...]
    """The losses of a step that go into the history, `loss` first."""
    previous_min_iou: float | None = None
    """Wants the frame before as well, objects matched at this IoU; None: does not."""

    def forward(self, model: OneShotTracker, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to minimise. Random views are drawn from `generator` alone."""
        raise TypeError(f"{type(self).__name__} does not say what it minimises")


class DetectorCriterion(Criterion):
    """Detection losses on one view of every frame."""

    names = ("loss", "heatmap", "box_size", "offset")

    def __init__(self, views: ViewParams, loss: DetectionLossParams) -> None:
        """`views` say how frames are changed, `loss` how errors are weighed."""
        super().__init__()
        self.views, self.loss = views, loss

    def forward(self, model: OneShotTracker, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to minimise."""
        views = make_views(batch, self.views, 1, generator)
        images = views.images.flatten(0, 1)
        size = images.shape[-1], images.shape[-2]
        targets = make_targets(views.boxes.flatten(0, 1), views.present.flatten(0, 1), size, self.loss.min_overlap)
        features = model.features(images)
        outputs = {**model.read(features, ["hm"]), **model.read_at(features, targets.cells, BOX_HEADS)}
        losses = detection_losses(outputs, targets, self.loss)
        return {"loss": losses["detection"], **losses}
