"""What a step of `train` computes: detection and contrast. Apart from the detector's criterion, so that a change to
the contrast does not pretrain again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clmot.data.frames import Batch
from clmot.data.targets import make_targets
from clmot.data.views import Views, make_views
from clmot.losses.contrastive import nt_xent, shared_cells
from clmot.losses.criterion import DETECTION_HEADS, Criterion
from clmot.losses.detection import detection_losses
from clmot.losses.weighting import UncertaintyWeighting
from clmot.models.decode import gather_cells
from clmot.params import LossParams, ViewParams


class TrackerCriterion(Criterion):
    """Detection losses on, and the contrast between, two views of every frame."""

    names = (
        "loss",
        "heatmap",
        "box_size",
        "offset",
        "embedding",
        "detection_uncertainty",
        "embedding_uncertainty",
    )

    def __init__(self, views: ViewParams, loss: LossParams) -> None:
        """`views` say how frames are changed, `loss` how errors are weighed."""
        super().__init__()
        self.views, self.loss = views, loss
        self.weighting = UncertaintyWeighting(loss)

    def forward(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to minimise.

        Both views go through the network as one batch. Both also teach detection: their detection heads cost
        the same whether their output is used or not.
        """
        views = make_views(batch, self.views, 2, generator)
        images = views.images.flatten(0, 1)  # (V*B, 3, H, W)
        size = images.shape[-1], images.shape[-2]
        boxes, present = views.boxes.flatten(0, 1), views.present.flatten(0, 1)  # (V*B, N, 4), (V*B, N)
        targets = make_targets(boxes, present, size, self.loss.detection.min_overlap)
        heads = DETECTION_HEADS if self.loss.embedding == "none" else (*DETECTION_HEADS, "id")
        outputs = model(images, heads)
        losses = detection_losses(outputs, targets, self.loss.detection)
        if self.loss.embedding == "none":  # nothing to weigh: an uncertainty without a loss would run away
            embedding = torch.zeros_like(losses["detection"])
            total = losses["detection"]
        else:
            embedding = self.embedding_loss(outputs["id"], targets.cells, views)
            total = self.weighting(losses["detection"], embedding)
        return {
            "loss": total,
            **losses,
            "embedding": embedding,
            "detection_uncertainty": self.weighting.detection.detach(),
            "embedding_uncertainty": self.weighting.embedding.detach(),
        }

    def embedding_loss(self, id_map: Tensor, cells: Tensor, views: Views) -> Tensor:
        """The contrast of objects read at their centres.

        Args:
            id_map: (V*B, D, h, w).
            cells: (V*B, N) int64.
        """
        embeddings = gather_cells(id_map, cells).unflatten(0, views.present.shape[:2])  # (V, B, N, D)
        merged = shared_cells(cells.unflatten(0, views.present.shape[:2]), views.present)
        return nt_xent(embeddings, views.present, self.loss.temperature, merged)
