"""Videos presented as folders of sequences, so that all later code treats both alike."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from clmot.archives.benchmark_layout import GROUND_TRUTH_FILE, sequence_folders
from clmot.archives.entries import Entry, open_contents
from clmot.errors import InputError
from clmot.files import is_video
from clmot.films.boxes import FilmTruth, read_truth
from clmot.films.find_films import Film, film_of, find_films
from clmot.films.video import FrameReader, Measured, measure, report_oddities
from clmot.motchallenge.sequence import (
    IMAGE_DIR,
    SEQINFO_FILE,
    SequenceInfo,
    format_seqinfo,
    frame_name,
)
from clmot.problems import warn_or_refuse

EXTENSION = ".jpg"


@contextlib.contextmanager
def open_with_films(
    source: Path,
    subsets: Sequence[str],
    measured_as: Callable[[Path], Measured] = measure,
    classes: Sequence[int | str] = (),
) -> Iterator[Mapping[str, Entry]]:
    """The files of a zip or a folder, as `open_contents` gives them, with each video added as the files of a sequence.

    `source` may also be a single video. Frames are decoded when they are read, in order, and are not stored.

    Args:
        source: the zip, folder or video.
        subsets: `train`, `test`: videos in other folders are ignored.
        measured_as: decodes and measures a whole video; a caller that has measured it already passes the result.
        classes: names or numbers of those that are tracked, together as one; empty: that of people.

    Raises:
        InputError: the source does not exist; a video cannot be read or is in a zip; its boxes are missing, given
            twice, faulty, or belong to frames that it does not have.
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
            report_oddities(film.video, measured, warn_or_refuse)
            truth = None if film.boxes is None else read_truth(film, measured, warn_or_refuse, classes)
            members |= _sequence(folder, film, measured, truth, stack)
        yield members


def _sequence(
    folder: Path, film: Film, measured: Measured, truth: FilmTruth | None, stack: contextlib.ExitStack
) -> dict[str, Entry]:
    """The files of a film as a sequence; its video is closed with `stack`."""
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
    """Videos inside a zip cannot be decoded, because decoding seeks; beside sequences they are ignored."""
    videos = sorted(filter(is_video, members))
    if videos and not sequence_folders(members):
        raise InputError(
            f"{source} holds videos ({videos[0]}), which cannot be decoded inside a zip: unpack it, and name the "
            "folder in 'data.source'."
        )
