"""What can be tracked: odd and bad videos, folders, streams. Each gives its frames, or one sentence."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_films import HEIGHT, WIDTH, encode, picture, turn, walkers, write_video

from clmot.errors import InputError
from clmot.files import is_video
from clmot.inference.image_sources import first_size, open_images

ROWS = walkers(40)


def walker(image: np.ndarray) -> float:
    """Where the left person's middle is in an upright picture."""
    bright = image[:, :46].max(axis=2) > 128
    return float(np.nonzero(bright)[1].mean())


def numbers_and_times(source: object, **options: object) -> list[tuple[int, float]]:
    return [(one.number, round(one.time, 3)) for one in open_images(source, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_containers(tmp_path: Path, suffix: str) -> None:
    found = numbers_and_times(str(write_video(tmp_path / f"door{suffix}")))
    assert found == [(number, round((number - 1) / 25, 3)) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le"), ("libsvtav1", "yuv420p10le")]
)
def test_codecs_and_ten_bits(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    assert codec in av.codecs_available, "the locked PyAV has it"
    images = list(open_images(str(encode(tmp_path / "door.mp4", codec=codec, pix_fmt=pix_fmt))))
    assert len(images) == 12
    moved = walker(images[-1].image) - walker(images[0].image)
    assert moved == pytest.approx(22, abs=2)  # two pixels a frame


def test_odd_sides(tmp_path: Path) -> None:
    path = encode(tmp_path / "odd.mkv", codec="ffv1", pix_fmt="bgr0", size=(97, 61))
    assert first_size(str(path)) == (97, 61)


def test_a_turned_picture_is_upright_as_opencv_shows_it(tmp_path: Path) -> None:
    path = turn(write_video(tmp_path / "phone.mp4"))
    fetched, expected = cv2.VideoCapture(str(path)).read()
    found = next(iter(open_images(str(path)))).image
    assert fetched
    assert found.shape == expected.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_times_are_the_videos_own(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.6, 0.64]
    path = encode(tmp_path / "varies.mkv", 6, times=times)
    assert [time for _, time in numbers_and_times(str(path))] == pytest.approx(times, abs=2e-3)
    assert numbers_and_times(str(path), fps=10) == [(number, (number - 1) / 10) for number in range(1, 7)]


def test_every_third_frame_keeps_its_number_and_time(tmp_path: Path) -> None:
    found = numbers_and_times(str(write_video(tmp_path / "door.mp4")), every=3)
    assert found == [(1, 0.0), (4, 0.12), (7, 0.24), (10, 0.36)]


def test_a_count_that_lies_is_not_believed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "door.avi")
    content = bytearray(path.read_bytes())
    at = content.index(b"avih") + 8 + 16  # dwTotalFrames
    content[at : at + 4] = (9999).to_bytes(4, "little")
    path.write_bytes(content)
    assert len(numbers_and_times(str(path))) == 12


def test_what_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = encode(tmp_path / "cut.mkv", 40)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found = numbers_and_times(str(path))
    assert 5 < len(found) < 40
    assert [number for number, _ in found] == list(range(1, len(found) + 1))


def test_damage_in_the_middle_ends_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "door.avi", 40)  # MJPG: every frame by itself
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    assert len(numbers_and_times(str(path))) >= 38


def _no_video(path: Path) -> None:
    path.write_text("no video at all\n" * 100)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _index_cut_off(path: Path) -> None:
    content = encode(path).read_bytes()
    path.write_bytes(content[: content.index(b"moov")])


def _sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_video, "not a video that can be read"),
        (_empty, "is empty"),
        (_index_cut_off, "was cut off before its index"),
        (_sound_alone, "holds no pictures"),
    ],
)
def test_what_is_no_video_is_one_sentence(tmp_path: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    path = tmp_path / "door.mp4"
    spoil(path)
    with pytest.raises(InputError, match=sentence):
        open_images(str(path))


@pytest.mark.parametrize("source", ["nowhere.mp4", "none/*.jpg", "nowhere/"])
def test_what_is_not_there_is_one_sentence(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_images(str(tmp_path / source))


def write_images(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names, 1):
        cv2.imwrite(str(folder / name), picture(ROWS, number))
    return folder


def test_images_are_numbered_by_their_names(tmp_path: Path) -> None:
    """Frames that are missing pass time all the same."""
    folder = write_images(tmp_path / "film", ["door_0001.png", "door_0002.png", "door_0005.png"])
    assert numbers_and_times(folder, fps=10) == [(1, 0.0), (2, 0.1), (5, 0.4)]
    assert numbers_and_times(str(folder / "*.png"), fps=10) == [(1, 0.0), (2, 0.1), (5, 0.4)]
    assert numbers_and_times([str(path) for path in sorted(folder.iterdir())], fps=10)[-1] == (5, 0.4)


def test_images_without_numbers_come_in_order(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "film", ["a.png", "b.png", "c.png"])
    assert numbers_and_times(folder, fps=10) == [(1, 0.0), (2, 0.1), (3, 0.2)]


def test_a_sequences_folder_says_its_rate(tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    write_images(tmp_path / "film" / "img1", ["000001.png", "000002.png"])
    (tmp_path / "film" / "seqinfo.ini").write_text(
        "[Sequence]\nname=film\nimDir=img1\nframeRate=14\nseqLength=2\nimWidth=96\nimHeight=64\nimExt=.png\n"
    )
    images = open_images(tmp_path / "film")
    assert (images.name, images.frame_rate, len(list(images))) == ("film", 14, 2)


def test_an_empty_folder_and_a_broken_image_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        open_images(tmp_path / "none")
    folder = write_images(tmp_path / "film", ["1.png"])
    (folder / "2.png").write_text("no image")
    with pytest.raises(InputError, match=r"2\.png is not a readable image"):
        list(open_images(folder))


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_picture_that_is_cut_off_is_a_sentence(tmp_path: Path, ending: str, share: float) -> None:
    """OpenCV makes up what is missing of it, in grey, and is content."""
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"{number}.{ending}"), np.random.default_rng(number).integers(0, 255, (80, 60, 3)))
    path = tmp_path / f"2.{ending}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    frames = iter(open_images(tmp_path))
    assert next(frames).image.shape == (80, 60, 3)
    with pytest.raises(InputError, match=rf"2\.{ending} is cut off: its end is missing: get it again"):
        _ = next(frames).image


def test_what_follows_a_picture_in_its_file_is_nothing(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.jpg"), np.full((80, 60, 3), 90, np.uint8))
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes() + bytes(100))
    assert next(iter(open_images(tmp_path))).image.shape == (80, 60, 3)


def test_arrays_and_what_is_none() -> None:
    images = [np.zeros((4, 6, 3), np.uint8)] * 3
    assert [one.number for one in open_images(iter(images))] == [1, 2, 3]
    with pytest.raises(InputError, match="is no source"):
        open_images(3.5)  # type: ignore[arg-type]


class _Stream(http.server.BaseHTTPRequestHandler):
    """Sends a video once, in pieces, and closes the connection without having sent all that it promised."""

    content = b""
    promised = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/x-matroska")
        self.send_header("Content-Length", str(self.promised or len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[_Stream], str]]:
    handler = type("Stream", (_Stream,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield handler, f"http://127.0.0.1:{served.server_port}/door.mkv"
        served.shutdown()
        thread.join()


def test_a_stream_that_ends(tmp_path: Path, server: tuple[type[_Stream], str]) -> None:
    handler, address = server
    handler.content = encode(tmp_path / "door.mkv").read_bytes()
    images = open_images(address)
    assert (images.name, len(list(images)), images.trouble) == ("door", 12, "")


def test_a_connection_that_is_cut_is_told(tmp_path: Path, server: tuple[type[_Stream], str]) -> None:
    handler, address = server
    whole = encode(tmp_path / "door.mkv", 40).read_bytes()
    handler.content, handler.promised = whole[: len(whole) * 2 // 3], len(whole)
    images = open_images(address)
    found = list(images)
    assert 5 < len(found) < 40
    assert images.trouble
    times = 25 * np.array([one.time for one in found])
    np.testing.assert_allclose(times, np.round(times), atol=0.03)  # those that the decoder held back have theirs, too
    assert (np.diff(times) > 0.9).all()


def test_nobody_listens(server: tuple[type[_Stream], str]) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        open_images("http://127.0.0.1:9/door.mp4")


@pytest.mark.parametrize("ending", ["h264", "dav", "gif"])
def test_films_of_cameras_without_a_container(ending: str, tmp_path: Path) -> None:
    kind, pixels = ("gif", "rgb8") if ending == "gif" else ("libx264", "yuv420p")
    path = encode(tmp_path / f"door.{'gif' if ending == 'gif' else 'h264'}", codec=kind, pix_fmt=pixels)
    path = path.rename(tmp_path / f"door.{ending}")
    assert is_video(path)
    assert len(numbers_and_times(str(path))) == 12


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_an_image_of_several_pictures_is_no_frame(ending: str, tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((9, 9, 3), 60 * n, np.uint8)) for n in range(3)]
    pictures[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=pictures[1:])
    for source in (str(tmp_path / f"a.{ending}"), [str(tmp_path / f"a.{ending}")]):
        with pytest.raises(InputError, match=r"holds 3 pictures, and .* one is read: convert it to a video"):
            open_images(source)


@pytest.mark.parametrize("ending", ["tif", "heic", "DNG"])
def test_an_image_of_another_kind_is_no_video(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"II*\0")
    with pytest.raises(InputError, match=r"of a kind that is not read: convert it to \.png"):
        open_images(str(tmp_path / f"a.{ending}"))
