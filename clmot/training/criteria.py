"""From a batch to named losses: what a step of `pretrain` minimises (detection), and one of `train` (detection, and the
loss of the embedding)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from clmot import ranks
from clmot.data.frames import Batch
from clmot.data.views import Views, make_views
from clmot.hardware import send
from clmot.images import STRIDE
from clmot.losses.contrastive import nt_xent, shared_cells, triplet
from clmot.losses.detection import detection_losses
from clmot.losses.supervised import identity_cross_entropy
from clmot.losses.weighting import UncertaintyWeighting
from clmot.models.network import OneShotTracker
from clmot.models.targets import centre_cells, make_targets
from clmot.params import ContrastiveTrainingParams, DetectionLossParams, LossParams, ViewParams

BOX_HEADS = ("wh", "reg")
"""What is read where an object is; the heatmap, which says where, is read everywhere."""


class Criterion(nn.Module):
    """What a training minimises: a batch in, named losses out. Owns no layer of the network."""

    names: tuple[str, ...]
    """The losses of a step that go into the history, `loss` first."""
    previous_min_iou: float | None = None
    """IoU from which objects of the previous frame are matched; None: the previous frame is not used."""

    def forward(self, model: Any, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to minimise. Random views are drawn from `generator` alone."""
        raise TypeError(f"{type(self).__name__} does not define what it minimises")


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
        forgiven = views.forgiven.flatten(0, 1) if self.loss.forgiven == "masked" else None
        targets = make_targets(
            views.boxes.flatten(0, 1), views.present.flatten(0, 1), size, self.loss.min_overlap, forgiven
        )
        features = model.features(images)
        outputs = {**model.read(features, ["hm"]), **model.read_at(features, targets.cells, BOX_HEADS)}
        losses = detection_losses(outputs, targets, self.loss)
        return {"loss": losses["detection"], **losses}


class TrackerCriterion(Criterion):
    """Detection losses on, and the embedding's loss over, all views of every frame."""

    names = (
        "loss",
        "heatmap",
        "box_size",
        "offset",
        "embedding",
        "detection_uncertainty",
        "embedding_uncertainty",
    )

    def __init__(self, views: ViewParams, loss: LossParams, train: ContrastiveTrainingParams) -> None:
        """`views` say how frames are changed, `loss` how errors are weighed, `train` how many views there are."""
        super().__init__()
        self.views, self.loss, self.count = views, loss, train.views
        self.weighting = UncertaintyWeighting(loss)
        self.previous_min_iou = train.previous_min_iou if train.previous_frame else None

    def forward(self, model: OneShotTracker, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to minimise.

        All views go through the network as one batch. All also teach detection: their detection heads cost the same
        whether their output is used or not. Of the frames before only objects that were found again have boxes, so
        they teach the embedding alone.
        """
        views = make_views(batch, self.views, self.count, generator)
        images = views.images.flatten(0, 1)  # (V*B, 3, H, W)
        size = images.shape[-1], images.shape[-2]
        taught = self.count * batch.images.shape[0]  # images whose boxes are all known
        boxes, present = views.boxes.flatten(0, 1), views.present.flatten(0, 1)  # (V*B, N, 4), (V*B, N)
        detection = self.loss.detection
        forgiven = views.forgiven.flatten(0, 1)[:taught] if detection.forgiven == "masked" else None
        targets = make_targets(boxes[:taught], present[:taught], size, detection.min_overlap, forgiven)
        features = model.features(images)
        outputs = model.read(features[:taught], ["hm"]) | model.read_at(features[:taught], targets.cells, BOX_HEADS)
        losses = detection_losses(outputs, targets, detection)
        if self.loss.embedding != "none":
            embedding = self.embedding_loss(model, features, views, generator)
            total = self.weighting(losses["detection"], embedding)
        else:  # nothing to weigh: an uncertainty without a loss would run away
            embedding = torch.zeros_like(losses["detection"])
            total = losses["detection"]
        return {
            "loss": total,
            **losses,
            "embedding": embedding,
            "detection_uncertainty": self.weighting.detection.detach() / ranks.count(),  # ranks add up what they tell
            "embedding_uncertainty": self.weighting.embedding.detach() / ranks.count(),
        }

    def embedding_loss(
        self, model: OneShotTracker, features: Tensor, views: Views, generator: torch.Generator
    ) -> Tensor:
        """The loss of objects read at their centres and, with `off_centre`, once more beside them.

        Args:
            model: owns the layers between embedding and loss.
            features: (V*B, C, h, w).
            generator: draws the places off the centre.
        """
        loss = self.loss
        height, width = features.shape[-2:]
        centres = (views.boxes[..., :2] + views.boxes[..., 2:]) / 2  # (V, B, N, 2) input pixels
        present, identities, readings = views.present, views.identities, 1
        if loss.off_centre:
            # Further readings of an object are further views of it. Up to a quarter of the width and half of the height
            # away, as in the original: people are narrow, and most of them is below and above the centre.
            drawn = torch.rand((ranks.count(), *centres.shape), generator=generator)[ranks.rank()]
            (drawn,) = send(centres.device, drawn)
            away = (2 * drawn - 1) * (views.boxes[..., 2:] - views.boxes[..., :2])
            away = torch.stack((away[..., 0] * 0.25, away[..., 1] * 0.5), -1)
            centres = torch.cat((centres, centres + away))
            present, identities, readings = present.repeat(2, 1, 1), identities.repeat(2, 1, 1), 2
        cells = centre_cells(centres / STRIDE, (width, height))  # (R*V, B, N) for R readings
        where = cells.unflatten(0, (readings, -1)).flatten(1, 2)  # (R, V*B, N)
        embeddings = torch.stack([model.read_at(features, places, ["id"])["id"] for places in where])
        embeddings = embeddings.flatten(0, 1).unflatten(0, cells.shape[:2])  # (R*V, B, N, D)
        if loss.embedding == "supervised":
            assert model.classifier is not None
            return identity_cross_entropy(embeddings, identities, present, model.classifier)
        embeddings = model.projection(embeddings)
        merged = shared_cells(cells, present, readings)
        if loss.embedding == "nt_xent":
            return nt_xent(embeddings, present, loss.temperature, merged, loss.negatives, loss.average)
        mining: Literal["hard", "all"] = "hard" if loss.embedding == "triplet_hard" else "all"
        return triplet(embeddings, present, loss.margin, mining, merged, loss.negatives, loss.average)
