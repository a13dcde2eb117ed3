"""Videos shown as the folders of sequences that they stand for, so that everything behind treats both alike."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from clmot.archives.benchmark_layout import GROUND_TRUTH_FILE, sequence_folders
from clmot.archives.entries import Entry, open_contents
from clmot.errors import InputError
from clmot.films.boxes import read_truth
from clmot.films.find_films import Film, film_of, find_films, is_video
from clmot.films.video import FrameReader, Measured, measure, report_oddities
from clmot.motchallenge.sequence import (
    IMAGE_DIR,
    SEQINFO_FILE,
    SequenceInfo,
    format_seqinfo,
    frame_name,
)
from clmot.problems import Problem, Report

EXTENSION = ".jpg"


@contextlib.contextmanager
def open_with_films(
    source: Path, subsets: Sequence[str], measured_as: Callable[[Path], Measured] = measure
) -> Iterator[Mapping[str, Entry]]:
    """The files of a zip or a folder, as `open_contents` gives them, and the sequences that its videos stand for; or
    the sequence of one video. Frames are decoded when they are read, in order, and never stored on the way.

    Args:
        source: the zip, folder or video.
        subsets: `train`, `test`: videos of others are not looked at.
        measured_as: decodes a whole video; whoever has done so already says what came of it.

    Raises:
        InputError: there is no such source; a video cannot be read; its boxes are absent, twice there, faulty, or of
            frames that it does not have; or videos are in a zip.
    """
    with contextlib.ExitStack() as stack:
        if is_video(source) and source.is_file():
            folder, members = source.parent, dict[str, Entry]()
            named = film_of(source, warn_or_refuse)
            films = [] if named is None else [named]
        else:
            folder, members = source, dict(stack.enter_context(open_contents(source)))
            if not source.is_dir():
                _refuse_videos_of_a_zip(source, members)
                yield members
                return
            films = find_films(source, members, subsets, warn_or_refuse)
        for film in films:
            measured = measured_as(film.video)
            members |= _sequence(folder, film, measured, stack, warn_or_refuse)
        yield members


def warn_or_refuse(problem: Problem) -> None:
    """The report of the stage: what is left out is said, and nothing faulty is used.

    Raises:
        InputError: the problem is fatal.
    """
    if problem.fatal:
        raise InputError(f"{problem}.")
    print(f"warning: {problem}.", file=sys.stderr)


def _sequence(
    folder: Path, film: Film, measured: Measured, stack: contextlib.ExitStack, report: Report
) -> dict[str, Entry]:
    """The files of the sequence that a film stands for; its video is closed with `stack`."""
    report_oddities(film.video, measured, report)
    entries = {}

    def add(file: str, data: bytes) -> None:
        name = f"{film.place}/{file}"
        entries[name] = Entry(folder, name, len(data), len(data), functools.partial(io.BytesIO, data))

    info = SequenceInfo(
        film.name,
        IMAGE_DIR,
        measured.frame_rate,
        measured.frames,
        measured.width,
        measured.height,
        EXTENSION,
    )
    add(SEQINFO_FILE, format_seqinfo(info).encode())
    truth = None if film.boxes is None else read_truth(film, measured, report)
    if truth is not None:
        add(GROUND_TRUTH_FILE, truth.text)
    reader = FrameReader(film.video, measured)
    stack.callback(reader.close)
    for number in range(1, measured.frames + 1):
        name = f"{film.place}/{IMAGE_DIR}/{frame_name(number, EXTENSION)}"
        size = measured.frame_bytes
        entries[name] = Entry(folder, name, size, size, functools.partial(_frame, reader, number))
    return entries


def _frame(reader: FrameReader, number: int) -> IO[bytes]:
    return io.BytesIO(reader.jpeg(number))


def _refuse_videos_of_a_zip(source: Path, members: Mapping[str, Entry]) -> None:
    """Decoding jumps about in a file, which a zip does not allow; videos beside sequences are nothing of their own."""
    videos = sorted(filter(is_video, members))
    if videos and not sequence_folders(members):
        raise InputError(
            f"{source} holds videos ({videos[0]}), which cannot be decoded inside a zip: unpack it, and name the "
            "folder in 'data.source'."
        )
