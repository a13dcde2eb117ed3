"""The films of one benchmark, tracked by as many processes as there are, each film once."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import clmot
from clmot.files import content_hash
from clmot.inference.embeddings import NETWORK
from clmot.inference.film_tracker import FilmTask, FilmTracker
from clmot.inference.finished_films import FOLDER, finished, note_finished
from clmot.inference.speed import FilmSpeed
from clmot.spread import NONE, spread

MODEL = Path("models/tracker")
CODE = ("inference", "tracking", "models", "motchallenge")
"""Rooms that decide tracks, as dvc.yaml has them."""
GIVEN = (Path("detections"), Path("data/detections"), Path("data/held_out"))
"""Where detections and embeddings may come from that are not the model's."""


class KeptTracks:
    """The tracks of a benchmark's films as they were found last, each with the key of what decided them.

    DVC knows a benchmark's tracks as one: a new film changes them, and tracking begins from nothing. Here films whose
    frames, model, code and params are as they were have their tracks already, and so do those that were finished before
    a stage was cut off.
    """

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which outlives the stage."""
        self.folder = folder
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)

    def key(self, images: Sequence[Path], decides: str) -> str:
        """The hash of a film's images and of all else that decides its tracks."""
        return content_hash(decides, *images)

    def speed(self, film: str, key: str) -> FilmSpeed | None:
        """What tracking a film cost, if its tracks of this key are here."""
        said = finished(self.folder, film, key)
        return None if said is None else FilmSpeed(**json.loads(said))

    def task(self, film: str) -> FilmTask:
        """The task whose tracks are kept here."""
        return FilmTask(film, self.folder, self.folder)

    def keep(self, film: str, key: str, speed: FilmSpeed) -> None:
        """Note that a film's tracks are here."""
        said = json.dumps(dataclasses.asdict(speed))
        note_finished(self.folder, film, key, said, [f"{film}.txt", f"{film}.safetensors"])

    def put(self, films: Iterable[str], tracks: Path, detections: Path) -> None:
        """Copy films' tracks to where they belong, and let go of all others."""
        names = set(films)
        for film in names:
            shutil.copyfile(self.folder / f"{film}.txt", tracks / f"{film}.txt")
            shutil.copyfile(self.folder / f"{film}.safetensors", detections / f"{film}.safetensors")
        for file in [*self.folder.iterdir(), *(self.folder / FOLDER).iterdir()]:
            if file.is_file() and file.stem not in names:
                file.unlink()


def track_films(tracker: FilmTracker, kept: KeptTracks) -> tuple[dict[str, FilmSpeed], float]:
    """Track the films that have no tracks yet; what each cost, by its name in the tracker's order, and all together.

    With `hardware.workers` processes, or on the machines of `hardware.cluster`, a film at a time each; in this process
    films share the network's batches. A film is kept as soon as it is done.

    Raises:
        InputError: as `FilmTracker.ready`; an image cannot be read; or there is no such cluster.
    """
    hardware = tracker.params.hardware
    decides = content_hash(
        *sorted(file for room in CODE for file in (Path(clmot.__file__).parent / room).rglob("*.py")),
        *([MODEL] if MODEL.is_dir() else []),
        repr((tracker.params.track, tracker.params.model.input_size, tracker.benchmark)),
    )
    keys = {
        film: kept.key(part.images, repr((decides, part.frames, part.length, part.frame_rate, _given(tracker, film))))
        for film, part in tracker.parts.items()
    }
    found = {film: kept.speed(film, key) for film, key in keys.items()}
    seconds = sum(speed.seconds for speed in found.values() if speed is not None)
    left = [film for film, speed in found.items() if speed is None]
    tasks = [kept.task(film) for film in left]
    begin = time.perf_counter()
    workers = min(hardware.workers, len(left)) if min(hardware.workers, len(left)) > 1 else 0
    if workers or hardware.cluster != NONE:
        tracker.check()  # here, where it is a sentence
        worker = tracker.shared_by(workers) if hardware.cluster == NONE else tracker
        done = spread(worker.ready, tasks, hardware.cluster, workers)
    else:
        done = _in_turn(tracker, tasks)
    with closing(done):
        for at, speed in done:
            kept.keep(left[at], keys[left[at]], speed)
            found[left[at]] = speed
    return {film: speed for film, speed in found.items() if speed is not None}, seconds + time.perf_counter() - begin


def _in_turn(tracker: FilmTracker, tasks: Sequence[FilmTask]) -> Generator[tuple[int, FilmSpeed], None, None]:
    """As `spread`, by this process; without films no network is loaded."""
    if tasks:
        with closing(tracker.ready().in_turn(tasks, bars=True)) as speeds:
            yield from enumerate(speeds)


def _given(tracker: FilmTracker, film: str) -> str:
    """What somebody gave for a film: the hash of its files, empty where the model alone decides."""
    track = tracker.params.track
    if (track.detections, track.embedding) == (NETWORK, NETWORK):
        return ""
    named = [Path(text) for text in (track.detections, track.embedding) if Path(text).is_dir()]
    files = {file for folder in (*GIVEN, *named) for file in folder.rglob("*") if file.is_file()}
    return content_hash(*sorted(file for file in files if film in (file.stem, *(part.name for part in file.parents))))
