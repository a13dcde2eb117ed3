"""The within-frame contrast: objects of one frame are told apart, without anybody saying who they are.

Every object of a frame is a class of its own, for that frame only. Its positives are the same object in the
frame's other views; its negatives are the frame's other objects, in all views. NT-Xent as in SimCLR (Chen et
al., 2020, equation 1), with exactly one positive in each denominator and never a word across frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(embeddings: Tensor, present: Tensor, temperature: float, merged: Tensor | None = None) -> Tensor:
    """Mean over ordered positive pairs (a, p) of -log(e^{s_ap/t} / (e^{s_ap/t} + sum_n e^{s_an/t})).

    All pairs of a frame stand in one (V*N, V*N) matrix of cosine similarities; the sum over negatives depends
    on the anchor alone, so a masked log-sum-exp per row serves all its positives, and the loss of a pair is
    softplus(logsumexp_n s_an/t - s_ap/t). Memory and time are O((V*N)^2) a frame, never pairs x pairs.

    Args:
        embeddings: (V, B, N, D), any length (they are normalised here); row n is one object in every view.
        present: (V, B, N) bool: the object is in the view.
        temperature: t > 0.
        merged: (B, N, N) bool, pairs of different objects that cannot be told apart (they share a heatmap cell in
            some view) and therefore are no negatives of each other.

    Returns:
        A scalar. 0 (with a graph) when no object is in two views. An object alone in its frame has no negative:
        its pairs count, with loss 0.
    """
    views, frames, objects, _ = embeddings.shape
    if objects == 0:  # log-sum-exp over nothing is an error
        return embeddings.sum() * 0
    unit = F.normalize(embeddings.float(), dim=-1)
    unit = unit.permute(1, 0, 2, 3).reshape(frames, views * objects, -1)  # (B, VN, D)
    here = present.permute(1, 0, 2).reshape(frames, views * objects)  # (B, VN)
    similarity = unit @ unit.transpose(1, 2) / temperature  # (B, VN, VN)

    number = torch.arange(objects, device=here.device).repeat(views)  # (VN,)
    same = number[:, None] == number[None, :]  # (VN, VN)
    both = here[:, :, None] & here[:, None, :]  # (B, VN, VN)
    itself = torch.eye(views * objects, dtype=torch.bool, device=here.device)
    positive = both & same & ~itself
    negative = both & ~same
    if merged is not None:
        negative = negative & ~merged.repeat(1, views, views)

    # Rows without negatives would give -inf, whose gradient is NaN: a large negative number does the same.
    hardness = similarity.masked_fill(~negative, -1e4).logsumexp(-1, keepdim=True)  # (B, VN, 1)
    pairs = F.softplus(hardness - similarity).masked_fill(~positive, 0)
    return pairs.sum() / positive.sum().clamp_min(1)


def shared_cells(cells: Tensor, present: Tensor) -> Tensor:
    """(B, N, N) bool: different objects whose centres fall into one heatmap cell in some view.

    They are read from the same cell, so their embeddings are equal there: as negatives they could only push
    against themselves.

    Args:
        cells: (V, B, N) int64.
        present: (V, B, N) bool.
    """
    equal = cells[..., :, None] == cells[..., None, :]  # (V, B, N, N)
    both = present[..., :, None] & present[..., None, :]
    objects = torch.eye(cells.shape[-1], dtype=torch.bool, device=cells.device)
    return (equal & both).any(0) & ~objects
