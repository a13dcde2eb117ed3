"""Random views of crops that share the person and nothing else.

Both views of a person would share place, size and background if they were cut alike, and an encoder would learn those.
So each view has a zoom and a shift of its own, a background that is greyed or another crop's, a patch of another
person, and colours of its own.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clmot.hardware import send
from clmot.params import CropViewParams

WIDTH_OF_PERSON, HEIGHT_OF_PERSON = 0.8, 0.97
"""Of the ellipse that counts as the person, as shares of the box."""
ROUNDNESS, EDGE = 2.5, 6.0
"""Of that ellipse: the exponent of a superellipse (2: an ellipse, more: squarer), and how sharp its edge is."""


def context_of(params: CropViewParams) -> float:
    """How much larger than its box a crop must be cut for every view to lie inside it."""
    return params.zoom[1] + 2 * params.shift


def make_crop_views(crops: Tensor, size: tuple[int, int], params: CropViewParams, generator: torch.Generator) -> Tensor:
    """One random view of each crop.

    Args:
        crops: (N, 3, h, w) uint8 RGB on any device: boxes enlarged by `context_of(params)`.
        size: width and height of the views.
        params: kinds and sizes of the random changes.
        generator: CPU generator; draws are made on the CPU so that every device sees the same views.

    Returns:
        (N, 3, height, width) float32 RGB in 0..1.
    """
    count, device = len(crops), crops.device

    def uniform(low: float, high: float) -> Tensor:
        drawn = low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
        return send(device, drawn.float())[0].view(-1, 1, 1, 1)

    def chance(probability: float) -> Tensor:
        return send(device, torch.rand(count, generator=generator) < probability)[0].view(-1, 1, 1, 1)

    images = crops.float() / 255
    low, high = params.zoom
    zoom, aspect = uniform(math.log(low), math.log(high)).exp(), uniform(-params.aspect, params.aspect).exp()
    half_width, half_height = zoom * aspect.sqrt(), zoom / aspect.sqrt()  # in half boxes
    shift_x, shift_y = (2 * uniform(-params.shift, params.shift) for _ in "xy")
    mirrored = torch.where(chance(params.flip), -1.0, 1.0)
    images = _look(images, size, (half_width * mirrored, half_height), (shift_x, shift_y), context_of(params))

    rows, columns = (torch.linspace(-1, 1, side, device=device) for side in (size[1], size[0]))
    rows, columns = rows.view(1, 1, -1, 1), columns.view(1, 1, 1, -1)
    others = images[send(device, torch.randperm(count, generator=generator))[0]]
    across = ((columns * half_width * mirrored + shift_x) / WIDTH_OF_PERSON).abs()
    along = ((rows * half_height + shift_y) / HEIGHT_OF_PERSON).abs()
    person = torch.sigmoid((1 - across**ROUNDNESS - along**ROUNDNESS) * EDGE)  # (N, 1, H, W)
    grey = torch.cat([uniform(0.2, 0.7) for _ in "rgb"], 1)
    behind = torch.where(chance(0.5), grey, others)
    images = torch.where(chance(params.background), torch.lerp(behind, images, person), images)

    inside = ((columns - uniform(-1, 1)).abs() < uniform(0.2, 0.6)) & (
        (rows - uniform(-1, 1)).abs() < uniform(0.1, 0.4)
    )
    images = torch.where(inside & chance(params.patch), others, images)
    return _blur(_recolour(images, params.colour, uniform, generator), chance(params.blur), generator)


def plain_view(crops: Tensor, size: tuple[int, int], context: float) -> Tensor:
    """The box itself of crops (N, 3, h, w) uint8 that are `context` times as large: (N, 3, height, width) in 0..1."""
    one = torch.ones(len(crops), 1, 1, 1, device=crops.device)
    return _look(crops.float() / 255, size, (one, one), (0 * one, 0 * one), context)


def _look(
    images: Tensor,
    size: tuple[int, int],
    half: tuple[Tensor, Tensor],
    shift: tuple[Tensor, Tensor],
    context: float,
) -> Tensor:
    """Resample rectangles of half width and height `half` around `shift`, all in half boxes, (N, 1, 1, 1) each."""
    zero = torch.zeros_like(half[0])
    across = torch.cat([half[0], zero, shift[0]], 3)
    along = torch.cat([zero, half[1], shift[1]], 3)
    matrices = torch.cat([across, along], 2)[:, 0] / context  # (N, 2, 3)
    grid = F.affine_grid(matrices, [len(images), 3, size[1], size[0]], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _recolour(images: Tensor, strength: float, uniform, generator: torch.Generator) -> Tensor:  # type: ignore[no-untyped-def]
    """Scale brightness, contrast and saturation by 1 +- strength, and each channel by a fifth of that."""
    if not strength:
        return images
    images = images * uniform(1 - strength, 1 + strength)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = torch.lerp(mean, images, uniform(1 - strength, 1 + strength))
    images = torch.lerp(images.mean(1, keepdim=True), images, uniform(1 - strength, 1 + strength))
    tint = torch.cat([uniform(1 - strength / 5, 1 + strength / 5) for _ in "rgb"], 1)
    return (images * tint).clamp(0, 1)


def _blur(images: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Take the fine detail from the chosen ones (N, 1, 1, 1), as if they were smaller in their frames."""
    share = float(0.35 + 0.45 * torch.rand(1, generator=generator))
    height, width = images.shape[-2:]
    small = F.interpolate(
        images, (round(height * share), round(width * share)), mode="bilinear", antialias=True, align_corners=False
    )
    return torch.where(chosen, F.interpolate(small, (height, width), mode="bilinear", align_corners=False), images)
