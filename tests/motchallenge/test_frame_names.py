"""Frames are told by the names that their files have; where that is not sure, nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clmot.errors import InputError
from clmot.motchallenge.frame_names import FrameFiles, frame_files
from clmot.problems import Problem, refuse


def found(names: list[str], extension: str | None = None, length: int | None = None) -> tuple[FrameFiles, list[str]]:
    """The frames, and what is told mildly."""
    told: list[Problem] = []

    def report(problem: Problem) -> None:
        refuse(problem)
        told.append(problem)

    return frame_files(names, "img1", report, extension, length), [problem.kind for problem in told]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("{:06d}.jpg", 1),
        ("{:08d}.jpg", 1),  # DanceTrack
        ("{:05d}.jpg", 1),
        ("{:d}.bmp", 1),
        ("{:06d}.JPG", 1),
        ("frame_{:06d}.PNG", 0),  # CVAT
        ("{:06d}.jpg", 0),
        ("b1c66a42-6f7d68ca-{:07d}.jpg", 1),  # BDD100K
        ("img{:04d}.jpeg", 0),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_every_frame_is_where_its_number_says(name: str, first: int, announced: bool) -> None:
    names = [name.format(number + first) for number in range(12)]
    files, told = found([*names[::-1], "notes.txt"], ".jpg" if announced else None, 12 if announced else None)
    assert files.names == dict(enumerate(names, 1))
    assert told == ["counted from 0"] * (first == 0)
    assert files.missing(13) == [13]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["000001.jpg", "1.jpg", "01.jpg", "000002.jpg"], None),
        (["1.jpg", "01.jpg"], "have one number"),
        (["a_1.jpg", "b_2.jpg"], "frames called 'a_' and 'b_'"),
        (["000000.jpg", "000001.jpg"], "numbered 0 to 1, but seqinfo.ini says 1 frame"),
    ],
)
def test_what_cannot_be_told_is_refused(names: list[str], words: str | None) -> None:
    if words is None:
        assert found(names)[0].names == {1: "000001.jpg", 2: "000002.jpg"}
        return
    with pytest.raises(InputError, match=words):
        found(names, ".jpg", 1)


def test_others_are_told_of() -> None:
    files, told = found(["000001.jpg", "000003.jpg", "cover.jpg", "000002.png", "thumb_000002.jpg", "9999999.jpg"])
    assert (files.names, files.missing(3)) == ({1: "000001.jpg", 3: "000003.jpg"}, [2])
    assert told == ["name of a frame"]
    assert found(["a.txt"])[0].last == 0


@given(st.sets(st.integers(0, 40), min_size=1), st.integers(1, 8), st.sampled_from(["", "frame_", "film-7_"]))
def test_gaps_stay_gaps(numbers: set[int], digits: int, begin: str) -> None:
    names = [f"{begin}{number:0{digits}d}.png" for number in numbers]
    files, _ = found(names)
    shift = 0 in numbers
    assert {int(name.removeprefix(begin)[:-4]) + shift: name for name in names} == files.names
