"""Random views of frames, batched on the device of the network.

A batch of B frames becomes V views of each: view 1 shows the frame (mirrored with probability `flip`), each
further view mirrors the one before, and every view gets its own colour jitter and its own affine transform.
Each view is drawn from the letterboxed frame by a single resampling. Row n of the boxes is the same object in
every view of a frame: that is the only identity training ever knows.

Coordinates are continuous: pixel i covers [i, i + 1), so an image of width W spans [0, W] and mirroring is
x -> W - x, exactly, for boxes and pixels alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clmot.data.frames import Batch
from clmot.data.images import PADDING_GREY
from clmot.params import ViewParams


@dataclass(frozen=True)
class Views:
    """V views of B frames with at most N objects each."""

    images: Tensor
    """(V, B, 3, H, W) float32 RGB in 0..1."""
    boxes: Tensor
    """(V, B, N, 4) float32 corners in input pixels, clipped to the input."""
    present: Tensor
    """(V, B, N) bool: the object can be seen in this view."""


def make_views(batch: Batch, params: ViewParams, count: int, generator: torch.Generator) -> Views:
    """Draw `count` random views of every frame of a batch.

    Args:
        batch: B frames on any device.
        params: kinds and sizes of the random changes.
        count: V, the number of views of a frame.
        generator: CPU generator; draws are made on the CPU so that every device sees the same views.
    """
    images, device = batch.images, batch.images.device
    frames, _, height, width = images.shape
    mirrored = torch.rand(frames, generator=generator) < params.flip  # (B,)
    flips = torch.stack([mirrored ^ bool(view % 2) for view in range(count)])  # (V, B)
    matrices, angles = random_affine((count, frames), (width, height), params, generator)
    matrices = matrices @ mirror_matrix(flips, width)  # mirror first, then warp
    gains = 1 + (2 * torch.rand(2, count, frames, generator=generator) - 1) * torch.tensor(
        [params.saturation, params.value]
    ).view(2, 1, 1)

    matrices, gains, angles = matrices.to(device), gains.to(device), angles.to(device)
    pixels = images.float() / 255
    grey = PADDING_GREY / 255
    outside = ~_inside(batch.content, height, width)  # (B, 1, H, W)
    warped = []
    for view in range(count):
        jittered = jitter_saturation_value(pixels, gains[0, view], gains[1, view])
        # The bars are no picture: they stay grey. Resampling the difference from grey makes the default
        # border of grid_sample (zero) mean grey as well.
        jittered = jittered.sub_(grey).masked_fill_(outside, 0)
        warped.append(warp(jittered, matrices[view]).add_(grey))
    boxes, present = warp_boxes(batch.boxes, matrices, angles, (width, height), params)
    return Views(torch.stack(warped), boxes, present & batch.valid)


def random_affine(
    shape: tuple[int, int], size: tuple[int, int], params: ViewParams, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random rotation and zoom about the centre, then translation, then shear.

    Args:
        shape: leading shape of the result, (V, B).
        size: width and height of the image in pixels.

    Returns:
        matrices (V, B, 3, 3) float32 that take source to view pixels, and the rotation angles (V, B) in radians.
    """
    width, height = size

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    angle = torch.deg2rad(uniform(-params.rotate, params.rotate))
    zoom = uniform(*params.scale)
    shift_x = uniform(-params.translate, params.translate) * width
    shift_y = uniform(-params.translate, params.translate) * height
    shear_x = torch.tan(torch.deg2rad(uniform(-params.shear, params.shear)))
    shear_y = torch.tan(torch.deg2rad(uniform(-params.shear, params.shear)))

    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    centre_x, centre_y = width / 2, height / 2
    turn = _matrix(
        cos, sin, (1 - cos) * centre_x - sin * centre_y, -sin, cos, sin * centre_x + (1 - cos) * centre_y
    )
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    move = _matrix(one, zero, shift_x, zero, one, shift_y)
    slant = _matrix(one, shear_x, zero, shear_y, one, zero)
    return (slant @ move @ turn).float(), angle.float()


def mirror_matrix(flips: Tensor, width: int) -> Tensor:
    """(..., 3, 3) float32: x -> width - x where `flips` (..., bool) is set, else the identity."""
    sign = 1.0 - 2.0 * flips.float()
    one, zero = torch.ones_like(sign), torch.zeros_like(sign)
    return _matrix(sign, zero, flips.float() * width, zero, one, zero)


def jitter_saturation_value(images: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Scale S and V of HSV without leaving RGB.

    With V = max(R,G,B) and S = (V - min)/V, a channel is c = V - (V - c): scaling the distance from V scales S,
    scaling all channels scales V. Both saturate at 1 as clipping in HSV does.

    Args:
        images: (B, 3, H, W) in 0..1.
        saturation, value: (B,) factors.
    """
    brightest = images.amax(1, keepdim=True)
    darkest = images.amin(1, keepdim=True)
    # Largest factor that keeps S <= 1, i.e. the darkest channel >= 0.
    limit = brightest / (brightest - darkest).clamp_min(1e-6)
    factor = torch.minimum(saturation.view(-1, 1, 1, 1), limit)
    gain = torch.minimum(value.view(-1, 1, 1, 1), 1 / brightest.clamp_min(1e-6))
    # (V - (V - c) * factor) * gain, in place: images are the largest thing a training step touches on the CPU.
    return (brightest - images).mul_(-factor * gain).add_(brightest * gain)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample (B, 3, H, W) bilinearly so that source pixel p lies at `matrices` (B, 3, 3) times p; 0 outside."""
    height, width = images.shape[-2:]
    scale = torch.tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1.0]], device=images.device)
    # grid_sample asks where each view pixel comes from, in coordinates normalised to [-1, 1].
    backward = scale @ torch.linalg.inv(matrices) @ torch.linalg.inv(scale)
    grid = F.affine_grid(backward[:, :2], list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def warp_boxes(
    boxes: Tensor, matrices: Tensor, angles: Tensor, size: tuple[int, int], params: ViewParams
) -> tuple[Tensor, Tensor]:
    """Boxes of the views, and which of them can still be used.

    The box around four rotated corners is too large for the person inside; as in the original it shrinks about
    its centre by sqrt(max(|sin|, |cos|)) of the angle, is clipped to the image, and is dropped when it becomes
    too small, too thin or keeps too little of its area.

    Args:
        boxes: (B, N, 4) corners in source pixels.
        matrices: (V, B, 3, 3), source to view pixels.
        angles: (V, B) rotation in radians.
        size: width and height of the view in pixels.

    Returns:
        (V, B, N, 4) corners in view pixels, and (V, B, N) bool.
    """
    width, height = size
    x1, y1, x2, y2 = boxes.unbind(-1)  # each (B, N)
    corners = torch.stack(
        [torch.stack([x, y, torch.ones_like(x)], -1) for x in (x1, x2) for y in (y1, y2)], -2
    )  # (B, N, 4, 3)
    moved = torch.einsum("vbij,bncj->vbnci", matrices, corners)[..., :2]  # (V, B, N, 4, 2)
    low, high = moved.amin(-2), moved.amax(-2)
    shrink = torch.maximum(angles.sin().abs(), angles.cos().abs()).sqrt()[..., None, None]
    centre, half = (low + high) / 2, (high - low) / 2 * shrink
    limits = torch.tensor([width, height], dtype=boxes.dtype, device=boxes.device)
    low = torch.minimum((centre - half).clamp_min(0), limits)
    high = torch.minimum((centre + half).clamp_min(0), limits)
    side = high - low  # (V, B, N, 2)
    area = side.prod(-1)
    original_area = ((x2 - x1) * (y2 - y1)).clamp_min(1e-6)
    aspect = side.amax(-1) / side.amin(-1).clamp_min(1e-6)
    usable = (
        (side.amin(-1) > params.min_box_side)
        & (area / original_area > params.min_box_area_ratio)
        & (aspect < params.max_box_aspect)
    )
    return torch.cat([low, high], -1), usable


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """(..., 3, 3) with rows (a b c), (d e f), (0 0 1)."""
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    rows = [torch.stack(row, -1) for row in ((a, b, c), (d, e, f), (zero, zero, one))]
    return torch.stack(rows, -2)


def _inside(content: Tensor, height: int, width: int) -> Tensor:
    """(B, 1, H, W) bool: pixels whose centre lies in the boxes `content` (B, 4)."""
    x = torch.arange(width, device=content.device) + 0.5
    y = torch.arange(height, device=content.device) + 0.5
    columns = (x >= content[:, None, 0]) & (x <= content[:, None, 2])  # (B, W)
    rows = (y >= content[:, None, 1]) & (y <= content[:, None, 3])  # (B, H)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
