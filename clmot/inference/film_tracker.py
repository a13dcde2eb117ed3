"""The films of one benchmark, each tracked into files by whichever process takes it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path

import torch

from clmot.hardware import set_up
from clmot.inference.detection_sources import detection_sources
from clmot.inference.found_ahead import FoundFrame, found_ahead
from clmot.inference.given_detections import Recorder
from clmot.inference.pipeline import DetectionSource
from clmot.inference.recording import write_recording
from clmot.inference.speed import FilmSpeed
from clmot.inference.track_frames import film_images, track_found
from clmot.inference.tracked_frames import TrackedPart
from clmot.motchallenge.annotations import write_results
from clmot.params import Params


@dataclass(frozen=True)
class FilmTask:
    """A film to track, and where its tracks go."""

    film: str
    """Its name."""
    tracks: Path
    """Folder for <film>.txt; and"""
    detections: Path
    """that for <film>.safetensors, what was found before association."""


@dataclass(frozen=True)
class FilmTracker:
    """What tracks films, as it is sent to processes of this machine or others: names, numbers and paths, no network.

    A process calls `ready` once, which loads the networks, and what that gives with one `FilmTask` after another.
    Frames are read, and tracks written, where the paths lead: none of them travels.
    """

    benchmark: str
    parts: dict[str, TrackedPart]
    """What is tracked of each film, by its name."""
    params: Params

    def shared_by(self, processes: int) -> FilmTracker:
        """The same for so many processes at once, which share the cores."""
        threads = max(1, (self.params.hardware.threads or torch.get_num_threads()) // max(1, processes))
        return replace(self, params=replace(self.params, hardware=replace(self.params.hardware, threads=threads)))

    def check(self) -> None:
        """Raise an InputError if a film's detections or embeddings, or the model, cannot be used: before hours pass."""
        detection_sources(self.parts, self.benchmark, self.params, torch.device("cpu"))

    def ready(self) -> ReadyTracker:
        """Choose the device and load the networks, in the process that is to track.

        Raises:
            InputError: as `check`; or there is no such device.
        """
        device = set_up(self.params.hardware).device
        return ReadyTracker(self, detection_sources(self.parts, self.benchmark, self.params, device))


@dataclass(frozen=True)
class ReadyTracker:
    """A `FilmTracker` whose networks are loaded."""

    of: FilmTracker
    sources: dict[str, DetectionSource]

    def __call__(self, task: FilmTask) -> FilmSpeed:
        """Track a film into its two files, each whole or absent; what it cost.

        Raises:
            InputError: an image is missing or unreadable.
        """
        (speed,) = self.in_turn([task])
        return speed

    def in_turn(self, tasks: Sequence[FilmTask], *, bars: bool = False) -> Generator[FilmSpeed, None, None]:
        """Track films one after the other, each as by itself; what each cost, as soon as its files are there.

        Neighbours of the same source are looked at as one stream: the frames after a film's last are the next one's, so
        that they fill its last batch, and the network does not wait between films. Closing it ends its threads.

        Args:
            tasks: the films.
            bars: whether each has a progress bar.

        Raises:
            InputError: an image is missing or unreadable; the films before it are done.
        """
        for _, neighbours in groupby(tasks, lambda task: id(self.sources[task.film])):
            films = list(neighbours)
            images = chain.from_iterable(film_images(self.of.parts[task.film].images) for task in films)
            with closing(found_ahead(self.sources[films[0].film], images)) as coming:
                for task in films:
                    yield self._tracked(task, coming, task.film if bars else None)

    def _tracked(self, task: FilmTask, coming: Iterator[FoundFrame], description: str | None) -> FilmSpeed:
        part, track = self.of.parts[task.film], self.of.params.track
        recorder = Recorder(min(track.recorded_confidence, track.confidence))
        found = track_found(coming, len(part.images), track, part.frame_rate, description=description, record=recorder)
        write_recording(task.detections / f"{task.film}.safetensors", recorder.recorded())
        write_results(task.tracks / f"{task.film}.txt", found.frame, found.identity, found.boxes, found.scores)
        return FilmSpeed(
            found.frames, found.seconds, found.network_seconds, found.association_seconds, found.camera_seconds
        )
