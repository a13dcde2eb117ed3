"""Letterbox, views and targets: arithmetic against the original's numbers, pixels against boxes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import functional

from clmot.data.frames import Batch
from clmot.data.views import (
    affine_matrix,
    gaussian_blur,
    jitter_saturation_value,
    make_views,
    mirror_matrix,
    random_affine,
    random_colours,
    scale_brightness,
    scale_contrast,
    scale_saturation,
    turn_hue,
    warp,
    warp_boxes,
)
from clmot.images import fit_letterbox, letterbox
from clmot.losses.contrastive import shared_cells
from clmot.models.targets import FORGIVEN, draw_gaussians, gaussian_radius, make_targets
from clmot.params import load_params

REFERENCE = Path(__file__).parents[1] / "reference"
TARGET_CASES = sorted({key.split("/")[0] for key in np.load(REFERENCE / "targets_noaug_576x320.npz")})
VIEWS = load_params(Path(__file__).parents[2] / "params.yaml").views
STILL = dataclasses.replace(
    VIEWS, flip=0.0, saturation=0.0, value=0.0, rotate=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0
)


def batch_of(image: np.ndarray, boxes: np.ndarray, forgiven: Sequence[Sequence[float]] = ()) -> Batch:
    """One frame (H, W, 3) RGB as a batch."""
    height, width = image.shape[:2]
    return Batch(
        torch.from_numpy(image.transpose(2, 0, 1).copy())[None],
        torch.tensor(boxes, dtype=torch.float32)[None],
        torch.ones(1, len(boxes), dtype=torch.bool),
        torch.tensor(forgiven).float().reshape(1, -1, 4),
        torch.tensor([[0.0, 0.0, width, height]]),
        torch.full((1, len(boxes)), -1),
        (0,),
    )


@pytest.mark.parametrize("index", range(4))
def test_letterbox_reference(index):
    """The original pads by halves of pixels and scales by one number; pixels are whole, so ours may differ from it by
    half a pixel of the input."""
    reference = np.load(REFERENCE / "geometry.npz")
    height, width = reference[f"{index}/in_hw"]
    target_height, target_width = reference[f"{index}/target_hw"]
    canvas, fit = letterbox(np.zeros((height, width, 3), np.uint8), (target_width, target_height))
    ratio, pad_x, pad_y = reference[f"{index}/ratio_padw_padh"]
    assert canvas.shape == tuple(reference[f"{index}/out_shape"])
    assert abs(fit.scale_x - ratio) * width <= 0.5
    assert abs(fit.scale_y - ratio) * height <= 0.5
    assert abs(fit.pad_x - pad_x) <= 0.5
    assert abs(fit.pad_y - pad_y) <= 0.5
    # What the padding says is where the image really is: it is black, the bars are grey.
    columns = np.flatnonzero((canvas == 0).all((0, 2)) if pad_y == 0 else (canvas == 0).any((0, 2)))
    assert columns[0] == fit.pad_x


def test_letterbox_takes_boxes_there_and_back():
    boxes = np.array([[0.0, 0.0, 640.0, 480.0], [10.5, 20.25, 30.0, 90.0]])
    _, fit = letterbox(np.zeros((480, 640, 3), np.uint8), (448, 256))
    np.testing.assert_allclose(fit.to_image(fit.to_input(boxes)), boxes)
    inside = fit.to_input(boxes[:1])[0]
    np.testing.assert_allclose(inside, [53, 0, 53 + 341, 256])  # 341.33 pixels are 341


@pytest.mark.parametrize(("width", "height"), [(1173, 880), (640, 480), (1242, 370), (448, 256), (1, 2000), (2000, 1)])
@pytest.mark.parametrize("size", [(448, 256), (1088, 608)])
def test_boxes_lie_exactly_where_the_letterbox_puts_the_pixels(width, height, size):
    """The whole image's box ends where the bars begin, to the pixel, whatever the proportions; the original's ends up
    to half a pixel beside that."""
    canvas, fit = letterbox(np.zeros((height, width, 3), np.uint8), size)
    x1, y1, x2, y2 = fit.to_input(np.array([0.0, 0.0, width, height]))
    rows, columns = ((canvas == 0).all(2).any(axis).nonzero()[0] for axis in (1, 0))
    np.testing.assert_allclose([x1, x2], [columns[0], columns[-1] + 1], atol=1e-9)
    np.testing.assert_allclose([y1, y2], [rows[0], rows[-1] + 1], atol=1e-9)


def test_gaussian_radius_reference():
    reference = np.load(REFERENCE / "gaussian.npz")
    height, width = torch.tensor(reference["hw"]).T
    for overlap in (0.7, 0.3):
        np.testing.assert_allclose(
            gaussian_radius(height, width, overlap), reference[f"radius_overlap{overlap}"], rtol=1e-6
        )


def test_gaussian_drawing_reference():
    reference = np.load(REFERENCE / "gaussian.npz")
    drawn = torch.tensor(reference["draw_centers_radii"])
    result = draw_gaussians(
        drawn[None, :, :2], drawn[None, :, 2], torch.ones(1, len(drawn), dtype=torch.bool), (68, 38)
    )
    np.testing.assert_allclose(result[0], reference["draw_result"], rtol=1e-4, atol=1e-6)


def original_boxes(labels: np.ndarray, mirrored: bool = False) -> torch.Tensor:
    """Corners (N, 4) in a 576x320 input, as the original computes them from a 960x540 image's label file.

    Rows are class, id, centre x, centre y, width, height as fractions of the image. The original's labels are mirrored
    within the image and then moved by half of what the rounded image leaves free, be it half a pixel.
    """
    _, _, x, y, width, height = torch.tensor(labels).T
    ratio = min(576 / 960, 320 / 540)
    pad_x, pad_y = (576 - round(960 * ratio)) / 2, (320 - round(540 * ratio)) / 2
    x = 1 - x if mirrored else x
    low = torch.stack([ratio * 960 * (x - width / 2) + pad_x, ratio * 540 * (y - height / 2) + pad_y], -1)
    size = torch.stack([ratio * 960 * width, ratio * 540 * height], -1)
    return torch.cat([low, low + size], -1).float()


@pytest.mark.parametrize("index", TARGET_CASES)
def test_targets_reference(index):
    reference = np.load(REFERENCE / "targets_noaug_576x320.npz")
    assert reference[f"{index}/image_hw"].tolist() == [540, 960]
    boxes = original_boxes(reference[f"{index}/labels_file"])[None]
    present = torch.ones(boxes.shape[:2], dtype=torch.bool)
    targets = make_targets(boxes, present, (576, 320), 0.7)
    count = boxes.shape[1]
    assert reference[f"{index}/num_objs"].item() == count
    # The original's table has 128 rows, of which the first are used; ours has as many as there are objects.
    assert reference[f"{index}/reg_mask"].tolist() == [1] * count + [0] * (128 - count)
    assert reference[f"{index}/ids"][:count].tolist() == list(range(count))  # every object is a class of its own
    np.testing.assert_array_equal(targets.cells[0], reference[f"{index}/ind"][:count])
    np.testing.assert_allclose(targets.heatmap[0], reference[f"{index}/hm"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(targets.sizes[0], reference[f"{index}/wh"][:count], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(targets.offsets[0], reference[f"{index}/reg"][:count], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("index", TARGET_CASES)
def test_mirrored_targets_reference(index):
    """Object n of the mirrored view is object n of the first, in the original's cell. The original mirrors the image
    within its bars, we mirror bars and all: 0.11 pixels apart here, where 960 * 320 / 540 = 568.89 pixels became
    569."""
    reference = np.load(REFERENCE / "targets_noaug_576x320.npz")
    labels = reference[f"{index}/labels_file"]
    count = len(labels)
    assert reference[f"{index}/flipped_num_objs"].item() == reference[f"{index}/flipped_reg_mask"].sum() == count
    assert reference[f"{index}/flipped_ids"][:count].tolist() == list(range(count))
    boxes = original_boxes(labels, mirrored=True)
    present = torch.ones(1, count, dtype=torch.bool)
    cells = make_targets(boxes[None], present, (576, 320), 0.7).cells[0]
    np.testing.assert_array_equal(cells, reference[f"{index}/flipped_ind"][:count])
    still = dataclasses.replace(VIEWS, min_box_side=0, min_box_area_ratio=0, max_box_aspect=1000)
    matrix = mirror_matrix(torch.ones(1, 1, dtype=torch.bool), 576)
    ours, _ = warp_boxes(original_boxes(labels)[None], matrix, torch.zeros(1, 1), (576, 320), still)
    apart = ours[0, 0] - boxes
    inside = (boxes[:, 0] > 1) & (boxes[:, 2] < 575)  # others are clipped
    torch.testing.assert_close(apart[inside][:, 0], torch.full((int(inside.sum()),), 1 / 9), atol=1e-3, rtol=0)


def test_people_who_share_a_cell_in_the_reference():
    """In one of the original's own items two people have one centre cell, so that one vector was its own negative."""
    reference = np.load(REFERENCE / "targets_noaug_576x320.npz")
    cells = torch.tensor(np.stack([reference["150/ind"], reference["150/flipped_ind"]]))[:, None]
    present = torch.tensor(np.stack([reference["150/reg_mask"], reference["150/flipped_reg_mask"]]))[:, None].bool()
    assert shared_cells(cells, present)[0].nonzero().tolist() == [[17, 19], [19, 17]]


@pytest.mark.parametrize("seed", range(5))
def test_augmented_labels_reference(seed):
    """The original's random draws, made again, through our matrices and our box arithmetic.

    Conventions that differ: the original shifts x by a share of the height and y by a share of the width, we each by
    its own; it puts labels half a pixel off the pixels where the bars are odd (`original_boxes`); it mirrors within the
    bars (see above). The first is given to our matrix, the second to our boxes; the third is up to 1/9 pixel times
    the zoom.
    """
    reference = np.load(REFERENCE / "augment_labels_576x320.npz")
    width, height = size = (576, 320)
    params = dataclasses.replace(VIEWS, min_box_side=4, min_box_area_ratio=0.1, max_box_aspect=10)
    labels = reference[f"{seed}/labels_file"]
    draws = random.Random(seed)

    def uniform(low, high):
        return low + (high - low) * draws.random()

    mirrored = draws.random() > 0.5
    for name in ("orig", "flipped"):
        draws.random(), draws.random()  # saturation and value
        angle, zoom = math.radians(uniform(-5, 5)), uniform(0.5, 1.2)
        shift = uniform(-0.1, 0.1) * height, uniform(-0.1, 0.1) * width
        shear = math.radians(uniform(-2, 2)), math.radians(uniform(-2, 2))
        angle, zoom, *rest = torch.tensor([angle, zoom, *shift, *shear], dtype=torch.float64)
        matrix = affine_matrix(angle, zoom, tuple(rest[:2]), tuple(rest[2:]), size).float()
        matrix = matrix @ mirror_matrix(torch.tensor(mirrored), width)
        expected = reference[f"{seed}/{name}_labels"]
        centres, sides = expected[:, 2:4] * size, expected[:, 4:6] * size
        expected_boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
        whole = fit_letterbox((960, 540), size)[0].pad_x - 3.5
        for source, allowed in (
            (original_boxes(labels), 0.14 if mirrored else 1e-3),
            # Boxes where our letterbox really puts the pixels: half a pixel to the left, times the zoom.
            (original_boxes(labels) + torch.tensor([whole, 0, whole, 0]), 0.75),
        ):
            boxes, usable = warp_boxes(source[None], matrix[None, None], angle.float()[None, None], size, params)
            kept = usable[0, 0]
            assert kept.nonzero().flatten().tolist() == expected[:, 1].tolist()
            np.testing.assert_allclose(boxes[0, 0][kept], expected_boxes, atol=allowed, rtol=0)
        mirrored = not mirrored  # the second view mirrors the first


@pytest.mark.parametrize("case", ["affine", "affine1"])
def test_warped_boxes_reference(case):
    reference = np.load(REFERENCE / "geometry.npz")
    given = torch.tensor(reference["affine/in_targets"])
    matrix = torch.tensor(reference[f"{case}/M"])
    # The rotation alone, from the two entries that shear and shift leave their mark on last; the original knows it.
    angle = rotation_of(matrix)
    params = dataclasses.replace(VIEWS, min_box_side=4, min_box_area_ratio=0.1, max_box_aspect=10)
    boxes, usable = warp_boxes(given[None, :, 2:6], matrix[None, None], angle[None, None], (576, 320), params)
    expected = reference[f"{case}/out_targets"]
    assert [int(i) for i in given[usable[0, 0], 1]] == [int(i) for i in expected[:, 1]]
    np.testing.assert_allclose(boxes[0, 0][usable[0, 0]], expected[:, 2:6], rtol=1e-5, atol=2e-3)


def rotation_of(matrix: torch.Tensor) -> torch.Tensor:
    """Angle of R in M = S(shear) T R(angle, zoom), by searching the shears the matrix allows."""
    # M's linear part is [[1, tx], [ty, 1]] @ zoom * [[c, s], [-s, c]]: four equations, four unknowns.
    from scipy.optimize import fsolve

    linear = matrix[:2, :2].double().numpy()

    def residual(unknowns):
        angle, zoom, shear_x, shear_y = unknowns
        turn = zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return (np.array([[1, shear_x], [shear_y, 1]]) @ turn - linear).ravel()

    # Rotation and shear trade off; the published draws say the angle's sign, the determinant fixes the zoom.
    start = [np.arctan2(linear[0, 1] - linear[1, 0], linear[0, 0] + linear[1, 1]), 1.0, 0.0, 0.0]
    return torch.tensor(fsolve(residual, start)[0])


def test_more_boxes_than_any_table_are_fine():
    boxes = torch.rand(1, 400, 2) * 200
    boxes = torch.cat([boxes, boxes + 20], -1)
    targets = make_targets(boxes, torch.ones(1, 400, dtype=torch.bool), (448, 256), 0.7)
    assert targets.present.sum() == 400
    assert len(torch.unique(targets.cells[targets.heatmap.flatten(1).gather(1, targets.cells) == 1])) > 100


def test_still_view_is_the_letterboxed_frame():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    boxes = np.array([[10, 12, 40, 60]])
    views = make_views(batch_of(image, boxes), STILL, 1, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(views.images[0, 0].permute(1, 2, 0), image / 255, atol=1e-5)
    np.testing.assert_allclose(views.boxes[0, 0], boxes, atol=1e-4)
    assert views.present.all()


def test_second_view_mirrors_pixels_and_boxes_alike():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    views = make_views(batch_of(image, np.array([[10, 12, 40, 60]])), STILL, 2, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(views.images[1], views.images[0].flip(-1), atol=1e-5)
    np.testing.assert_allclose(views.boxes[1, 0], [[96 - 40, 12, 96 - 10, 60]], atol=1e-4)


def test_boxes_stay_on_the_pixels_they_frame():
    """A bright rectangle is found by its pixels in every random view, where its box says it is."""
    image = np.zeros((256, 448, 3), np.uint8)
    image[100:180, 200:240] = 255
    params = dataclasses.replace(VIEWS, rotate=0, shear=0, saturation=0, value=0)
    generator = torch.Generator().manual_seed(5)
    for _ in range(10):
        views = make_views(batch_of(image, np.array([[200, 100, 240, 180]])), params, 2, generator)
        for view in range(2):
            bright = (views.images[view, 0, 0] > 0.75).numpy()
            rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
            found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(views.boxes[view, 0, 0], found, atol=1.0)


def test_warp_agrees_with_opencv():
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8), (9, 9), 3)
    matrices, _ = random_affine((1, 1), (128, 96), VIEWS, torch.Generator().manual_seed(2))
    ours = warp(torch.from_numpy(image.transpose(2, 0, 1).copy()).float()[None], matrices[0])[0]
    # OpenCV counts from pixel centres: conjugate by the half pixel.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    centred = np.linalg.inv(half) @ matrices[0, 0].double().numpy() @ half
    theirs = cv2.warpAffine(image.astype(np.float32), centred[:2], (128, 96))
    difference = np.abs(ours.permute(1, 2, 0).numpy() - theirs)
    assert np.median(difference) < 0.5
    assert np.quantile(difference, 0.98) < 4  # OpenCV rounds positions to 1/32 pixel


def test_jitter_is_hsv_scaling():
    import colorsys

    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(1, 3, 8, 8, generator=generator)
    for saturation, value in ((1.4, 0.7), (0.5, 1.5), (1.0, 1.0)):
        out = jitter_saturation_value(colours, torch.tensor([saturation]), torch.tensor([value]))
        for y, x in ((0, 0), (3, 5), (7, 7)):
            h, s, v = colorsys.rgb_to_hsv(*colours[0, :, y, x].tolist())
            expected = colorsys.hsv_to_rgb(h, min(1, s * saturation), min(1, v * value))
            np.testing.assert_allclose(out[0, :, y, x], expected, atol=1e-5)


@pytest.fixture(scope="module")
def pictures():
    """(4, 3, H, W) in 0..1: noise, a smooth ramp, greys and extreme colours."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 24, 32, generator=generator)
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 24, 32) * torch.tensor([1.0, 0.6, 0.2]).view(1, 3, 1, 1)
    grey = noise[:, :1].expand(1, 3, 24, 32)
    return torch.cat([noise, ramp, grey, noise.round()])


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (scale_brightness, functional.adjust_brightness, (0.2, 1.0, 1.5, 1.8)),
        (scale_contrast, functional.adjust_contrast, (0.2, 1.0, 1.5, 1.8)),
        (scale_saturation, functional.adjust_saturation, (0.2, 1.0, 1.5, 1.8)),
        (turn_hue, functional.adjust_hue, (-0.5, -0.2, 0.1, 0.5)),
    ],
)
def test_colour_changes_are_torchvisions(pictures, ours, theirs, factors):
    """SimCLR's jitter is torchvision's; ours gives every image of a batch its own factor. The greys differ by 0.0001:
    BT.601 weighs red by 0.299, torchvision by 0.2989."""
    for turn in range(len(factors)):
        turned = factors[turn:] + factors[:turn]
        expected = torch.stack([theirs(image, f) for image, f in zip(pictures, turned, strict=True)])
        torch.testing.assert_close(ours(pictures, torch.tensor(turned)), expected, atol=3e-4, rtol=0)


def test_the_whole_jitter_is_torchvisions(pictures):
    """All four in the drawn order, with draws repeated here from the same generator."""
    params = dataclasses.replace(VIEWS, colour="simclr", colour_probability=0.7)
    drawn, recolour = random_colours((2, 4), params, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    changes = (2 * torch.rand(4, 2, 4, generator=generator) - 1) * torch.tensor([0.8, 0.8, 0.8, 0.2]).view(4, 1, 1)
    changes *= torch.rand(2, 4, generator=generator) < 0.7
    assert (changes == 0).any()
    assert (changes != 0).any()
    steps = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    for view in range(2):
        order = torch.randperm(4, generator=generator).tolist()
        for number, picture in enumerate(pictures):
            expected = picture
            for which in order:
                change = float(changes[which, view, number])
                expected = functional.adjust_hue(expected, change) if which == 3 else steps[which](expected, 1 + change)
            torch.testing.assert_close(
                recolour(pictures, view, drawn[:, view], None)[number], expected, atol=1e-3, rtol=0
            )


def test_colour_changes_leave_their_input_alone(pictures):
    before = pictures.clone()
    for colour in ("hsv", "simclr"):
        params = dataclasses.replace(VIEWS, colour=colour)
        drawn, recolour = random_colours((1, 4), params, torch.Generator())
        recolour(pictures, 0, drawn[:, 0], None)
        assert torch.equal(pictures, before)


def test_blur_is_opencvs_and_torchvisions(pictures):
    sigmas = torch.tensor([0.0, 0.5, 1.1, 2.0])
    blurred = gaussian_blur(pictures, sigmas)
    assert torch.equal(blurred[0], pictures[0])
    length = 2 * 6 + 1  # three standard deviations of the widest
    for number in (1, 2, 3):
        sigma = float(sigmas[number])
        edges = cv2.GaussianBlur(
            pictures[number].permute(1, 2, 0).numpy(),
            (length, length),
            sigma,
            borderType=cv2.BORDER_REPLICATE,
        )
        np.testing.assert_allclose(blurred[number].permute(1, 2, 0), edges, atol=1e-5)
        middle = functional.gaussian_blur(pictures[number], length, sigma)  # reflects at the edges
        torch.testing.assert_close(blurred[number, :, 6:-6, 6:-6], middle[:, 6:-6, 6:-6])


def test_half_precision_is_for_the_network_alone():
    """Under autocast the views are the same to the last bit: in bfloat16 boxes were up to 3 pixels off."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    batch = batch_of(image, np.array([[10, 12, 40, 60]]))
    params = dataclasses.replace(VIEWS, blur_probability=1.0)
    plain = make_views(batch, params, 2, torch.Generator().manual_seed(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = make_views(batch, params, 2, torch.Generator().manual_seed(4))
    assert torch.equal(plain.images, inside.images)
    assert torch.equal(plain.boxes, inside.boxes)


def test_coordinates_are_not_rounded_to_tf32(monkeypatch):
    """Trainings allow TF32 on CUDA, in whose 11 bits a coordinate of 1000 would be up to a quarter of a pixel off, and
    with it every target. Only CUDA knows TF32, so elsewhere the permission is all that can be looked at."""
    image = np.random.default_rng(0).integers(0, 256, (608, 1088, 3), np.uint8)
    batch = batch_of(image, np.array([[1000.3, 500.7, 1060.3, 590.9]]))
    expected = make_views(batch, VIEWS, 2, torch.Generator().manual_seed(4)).boxes
    permissions = []

    def spy(*given):
        permissions.append(torch.get_float32_matmul_precision())
        return warp_boxes(*given)

    monkeypatch.setattr("clmot.data.views.warp_boxes", spy)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        views = make_views(batch.to(device), VIEWS, 2, torch.Generator().manual_seed(4))
    finally:
        torch.set_float32_matmul_precision(allowed)
    assert permissions == ["highest"]
    torch.testing.assert_close(views.boxes.cpu(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("colour", ["hsv", "simclr"])
def test_draws_do_not_depend_on_the_device(colour, monkeypatch):
    """On a device without memory nothing is computed, but all is drawn: as many numbers as on the CPU, from the
    generator of the CPU alone. With CUDA, the views are the same as well."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    batch = batch_of(image, np.array([[10, 12, 40, 60]]))
    batch = dataclasses.replace(batch, previous=batch)
    params = dataclasses.replace(VIEWS, colour=colour, blur_probability=0.5)
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    first = make_views(batch, params, 2, generators[0])
    with monkeypatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # unknown to this device
        elsewhere = make_views(batch.to(torch.device("meta")), params, 2, generators[1])
    assert elsewhere.images.device.type == "meta"
    assert elsewhere.images.shape == first.images.shape == (4, 1, 3, 64, 96)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    if torch.cuda.is_available():
        second = make_views(batch.to(torch.device("cuda")), params, 2, torch.Generator().manual_seed(4))
        torch.testing.assert_close(second.boxes.cpu(), first.boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(second.images.cpu(), first.images, atol=1e-3, rtol=0)


def test_mirrored_boxes_are_exact():
    """x -> W - x to the last bit, for boxes on eighths of a pixel, of which float32 holds all."""
    boxes = torch.randint(0, 8 * 1000, (2, 50, 4), generator=torch.Generator().manual_seed(0)) / 8
    boxes = torch.cat(
        [torch.minimum(boxes[..., :2], boxes[..., 2:]), torch.maximum(boxes[..., :2], boxes[..., 2:])], -1
    )
    flips = torch.tensor([[False, True], [True, False]])
    size = (1088, 1024)
    mirrored, _ = warp_boxes(boxes, mirror_matrix(flips, 1088), torch.zeros(2, 2), size, STILL)
    other_way = torch.stack([1088 - boxes[..., 2], boxes[..., 1], 1088 - boxes[..., 0], boxes[..., 3]], -1)
    assert torch.equal(mirrored, torch.where(flips[..., None, None], other_way, boxes))


def test_what_is_forgiven_moves_as_boxes_do():
    """In every view where a box of the same corners is, which is a point where the view left it out."""
    corners = [[10.0, 12, 40, 60], [80, 5, 95, 50]]
    batch = batch_of(np.zeros((64, 96, 3), np.uint8), np.array(corners), corners)
    views = make_views(batch, dataclasses.replace(VIEWS, flip=1.0, translate=0.3), 3, torch.Generator().manual_seed(1))
    assert torch.equal(views.forgiven, views.boxes)
    assert not torch.equal(views.forgiven[0], views.forgiven[1])
    # The frame before teaches no detection.
    both = make_views(dataclasses.replace(batch, previous=batch), VIEWS, 2, torch.Generator().manual_seed(1))
    assert both.forgiven[:2].any()
    assert not both.forgiven[2:].any()


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ([4.0, 8, 12, 16], [(2, 1), (2, 2), (3, 1), (3, 2)]),
        ([4.0, 8, 9, 13], [(2, 1)]),  # a cell whose middle is outside is not forgiven
        ([-9.0, -9, 4, 4], [(0, 0)]),
        ([5.0, 9, 5, 9], []),
    ],
)
def test_cells_that_teach_nothing(box, cells):
    boxes, present = torch.tensor([[[20.0, 4, 28, 28]]]), torch.ones(1, 1, dtype=torch.bool)
    plain = make_targets(boxes, present, (32, 32), 0.7).heatmap[0, 0]
    forgiven = make_targets(boxes, present, (32, 32), 0.7, torch.tensor([[box, [0.0] * 4]])).heatmap[0, 0]
    assert [tuple(cell) for cell in (forgiven != plain).nonzero().tolist()] == cells
    assert all(forgiven[cell] == FORGIVEN < 1 for cell in cells)
    # No one's centre is forgotten, whatever is forgiven around it.
    around = make_targets(boxes, present, (32, 32), 0.7, torch.tensor([[[0.0, 0, 32, 32]]])).heatmap[0, 0]
    assert torch.equal(around == 1, plain == 1)
    assert (around >= FORGIVEN).all()


def test_views_are_drawn_for_every_frame_and_view_apart():
    """Two copies of a frame in a batch do not get the same views, nor do the two views of one frame."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    one = batch_of(image, np.array([[10, 12, 40, 60]]))
    fields = {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}
    tensors = {name: torch.cat([value, value]) for name, value in fields.items() if torch.is_tensor(value)}
    for colour in ("hsv", "simclr"):
        params = dataclasses.replace(VIEWS, colour=colour, colour_probability=1.0, blur_probability=1.0)
        views = make_views(Batch(**tensors, indices=(0, 1)), params, 2, torch.Generator().manual_seed(0))
        pictures = views.images.flatten(0, 1)
        for first in range(4):
            for second in range(first):
                assert (pictures[first] - pictures[second]).abs().max() > 0.1
                assert not torch.equal(views.boxes.flatten(0, 1)[first], views.boxes.flatten(0, 1)[second])


def test_jitter_leaves_the_bars_grey():
    image = np.full((64, 96, 3), 128, np.uint8)
    image[:, 20:76] = 200
    batch = dataclasses.replace(batch_of(image, np.zeros((0, 4))), content=torch.tensor([[20.0, 0.0, 76.0, 64.0]]))
    params = dataclasses.replace(STILL, value=0.5)
    views = make_views(batch, params, 1, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(views.images[0, 0, :, :, :19], 0.5, atol=1e-5)
    assert abs(float(views.images[0, 0, 0, 30, 48]) - 200 / 255) > 0.01


def test_contrast_is_the_picture_s_not_the_bars():
    """A picture of one colour has no contrast to change, whatever stands beside it."""
    image = np.full((64, 96, 3), 128, np.uint8)
    image[:, 20:76] = 30
    batch = dataclasses.replace(batch_of(image, np.zeros((0, 4))), content=torch.tensor([[20.0, 0.0, 76.0, 64.0]]))
    params = dataclasses.replace(STILL, colour="simclr", colour_strength=(0.0, 0.8, 0.0, 0.0), colour_probability=1.0)
    views = make_views(batch, params, 2, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(views.images[..., 22:74], 30 / 255, atol=1e-5)


def test_views_may_keep_different_objects():
    params = dataclasses.replace(STILL, translate=0.6)
    image = np.zeros((64, 96, 3), np.uint8)
    boxes = np.array([[1, 5, 15, 40], [80, 5, 95, 40]])
    generator = torch.Generator().manual_seed(0)
    kept = [make_views(batch_of(image, boxes), params, 2, generator).present for _ in range(20)]
    assert any((k[0] != k[1]).any() for k in kept)


def test_views_depend_on_the_generator_alone():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    batch = batch_of(image, np.array([[10, 12, 40, 60]]))
    first, again, other = (
        make_views(batch, VIEWS, 2, torch.Generator().manual_seed(seed)).images for seed in (4, 4, 5)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_mirroring_twice_is_nothing():
    flips = torch.tensor([True, False])
    torch.testing.assert_close(mirror_matrix(flips, 96) @ mirror_matrix(flips, 96), torch.eye(3).expand(2, 3, 3))


def test_a_frame_without_people_has_views_and_targets():
    image = np.zeros((64, 96, 3), np.uint8)
    views = make_views(batch_of(image, np.zeros((0, 4))), VIEWS, 2, torch.Generator().manual_seed(0))
    targets = make_targets(views.boxes.flatten(0, 1), views.present.flatten(0, 1), (96, 64), 0.7)
    assert views.present.shape == (2, 1, 0)
    assert targets.heatmap.shape == (2, 1, 16, 24)
    assert targets.heatmap.sum() == 0
