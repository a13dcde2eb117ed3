"""The zip that the MOTChallenge server takes: `<sequence>.txt` of every test sequence at its root.

Rows are `frame,id,x,y,w,h,confidence,-1,-1,-1`, frames and identities numbered from 1. MOT17 wants each film under
three names, one for each of its public detectors; a tracker with a detector of its own hands in the same tracks thrice.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from clmot.archives.entries import DAMAGE
from clmot.errors import InputError
from clmot.files import staged_file
from clmot.motchallenge.annotations import AnnotationTable, parse_results
from clmot.motchallenge.splits import DETECTORS, MOT15_FRAME_RATES, home_benchmark, without_detector
from clmot.wording import listed

TEST_FILMS: Mapping[str, Mapping[str, int | None]] = MappingProxyType(
    {
        "MOT15": MappingProxyType(
            dict.fromkeys(
                (
                    "ADL-Rundle-1",
                    "ADL-Rundle-3",
                    "AVG-TownCentre",
                    "ETH-Crossing",
                    "ETH-Jelmoli",
                    "ETH-Linthescher",
                    "KITTI-16",
                    "KITTI-19",
                    "PETS09-S2L2",
                    "TUD-Crossing",
                    "Venice-1",
                )
            )
        ),
        "MOT17": MappingProxyType(
            {
                "MOT17-01": 450,
                "MOT17-03": 1500,
                "MOT17-06": 1194,
                "MOT17-07": 500,
                "MOT17-08": 625,
                "MOT17-12": 900,
                "MOT17-14": 750,
            }
        ),
        "MOT20": MappingProxyType({"MOT20-04": 2080, "MOT20-06": 1008, "MOT20-07": 585, "MOT20-08": 806}),
    }
)
"""The films of each benchmark's test set with their numbers of frames; None: only the data state it."""

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the format's earliest: equal tracks give equal bytes
_LARGEST = 1 << 30  # bytes of one file; MOT20's largest results have some 30 MB


@dataclass(frozen=True)
class Submission:
    """What a checked zip holds."""

    files: int
    boxes: int
    tracks: int
    """Distinct identities of each file, summed."""
    unknown_lengths: tuple[str, ...]
    """Films whose number of frames nothing states: their last frame could not be checked."""


def submitted_names(benchmark: str, films: Iterable[str]) -> list[str]:
    """The names of the files under which films are handed in: `<film>`, or MOT17's three of each."""
    if benchmark != "MOT17":
        return sorted(films)
    return [f"{film}-{detector}" for film in sorted(films) for detector in DETECTORS]


def write_submission(
    path: str | os.PathLike[str],
    tracks: str | os.PathLike[str],
    benchmark: str,
    films: Mapping[str, int],
    *,
    official: bool = True,
) -> Submission:
    """Zip the tracks of a benchmark's test set, and check the zip; equal tracks give equal bytes.

    Args:
        path: the zip to write, whole or not at all; an earlier one is replaced.
        tracks: folder of `<film>.txt`.
        films: the films that were tracked with their numbers of frames.
        official: refuse films that are not the benchmark's test set.

    Raises:
        InputError: a film is missing, unknown to the server, or its tracks are not as they should be; there is
            something else at `path`.
    """
    tracks = Path(tracks)
    expected = TEST_FILMS[benchmark] if official else films
    _check_names(set(films), set(expected), benchmark, str(tracks))
    with staged_file(path) as aside:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in submitted_names(benchmark, films):
                source = tracks / f"{without_detector(name)}.txt"
                if not source.is_file():
                    raise InputError(f"{source} does not exist: run the track stage first (`dvc repro track`).")
                entry = zipfile.ZipInfo(f"{name}.txt", _ZIP_TIME)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, source.read_bytes())
        found = check_submission(aside, benchmark, films, expected=set(expected), shown=str(path))
        _refuse_other_contents(Path(path))
        return found


def _refuse_other_contents(path: Path) -> None:
    """Refuse to replace anything but results: `MOT17.zip` is also the name of the benchmark's archive."""
    if not path.exists():
        return
    names = ["/"]
    with contextlib.suppress(*DAMAGE, NotImplementedError, OSError), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any("/" in name or not name.endswith(".txt") for name in names):
        raise InputError(f"{path} is there and holds no results: name another file with --out.")


def check_submission(
    path: str | os.PathLike[str],
    benchmark: str | None = None,
    lengths: Mapping[str, int] | None = None,
    *,
    expected: set[str] | None = None,
    shown: str | None = None,
) -> Submission:
    """Check a zip of results before the server does.

    Args:
        path: the zip.
        benchmark: `MOT15`, `MOT17` or `MOT20`; None: its names tell.
        lengths: numbers of frames by film, from data; the others have their published length, where there is one.
        expected: the films that should be in it; None: the benchmark's test set.
        shown: how the zip is called in messages; None: its path.

    Raises:
        InputError: it is no zip, lacks a sequence, holds anything else, or a row is not as it should be: a number that
        is
            not finite, a frame outside the film, an identity below 1 or twice in a frame, a box of no
            size.
    """
    name = shown or str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, name)
            benchmark = benchmark or _benchmark_of(entries, name)
            films = set(TEST_FILMS[benchmark]) if expected is None else expected
            _check_entries(set(entries), benchmark, films, name)
            known = {**TEST_FILMS[benchmark], **(lengths or {})}
            tables = {
                sequence: _checked_table(archive.read(entry), f"{name}:{sequence}.txt", known, sequence)
                for sequence, entry in sorted(entries.items())
            }
    except FileNotFoundError:
        raise InputError(f"{name} does not exist: expected a zip of results there.") from None
    except (*DAMAGE, NotImplementedError, OSError) as error:
        raise InputError(f"{name} is no zip archive, or is damaged ({error}): pack it again.") from None
    return Submission(
        files=len(tables),
        boxes=sum(len(table) for table in tables.values()),
        tracks=sum(len(set(table.identity.tolist())) for table in tables.values()),
        unknown_lengths=tuple(sorted(film for film in films if known.get(film) is None)),
    )


def _entries(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    """The files at the root of the zip by sequence."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        inside = entry.orig_filename
        if "/" in inside or "\\" in inside:
            raise InputError(
                f"{name} holds {inside!r}, but the server looks for <sequence>.txt at the zip's root: pack the files "
                "themselves, not the folder they are in."
            )
        if not inside.endswith(".txt"):
            raise InputError(f"{name} holds {inside!r}, but only <sequence>.txt belongs in it: take that file out.")
        if inside.removesuffix(".txt") in found:
            raise InputError(f"{name} holds {inside!r} twice: keep one of them.")
        if entry.file_size > _LARGEST or entry.flag_bits & 1:
            raise InputError(f"{name}: {inside!r} is encrypted, or larger than any results: pack it again.")
        found[inside.removesuffix(".txt")] = entry
    if not found:
        raise InputError(f"{name} is empty: expected <sequence>.txt of every test sequence.")
    return found


def _benchmark_of(names: Iterable[str], name: str) -> str:
    homes = {home_benchmark(sequence) for sequence in names}
    if len(homes) == 1 and homes <= set(TEST_FILMS):
        (benchmark,) = homes
        assert benchmark is not None
        return benchmark
    raise InputError(
        f"{name} does not hold sequences of one of {', '.join(TEST_FILMS)} alone (it has "
        f"{listed(sorted(names))}): name each file after its test sequence."
    )


def _check_entries(found: set[str], benchmark: str, films: set[str], name: str) -> None:
    """Refuse a zip that lacks a name or has one too many; `films` are to be in it."""
    wanted = set(submitted_names(benchmark, films))
    missing, more = sorted(wanted - found), sorted(found - wanted)
    if more:
        without = benchmark == "MOT17" and more[0] in films
        hint = "MOT17's need -DPM, -FRCNN and -SDP" if without else f"{benchmark}'s test set has no such sequence"
        training = _is_training(more[0], benchmark) and more[0] not in films
        hint = "that is a training sequence, which the server does not score" if training else hint
        raise InputError(f"{name} holds {more[0]}.txt, but {hint}: it takes {listed(sorted(wanted))}.")
    if missing:
        raise InputError(
            f"{name} lacks {listed([f'{sequence}.txt' for sequence in missing])}: the server takes all "
            f"{len(wanted)} files of {benchmark} at once (an empty one where no one was found)."
        )


def _check_names(found: set[str], films: set[str], benchmark: str, name: str) -> None:
    """Refuse to zip what is not the benchmark's test set."""
    if found == films:
        return
    more, missing = sorted(found - films), sorted(films - found)
    said = f"{name} is of {listed(more)}" if more else f"{name} lacks {listed(missing)}"
    raise InputError(
        f"{said}, but the server takes {benchmark}'s test set ({listed(sorted(films))}): only tracks of the official "
        "archive under 'data.split: full' can be scored there; --any zips them all the same."
    )


def _is_training(sequence: str, benchmark: str) -> bool:
    """Whether a name is one of a benchmark's own, but not of its test set."""
    film = without_detector(sequence)
    official = film in MOT15_FRAME_RATES if benchmark == "MOT15" else film.startswith(f"{benchmark}-")
    return official and film not in TEST_FILMS[benchmark]


def _checked_table(data: bytes, name: str, lengths: Mapping[str, int | None], sequence: str) -> AnnotationTable:
    """The rows of one file, all as they should be."""
    table = parse_results(data, name)
    length = lengths.get(without_detector(sequence), lengths.get(sequence))
    last = int(table.frame.max(initial=0))
    if length is not None and last > length:
        raise InputError(
            f"{name} ends with frame {last}, but the film has {length}: number frames from 1 within the film, and "
            "check that the file belongs to this sequence."
        )
    flat = (table.box[:, 2:] <= 0).any(axis=1)
    if flat.any():
        row = int(flat.argmax())
        raise InputError(
            f"{name}: the box of identity {table.identity[row]} in frame {table.frame[row]} has no width or no height "
            f"({flat.sum()} such boxes), which the server may refuse: take them out."
        )
    if (table.identity < 1).any():
        row = int((table.identity < 1).argmax())
        raise InputError(
            f"{name}: identity {table.identity[row]} in frame {table.frame[row]} is below 1: number tracks from 1."
        )
    return table
