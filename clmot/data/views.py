"""Random views of frames, batched on the device of the network.

A batch of B frames becomes V views of each: view 1 shows the frame (mirrored with probability `flip`), each
further view mirrors the one before, and every view gets its own colours, blur and affine transform. The frame
before, where a batch brings it, gives as many views more. Each view is drawn from the letterboxed frame by a
single resampling. Row n of the boxes is the same object in every view of a frame: that is the only identity
training ever knows.

Coordinates are continuous: pixel i covers [i, i + 1), so an image of width W spans [0, W] and mirroring is
x -> W - x, exactly, for boxes and pixels alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clmot.data.frames import Batch
from clmot.hardware import full_precision, send
from clmot.images import PADDING_GREY
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
    identities: Tensor
    """(V, B, N) int64, -1 = unknown; all are, except for the supervised baseline."""
    forgiven: Tensor
    """(V, B, M, 4) as `boxes`, of what is left out of the view a point: where finding something is no mistake. The
    frames before have none."""


def make_views(batch: Batch, params: ViewParams, count: int, generator: torch.Generator) -> Views:
    """Draw `count` random views of every frame of a batch, and as many of the frames before where it brings them.

    Args:
        batch: B frames on any device.
        params: kinds and sizes of the random changes.
        count: number of views of a frame.
        generator: CPU generator; draws are made on the CPU so that every device sees the same views.

    Returns:
        V = `count` views; with previous frames V = 2 * `count`, the present's first.
    """
    sources = [batch] if batch.previous is None else [batch, batch.previous]
    # The network may run in less, coordinates may not: in bfloat16 one of 1000 pixels has steps of 4.
    with full_precision(batch.images.device):
        drawn = [_views_of(source, params, count, generator) for source in sources]
    if batch.previous is not None:
        none = torch.zeros_like(drawn[0].forgiven)
        drawn[1] = replace(drawn[1], forgiven=none)
    return Views(*(torch.cat([getattr(views, f.name) for views in drawn]) for f in fields(Views)))


def _views_of(batch: Batch, params: ViewParams, count: int, generator: torch.Generator) -> Views:
    images, device = batch.images, batch.images.device
    frames, _, height, width = images.shape
    # Draws are made for the whole batch, of which these frames may be a part: they do not depend on who has which.
    part = slice(0, frames) if batch.part is None else batch.part[0]
    frames = frames if batch.part is None else batch.part[1]
    mirrored = torch.rand(frames, generator=generator) < params.flip  # (B,)
    flips = torch.stack([mirrored ^ bool(view % 2) for view in range(count)])  # (V, B)
    matrices, angles = random_affine((count, frames), (width, height), params, generator)
    matrices = matrices @ mirror_matrix(flips, width)  # mirror first, then warp
    inside = _inside(batch.content, height, width)  # (B, 1, H, W)
    changes, recolour = random_colours((count, frames), params, generator)
    sigmas = random_blur((count, frames), params, generator)

    # All that was drawn goes to the device together, and the inverses with it: computed there, each would stop the CPU.
    places, sigmas = source_places(matrices, (width, height)), sigmas[:, part]
    drawn = matrices[:, part], angles[:, part], places[:, part], changes[:, :, part]
    matrices, angles, places, changes = send(device, *drawn)
    pixels = images.to(torch.float32, memory_format=torch.contiguous_format) / 255
    grey = PADDING_GREY / 255
    warped = []
    for view in range(count):
        changed = recolour(pixels, view, changes[:, view], inside)
        # The bars are no picture: they stay grey. Resampling the difference from grey makes the default
        # border of grid_sample (zero) mean grey as well.
        changed = changed.sub_(grey).masked_fill_(~inside, 0)
        warped.append(gaussian_blur(resample(changed, places[view]).add_(grey), sigmas[view]))
    objects = batch.boxes.shape[1]
    everything = torch.cat((batch.boxes, batch.forgiven), 1)
    moved, usable = warp_boxes(everything, matrices, angles, (width, height), params)
    return Views(
        torch.stack(warped),
        moved[:, :, :objects],
        usable[:, :, :objects] & batch.valid,
        batch.identities.expand(count, *batch.identities.shape),
        moved[:, :, objects:],
    )


def random_affine(
    shape: tuple[int, int], size: tuple[int, int], params: ViewParams, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the affine transforms of (V, B) views, see `affine_matrix`.

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
    shear_x = torch.deg2rad(uniform(-params.shear, params.shear))
    shear_y = torch.deg2rad(uniform(-params.shear, params.shear))
    matrices = affine_matrix(angle, zoom, (shift_x, shift_y), (shear_x, shear_y), size)
    return matrices.float(), angle.float()


def affine_matrix(
    angle: Tensor,
    zoom: Tensor,
    shift: tuple[Tensor, Tensor],
    shear: tuple[Tensor, Tensor],
    size: tuple[int, int],
) -> Tensor:
    """Rotation and zoom about the centre, then translation, then shear: the original's S @ T @ R.

    Args:
        angle: (...) radians, counter-clockwise as seen on the screen (y points down).
        zoom: (...) factors.
        shift: x and y, (...) pixels.
        shear: x and y, (...) radians.
        size: width and height of the image in pixels.

    Returns:
        (..., 3, 3) of the arguments' precision, source to view pixels.
    """
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    centre_x, centre_y = size[0] / 2, size[1] / 2
    turn = _matrix(cos, sin, (1 - cos) * centre_x - sin * centre_y, -sin, cos, sin * centre_x + (1 - cos) * centre_y)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    move = _matrix(one, zero, shift[0], zero, one, shift[1])
    slant = _matrix(one, torch.tan(shear[0]), zero, torch.tan(shear[1]), one, zero)
    return slant @ move @ turn


def mirror_matrix(flips: Tensor, width: int) -> Tensor:
    """(..., 3, 3) float32: x -> width - x where `flips` (..., bool) is set, else the identity."""
    sign = 1.0 - 2.0 * flips.float()
    one, zero = torch.ones_like(sign), torch.zeros_like(sign)
    return _matrix(sign, zero, flips.float() * width, zero, one, zero)


Recolour = Callable[[Tensor, int, Tensor, Tensor | None], Tensor]
"""Takes images (B, 3, H, W) in 0..1, the number of the view, its changes (K, B) on their device and the pixels that are
picture and no bars beside it (B, 1, H, W; None: all); gives new images."""


def random_colours(shape: tuple[int, int], params: ViewParams, generator: torch.Generator) -> tuple[Tensor, Recolour]:
    """Draw how the colours of (V, B) views change.

    Args:
        shape: (V, B).
        params: kinds and sizes of the changes.
        generator: of the CPU.

    Returns:
        The sizes of the K changes (K, V, B), on the CPU, and what makes them.
    """
    if params.colour == "hsv":
        sizes = torch.tensor([params.saturation, params.value]).view(2, 1, 1)
        gains = 1 + (2 * torch.rand(2, *shape, generator=generator) - 1) * sizes
        return gains, lambda images, _, gain, __: jitter_saturation_value(images, gain[0], gain[1])
    sizes = torch.tensor(params.colour_strength).view(4, 1, 1)
    changes = (2 * torch.rand(4, *shape, generator=generator) - 1) * sizes
    changes = changes * (torch.rand(shape, generator=generator) < params.colour_probability)
    # As in SimCLR, the order of the four changes is random; it is drawn for a view of the whole batch.
    orders = [torch.randperm(4, generator=generator).tolist() for _ in range(shape[0])]

    def recolour(images: Tensor, view: int, change: Tensor, inside: Tensor | None) -> Tensor:
        kinds: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
            lambda images, change: scale_brightness(images, 1 + change),
            lambda images, change: scale_contrast(images, 1 + change, inside),
            lambda images, change: scale_saturation(images, 1 + change),
            turn_hue,
        )
        for which in orders[view]:
            images = kinds[which](images, change[which])
        return images

    return changes, recolour


def scale_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend (B, 3, H, W) with black: `factors` (B,) of 1 change nothing."""
    return (images * factors.view(-1, 1, 1, 1)).clamp_(0, 1)


def scale_contrast(images: Tensor, factors: Tensor, inside: Tensor | None = None) -> Tensor:
    """Blend (B, 3, H, W) with the mean grey of its pixels `inside` (B, 1, H, W; None: all) by `factors` (B,)."""
    grey = luminance(images)
    inside = torch.ones_like(grey) if inside is None else inside.to(grey.dtype)
    mean = (grey * inside).sum((1, 2, 3), keepdim=True) / inside.sum((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, factors.view(-1, 1, 1, 1)).clamp_(0, 1)


def scale_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend (B, 3, H, W) with its own grey picture by `factors` (B,)."""
    return torch.lerp(luminance(images), images, factors.view(-1, 1, 1, 1)).clamp_(0, 1)


def luminance(images: Tensor) -> Tensor:
    """Grey of RGB images by ITU-R BT.601: (B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of (B, 3, H, W) in 0..1 by `turns` (B,) of the colour circle; S and V of HSV stay."""
    brightest, darkest = images.amax(1), images.amin(1)  # (B, H, W)
    spread = brightest - darkest
    red, green, blue = images.unbind(1)
    scale = spread.clamp_min(1e-12)
    # Sixths of the circle from red; grey has no hue, and any will do.
    sixths = torch.where(
        brightest == red,
        (green - blue) / scale,
        torch.where(brightest == green, (blue - red) / scale + 2, (red - green) / scale + 4),
    )
    sixths = sixths + 6 * turns.view(-1, 1, 1)
    channels = []
    for start in (5.0, 3.0, 1.0):  # where red, green and blue begin to fade
        place = (sixths + start) % 6
        channels.append(brightest - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)


def random_blur(shape: tuple[int, int], params: ViewParams, generator: torch.Generator) -> Tensor:
    """(V, B) standard deviations in pixels; 0 for views that stay sharp."""
    low, high = params.blur_sigma
    chance, place = torch.rand(2, *shape, generator=generator)
    return torch.where(chance < params.blur_probability, low + (high - low) * place, 0)


def gaussian_blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur each of (B, C, H, W) with its own Gaussian, edges repeated.

    The kernel reaches three standard deviations of the widest and always has a centre (the original's had an even
    length at many heights of the image, and failed).

    Args:
        images: on any device.
        sigmas: (B,) in pixels, 0 = not at all; on the CPU, so that no device is waited for to learn the kernel's size.
    """
    radius = int((3 * sigmas.max()).ceil())
    if radius == 0:
        return images
    batch, channels, height, width = images.shape
    distance = torch.arange(-radius, radius + 1)
    weights = torch.exp(-(distance**2) / (2 * sigmas.clamp_min(1e-3)[:, None] ** 2))  # (B, K)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # (BC, K)
    (weights,) = send(images.device, weights)
    # A convolution of one image, with a group for each channel of each image.
    flat = images.reshape(1, batch * channels, height, width)
    for axis in (-1, -2):
        pad = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
        kernel = weights[:, None, None, :] if axis == -1 else weights[:, None, :, None]
        flat = F.conv2d(F.pad(flat, pad, mode="replicate"), kernel, groups=batch * channels)
    return flat.view_as(images)


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
    """Resample (B, 3, H, W) bilinearly so that source pixel p lies at `matrices` (B, 3, 3; on the CPU) times p; 0
    outside."""
    (places,) = send(images.device, source_places(matrices, (images.shape[-1], images.shape[-2])))
    return resample(images, places)


def source_places(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Where view pixels come from, in `grid_sample`'s coordinates, which go from -1 to 1.

    Args:
        matrices: (..., 3, 3) that take source to view pixels.
        size: width and height of the image in pixels.

    Returns:
        (..., 2, 3) for `affine_grid`.
    """
    scale = torch.tensor([[2 / size[0], 0, -1], [0, 2 / size[1], -1], [0, 0, 1.0]])
    return (scale @ torch.linalg.inv(matrices) @ torch.linalg.inv(scale))[..., :2, :]


def resample(images: Tensor, places: Tensor) -> Tensor:
    """(B, 3, H, W) bilinearly resampled at `places` (B, 2, 3) of `source_places`, 0 outside; on one device."""
    grid = F.affine_grid(places, list(images.shape), align_corners=False)
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
    low, high = clip_points(centre - half, width, height), clip_points(centre + half, width, height)
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


def clip_points(points: Tensor, width: float, height: float) -> Tensor:
    """Points (..., 2) brought to 0..width and 0..height; limits are numbers, which no device is waited for to get."""
    return torch.stack((points[..., 0].clamp(0, width), points[..., 1].clamp(0, height)), -1)


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
