"""Videos beside their boxes as sequences: the same pixels whatever the format, one sentence for whatever is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_archive import sequence_files, tree, write_zip
from tiny_films import (
    CODECS,
    FORMATS,
    FRAMES,
    HEIGHT,
    WIDTH,
    Row,
    encode,
    measured,
    picture,
    turn,
    walkers,
    write_boxes,
    write_film,
    write_video,
)

from clmot.archives import extract as archive_module
from clmot.archives.extract import Reading, extract_benchmark
from clmot.data.strip import strip_benchmark
from clmot.data.training_folder import read_training_boxes
from clmot.errors import InputError
from clmot.films.boxes import read_truth
from clmot.films.find_films import Film, boxes_beside, find_films
from clmot.films.open_films import open_with_films
from clmot.films.video import FrameReader, measure
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth
from clmot.motchallenge.frame_names import numbered
from clmot.motchallenge.meaning import wrong_units
from clmot.motchallenge.sequence import read_manifest, read_seqinfo
from clmot.motchallenge.splits import Split
from clmot.params import StripParams
from clmot.problems import Problem, refuse
from clmot.sources.fetch import fetch_archives
from clmot.videos import Video


def download(source: Path, out: Path, split: str = "half") -> Path:
    """What the download stage does for MOT17; the folder of its outs."""
    archives = fetch_archives(str(source), "MOT17", out / "cache", 0, 8)
    extract_benchmark(
        archives,
        "MOT17",
        split,
        out / "frames" / "MOT17",
        out / "gt" / "MOT17",
        out / "detections" / "MOT17",
        reading=Reading(open_with_films),
    )
    return out


def strip(out: Path, split: str = "half", held_out: tuple[str, ...] = (), keep_identities: bool = False) -> Path:
    params = StripParams((1,), (1,), 0.3, "truth", 0.0, keep_identities, False)
    strip_benchmark(out, "MOT17", Split(split, held_out), params)
    return out / "training" / "MOT17"


def truth(film: Film, frames: int = FRAMES) -> AnnotationTable:
    found = read_truth(film, measured(frames), refuse)
    assert found is not None
    return found.table


def film(video: Path, boxes: Path) -> Film:
    return Film(video, f"train/{video.stem}", "train", boxes)


def assert_boxes_lie_on_the_white(frames: Path, table: AnnotationTable) -> None:
    """Every box is bright, and what is a little way outside all boxes of its frame is dark."""
    for frame in range(1, FRAMES + 1):
        image = cv2.imread(str(frames / f"{frame:06d}.jpg"), cv2.IMREAD_GRAYSCALE)
        far = np.ones(image.shape, bool)
        boxes = table.corners()[table.frame == frame]
        assert len(boxes) == 2
        for x1, y1, x2, y2 in np.round(boxes).astype(int).tolist():
            assert image[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min() > 150
            far[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = False
        assert image[far].max() < 100


class TestPixels:
    @pytest.mark.parametrize("suffix", CODECS)
    def test_frames_of_every_container(self, suffix: str, tmp_path: Path) -> None:
        write_film(tmp_path / "my_films" / "train" / f"door{suffix}", "mot")
        out = download(tmp_path / "my_films", tmp_path / "out")
        info = read_seqinfo(out / "frames" / "MOT17" / "door" / "seqinfo.ini")
        assert (info.length, info.width, info.height, info.frame_rate) == (FRAMES, WIDTH, HEIGHT, 25)
        assert_boxes_lie_on_the_white(
            out / "frames" / "MOT17" / "door" / "img1", read_ground_truth(out / "gt" / "MOT17" / "door" / "gt.txt")
        )

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("identities", [True, False])
    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format_gives_the_same_boxes(self, kind: str, identities: bool, first: int, tmp_path: Path) -> None:
        video = tmp_path / "door.avi"
        found = truth(film(video, write_boxes(video, kind, identities=identities, first=first)))
        expected = np.array(sorted(walkers()))
        assert found.frame.tolist() == expected[:, 0].tolist()
        assert found.identity.tolist() == (expected[:, 1].tolist() if identities else [-1] * len(expected))
        rows = np.lexsort((found.box[:, 0], found.frame))
        wanted = expected[np.lexsort((expected[:, 2], expected[:, 0])), 2:]
        np.testing.assert_allclose(found.box[rows] - [1, 1, 0, 0], wanted, rtol=0, atol=1e-4)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(1, FRAMES),
                st.floats(-20, WIDTH),
                st.floats(-20, HEIGHT),
                st.floats(0.5, WIDTH),
                st.floats(0.5, HEIGHT),
            ),
            min_size=1,
            max_size=12,
        )
    )
    def test_any_boxes(self, tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple]) -> None:
        """Boxes may reach outside; what is written as gt.txt reads back as what was read."""
        drawn = np.array(boxes, np.float64)[:, 1:]
        assume(not any(wrong_units(drawn, np.array([WIDTH, HEIGHT]), centred=c) for c in (False, True)))
        video = tmp_path_factory.mktemp("film") / "door.avi"
        rows: list[Row] = [(frame, number, *box) for number, (frame, *box) in enumerate(boxes, 1)]  # type: ignore[misc]
        tables = []
        for kind in FORMATS:
            path = write_boxes(video, kind, rows)
            found = read_truth(film(video, path), measured(), refuse)
            assert found is not None
            (video.parent / "gt.txt").write_bytes(found.text)
            again = read_ground_truth(video.parent / "gt.txt", length=FRAMES)
            order = np.argsort(found.table.identity)
            np.testing.assert_allclose(again.box[np.argsort(again.identity)], found.table.box[order], rtol=0, atol=1e-4)
            tables.append((found.table.frame[order], found.table.box[order]))
        for frame, box in tables[1:]:
            assert frame.tolist() == tables[0][0].tolist()
            np.testing.assert_allclose(box, tables[0][1], rtol=0, atol=1e-3)

    def test_rows_of_motchallenge_are_kept_as_they_stand(self, tmp_path: Path) -> None:
        video = write_film(tmp_path / "door.avi", None)
        text = "2,-1,5.25,6,7,8,0.4,-1,-1,-1\r\n\r\n1,-1,5,6,7,8,0.9,-1,-1,-1\r\n"
        video.with_suffix(".txt").write_bytes(text.encode())
        out = download(tmp_path / "door.avi", tmp_path / "out")
        assert (out / "gt" / "MOT17" / "door" / "gt.txt").read_bytes() == text.encode()

    def test_a_turned_picture_is_shown_upright(self, tmp_path: Path) -> None:
        video = turn(write_video(tmp_path / "door.mp4"))
        found = measure(video)
        assert (found.width, found.height, found.frames) == (HEIGHT, WIDTH, FRAMES)
        image = cv2.imdecode(np.frombuffer(found.first, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.shape == (WIDTH, HEIGHT)
        write_boxes(video, "coco")
        with pytest.raises(InputError, match=r"images\[0\]: is 96x64, but the video is 64x96 as it is shown"):
            download(tmp_path / "door.mp4", tmp_path / "out")

    @pytest.mark.parametrize(("codec", "suffix"), [("libsvtav1", ".mkv"), ("libvpx-vp9", ".webm"), ("libx265", ".mp4")])
    def test_what_opencv_lacks_is_read(self, codec: str, suffix: str, tmp_path: Path) -> None:
        assert codec in av.codecs_available, "the locked PyAV has it"
        video = encode(tmp_path / f"door{suffix}", codec=codec)
        write_boxes(video, "mot")
        out = download(video, tmp_path / "out")
        assert [entry.frames for entry in read_manifest(out / "frames" / "MOT17")] == [FRAMES]
        assert_boxes_lie_on_the_white(
            out / "frames" / "MOT17" / "door" / "img1", read_ground_truth(out / "gt" / "MOT17" / "door" / "gt.txt")
        )

    def test_same_video_same_bytes_in_any_order(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "door.mp4")
        reader = FrameReader(path, measure(path))
        forward = [reader.jpeg(number) for number in range(1, FRAMES + 1)]
        backward = [reader.jpeg(number) for number in range(FRAMES, 0, -1)]
        assert forward == backward[::-1]
        assert len(set(forward)) == FRAMES
        reader.close()


class TestLayout:
    def places(self, folder: Path, *files: str, subsets: tuple[str, ...] = ("train", "test")) -> list[str]:
        self.problems: list[Problem] = []
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("")
        return [film.place for film in find_films(folder, files, subsets, self.problems.append)]

    def test_where_videos_stand(self, tmp_path: Path) -> None:
        files = ("train/a.mp4", "train/a.txt", "train/b.MKV", "train/b_labels/b_1.txt", "test/c.webm")
        assert self.places(tmp_path, *files) == ["test/c", "train/a", "train/b"]
        assert self.places(tmp_path, *files, subsets=("train",)) == ["train/a", "train/b"]
        assert not self.problems

    def test_side_by_side_without_train(self, tmp_path: Path) -> None:
        assert self.places(tmp_path, "films/a.mp4", "films/a.json", "films/b.mov", "films/b/000001.txt") == [
            "films/a",
            "films/b",
        ]

    def test_a_video_within_a_sequence_or_beside_its_own_is_nothing_of_its_own(self, tmp_path: Path) -> None:
        files = (
            "train/S/img1/000001.jpg",
            "train/S/gt/gt.txt",
            "train/S/preview.mp4",
            "train/S.mp4",
            "train/S.txt",
        )
        assert self.places(tmp_path, *files) == []
        assert [str(problem) for problem in self.problems] == [
            f"{tmp_path / 'train' / 'S.mp4'}: shows the sequence in the folder S/ beside it; the video is not read"
        ]
        assert not self.problems[0].fatal

    def test_without_boxes_a_video_is_for_testing(self, tmp_path: Path) -> None:
        assert self.places(tmp_path, "test/a.mp4", "train/b.mp4") == ["test/a"]
        (problem,) = self.problems
        assert problem.fatal
        assert "train/b.mp4: has no boxes, which every film to train on needs: expected b.txt" in str(problem)
        assert "below test/" in str(problem)

    def test_among_sequences_a_video_without_boxes_is_left_out(self, tmp_path: Path) -> None:
        assert self.places(tmp_path, "train/S/gt/gt.txt", "train/b.mp4") == []
        assert [problem.fatal for problem in self.problems] == [False]
        assert "is left out" in str(self.problems[0])

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            (("a.mp4", "a.txt", "a.json"), "has boxes in a.json and a.txt: keep one of them"),
            (("a.mp4", "a/1.txt", "a_labels/1.txt"), "has boxes in a and a_labels"),
            (("a.avi", "a.mp4", "a.txt"), "is called as a.avi beside it"),
        ],
    )
    def test_two_of_a_kind(self, files: tuple[str, ...], words: str, tmp_path: Path) -> None:
        self.places(tmp_path, *files)
        assert words in "\n".join(str(problem) for problem in self.problems if problem.fatal)

    @pytest.mark.parametrize("name", ["a:b", "a\\b", "a\nb", "a\udcfc"])
    def test_names_that_no_sequence_can_have(self, name: str, tmp_path: Path) -> None:
        """Said before anything is decoded; of bytes that are no text OpenCV would crash."""
        assert self.places(tmp_path, f"train/{name}.mp4", f"train/{name}.txt") == []
        (problem,) = self.problems
        assert problem.fatal
        assert str(problem).isprintable()
        assert "rename it, with its boxes" in str(problem)

    def test_a_folder_whose_name_is_no_text(self, tmp_path: Path) -> None:
        video = write_video(tmp_path / "door.avi")
        (tmp_path / "a\udcfc").mkdir()
        video = video.rename(tmp_path / "a\udcfc" / "door.avi")
        with pytest.raises(InputError, match=r"is no name in UTF-8: rename the file or the folder"):
            measure(video)

    @pytest.mark.parametrize("name", ["door.mp4", "train/cam1/door.mp4"])
    def test_videos_that_are_not_in_train_are_said_to_be_left_out(self, name: str, tmp_path: Path) -> None:
        files = ("train/a.mp4", "train/a.txt", name, name.replace(".mp4", ".txt"))
        assert self.places(tmp_path, *files) == ["train/a"]
        (problem,) = self.problems
        assert not problem.fatal
        assert "door.mp4: is left out: films belong directly in train/ or test/" in str(problem)

    def test_lists_are_no_labels(self, tmp_path: Path) -> None:
        self.places(tmp_path, "a.mp4", "a/classes.txt", "a/train.txt")
        assert boxes_beside(tmp_path / "a.mp4") == []

    @pytest.mark.parametrize(
        ("stem", "number"),
        [
            ("000012", 12),
            ("door_000012", 12),
            ("frame_000000", 0),
            ("frame12", 12),
            ("my door-3", 3),
            ("größe7", 7),
            ("door", None),
            ("3f9a12", None),
            ("door_mp4-0001_jpg.rf.9c1e0a77", None),
            ("12345678901", None),
        ],
    )
    def test_numbers_in_names(self, stem: str, number: int | None) -> None:
        found = numbered(stem)
        assert (found[1] if found else None) == number


class TestSources:
    def test_everything_stands_beside_folders_of_frames(self, tmp_path: Path) -> None:
        """A source may mix both; what its folders give is as without the videos."""
        plain = tmp_path / "plain"
        for name, data in sequence_files("train/MyFilm", 6).items():
            (plain / name).parent.mkdir(parents=True, exist_ok=True)
            (plain / name).write_bytes(data)
        mixed = tmp_path / "mixed"
        shutil.copytree(plain, mixed)
        write_film(mixed / "train" / "door.mp4", "yolo")
        write_film(mixed / "test" / "hall.avi", None, 5)
        one, both = download(plain, tmp_path / "1"), download(mixed, tmp_path / "2")
        assert [entry.name for entry in read_manifest(both / "frames" / "MOT17")] == ["MyFilm", "door"]
        before, after = (tree(out / "frames" / "MOT17" / "MyFilm") for out in (one, both))
        assert before == after
        assert tree(one / "gt" / "MOT17" / "MyFilm") == tree(both / "gt" / "MOT17" / "MyFilm")

    def test_the_test_set_is_decoded_where_it_is_tracked(self, tmp_path: Path) -> None:
        write_film(tmp_path / "f" / "train" / "door.mp4", "coco")
        write_film(tmp_path / "f" / "test" / "hall.avi", None, 5)
        full = download(tmp_path / "f", tmp_path / "full", "full")
        assert {e.name: (e.subset, e.frames) for e in read_manifest(full / "frames" / "MOT17")} == {
            "door": ("train", FRAMES),
            "hall": ("test", 5),
        }
        assert [entry.name for entry in read_manifest(full / "gt" / "MOT17")] == ["door"]
        (tmp_path / "f" / "test" / "hall.avi").write_bytes(b"broken")
        half = download(tmp_path / "f", tmp_path / "half")
        assert [entry.name for entry in read_manifest(half / "frames" / "MOT17")] == ["door"]
        with pytest.raises(InputError, match=r"hall\.avi is not a video"):
            download(tmp_path / "f", tmp_path / "full", "full")

    @pytest.mark.parametrize("kind", FORMATS)
    def test_one_video(self, kind: str, tmp_path: Path) -> None:
        video = write_film(tmp_path / "my videos" / "door.mkv", kind)
        write_film(tmp_path / "my videos" / "another.mkv", None)
        out = download(video, tmp_path / "out")
        assert [entry.name for entry in read_manifest(out / "gt" / "MOT17")] == ["door"]

    def test_below_the_benchmarks_name(self, tmp_path: Path) -> None:
        write_film(tmp_path / "MOT17" / "door.mp4", "mot")
        assert [e.name for e in read_manifest(download(tmp_path, tmp_path / "out") / "gt" / "MOT17")] == ["door"]

    def test_a_second_time_gives_the_same_bytes(self, tmp_path: Path) -> None:
        write_film(tmp_path / "f" / "door.mp4", "coco")
        assert tree(download(tmp_path / "f", tmp_path / "1")) == tree(download(tmp_path / "f", tmp_path / "2"))

    @pytest.mark.parametrize("name", ["door.json", "door.txt"])
    def test_a_file_that_is_neither_zip_nor_video(self, name: str, tmp_path: Path) -> None:
        """Nobody is told to delete labels."""
        (tmp_path / name).write_text("1,1,1,1,5,5,1,1,1\n")
        with pytest.raises(InputError, match="is neither a zip nor a video") as caught:
            download(tmp_path / name, tmp_path / "out")
        assert "delete" not in str(caught.value)

    def test_videos_in_a_zip_are_refused(self, tmp_path: Path) -> None:
        video = write_film(tmp_path / "door.mp4", "mot")
        path = write_zip(
            tmp_path / "MOT17.zip",
            {"train/door.mp4": video.read_bytes(), "train/door.txt": video.with_suffix(".txt").read_bytes()},
        )
        with pytest.raises(InputError, match="cannot be decoded inside a zip: unpack it"):
            download(path, tmp_path / "out")

    def test_a_preview_in_a_zip_changes_nothing(self, tmp_path: Path) -> None:
        files = sequence_files("MOT17/train/MOT17-02-SDP", 3)
        plain = write_zip(tmp_path / "plain.zip", files)
        other = write_zip(tmp_path / "other.zip", files | {"MOT17/train/MOT17-02-SDP.mp4": b"x"})
        assert tree(download(plain, tmp_path / "1")) == tree(download(other, tmp_path / "2"))

    @pytest.mark.parametrize("split", ["half", "sequence"])
    @pytest.mark.parametrize("kind", FORMATS)
    def test_boxes_train_whether_they_have_identities_or_not(self, kind: str, split: str, tmp_path: Path) -> None:
        """The wall lets the same bytes through."""
        kept = []
        for identities in (True, False):
            folder = tmp_path / str(identities)
            write_film(folder / "f" / "door.mp4", kind, identities=identities)
            write_film(folder / "f" / "hall.mp4", kind, identities=identities)
            out = download(folder / "f", folder / "out", split)
            boxes = strip(out, split, ("hall",) if split == "sequence" else ())
            assert len(read_training_boxes(boxes / "door" / "boxes.txt")) == 2 * (
                FRAMES if split == "sequence" else FRAMES // 2 + 1
            )
            kept.append(tree(boxes))
        assert kept[0] == kept[1]

    def test_the_supervised_baseline_needs_identities(self, tmp_path: Path) -> None:
        write_film(tmp_path / "f" / "door.mp4", "yolo", identities=False)
        out = download(tmp_path / "f", tmp_path / "out")
        with pytest.raises(InputError, match=r"door has training boxes without identities"):
            strip(out, keep_identities=True)


class TestFormats:
    def read(self, path: Path, content: object, frames: int = FRAMES) -> AnnotationTable:
        path.write_text(json.dumps(content))
        self.warnings: list[str] = []

        def report(problem: Problem) -> None:
            refuse(problem)
            self.warnings.append(str(problem))

        found = read_truth(film(path.with_suffix(".mp4"), path), measured(frames), report)
        assert found is not None
        return found.table

    def coco(self, *annotations: dict, names: tuple[str, ...] = ("person",), images: int = FRAMES) -> dict:
        return {
            "images": [{"id": n, "file_name": f"door_{n}.jpg"} for n in range(1, images + 1)],
            "annotations": [
                {"id": n, "image_id": 1, "category_id": 0, "bbox": [1, 2, 3, 4], **entry}
                for n, entry in enumerate(annotations)
            ],
            "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        }

    @pytest.mark.parametrize(
        ("entry", "identity"),
        [
            ({}, -1),
            ({"track_id": 5}, 5),
            ({"instance_id": 0}, 0),
            ({"attributes": {"track_id": 8}}, 8),
            ({"attributes": {"instance_id": 8.0}, "track_id": None}, 8),
            ({"track_id": "c0ffee"}, 1),
            ({"track_id": -1}, -1),
            ({"track_id": True}, -1),
            ({"track_id": "-1"}, -1),
            ({"track_id": float("nan")}, -1),
            ({"attributes": []}, -1),
        ],
    )
    def test_where_coco_has_identities(self, entry: dict, identity: int, tmp_path: Path) -> None:
        table = self.read(tmp_path / "door.json", self.coco(entry))
        assert table.identity.tolist() == [identity]

    def test_identities_in_words_are_numbered(self, tmp_path: Path) -> None:
        entries = [{"track_id": word, "image_id": n} for n, word in enumerate(("b", "a", "b"), 1)]
        table = self.read(tmp_path / "door.json", self.coco(*entries))
        assert (table.frame.tolist(), table.identity.tolist()) == ([1, 2, 3], [2, 1, 2])

    def test_frames_by_a_number_of_their_own(self, tmp_path: Path) -> None:
        content = self.coco({"image_id": 2})
        content["images"] = [{"id": n, "file_name": "door.mp4", "frame_id": n - 1} for n in range(1, 4)]
        assert self.read(tmp_path / "door.json", content).frame.tolist() == [2]
        assert "lists 3 of the 12 frames" in self.warnings[0]

    def test_the_number_of_a_video_is_no_frames(self, tmp_path: Path) -> None:
        content = self.coco({"image_id": 3})
        content["images"] = [{"id": n, "file_name": "take_2.mp4", "frame_id": n} for n in range(1, FRAMES + 1)]
        assert self.read(tmp_path / "door.json", content).frame.tolist() == [3]

    def test_names_that_label_studio_gives(self, tmp_path: Path) -> None:
        """It puts another code before every name."""
        content = self.coco({"image_id": 3})
        for number, entry in enumerate(content["images"], 1):
            entry["file_name"] = f"images/{number:07x}c-door_{number:04d}.jpg"
        assert self.read(tmp_path / "door.json", content).frame.tolist() == [3]
        (tmp_path / "door").mkdir()
        for number in (2, 5):
            (tmp_path / "door" / f"{number:07x}c-door_{number:04d}.txt").write_text("0 .5 .5 .25 .5\n")
        assert truth(film(tmp_path / "door.mp4", tmp_path / "door")).frame.tolist() == [2, 5]

    @pytest.mark.parametrize("other", [{"file_name": "hall_7.jpg"}, {"file_name": "hall/door_7.jpg"}, {"video_id": 2}])
    def test_images_of_another_film(self, other: dict, tmp_path: Path) -> None:
        content = self.coco({"image_id": 7})
        content["images"][6] |= other
        with pytest.raises(InputError, match=r"images\[6\]: is of another film than .*images\[0\]: expected a"):
            self.read(tmp_path / "door.json", content)

    def test_an_image_at_fault_is_told_once(self, tmp_path: Path) -> None:
        """Nobody is told that its annotations have no image."""
        content = self.coco({"image_id": 7})
        content["images"][6]["file_name"] = "door.jpg"
        (tmp_path / "door.json").write_text(json.dumps(content))
        problems: list[Problem] = []
        assert read_truth(film(tmp_path / "d.mp4", tmp_path / "door.json"), measured(), problems.append) is None
        assert [problem.kind for problem in problems] == ["faulty image"]

    @pytest.mark.parametrize("identity", [1.5, 2**53 + 1, 10**400, float("inf")])
    def test_what_no_identity_can_be(self, identity: float, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"annotations\[0\]: \S+ is no identity") as caught:
            self.read(tmp_path / "door.json", self.coco({"track_id": identity}))
        assert len(str(caught.value)) < 300

    def test_labels_of_more_frames_than_there_are(self, tmp_path: Path) -> None:
        """Nobody may be in the last frame of a longer video: its boxes would pass."""
        self.read(tmp_path / "door.json", self.coco({}, images=FRAMES + 1))
        assert "has frame 13, but door.mp4 has 12 frames" in self.warnings[0]

    def test_boxes_that_show_nobody(self, tmp_path: Path) -> None:
        boxes = [[5, 5, 0, 9], [5, 5, 9, -1], [WIDTH, 5, 9, 9], [5, -9, 9, 9], [-5, 5, 9, 9]]
        assert len(self.read(tmp_path / "door.json", self.coco(*({"bbox": box} for box in boxes)))) == 5
        told = "\n".join(self.warnings)
        assert "no width or no height (2, the first at" in told
        assert "no part in the image of 96x64 (2, the first at" in told
        assert "annotations[2]); nothing is learnt" in told

    def test_people_among_other_classes(self, tmp_path: Path) -> None:
        content = self.coco({"category_id": 1}, {}, {}, names=("dog", "Pedestrian"))
        table = self.read(tmp_path / "door.json", content)
        assert len(table) == 1
        assert "holds boxes of other classes, which are left out (dog: 2)" in self.warnings[0]

    def test_a_single_class_may_be_called_anything(self, tmp_path: Path) -> None:
        assert len(self.read(tmp_path / "door.json", self.coco({}, {}, names=("fish", "bird")))) == 2

    def test_crowds_are_flagged(self, tmp_path: Path) -> None:
        table = self.read(tmp_path / "door.json", self.coco({"iscrowd": 1}, {"bbox": [9, 9, 2, 2]}))
        assert sorted(zip(table.box[:, 0], table.confidence, strict=True)) == [(2, 0), (10, 1)]

    def test_yolo_with_confidences_and_identities(self, tmp_path: Path) -> None:
        (tmp_path / "door").mkdir()
        (tmp_path / "door" / "door_2.txt").write_text("0 .5 .5 .25 .5 0.83 4\n")
        (tmp_path / "door" / "door_3.txt").write_text("0 .5 .5 .25 .5\n")
        table = truth(film(tmp_path / "door.mp4", tmp_path / "door"))
        assert (table.frame.tolist(), table.identity.tolist()) == ([2, 3], [4, -1])
        assert table.box[0].tolist() == [WIDTH * 0.375 + 1, HEIGHT * 0.25 + 1, WIDTH / 4, HEIGHT / 2]

    def test_names_of_yolos_classes(self, tmp_path: Path) -> None:
        (tmp_path / "door").mkdir()
        (tmp_path / "door" / "1.txt").write_text("0 .5 .5 .25 .5\n1 .5 .5 .25 .4\n")
        (tmp_path / "classes.txt").write_text("dog\nperson\n")
        assert truth(film(tmp_path / "door.mp4", tmp_path / "door")).box[:, 3].tolist() == [HEIGHT * 0.4]


def edit(old: str, new: str) -> Callable[[Path], None]:
    """A fault in the first file that has these words."""

    def change(boxes: Path) -> None:
        files = sorted(boxes.glob("*")) if boxes.is_dir() else [boxes]
        path = next(file for file in files if old in file.read_text())
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def add(name: str, text: str) -> Callable[[Path], None]:
    return lambda boxes: (boxes / name).write_text(text) and None  # type: ignore[func-returns-value]


BEYOND = r"has boxes in frame {}, but door\.avi has 12 frames \(decoded and counted\)"
FAULTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("mot", edit("1,7,", "13,7,"), r"door\.txt:1: " + BEYOND.format(13)),
    ("mot", edit("1,7,", "1,x,"), r"door\.txt:1: column 2 is 'x', expected a finite number"),
    ("mot", edit("2,7,", "1,7,"), r"door\.txt:3: identity 7 appears twice in frame 1, first on line 1"),
    ("mot", lambda boxes: boxes.write_text("") and None, r"door\.txt: has no rows"),  # type: ignore[func-returns-value]
    ("mot", edit(",1,1,1\n", "\n"), r"door\.txt:1: has 6 columns, expected 9 columns"),
    ("coco", edit('"images"', "images"), r"door\.json:2 is not valid JSON"),
    ("coco", edit('"annotations"', '"notes"'), r"door\.json has no list 'annotations'"),
    ("coco", edit("frame_000012", "frame_000014"), r"door\.json: annotations\[22\]: " + BEYOND.format(14)),
    ("coco", edit('"image_id": 100', '"image_id": 99'), r"annotations\[0\]: image_id 99 is none of the file's"),
    ("coco", edit('"bbox"', '"box"'), r'annotations\[0\]: "bbox" should be four finite numbers'),
    ("coco", edit("frame_000002", "frame"), r'images\[1\]: should have a "file_name" that ends with the number'),
    ("coco", edit("frame_000002", "frame_000001"), r"images\[1\]: is frame 1, as .*images\[0\] is already"),
    ("coco", edit('"id": 101', '"id": 100'), r"images\[1\]: id 100 is already in an earlier entry"),
    ("coco", edit('"width": 96', '"width": 192'), r"images\[0\]: is 192x64, but the video is 96x64"),
    ("coco", edit('"track_id": 9', '"track_id": 7'), r"annotations\[1\]: identity 7 appears twice in frame 1"),
    ("coco", edit('"person"', '"pedestrian"'), ""),
    ("yolo", edit("0 0.", "0 320."), r"door_1\.txt:1: 320\.\d+ is no fraction of the image's side"),
    ("yolo", edit(" 7\n", " 0.7\n"), r"door_1\.txt:1: column 6 is 0\.7, expected an identity, a whole number"),
    ("yolo", edit("0 0.", "1 0."), r"door_labels: has boxes of several classes \(number 0, number 1\)"),
    ("yolo", add("door_13.txt", "0 .5 .5 .1 .1 3\n"), r"door_13\.txt:1: " + BEYOND.format(13)),
    ("yolo", add("door_0.txt", ""), r"door_12\.txt:1: " + BEYOND.format(13)),
    ("yolo", add("hall_13.txt", ""), r"hall_13\.txt: is of another film"),
    ("yolo", add("door_01.txt", ""), r"door_1\.txt: is of the same frame as door_01\.txt"),
    ("yolo", add("notes.txt", ""), r"notes\.txt: its name should end with the number of its frame"),
    ("yolo", add("classes.txt", "dog\n"), ""),
    ("yolo", add("classes.txt", "\n"), ""),
]  # fmt: skip
"""Format, what spoils the boxes, and what is said; nothing: they are as good as before."""


@pytest.mark.parametrize(("kind", "fault", "words"), FAULTS, ids=[f"{k}-{w[-24:]}" for k, _, w in FAULTS])
def test_faults_of_boxes(kind: str, fault: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    video = write_film(tmp_path / "f" / "door.avi", kind)
    (boxes,) = boxes_beside(video)
    fault(boxes)
    if not words:
        download(tmp_path / "f", tmp_path / "out")
        return
    with pytest.raises(InputError, match=words) as caught:
        download(tmp_path / "f", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


class TestVideos:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "is empty: copy it again"),
            (b"no video" * 99, "is not a video that can be read .*: export it again"),
            (b"<!DOCTYPE html><html>please log in</html>", "is a web page: get the video itself"),
            (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "is a pointer of Git LFS"),
            (b"\0\0\0\x18ftypmp42" + bytes(12) + b"\0\0\4\0mdat" + bytes(99), "was cut off before its index .* moov"),
        ],
    )
    def test_unreadable(self, content: bytes, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "door.mp4").write_bytes(content)
        (tmp_path / "door.txt").write_text("1,1,1,1,5,5,1,1,1\n")
        with pytest.raises(InputError, match=rf"door\.mp4 {why}"):
            download(tmp_path, tmp_path / "out")
        assert "OpenCV" not in "".join(capfd.readouterr())

    @pytest.mark.parametrize("at", [2, 7, 11])
    def test_a_size_that_changes_is_told_before_anything_is_written(self, at: int, tmp_path: Path) -> None:
        """By what counts the frames, so that `clmot check` tells it too."""
        parts = [write_video(tmp_path / "a.avi", at), write_video(tmp_path / "b.avi", 3, size=(64, 48))]
        images = [frame for part in parts for _, frame in Video(str(part)).frames()]
        with (
            pytest.MonkeyPatch.context() as patch,
            pytest.raises(InputError, match=rf"frame {at + 1} is 64x48, but .*: a film needs frames of one"),
        ):
            patch.setattr(Video, "frames", lambda _: iter((None, image) for image in images))
            measure(parts[0])

    def test_no_frames(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_video(tmp_path / "door.avi")
        monkeypatch.setattr(Video, "frames", lambda _: iter(()))
        with pytest.raises(InputError, match=r"holds no frame that can be decoded \(its codec is mjpeg\)"):
            measure(path)

    def test_a_cut_video_says_so_and_is_counted(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The container still announces what it had."""
        video = write_video(tmp_path / "door.avi", 60)
        content = video.read_bytes()
        video.write_bytes(content[: len(content) * 2 // 3])
        left = measure(video).frames
        assert 0 < left < 60
        write_boxes(video, "mot", walkers(left))
        out = download(tmp_path, tmp_path / "out")
        assert f"warning: {video}: announces 60 frames, but only {left} can be decoded" in capsys.readouterr().err
        assert [entry.frames for entry in read_manifest(out / "frames" / "MOT17")] == [left]
        write_boxes(video, "mot", walkers(left + 1))
        with pytest.raises(
            InputError, match=rf"door\.txt:\d+: has boxes in frame {left + 1}, but door\.avi has {left}"
        ):
            download(tmp_path, tmp_path / "again")

    @pytest.mark.parametrize("timed", [True, False])
    def test_no_frame_rate(
        self, timed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Then the times of the frames tell it, where they have some."""
        write_film(tmp_path / "door.avi", "mot")
        decoded = Video.frames
        monkeypatch.setattr(Video, "rate", None)
        if not timed:
            monkeypatch.setattr(Video, "frames", lambda video: ((None, frame) for _, frame in decoded(video)))
        out = download(tmp_path, tmp_path / "out")
        said = "does not say its frame rate; 30 frames per second are assumed" in capsys.readouterr().err
        assert said is not timed
        assert read_seqinfo(out / "gt" / "MOT17" / "door" / "seqinfo.ini").frame_rate == (25 if timed else 30)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_a_rate_that_varies(self, suffix: str, tmp_path: Path) -> None:
        """Every frame counts once, however long it is shown; the rate is the average, which Matroska does not state."""
        path = tmp_path / f"door{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for frame in range(1, FRAMES + 1):
                shown = av.VideoFrame.from_ndarray(picture(walkers(), frame), format="bgr24")
                shown.pts, shown.time_base = frame * frame * 20, Fraction(1, 1000)
                container.mux(stream.encode(shown))
            container.mux(stream.encode())
        found = measure(path)
        assert found.frames == FRAMES
        assert found.frame_rate == pytest.approx(1000 * (FRAMES - 1) / (20 * (FRAMES**2 - 1)), rel=0.1)
        reader = FrameReader(path, found)
        for frame in range(1, FRAMES + 1):
            image = cv2.imdecode(np.frombuffer(reader.jpeg(frame), np.uint8), cv2.IMREAD_GRAYSCALE)
            assert np.argmax(image[12] > 120) == 4 + 2 * frame

    def test_another_size_later(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_film(tmp_path / "door.avi", "mot")
        decoded = Video.frames

        def changing(video: Video) -> Iterator[tuple[float | None, av.VideoFrame]]:
            for number, (time, frame) in enumerate(decoded(video), 1):
                yield time, frame if number < 9 else frame.reformat(32, 32)

        monkeypatch.setattr(Video, "frames", changing)
        with pytest.raises(InputError, match=r"door\.avi: frame 9 is 32x32, but the first is 96x64"):
            download(tmp_path, tmp_path / "out")
        assert tree(tmp_path / "out") == {}

    def test_a_video_that_shrinks_meanwhile(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "door.avi")
        reader = FrameReader(path, measure(path))
        write_video(path, 5)
        with pytest.raises(InputError, match=r"ends with frame 5, but had 12 frames"):
            reader.jpeg(12)
        reader.close()

    def test_the_disk_is_asked_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_film(tmp_path / "f" / "door.mp4", "mot")
        asked = []

        def full(needs: list[tuple[Path, int]], what: str) -> None:
            asked.append(needs[0][1])
            raise InputError("the disk is full")

        monkeypatch.setattr(archive_module, "require_space", full)
        with pytest.raises(InputError, match="the disk is full"):
            download(tmp_path / "f", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        monkeypatch.undo()
        out = download(tmp_path / "f", tmp_path / "out")
        needed = sum(len(data) for data in tree(out / "frames" / "MOT17" / "door" / "img1").values())
        assert needed / 2 < asked[0] < needed * 2

    def test_quiet_off_a_terminal(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert not sys.stderr.isatty()
        write_film(tmp_path / "f" / "door.mp4", "coco")
        capfd.readouterr()
        download(tmp_path / "f", tmp_path / "out")
        assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("kind", ["mot", "coco"])
@pytest.mark.parametrize(
    ("scale", "corners", "expected"),
    [(1, True, r"corners x2, y2"), (4, False, "of another size"), (1 / WIDTH, False, "smaller than a pixel")],
)
def test_boxes_in_another_unit(kind: str, scale: float, corners: bool, expected: str, tmp_path: Path) -> None:
    video = write_film(tmp_path / "door.avi", None)
    rows: list[Row] = []
    for frame, identity, x, y, w, h in walkers():
        ends = (x + w, y + h) if corners else (w, h)
        rows.append((frame, identity, *(float(value) * scale for value in (x, y, *ends))))  # type: ignore[arg-type]
    write_boxes(video, kind, rows)
    with pytest.raises(InputError, match=expected):
        download(video, tmp_path / "out")


def test_corners_in_the_place_of_centres(tmp_path: Path) -> None:
    video = write_film(tmp_path / "door.avi", "yolo")
    for path in (tmp_path / "door_labels").glob("*.txt"):
        path.write_text("0 .5 .5 .7 .9\n0 .6 .2 .8 .7\n")
    with pytest.raises(InputError, match="corners x2, y2"):
        download(video, tmp_path / "out")
