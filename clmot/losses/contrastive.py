"""The within-frame contrast: objects of one frame are told apart without identity labels.

Every object of a frame is a class of its own, for that frame only. Its positives are the same object in the
frame's other views; its negatives are the frame's other objects, in all views. All losses here look at one dense
matrix of similarities or distances a frame, masked by `Relations`: never at a list of pairs of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from clmot import ranks
from clmot.hardware import full_precision

Negatives = Literal["frame", "batch"]
"""What counts as a negative: other objects of the same frame, or of every frame of the batch."""
Average = Literal["pairs", "frames"]
"""What counts the same: every pair (or anchor, or triplet) of the batch, or every frame."""


@dataclass(frozen=True)
class Relations:
    """Who is whose positive and negative among G groups of M readings each (one group a frame, or one in all).

    Reading m = v * objects + n of a group is object n in view v.
    """

    positive: Tensor
    """(G, M, M) bool: the same object in another view."""
    negative: Tensor
    """(G, M, M) bool: another object."""
    views: int
    """V: every object has at most V readings."""
    frame: Tensor
    """(G, M) int64: the frame of each reading, for averages over frames."""
    frames: int
    """How many frames there are."""
    whole: bool = False
    """Whether these are the frames of all ranks (`clmot.ranks`), not of this one."""

    def counterparts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """For each other view in turn: the reading (M,) int64 that could be the positive of reading m, and whether
        it is, (G, M) bool. Positives are few; a loss that looks at one at a time needs no pairs of pairs."""
        groups, readings, _ = self.positive.shape
        number = torch.arange(readings, device=self.positive.device)
        for view in range(1, self.views):
            other = (number + view * (readings // self.views)) % readings
            yield other, self.positive.gather(2, other.expand(groups, readings)[..., None]).squeeze(-1)


def relate(present: Tensor, merged: Tensor | None = None, negatives: Negatives = "frame") -> Relations:
    """The relations of a batch.

    Args:
        present: (V, B, N) bool: the object is in the view.
        merged: (B, N, N) bool, pairs of different objects that cannot be told apart (they share a heatmap cell in
            some view) and therefore are no negatives of each other.
        negatives: `frame` as in the original; `batch` counts all other objects of the batch as other people, which is
            wrong where a film shows one person in two of its frames.
    """
    views, frames, objects = present.shape
    here = present.permute(1, 0, 2).reshape(frames, views * objects)  # (B, VN)
    number = torch.arange(objects, device=here.device).repeat(views)  # (VN,)
    same = (number[:, None] == number[None, :]).expand(frames, -1, -1)  # (B, VN, VN)
    apart = ~same if merged is None else ~same & ~merged.repeat(1, views, views)
    frame = torch.arange(frames, device=here.device)[:, None].expand(frames, views * objects)
    if negatives == "batch":
        # One group of all readings, again view by view, so that reading m = v * (B * N) + b * N + n.
        order = torch.arange(frames * views * objects, device=here.device)
        order = order.view(frames, views, objects).permute(1, 0, 2).reshape(-1)
        here, frame = here.reshape(1, -1)[:, order], frame.reshape(1, -1)[:, order]
        same = torch.block_diag(*same)[order][:, order][None]
        within = torch.block_diag(*apart)[order][:, order][None]
        apart = within | (frame[:, :, None] != frame[:, None, :])
    both = here[:, :, None] & here[:, None, :]
    itself = torch.eye(here.shape[1], dtype=torch.bool, device=here.device)
    return Relations(both & same & ~itself, both & apart, views, frame, frames, whole=negatives == "batch")


def arrange(embeddings: Tensor, negatives: Negatives = "frame") -> Tensor:
    """(V, B, N, D) of any length -> (G, M, D) of length 1, ordered as the readings of `relate`."""
    unit = F.normalize(embeddings.float(), dim=-1)
    if negatives == "batch":
        return unit.flatten(0, 2)[None]
    return unit.transpose(0, 1).flatten(1, 2)


def similarities(unit: Tensor) -> Tensor:
    """Cosines (G, M, M) of unit vectors (G, M, D), in float32 under autocast too: bfloat16 knows no number between
    0.996 and 1, and divided by a temperature the error is part of the loss."""
    with full_precision(unit.device):
        return unit @ unit.transpose(1, 2)


def nt_xent(
    embeddings: Tensor,
    present: Tensor,
    temperature: float,
    merged: Tensor | None = None,
    negatives: Negatives = "frame",
    average: Average = "pairs",
) -> Tensor:
    """Mean over ordered positive pairs (a, p) of -log(e^{s_ap/t} / (e^{s_ap/t} + sum_n e^{s_an/t})).

    NT-Xent as in SimCLR (Chen et al., 2020, equation 1), with exactly one positive in each denominator and, unless
    `negatives` is `batch`, never a word across frames. The sum over negatives depends on the anchor alone, so a masked
    log-sum-exp per row serves all its positives, and the loss of a pair is softplus(logsumexp_n s_an/t - s_ap/t).
    Memory and time are O((V*N)^2) a frame, or O((V*B*N)^2) with `negatives` of the whole batch.

    Args:
        embeddings: (V, B, N, D), any length (they are normalised here); row n is one object in every view.
        present: (V, B, N) bool: the object is in the view.
        temperature: t > 0.
        merged: (B, N, N) bool, see `relate`.
        negatives: see `relate`.
        average: over all pairs (the original), or within each frame that has pairs and then over these frames.

    Returns:
        A scalar. 0 (with a graph) when no object is in two views. An object alone in its frame has no negative:
        its pairs count, with loss 0.
    """
    if ranks.count() > 1:
        embeddings, present, merged = _of_all_ranks(embeddings, present, merged, negatives)
    if embeddings.shape[0] == 1 or embeddings.shape[2] == 0:  # no pair, and nothing to take a log-sum-exp over
        return embeddings.sum() * 0
    relations = relate(present, merged, negatives)
    unit = arrange(embeddings, negatives)
    similarity = similarities(unit) / temperature  # (G, M, M)
    # Rows without negatives would give -inf, whose gradient is NaN: the least finite number does the same.
    least = torch.finfo(similarity.dtype).min
    hardness = similarity.masked_fill(~relations.negative, least).logsumexp(-1)  # (G, M)
    losses, counts = torch.zeros_like(hardness), torch.zeros_like(hardness)
    for other, is_positive in relations.counterparts():
        close = similarity.gather(2, other.expand_as(hardness)[..., None]).squeeze(-1)  # (G, M)
        losses = losses + torch.where(is_positive, F.softplus(hardness - close), 0)
        counts = counts + is_positive
    return _mean(losses, counts, relations, average)


def contrast_sets(embeddings: Tensor, positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """NT-Xent where an anchor may have several positives, and negatives are those that are known to be others.

    The mean over anchors of the mean over their positives of -log(e^{s_ap/t} / (e^{s_ap/t} + sum_n e^{s_an/t})): the
    loss of supervised contrast with the sum outside of the logarithm (Khosla et al., Supervised Contrastive Learning,
    2020, equation 2), but with one positive in each denominator, so that positives do not push each other away. Where
    every anchor has exactly one positive it is `nt_xent`. Who is neither positive nor negative of an anchor has no say.

    Args:
        embeddings: (M, D), any length (they are normalised here).
        positive: (M, M) bool, [a, p]: p shows the same as a; the diagonal does not count.
        negative: (M, M) bool, [a, n]: n shows another.
        temperature: t > 0.

    Returns:
        A scalar. 0 (with a graph) when no one has a positive. Positives of an anchor without negatives count, with 0.
    """
    if len(embeddings) < 2:
        return embeddings.sum() * 0
    unit = F.normalize(embeddings.float(), dim=-1)
    similarity = similarities(unit[None])[0] / temperature  # (M, M)
    least = torch.finfo(similarity.dtype).min  # as in `nt_xent`
    hardness = similarity.masked_fill(~negative, least).logsumexp(-1, keepdim=True)  # (M, 1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    positive = positive & ~itself
    losses = F.softplus(hardness - similarity).masked_fill(~positive, 0).sum(-1)  # (M,)
    counts = positive.sum(-1)
    return (losses / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def triplet(
    embeddings: Tensor,
    present: Tensor,
    margin: float,
    mining: Literal["hard", "all"],
    merged: Tensor | None = None,
    negatives: Negatives = "frame",
    average: Average = "pairs",
) -> Tensor:
    """Triplet loss max(0, d_ap - d_an + margin) on Euclidean distances of unit vectors.

    `all` (batch-all) is the mean over the triplets whose loss is above 0; `hard` (batch-hard) the mean over the anchors
    of the loss with the farthest positive and the nearest negative (Hermans, Beyer and Leibe, In Defense of the Triplet
    Loss, 2017, equations 5 and 7). On purpose unlike the original, an anchor without a positive or without a negative
    is no triplet: the original gave it a loss.

    Args:
        margin: > 0.
        mining: which triplets of an anchor count.

    The other arguments, and the result for an empty batch, are those of `nt_xent`. Memory is that of `nt_xent`: the
    positives of an anchor are taken one view at a time.
    """
    if ranks.count() > 1:
        embeddings, present, merged = _of_all_ranks(embeddings, present, merged, negatives)
    if embeddings.shape[0] == 1 or embeddings.shape[2] == 0:  # no triplet
        return embeddings.sum() * 0
    relations = relate(present, merged, negatives)
    unit = arrange(embeddings, negatives)
    # |a - b|^2 = 2 - 2ab; the floor keeps the root's gradient finite where two readings are equal.
    distance = (2 - 2 * similarities(unit)).clamp_min(1e-12).sqrt()  # (G, M, M)
    losses, counts = torch.zeros_like(distance[..., 0]), torch.zeros_like(distance[..., 0])  # (G, M)
    if mining == "hard":
        usable = relations.positive.any(-1) & relations.negative.any(-1)
        farthest = distance.masked_fill(~relations.positive, 0).amax(-1)
        nearest = distance.masked_fill(~relations.negative, 4).amin(-1)  # no two unit vectors are 4 apart
        losses = torch.where(usable, F.relu(farthest - nearest + margin), 0)
        return _mean(losses, usable.to(losses.dtype), relations, average)
    for other, is_positive in relations.counterparts():
        apart = distance.gather(2, other.expand_as(losses)[..., None])  # (G, M, 1)
        excess = F.relu(apart - distance + margin)  # (G, M, M)
        excess = excess.masked_fill(~(relations.negative & is_positive[..., None]), 0)
        losses = losses + excess.sum(-1)
        counts = counts + (excess > 1e-16).sum(-1)
    return _mean(losses, counts, relations, average)


def shared_cells(cells: Tensor, present: Tensor, readings: int = 1) -> Tensor:
    """(B, N, N) bool: different objects that are read from one heatmap cell of some view.

    Their embeddings are equal there: as negatives they could only push against themselves.

    Args:
        cells: (R*V, B, N) int64: objects are read R times in each of V views.
        present: (R*V, B, N) bool.
        readings: R.
    """
    cells, present = cells.unflatten(0, (readings, -1)), present.unflatten(0, (readings, -1))
    shared = torch.zeros(*present.shape[2:], present.shape[-1], dtype=torch.bool, device=cells.device)
    for one in range(readings):
        for other in range(readings):
            equal = cells[one, ..., :, None] == cells[other, ..., None, :]  # (V, B, N, N)
            both = present[one, ..., :, None] & present[other, ..., None, :]
            shared |= (equal & both).any(0)
    return shared & ~torch.eye(cells.shape[-1], dtype=torch.bool, device=cells.device)


def _of_all_ranks(
    embeddings: Tensor, present: Tensor, merged: Tensor | None, negatives: Negatives
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a rank's loss looks at: for `negatives: batch` the frames of all ranks, with gradients to where they are.

    An object that is in no view is added, so that a rank whose frames are empty still adds its nothing to all counts.
    """
    embeddings, present = F.pad(embeddings, (0, 0, 0, 1)), F.pad(present, (0, 1))
    merged = None if merged is None else F.pad(merged, (0, 1, 0, 1))
    if negatives == "batch":
        embeddings = ranks.gather_rows(embeddings, 1)
        present = ranks.gather_rows(present.byte(), 1).bool()
        merged = None if merged is None else ranks.gather_rows(merged.byte(), 0).bool()
    return embeddings, present, merged


def _mean(losses: Tensor, counts: Tensor, relations: Relations, average: Average) -> Tensor:
    """Mean of summed `losses` (G, M) over `counts` (G, M) terms; 0, with a graph, where there is none."""
    # With `negatives: batch` all ranks see all frames and have the whole loss: each takes its part of that. Within
    # frames nothing needs to be gathered: an object's positives and negatives are on the rank that has its frame.
    total = _as_it_is if relations.whole else ranks.total
    losses = losses / ranks.count() if relations.whole else losses
    if average == "pairs":
        return losses.sum() / total(counts.sum()).clamp_min(1)
    zeros = torch.zeros(relations.frames, dtype=losses.dtype, device=losses.device)
    frame = relations.frame.flatten()
    sums = zeros.index_add(0, frame, losses.flatten())  # (B,)
    terms = zeros.index_add(0, frame, counts.flatten().to(losses.dtype))
    return (sums / terms.clamp_min(1)).sum() / total((terms > 0).sum()).clamp_min(1)


def _as_it_is(count: Tensor) -> Tensor:
    return count
