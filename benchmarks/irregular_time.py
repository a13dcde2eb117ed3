"""What true times are worth where frames are missing.

A film of which a share of the frames is left out at random is tracked with the times of those that are left, and as if
they were all.

    python -m benchmarks.irregular_time FILM --detections BOXES.txt --embeddings EMBEDDINGS.npz \\
        --output benchmarks/results/irregular_time.json

FILM is a sequence as MOTChallenge lays it out, `<benchmark>/<film>/{gt/gt.txt,seqinfo.ini}`; BOXES a detector's boxes
of it, in MOTChallenge's rows; EMBEDDINGS anyone's of these boxes (frame, box, embedding). No image is read. The
configuration is the profile `film`'s, with each association, without embeddings and with those. What is scored is the
frames that are left.

Prints a table and writes json: IDF1 in percent, of all frames and of every draw, with times and without; and whether
the whole film has the same tracks with and without times, as it must.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.unseen_film import Film, Given
from clmot.errors import InputError, run_as_script
from clmot.evaluation.score import score_sequence
from clmot.inference.embeddings import NONE, Embedded, StoredEmbeddings
from clmot.inference.pipeline import DetectionSource
from clmot.inference.session import Session
from clmot.motchallenge.annotations import AnnotationTable, format_results, parse_results
from clmot.motchallenge.splits import FrameRange
from clmot.params import DEFAULT_FILE, TrackParams, changed_params, read_text
from clmot.profiles import FILM_FILE

ASSOCIATIONS: tuple[Literal["calibrated", "fairmot"], ...] = ("calibrated", "fairmot")
BLANK = np.zeros((1, 1, 3), np.uint8)
"""In the place of images, which nothing here looks at."""


def track(
    source: DetectionSource, rate: float, frames: Sequence[int], params: TrackParams, timed: bool
) -> AnnotationTable:
    """The tracks of those frames, numbered as the film has them.

    Args:
        source: the detections of each frame.
        rate: frames per second of the whole film.
        frames: those that are left, ascending.
        params: association.
        timed: whether the session is told when each frame was taken.
    """
    session = Session(params, rate, source)
    rows = []
    for number in frames:
        found = session.update(BLANK, number=number, time=(number - 1) / rate if timed else None)
        rows.append(format_results([number] * len(found), found.identities, found.boxes, found.scores))
    return parse_results("".join(rows).encode(), "the tracks")


def identity_f1(film: Film, frames: Sequence[int], tracks: AnnotationTable) -> float:
    """IDF1 in percent, of those frames alone."""
    place = np.zeros(film.info.length + 1, np.int64)
    place[list(frames)] = np.arange(1, len(frames) + 1)
    judged = film.truth
    left = place[judged.table.frame] > 0
    table = judged.table.select(left)
    judged = dataclasses.replace(
        judged,
        table=dataclasses.replace(table, frame=place[table.frame]),
        length=len(frames),
        counted=judged.counted[left],
        distractor=judged.distractor[left],
    )
    return 100 * score_sequence(judged, dataclasses.replace(tracks, frame=place[tracks.frame])).IDF1


def measure(film: Film, params: TrackParams, stored: Path | None, keep: float, draws: int) -> dict[str, Any]:
    """IDF1 of the whole film, and of draws of its frames with times and without."""
    source: DetectionSource = Given(film.boxes("detected"))
    if stored is not None:
        source = Embedded(source, StoredEmbeddings(stored, FrameRange(1, film.info.length)))
    whole, rate = range(1, film.info.length + 1), film.info.frame_rate
    tracks = track(source, rate, whole, params, False)
    timed = track(source, rate, whole, params, True)
    found: dict[str, Any] = {
        "all frames": round(identity_f1(film, whole, tracks), 2),
        "same tracks with times": bool(
            np.array_equal(tracks.identity, timed.identity) and np.array_equal(tracks.box, timed.box)
        ),
        "with times": [],
        "without": [],
    }
    for seed in range(draws):
        frames = drawn(film.info.length, keep, seed)
        for name in ("with times", "without"):
            tracks = track(source, rate, frames, params, name == "with times")
            found[name].append(round(identity_f1(film, frames, tracks), 2))
    return found


def drawn(length: int, keep: float, seed: int) -> list[int]:
    """That share of the frames 1 to `length`, at random, ascending."""
    chosen: NDArray[np.int64] = np.random.default_rng(seed).choice(length, round(keep * length), replace=False)
    return sorted((chosen + 1).tolist())


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--detections", type=Path, required=True)
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--keep", type=float, default=0.5, help="share of the frames that are left (default: 0.5)")
    parser.add_argument("--draws", type=int, default=5, help="how often frames are drawn (default: 5)")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.keep < 1:
        raise InputError(f"--keep {chosen.keep:g}: expected a share of the frames, above 0 and below 1.")
    film = Film(chosen.film, chosen.film.absolute().parent.name, chosen.detections)
    params = changed_params(read_text(DEFAULT_FILE), DEFAULT_FILE.name, (read_text(FILM_FILE), FILM_FILE.name)).track
    results: dict[str, Any] = {}
    print(f"{'':24}{'all frames':>12}{'with times':>26}{'without':>26}")
    for association in ASSOCIATIONS:
        for stored in dict.fromkeys((None, chosen.embeddings)):
            name = f"{association}, {'boxes alone' if stored is None else 'embeddings'}"
            embedding = NONE if stored is None else params.embedding
            configured = dataclasses.replace(params, association=association, embedding=embedding)
            if association == "fairmot":
                configured = dataclasses.replace(configured, refind_seconds=0.0)  # its threshold is another embedding's
            found = results[name] = measure(film, configured, stored, chosen.keep, chosen.draws)
            cells = "".join(f"{_told(found[column]):>26}" for column in ("with times", "without"))
            print(f"{name:24}{found['all frames']:12.1f}{cells}", flush=True)
    report = {
        "command": " ".join(["python -m benchmarks.irregular_time", *(arguments or sys.argv[1:])]),
        "film": film.name,
        "IDF1": results,
    }
    if chosen.output is not None:
        chosen.output.write_text(json.dumps(report, indent=1) + "\n")


def _told(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    run_as_script(main)
