"""From maps to boxes, against the original's decoding and on maps it never met."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.images import STRIDE, fit_letterbox
from clmot.models.decode import decode, find_peaks, gather_cells


def reference(name: str) -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).parents[1] / "reference" / name) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def logits(heat: torch.Tensor) -> torch.Tensor:
    return torch.logit(heat.double()).float()


@pytest.mark.parametrize("variant", ["", "_noreg"])
def test_reference_peaks_and_boxes(variant: str) -> None:
    maps = reference("decode.npz")
    peaks = decode(logits(maps["heat"]), maps["wh"], None if variant else maps["reg"], int(maps["K"]))
    wanted = maps[f"det{variant}"]  # (B, K, 6): x1 y1 x2 y2 score class
    torch.testing.assert_close(peaks.boxes, wanted[..., :4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(peaks.scores, wanted[..., 4], rtol=1e-4, atol=1e-5)
    assert torch.equal(peaks.cells, maps[f"inds{variant}"])


def test_reference_boxes_from_four_sides() -> None:
    maps, sides = reference("decode.npz"), reference("decode_fairmot_ltrb.npz")
    peaks = decode(logits(maps["heat"]), sides["wh4"], maps["reg"], int(maps["K"]))
    torch.testing.assert_close(peaks.boxes, sides["det"][..., :4], rtol=1e-4, atol=1e-5)
    assert torch.equal(peaks.cells, sides["inds"])


def test_reference_peaks_are_those_left_by_non_maximum_suppression() -> None:
    maps = reference("decode.npz")
    left = maps["nms"].flatten(1)
    peaks = decode(logits(maps["heat"]), maps["wh"], maps["reg"], left.shape[1])
    torch.testing.assert_close(torch.zeros_like(left).scatter(1, peaks.cells, peaks.scores), left)


def test_reference_boxes_in_image_pixels() -> None:
    """From cells to a 960x540 image. The original takes image and bars for wider than they are by a part of a pixel;
    ours are whole pixels, and boxes lie where the pixels are: within half a pixel of the input beside the
    original's."""
    maps = reference("decode.npz")
    width, height = (int(centre * 2) for centre in maps["post_c"])
    rows, columns = maps["post_hw_out"].tolist()
    # The side of the square that the original takes for the image, from the aspect of its network's input.
    assert float(maps["post_s"]) == pytest.approx(max(columns / rows * height, width))
    size = columns * STRIDE, rows * STRIDE
    fit, resized = fit_letterbox((width, height), size)
    peaks = decode(logits(maps["heat"]), maps["wh"], maps["reg"], int(maps["K"]))
    in_input = peaks.boxes[0].double().numpy() * STRIDE
    ours = fit.to_image(in_input)
    wanted = maps["post_det_xyxy_score"].numpy()
    scale = size[1] / height
    assert resized[1] == size[1]  # no bars above and below
    bar = np.array([(size[0] - width * scale) / 2, 0] * 2)
    np.testing.assert_allclose((in_input - bar) / scale, wanted[:, :4], atol=1e-3)
    inside = (wanted[:, :4] >= 0) & (wanted[:, :4] <= [width, height] * 2)
    assert inside.any()
    assert (np.abs(ours - wanted[:, :4]) * scale)[inside].max() <= 0.5
    np.testing.assert_allclose(peaks.scores[0], wanted[:, 4], rtol=1e-4)


def test_equal_scores_are_ordered_by_cell() -> None:
    heat = torch.full((2, 1, 8, 8), -20.0)
    heat[:, :, ::3, ::3] = 2.0
    peaks = decode(heat, torch.ones(2, 2, 8, 8), None, 9)
    assert peaks.cells.tolist() == [[y * 8 + x for y in (0, 3, 6) for x in (0, 3, 6)]] * 2


def test_certain_neighbours_are_one_peak() -> None:
    """Logits of 20 and 21 both round to probability 1, yet only one of them is the peak."""
    heat = torch.full((1, 1, 4, 4), -20.0)
    heat[0, 0, 1, 1:3] = torch.tensor([20.0, 21.0])
    peaks = decode(heat, torch.ones(1, 2, 4, 4), None, 2)
    assert peaks.cells[0, 0] == 6
    assert peaks.scores[0, 1] < 0.01


def test_more_peaks_asked_for_than_cells() -> None:
    peaks = decode(torch.randn(2, 1, 3, 4), torch.rand(2, 2, 3, 4), torch.rand(2, 2, 3, 4), 500)
    assert peaks.boxes.shape == (2, 12, 4)
    assert peaks.scores.shape == peaks.cells.shape == (2, 12)
    assert peaks.cells.sort(dim=1).values.tolist() == [list(range(12))] * 2


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(st.integers(0, 9 * 11 - 1), unique=True, min_size=1, max_size=6),
    seed=st.integers(0, 2**16),
)
def test_drawn_boxes_come_back(cells: list[int], seed: int) -> None:
    """Whatever boxes are written into the maps at cells that do not touch are read from them."""
    apart: list[int] = []
    for cell in cells:
        if all(max(abs(cell // 11 - o // 11), abs(cell % 11 - o % 11)) > 1 for o in apart):
            apart.append(cell)
    generator = np.random.default_rng(seed)
    index = torch.tensor(apart)
    heat, wh, reg = torch.full((1, 1, 99), -9.0), torch.zeros(1, 2, 99), torch.zeros(1, 2, 99)
    heat[0, 0, index] = torch.from_numpy(generator.permutation(len(apart)).astype(np.float32))
    wh[0, :, index] = torch.from_numpy(generator.uniform(1, 9, (2, len(apart))).astype(np.float32))
    reg[0, :, index] = torch.from_numpy(generator.random((2, len(apart)), np.float32))
    peaks = decode(heat.view(1, 1, 9, 11), wh.view(1, 2, 9, 11), reg.view(1, 2, 9, 11), len(apart))
    order = heat[0, 0, index].argsort(descending=True)
    assert torch.equal(peaks.cells[0], index[order])
    centre = torch.stack((index % 11, index // 11)) + reg[0, :, index]
    wanted = torch.cat((centre - wh[0, :, index] / 2, centre + wh[0, :, index] / 2)).T[order]
    torch.testing.assert_close(peaks.boxes[0], wanted)


def test_gathered_columns() -> None:
    values = torch.arange(2 * 3 * 2 * 4).view(2, 3, 2, 4)
    gathered = gather_cells(values, torch.tensor([[5, 0], [7, 7]]))
    assert gathered.shape == (2, 2, 3)
    assert gathered[0, 0].tolist() == values[0, :, 1, 1].tolist()
    assert gathered[1, 1].tolist() == values[1, :, 1, 3].tolist()


@pytest.mark.parametrize("k", [1, 7, 40, 300])
def test_equal_scores_are_taken_by_cell_as_a_stable_sort_would(k: int) -> None:
    torch.manual_seed(k)
    logits = torch.randint(-3, 3, (4, 1, 12, 17)).float()  # many peaks of few heights
    logits[3] = 1.0  # all are peaks, and equal
    is_peak = F.max_pool2d(logits, 3, 1, 1) == logits
    heat = torch.where(is_peak, logits.sigmoid(), 0.0).flatten(1)
    wanted = heat.argsort(dim=1, descending=True, stable=True)[:, :k]
    cells, scores = find_peaks(logits, k)
    assert torch.equal(cells, wanted)
    assert torch.equal(scores, heat.gather(1, wanted))
