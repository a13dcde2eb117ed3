"""Embeddings that are not the network's: controls, a bound, and other people's files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from clmot.errors import InputError
from clmot.inference.embeddings import Embed, Embedded, colour_histograms, embedder
from clmot.inference.pipeline import Detections, Image
from clmot.motchallenge.splits import FrameRange

FRAMES = FrameRange(8, 12)
BLACK = np.zeros((60, 100, 3), np.uint8)


def source(frame: int, image: Image) -> Detections:
    return Detections(np.array([[10.0, 10, 20, 30], [50, 10, 60, 30]]), np.array([0.9, 0.8]), None)


def embed(name: str, folder: Path = Path(), detections: str = "network") -> Embed:
    found = embedder(name, detections, folder, "MOT17-02", FRAMES)
    assert found is not None
    return found


def test_network_and_none_add_nothing(tmp_path: Path) -> None:
    assert embedder("network", "network", tmp_path, "MOT17-02", FRAMES) is None
    assert embedder("none", "network", tmp_path, "MOT17-02", FRAMES) is None


def test_a_constant_is_the_same_for_everyone() -> None:
    found = Embedded(source, embed("constant"))(1, BLACK)
    assert found.embeddings is not None
    assert found.embeddings.tolist() == [[1.0], [1.0]]
    assert found.boxes.tolist() == source(1, BLACK).boxes.tolist()


class TestColour:
    def test_halves_are_told_apart(self) -> None:
        image = BLACK.copy()
        image[10:20, 10:20], image[20:30, 10:20] = (0, 0, 255), (255, 0, 0)  # red above blue
        image[10:20, 50:60], image[20:30, 50:60] = (255, 0, 0), (0, 0, 255)
        boxes = np.array([[10.0, 10, 20, 30], [50, 10, 60, 30], [10, 10, 20, 30]])
        found = colour_histograms(image, boxes)
        assert found.shape == (3, 2 * 8**3)
        assert (found**2).sum(axis=1).tolist() == pytest.approx([2, 2, 2]), "each half's shares add up to 1"
        assert (found @ found.T).tolist() == [[2, 0, 2], [0, 2, 0], [2, 0, 2]]

    def test_light_and_colour_count(self) -> None:
        shades = cv2.cvtColor(np.array([[[0, 255, 250], [0, 255, 100], [90, 255, 250]]], np.uint8), cv2.COLOR_HSV2BGR)[
            0
        ]
        image = BLACK.copy()
        for column, shade in enumerate(shades.tolist()):
            image[:, 10 * column : 10 * column + 10] = shade
        found = colour_histograms(image, np.array([[0.0, 0, 10, 60], [10, 0, 20, 60], [20, 0, 30, 60]]))
        assert (found @ found.T).tolist() == (2 * np.eye(3)).tolist()

    def test_what_lies_outside_of_the_image_is_nothing(self) -> None:
        boxes = np.array([[-50.0, -50, -20, -10], [-10, -10, 10, 30], [90, 50, 500, 500], [5, 5, 5, 9]])
        found = (colour_histograms(BLACK, boxes) ** 2).sum(axis=1)
        assert found.tolist() == pytest.approx([0, 2, 1, 0]), "of the third the lower half is outside"
        assert colour_histograms(BLACK, np.zeros((0, 4))).shape == (0, 1024)


class TestOracle:
    def write(self, folder: Path, rows: list[str]) -> Path:
        (folder / "MOT17-02.txt").write_text("".join(f"{row}\n" for row in rows))
        return folder

    def test_a_box_has_the_identity_of_the_person_it_is_on(self, tmp_path: Path) -> None:
        rows = ["8,7,11,11,10,20,1,1,1", "8,3,51,11,10,20,1,1,1", "9,3,11,11,10,20,1,1,1", "13,9,1,1,5,5,1,1,1"]
        oracle = embed("oracle", self.write(tmp_path, rows))
        boxes = np.array([[10.0, 10, 20, 31], [52, 10, 62, 30], [80, 10, 90, 30]])
        first, second = oracle(1, BLACK, boxes), oracle(2, BLACK, boxes)
        assert first[:2, :2].tolist() == [[0, 1], [1, 0]], "tracked frames' identities in order"
        assert second[0, :2].tolist() == [1, 0]
        assert oracle(1, BLACK, np.zeros((0, 4))).shape == (0, first.shape[1])
        everyone = np.concatenate((first, second, oracle(3, BLACK, boxes)))
        assert np.linalg.norm(everyone, axis=1) == pytest.approx(1)
        nobody = everyone[[2, 4, 5, 6, 7, 8]]
        assert not nobody[:, :2].any()
        alike = nobody @ nobody.T
        assert np.abs(alike[~np.eye(6, dtype=bool)]).max() < 0.5, "who is no one looks like no one else"
        assert (oracle(3, BLACK, boxes) == everyone[6:]).all(), "the same each time"

    def test_one_person_is_not_two_boxes(self, tmp_path: Path) -> None:
        oracle = embed("oracle", self.write(tmp_path, ["8,7,11,11,10,20,1,1,1"]))
        boxes = np.array([[11.0, 10, 21, 30], [10, 10, 20, 30]])
        assert oracle(1, BLACK, boxes)[:, 0].tolist() == [0, 1]

    def test_it_needs_what_strip_only_lets_through_where_told(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"MOT17-02\.txt does not exist, as MOT17-02 has no ground truth"):
            embed("oracle", tmp_path)
        with pytest.raises(InputError, match=r"set 'strip\.held_out_identities: true'"):
            embed("oracle", self.write(tmp_path, ["8,-1,11,11,10,20,1,1,1"]))
        assert embed("oracle", self.write(tmp_path, []))(1, BLACK, np.zeros((1, 4)))[0].any()


class TestFolder:
    def write(self, folder: Path, name: str = "MOT17-02.npz", **changes: np.ndarray) -> str:
        frame = np.array([9, 8, 8, 3])
        box = np.array([[0, 0, 5, 9], [50.2, 10, 60, 30], [10, 10, 20, 30], [1, 1, 2, 2]], np.float32)
        arrays = {"frame": frame, "box": box, "embedding": np.arange(8, dtype=np.float16).reshape(4, 2)} | changes
        np.savez(folder / name, **{key: value for key, value in arrays.items() if value is not None})
        return str(folder)

    def test_rows_are_found_by_frame_and_box(self, tmp_path: Path) -> None:
        found = embed(self.write(tmp_path))
        vectors = found(1, BLACK, np.array([[10.0, 10, 20, 30], [50, 10, 60, 30]]))
        assert vectors.tolist() == [[4, 5], [2, 3]]
        assert vectors.dtype == np.float32
        assert found(5, BLACK, np.zeros((0, 4))).shape == (0, 2)

    @pytest.mark.parametrize(("frame", "box"), [(1, [10, 10, 22, 30]), (5, [0, 0, 5, 9])])
    def test_another_box_has_none(self, tmp_path: Path, frame: int, box: list[int]) -> None:
        with pytest.raises(InputError, match=rf"no embedding of the box {box[0]}\.0, .* in frame {frame + 7}"):
            embed(self.write(tmp_path))(frame, BLACK, np.array([box], float))

    def test_true_and_detected_boxes_have_files_of_their_own(self, tmp_path: Path) -> None:
        self.write(tmp_path, "MOT17-02-FRCNN.truth.npz", embedding=np.ones((4, 1)))
        folder = self.write(tmp_path, "MOT17-02-FRCNN.detections.npz", embedding=np.zeros((4, 1)))
        box = np.array([[10.0, 10, 20, 30]])
        assert embed(folder, detections="visible")(1, BLACK, box).tolist() == [[1]]
        assert embed(folder, detections="anyone's")(1, BLACK, box).tolist() == [[0]]

    def test_a_folder_that_does_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"has neither MOT17-02\.npz nor MOT17-02\.detections\.npz"):
            embed(str(tmp_path))
        with pytest.raises(InputError, match=r"'colr', and .* is no folder: expected network, none, constant, colour"):
            embed("colr")

    def test_a_file_that_holds_something_else(self, tmp_path: Path) -> None:
        nothing: np.ndarray = None  # type: ignore[assignment]
        for changes in ({"embedding": nothing}, {"embedding": np.ones((2, 2))}, {"box": np.ones((4, 3))}):
            with pytest.raises(InputError, match="does not hold embeddings"):
                embed(self.write(tmp_path, **changes))
        with pytest.raises(InputError, match="finite"):
            embed(self.write(tmp_path, embedding=np.full((4, 2), np.nan)))
        (tmp_path / "MOT17-02.npz").write_bytes(b"no zip")
        with pytest.raises(InputError, match="does not hold embeddings"):
            embed(str(tmp_path))
