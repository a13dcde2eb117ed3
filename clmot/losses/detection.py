"""Losses of the detection heads (CenterNet: Zhou et al., Objects as Points, 2019, equations 1 to 3).

Where several ranks train, a rank's loss is its part: sums are over its images, counts over all (`clmot.ranks`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clmot import ranks
from clmot.models.targets import Targets
from clmot.params import DetectionLossParams

Average = Literal["objects", "frames"]
"""What counts the same: every object (so that crowded frames dominate), or every frame."""

PROBABILITY_FLOOR = 1e-4
"""Probabilities stay this far from 0 and 1, so that one hopeless cell cannot dominate a batch."""


def focal_loss(logits: Tensor, target: Tensor, alpha: float, beta: float, average: Average = "objects") -> Tensor:
    """Penalty-reduced pixel-wise focal loss (equation 1), a scalar divided by the number of centres.

    Cells whose target is exactly 1 are positives; all others are negatives, forgiven by (1 - target)^beta. With
    no positive anywhere, the negatives' sum is not divided: an empty street still teaches what is no person.

    Args:
        logits: (I, 1, h, w) before the sigmoid.
        target: (I, 1, h, w) in 0..1.
        alpha, beta: exponents.
        average: divide by the centres of the whole batch (`objects`, as the original), or every image by its
            own and then by the number of images (`frames`).
    """
    probability = torch.sigmoid(logits).clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    positive = target.eq(1).to(logits.dtype)
    at_centres = torch.log(probability) * (1 - probability) ** alpha * positive
    elsewhere = torch.log(1 - probability) * probability**alpha * (1 - target) ** beta * (1 - positive)
    if average == "objects":
        return -(at_centres + elsewhere).sum() / ranks.total(positive.sum()).clamp_min(1)
    per_image = (at_centres + elsewhere).sum((1, 2, 3)) / positive.sum((1, 2, 3)).clamp_min(1)  # (I,)
    return -per_image.sum() / ranks.total(torch.full_like(per_image[:1], len(per_image)))[0]


def masked_l1(predicted: Tensor, target: Tensor, mask: Tensor, average: Average = "objects") -> Tensor:
    """Mean absolute error over the masked objects and their channels; 0 where there is none.

    Args:
        predicted, target: (I, N, C).
        mask: (I, N) bool.
        average: over all objects (`objects`), or within each image that has objects and then over these images
            (`frames`).
    """
    weight = mask.to(predicted.dtype)[..., None].expand_as(predicted)
    error = (predicted * weight - target * weight).abs()
    # The small constant is the original's; it only matters when nothing is masked in.
    if average == "objects":
        return error.sum() / (ranks.total(weight.sum()) + 1e-4)
    per_image = error.sum((1, 2)) / (weight.sum((1, 2)) + 1e-4)  # (I,)
    return per_image.sum() / ranks.total(mask.any(1).sum()).clamp_min(1)


def detection_losses(outputs: dict[str, Tensor], targets: Targets, params: DetectionLossParams) -> dict[str, Tensor]:
    """The named detection losses and their weighted sum.

    Args:
        outputs: `hm` (I, 1, h, w) logits; `wh` (I, N, 2 or 4) and `reg` (I, N, 2), in cells, read at the targets'
        cells.

    Returns:
        scalars `heatmap`, `box_size`, `offset`, and `detection`, their sum by the weights of `params`.
    """
    heatmap = focal_loss(outputs["hm"].float(), targets.heatmap, params.focal_alpha, params.focal_beta, params.average)
    sizes, offsets = outputs["wh"].float(), outputs["reg"].float()
    wanted = targets.sizes
    if sizes.shape[-1] == 4:  # distances from the centre to left, top, right, bottom
        wanted = torch.cat((wanted, wanted), dim=-1) / 2
    box_size = masked_l1(sizes, wanted, targets.present, params.average)
    offset = masked_l1(offsets, targets.offsets, targets.present, params.average)
    total = heatmap + params.box_size_weight * box_size + params.offset_weight * offset
    return {"heatmap": heatmap, "box_size": box_size, "offset": offset, "detection": total}
