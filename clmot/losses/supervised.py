"""The supervised baseline: identities as classes. It needs the labels that this project does without."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from clmot import ranks
from clmot.hardware import full_precision


def identity_cross_entropy(embeddings: Tensor, identities: Tensor, usable: Tensor, classifier: nn.Linear) -> Tensor:
    """Mean cross entropy of the identity of every reading (FairMOT, Zhang et al., IJCV 2021, section 4.2.2).

    The embedding is brought to length sqrt(2) * log(C - 1) for C identities before it is classified, as in FairMOT.

    Args:
        embeddings: (..., D) of any length.
        identities: (...) int64 in 0..C-1; -1 where unknown.
        usable: (...) bool: readings that exist; those without an identity do not count in any case.
        classifier: D -> C.

    Returns:
        A scalar; 0, with a graph, when no reading counts.
    """
    counted = usable & (identities >= 0)
    chosen = embeddings[counted].float()
    # With one or two identities the logarithm would be -inf or 0, and nothing could be learnt.
    length = math.sqrt(2) * math.log(max(classifier.out_features, 3) - 1)
    with full_precision(embeddings.device):  # the classifier is a part of the loss
        logits = classifier(length * F.normalize(chosen, dim=-1))
    number = ranks.total(counted.sum()).clamp_min(1)
    return F.cross_entropy(logits, identities[counted], reduction="sum") / number + embeddings.sum() * 0
