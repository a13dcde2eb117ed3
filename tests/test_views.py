"""Letterbox, views and targets: arithmetic against the original's numbers, pixels against boxes."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from clmot.data.frames import Batch
from clmot.data.images import fit_letterbox, letterbox
from clmot.data.targets import draw_gaussians, gaussian_radius, make_targets
from clmot.data.views import (
    affine_matrix,
    jitter_saturation_value,
    make_views,
    mirror_matrix,
    random_affine,
    warp,
    warp_boxes,
)
from clmot.losses.contrastive import shared_cells
from clmot.params import load_params

REFERENCE = Path(__file__).parent / "reference"
TARGET_CASES = sorted({key.split("/")[0] for key in np.load(REFERENCE / "targets_noaug_576x320.npz")})
VIEWS = load_params(Path(__file__).parents[1] / "params.yaml").views
STILL = dataclasses.replace(
    VIEWS, flip=0.0, saturation=0.0, value=0.0, rotate=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0
)


def batch_of(image: np.ndarray, boxes: np.ndarray) -> Batch:
    """One frame (H, W, 3) RGB as a batch."""
    height, width = image.shape[:2]
    return Batch(
        torch.from_numpy(image.transpose(2, 0, 1).copy())[None],
        torch.tensor(boxes, dtype=torch.float32)[None],
        torch.ones(1, len(boxes), dtype=torch.bool),
        torch.tensor([[0.0, 0.0, width, height]]),
        torch.full((1, len(boxes)), -1),
        (0,),
    )


@pytest.mark.parametrize("index", range(4))
def test_letterbox_reference(index):
    """The original pads by halves of pixels; real padding is whole, so ours may differ from it by that half."""
    reference = np.load(REFERENCE / "geometry.npz")
    height, width = reference[f"{index}/in_hw"]
    target_height, target_width = reference[f"{index}/target_hw"]
    canvas, fit = letterbox(np.zeros((height, width, 3), np.uint8), (target_width, target_height))
    ratio, pad_x, pad_y = reference[f"{index}/ratio_padw_padh"]
    assert canvas.shape == tuple(reference[f"{index}/out_shape"])
    np.testing.assert_allclose(fit.scale, ratio)
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
    np.testing.assert_allclose(inside, [53, 0, 53 + 640 * 256 / 480, 256])


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
    assert reference[f"{index}/ids"][:count].tolist() == list(
        range(count)
    )  # every object is a class of its own
    np.testing.assert_array_equal(targets.cells[0], reference[f"{index}/ind"][:count])
    np.testing.assert_allclose(targets.heatmap[0], reference[f"{index}/hm"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(targets.sizes[0], reference[f"{index}/wh"][:count], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(targets.offsets[0], reference[f"{index}/reg"][:count], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("index", TARGET_CASES)
def test_mirrored_targets_reference(index):
    """Object n of the mirrored view is object n of the first, in the original's cell. The original mirrors the image
    within its bars, we mirror bars and all: 0.11 pixels apart here, where 960 * 320 / 540 = 568.89 pixels became 569."""
    reference = np.load(REFERENCE / "targets_noaug_576x320.npz")
    labels = reference[f"{index}/labels_file"]
    count = len(labels)
    assert (
        reference[f"{index}/flipped_num_objs"].item() == reference[f"{index}/flipped_reg_mask"].sum() == count
    )
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
    torch.testing.assert_close(
        apart[inside][:, 0], torch.full((int(inside.sum()),), 1 / 9), atol=1e-3, rtol=0
    )


def test_people_who_share_a_cell_in_the_reference():
    """In one of the original's own items two people have one centre cell, so that one vector was its own negative."""
    reference = np.load(REFERENCE / "targets_noaug_576x320.npz")
    cells = torch.tensor(np.stack([reference["150/ind"], reference["150/flipped_ind"]]))[:, None]
    present = torch.tensor(np.stack([reference["150/reg_mask"], reference["150/flipped_reg_mask"]]))[
        :, None
    ].bool()
    assert shared_cells(cells, present)[0].nonzero().tolist() == [[17, 19], [19, 17]]


@pytest.mark.parametrize("seed", range(5))
def test_augmented_labels_reference(seed):
    """The original's random draws, made again, through our matrices and our box arithmetic.

    Conventions that differ: the original shifts x by a share of the height and y by a share of the width, we each by its
    own; it puts labels half a pixel off the pixels where the bars are odd (`original_boxes`); it mirrors within the
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
            boxes, usable = warp_boxes(
                source[None], matrix[None, None], angle.float()[None, None], size, params
            )
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
    views = make_views(
        batch_of(image, np.array([[10, 12, 40, 60]])), STILL, 2, torch.Generator().manual_seed(0)
    )
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


def test_jitter_leaves_the_bars_grey():
    image = np.full((64, 96, 3), 128, np.uint8)
    image[:, 20:76] = 200
    batch = dataclasses.replace(
        batch_of(image, np.zeros((0, 4))), content=torch.tensor([[20.0, 0.0, 76.0, 64.0]])
    )
    params = dataclasses.replace(STILL, value=0.5)
    views = make_views(batch, params, 1, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(views.images[0, 0, :, :, :19], 0.5, atol=1e-5)
    assert abs(float(views.images[0, 0, 0, 30, 48]) - 200 / 255) > 0.01


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
    torch.testing.assert_close(
        mirror_matrix(flips, 96) @ mirror_matrix(flips, 96), torch.eye(3).expand(2, 3, 3)
    )


def test_a_frame_without_people_has_views_and_targets():
    image = np.zeros((64, 96, 3), np.uint8)
    views = make_views(batch_of(image, np.zeros((0, 4))), VIEWS, 2, torch.Generator().manual_seed(0))
    targets = make_targets(views.boxes.flatten(0, 1), views.present.flatten(0, 1), (96, 64), 0.7)
    assert views.present.shape == (2, 1, 0)
    assert targets.heatmap.shape == (2, 1, 16, 24)
    assert targets.heatmap.sum() == 0
