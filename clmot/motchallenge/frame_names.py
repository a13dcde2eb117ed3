"""Which file shows which frame, told by the names that the files have.

    000001.jpg, 000002.jpg, ...          MOTChallenge
    00000001.jpg, ...                    DanceTrack: any number of digits
    frame_000000.PNG, frame_000001.PNG   CVAT: behind a word, and counted from 0

Names count frames from 1; where one has the number 0, they count from 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from clmot.files import IMAGE_SUFFIXES
from clmot.motchallenge.sequence import MOST_FRAMES, frame_name
from clmot.problems import Problem, Report
from clmot.wording import counted, joined

# Digits at the end of a name, behind nothing, a separator or a word; not those at the end of a checksum.
_NUMBER = re.compile(r"(?:^|[\W_]|(?<![^\W_])[^\W\d_]+)([0-9]{1,9})$")

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # before the name of every file that Label Studio was given, each time another


@dataclass(frozen=True)
class FrameFiles:
    """The frames of a folder."""

    names: dict[int, str]
    """Frame, counted from 1 -> name of its file; in order, with gaps where files are missing."""
    extension: str
    """What frames are called with, `.jpg`: as seqinfo.ini says, or as most files have it."""

    @property
    def last(self) -> int:
        """The last frame; 0 where there is none."""
        return max(self.names, default=0)

    def called(self, frame: int) -> str:
        """The name of a frame's file, or what it would be called."""
        return self.names.get(frame) or frame_name(frame, self.extension)

    def missing(self, length: int) -> list[int]:
        """Frames of 1..length without a file."""
        return [frame for frame in range(1, length + 1) if frame not in self.names]


def numbered(stem: str) -> tuple[str, int] | None:
    """What the name of a frame (without its ending) begins with, which all frames of a film share, and the number that
    it ends with; None where it ends with none.

    >>> numbered("door_000012"), numbered("frame7"), numbered("door"), numbered("3f9a12")
    (('door_', 12), ('frame', 7), None, None)
    >>> numbered("9c1e0a77-door_000012")
    ('door_', 12)
    """
    match = _NUMBER.search(stem)
    return (_UPLOAD.sub("", stem[: match.start(1)]), int(match.group(1))) if match else None


def first_number(numbers: Collection[int]) -> int:
    """What the first frame is called: 0 where a frame of this number is there, else 1."""
    return 0 if 0 in numbers else 1


def frame_files(
    files: Iterable[str], where: str, report: Report, extension: str | None = None, length: int | None = None
) -> FrameFiles:
    """The frames among the files of a folder.

    Args:
        files: their names; those that are no images are passed over.
        where: the folder, for the report.
        report: told where one cannot tell which file is which frame, and (mildly) of images that are none.
        extension: of the frames, as seqinfo.ini says; files with another one count where none has it.
        length: number of frames, as seqinfo.ini says.
    """
    wanted = (extension or "").lower()
    images = sorted(file for file in files if file.lower().endswith((*IMAGE_SUFFIXES, wanted or IMAGE_SUFFIXES[0])))
    found = {file: name for file in images if (name := numbered(PurePosixPath(file).stem)) and "/" not in file}
    found = {file: name for file, name in found.items() if name[1] <= MOST_FRAMES}
    suffixes = Counter(PurePosixPath(file).suffix.lower() for file in found)
    suffix = wanted if wanted in suffixes else max(sorted(suffixes), key=lambda s: suffixes[s], default=".jpg")
    taken = {file: name for file, name in found.items() if file.lower().endswith(suffix)}
    begins = sorted({name[0] for name in taken.values()})
    if len(begins) > 1 and begins[0] != "":  # plain numbers are MOTChallenge's own names; others beside them are none
        shown = joined(repr(begin) for begin in begins[:2])
        report(Problem("frames of several films", where, f"has frames called {shown} and a number: keep one film's"))
    numbers = _numbers({file: name[1] for file, name in taken.items() if name[0] == begins[0]}, where, report)
    first = _first(numbers, where, report, length)
    frames = {number - first + 1: numbers[number] for number in sorted(numbers)}
    others = [file for file in images if file not in set(frames.values())]
    if others:
        text = f"{counted(len(others), 'image')} not called as its frames are, and not used ({others[0]})"
        report(Problem("name of a frame", where, f"has {text}", fatal=False))
    spelled = Counter(PurePosixPath(file).suffix for file in frames.values())
    usual = max(sorted(spelled), key=lambda s: spelled[s], default=extension or ".jpg")
    return FrameFiles(frames, extension if extension and usual.lower() == wanted else usual)


def _numbers(files: dict[str, int], where: str, report: Report) -> dict[int, str]:
    """Number -> file. Of two with one number, that with six digits is meant."""
    by_number: dict[int, list[str]] = {}
    for file, number in files.items():
        by_number.setdefault(number, []).append(file)
    numbers = {}
    for number, names in by_number.items():
        proper = [name for name in names if PurePosixPath(name).stem == f"{number:06d}"]
        if len(names) > 1 and len(proper) != 1:
            report(Problem("frame twice", where, f"{joined(names)} have one number: keep one of them"))
        numbers[number] = (proper or names)[0]
    return numbers


def _first(numbers: Mapping[int, str], where: str, report: Report, length: int | None) -> int:
    """The number of the first frame."""
    first = first_number(numbers)
    if first == 0:
        if length is not None and length in numbers:
            text = (
                f"has frames numbered 0 to {length}, but seqinfo.ini says {counted(length, 'frame')}: remove the one "
                f"of number 0 if they count from 1, or write seqLength={length + 1} if they count from 0"
            )
            report(Problem("frame 0", where, text))
        report(Problem("counted from 0", where, f"counts frames from 0: {numbers[0]} is frame 1", fatal=False))
    return first
