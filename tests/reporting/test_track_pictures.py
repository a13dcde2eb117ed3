"""`clmot show tracks`: videos at the films' own size and rate, and a picture; whole or not at all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from clmot.cli.main import run
from clmot.errors import InputError
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.sequence import ManifestEntry, SequenceInfo, write_manifest, write_seqinfo
from clmot.reporting import picture_file
from clmot.reporting.drawing import identity_colour
from clmot.reporting.track_pictures import show_tracks, write_video

ROOT = Path(__file__).parents[2]
FRAMES = 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two films of eight grey frames each, of which 6 to 8 are tracked, and their tracks."""
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  - MOT15\n", "").replace("  - MOT20\n", ""))
    entries = []
    for name, (width, height) in {"door": (90, 71), "gate": (64, 48)}.items():
        folder = tmp_path / "data" / "frames" / "MOT17" / name
        (folder / "img1").mkdir(parents=True)
        write_seqinfo(folder / "seqinfo.ini", SequenceInfo(name, "img1", 12.0, FRAMES, width, height, ".png"))
        for frame in range(1, FRAMES + 1):
            image = np.full((height, width, 3), 20 * frame, np.uint8)
            cv2.imwrite(str(folder / "img1" / f"{frame:06d}.png"), image)
        entries.append(ManifestEntry(name, "train", FRAMES, width, height, 12.0))
    write_manifest(tmp_path / "data" / "frames" / "MOT17", "MOT17", entries)
    tracks = tmp_path / "tracks" / "MOT17"
    tracks.mkdir(parents=True)
    # The film's frame 7, the second of those tracked, is the only one with two people.
    box = [30, 40, 50, 60]
    write_results(tracks / "door.txt", [1, 2, 2, 3], [4, 4, 7, 4], [box, box, [60, 20, 80, 50], box], [1] * 4)
    write_results(tracks / "gate.txt", [], [], [], [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_video(path):
    with av.open(str(path)) as container:
        (stream,) = container.streams
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(stream)]
        return images, stream.average_rate


def grey(width, height, value=128):
    return np.full((height, width, 3), value, np.uint8)


def test_a_video_has_the_films_size_rate_and_tracked_frames(project, capsys):
    run(["show", "tracks", "door"])
    images, rate = read_video(project / "videos" / "MOT17-door.mp4")
    assert rate == 12
    assert [image.shape for image in images] == [(70, 90, 3)] * 3  # an odd height loses a row
    assert [round(image[2, 2].mean(), -1) for image in images] == [120, 140, 160]
    assert sorted(path.name for path in (project / "videos").iterdir()) == ["MOT17-door.mp4"]
    assert "3 frames, 2 identities" in capsys.readouterr().out


def test_a_benchmarks_name_means_all_its_sequences_and_so_does_none(project):
    run(["show", "tracks", "MOT17", "--out", "one"])
    run(["show", "tracks", "--out", "two"])
    expected = ["MOT17-door.mp4", "MOT17-gate.mp4"]
    assert sorted(p.name for p in Path("one").iterdir()) == sorted(p.name for p in Path("two").iterdir()) == expected


def test_a_picture_shows_the_fullest_frame_of_each(project):
    run(["show", "tracks", "--out", "tracks.png"])
    picture = cv2.imread("tracks.png")
    assert picture.shape == (71, 180, 3)  # the narrower film is drawn as wide as the other
    assert picture[0, 0].tolist() == [140] * 3  # frame 7
    assert picture[60, 40].tolist() == list(identity_colour(4))  # the lower edge of a box
    assert picture[0, 90].tolist() == [120] * 3  # no one was tracked: the first


@pytest.mark.parametrize("out", [[], ["--out", "tracks.png"]])
@pytest.mark.parametrize("made_with", ["all eight frames", "the first frame", "all eight, nobody at the end"])
def test_tracks_of_other_frames_are_refused(project, out, made_with):
    """After params.yaml changed and before `dvc repro`, boxes would be drawn on frames that they are not of."""
    tracks = project / "tracks" / "MOT17"
    if made_with == "all eight frames":
        write_results(tracks / "door.txt", [8], [1], [[30, 40, 50, 60]], [1])
    else:
        frames = 1 if made_with == "the first frame" else 8
        speed = {"sequences": {name: {"frames": frames} for name in ("door", "gate")}}
        (project / "tracks" / "MOT17.speed.json").write_text(json.dumps(speed))
    with pytest.raises(InputError, match=r"'data.split: half' tracks 3 of door.*run `dvc repro` first"):
        run(["show", "tracks", "door", *out])
    assert not (project / "videos").exists()
    assert not (project / "tracks.png").exists()


def test_tracks_of_these_frames_are_drawn_whatever_else_was_tracked(project):
    speed = project / "tracks" / "MOT17.speed.json"
    speed.write_text(json.dumps({"sequences": {"door": {"frames": 3}, "gate": {"frames": 2}}}))
    run(["show", "tracks", "door", "--out", "door.png"])
    speed.write_text('{"sequences": 3}')
    with pytest.raises(InputError, match=r"MOT17\.speed\.json is not what the track stage writes"):
        run(["show", "tracks", "door", "--out", "door.png"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["roof"], "'roof' is not tracked here; there are MOT17, door, gate"),
        (["--out", "tracks.mp4"], "should be a folder"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(project, arguments, words):
    with pytest.raises(InputError, match=words):
        run(["show", "tracks", *arguments])
    assert not list(project.glob("*.mp4"))


def test_before_the_first_run_it_says_what_to_do(project):
    (project / "tracks" / "MOT17" / "gate.txt").unlink()
    with pytest.raises(InputError, match=r"gate\.txt is missing: run `dvc repro` first"):
        show_tracks([], "videos")
    assert not (project / "videos").exists()


def test_a_video_that_breaks_off_leaves_the_one_before(tmp_path):
    path = tmp_path / "film.mp4"
    image = np.zeros((48, 64, 3), np.uint8)
    write_video(path, iter([image] * 3), 10)
    before = path.read_bytes()

    def broken():
        yield image
        raise InputError("a frame is missing")

    with pytest.raises(InputError):
        write_video(path, broken(), 10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_is_what_browsers_play(tmp_path):
    path = tmp_path / "film.mp4"
    write_video(path, iter([grey(64, 48)] * 3), 30)
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "its index comes first"
    write_video(tmp_path / "again.mp4", iter([grey(64, 48)] * 3), 30)
    assert (tmp_path / "again.mp4").read_bytes() == data


@pytest.mark.parametrize("rate", [2.5, 29.97, 89.957, 0.001])
def test_any_frame_rate(tmp_path, rate):
    write_video(tmp_path / "film.mp4", iter([grey(64, 48)] * 3), rate)
    images, written = read_video(tmp_path / "film.mp4")
    assert (len(images), written) == (3, Fraction(str(rate)))


def test_frames_of_other_sizes_are_fitted_into_the_first_ones(tmp_path):
    path = tmp_path / "film.mp4"
    write_video(path, iter([grey(91, 70), grey(180, 140), grey(90, 35), grey(35, 70), grey(1, 1)]), 10)
    images, _ = read_video(path)
    assert [image.shape for image in images] == [(70, 90, 3)] * 5
    assert abs(images[1].astype(int) - 128).max() < 8, "twice the size, the same shape"
    for image, middle in ((images[2], np.s_[20:50, 4:-4]), (images[3], np.s_[4:-4, 30:60])):
        assert abs(image[middle].astype(int) - 128).max() < 8
        assert image[:3, :3].max() < 8, "black where the shape differs"


@pytest.mark.parametrize(("size", "rate"), [((64, 48), 1e12), ((20000, 16), 10)])
def test_what_no_video_can_be_is_a_sentence(tmp_path, size, rate):
    with pytest.raises(InputError, match=r"film\.mp4 cannot be written: x264 takes no video"):
        write_video(tmp_path / "film.mp4", iter([grey(*size)]), rate)
    assert not list(tmp_path.iterdir())


def test_a_sheet_larger_than_the_format_is_a_sentence(project, monkeypatch):
    monkeypatch.setitem(picture_file.LONGEST_SIDE, ".jpg", 100)
    with pytest.raises(InputError, match=r"a picture of 180 x 71 pixels is more than a \.jpg holds \(100 a side\)"):
        run(["show", "tracks", "--out", "tracks.jpg"])
    assert not (project / "tracks.jpg").exists()
    run(["show", "tracks", "--out", "tracks.png"])


@pytest.mark.parametrize("ending", picture_file.ENDINGS)
def test_the_largest_pictures_can_be_written(tmp_path, ending):
    longest = picture_file.LONGEST_SIDE[ending]
    path = tmp_path / f"tall{ending}"
    picture_file.write_picture(path, grey(1, longest))
    assert cv2.imread(str(path)).shape == (longest, 1, 3)
    with pytest.raises(InputError, match=r"show less"):
        picture_file.write_picture(tmp_path / f"taller{ending.upper()}", grey(1, longest + 1))
    assert list(tmp_path.iterdir()) == [path]
