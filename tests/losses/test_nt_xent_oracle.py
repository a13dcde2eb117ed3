"""NT-Xent against someone else's: pytorch-metric-learning's, which knows pairs of labels but no frames and no
views."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from clmot.losses.contrastive import nt_xent


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.07])
@pytest.mark.parametrize(("views", "frames", "objects"), [(2, 1, 2), (2, 3, 6), (3, 2, 5), (4, 1, 40)])
def test_every_frame_is_the_librarys_loss(views, frames, objects, temperature):
    generator = torch.Generator().manual_seed(objects)
    embeddings = torch.randn(views, frames, objects, 32, generator=generator)
    present = torch.ones(views, frames, objects, dtype=torch.bool)
    present[-1, :, -1] = False  # the last object is missing from the last view
    labels = torch.arange(objects).expand(views, objects)
    # Same number of pairs in every frame: the mean over pairs is the mean over frames.
    ours, theirs = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
    loss = nt_xent(ours, present, temperature)
    oracle = NTXentLoss(temperature)
    parts = [oracle(theirs[:, b][present[:, b]], labels[present[:, b]]) for b in range(frames)]
    expected = torch.stack(parts).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_negatives_of_the_whole_batch_are_the_librarys_loss_over_all_frames():
    """With one label an object of a frame, all others of the batch are negatives: `negatives: batch`."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 3, 5, 32, generator=generator)
    present = torch.ones(2, 3, 5, dtype=torch.bool)
    labels = torch.arange(15).repeat(2)
    expected = NTXentLoss(0.1)(embeddings.flatten(0, 2), labels)
    loss = nt_xent(embeddings, present, 0.1, negatives="batch")
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
