"""The installation itself: without these operators nothing else can work."""

import torch
import torchvision

ADVICE = (
    f"torchvision {torchvision.__version__} cannot run its compiled operators with torch {torch.__version__}:"
    " a CPU-only torch (from its own package index) was paired with an ordinary torchvision by mistake, or "
    "the other way round. Install the pair that belongs together, in the repository's root: "
    "`uv pip sync requirements.lock` (`make test` does it)."
)


def test_torchvision_operators_match_torch() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.1], [8.0, 8.0, 9.0, 9.0]])
    try:
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
        moved = torchvision.ops.deform_conv2d(
            torch.ones(1, 1, 3, 3),
            torch.zeros(1, 18, 3, 3),
            torch.ones(1, 1, 3, 3),
            padding=1,
            mask=torch.ones(1, 9, 3, 3),
        )
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise AssertionError(ADVICE) from error
    assert kept.tolist() == [0, 2], ADVICE
    assert moved[0, 0, 1, 1].item() == 9, ADVICE
