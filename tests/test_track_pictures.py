"""`clmot show tracks`: videos at the films' own size and rate, and a picture; whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from clmot.cli import run
from clmot.errors import InputError
from clmot.motchallenge.annotations import write_results
from clmot.motchallenge.sequence import ManifestEntry, SequenceInfo, write_manifest, write_seqinfo
from clmot.reporting.drawing import identity_colour
from clmot.reporting.track_pictures import show_tracks, write_video

ROOT = Path(__file__).parents[1]
FRAMES = 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two films of eight grey frames each, of which 6 to 8 are tracked, and their tracks."""
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("[MOT15, MOT17, MOT20]", "[MOT17]"))
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
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS)
    images = []
    while True:
        found, image = video.read()
        if not found:
            return images, rate
        images.append(image)


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
    assert (
        sorted(p.name for p in Path("one").iterdir())
        == sorted(p.name for p in Path("two").iterdir())
        == expected
    )


def test_a_picture_shows_the_fullest_frame_of_each(project):
    run(["show", "tracks", "--out", "tracks.png"])
    picture = cv2.imread("tracks.png")
    assert picture.shape == (71, 180, 3)  # the narrower film is drawn as wide as the other
    assert picture[0, 0].tolist() == [140] * 3  # frame 7
    assert picture[60, 40].tolist() == list(identity_colour(4))  # the lower edge of a box
    assert picture[0, 90].tolist() == [120] * 3  # nobody was tracked: the first


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
