"""Boxes cut from an image and resized, on the image's device."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import roi_align


def cut_boxes(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes of one image, resized, in one batch on the image's device.

    A pixel of a crop is the mean of as many places as the box has pixels there, so that shrinking does not alias;
    beyond the image there is its mean colour.

    Args:
        image: (3, H, W) float.
        boxes: (N, 4) float32 corners in pixels of the image; pixel i covers [i, i + 1).
        size: width and height of the crops.

    Returns:
        (N, 3, height, width).
    """
    grey = image.mean((1, 2), keepdim=True)
    places = [boxes.to(image.dtype)]
    crops = roi_align((image - grey)[None], places, (size[1], size[0]), sampling_ratio=-1, aligned=True)
    return crops + grey
