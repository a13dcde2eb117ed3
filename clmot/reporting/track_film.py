"""One film tracked into files: the table of its tracks, and the video that shows them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.inference.image_sources import ImageSource
from clmot.inference.joined_film import JoinedFilm
from clmot.inference.model import Model
from clmot.inference.session import TrackedFrame
from clmot.motchallenge.annotations import AnnotationTable
from clmot.progress import progress
from clmot.reporting.track_tables import TrackTable
from clmot.reporting.tracked_video import TrackedVideo, Trails
from clmot.wording import counted


@dataclass
class Outcome:
    """How the tracking of a film ended."""

    frames: int = 0
    last: int = 0
    """Number of the last frame."""
    boxes: int = 0
    interrupted: bool = False
    trouble: str = ""
    """What broke the film off."""
    damaged: int = 0

    @property
    def exit_code(self) -> int:
        """130 where the user interrupted, 3 where the film broke off, 0 where it came to its end."""
        if self.interrupted:
            return 130
        return 3 if self.trouble else 0

    def __str__(self) -> str:
        ended = "interrupted; " if self.interrupted else f"broke off ({self.trouble}); " if self.trouble else ""
        damage = f", {counted(self.damaged, 'damaged piece')} left out" if self.damaged else ""
        boxes = f"{self.boxes} box{'' if self.boxes == 1 else 'es'}"
        return f"{ended}{counted(self.frames, 'frame')}, {boxes} with an identity{damage}"


def track_film(
    model: Model,
    images: ImageSource,
    boxes: AnnotationTable | None,
    table: TrackTable,
    video: TrackedVideo | None = None,
    show: bool = False,
) -> Outcome:
    """Track a film to its end, or until it breaks off or the user interrupts: the files are whole then too.

    Args:
        model: tracks.
        images: are closed in the end.
        boxes: given ones; None: the model's.
        table: gets the tracks.
        video: gets the drawn frames.
        show: draw them into a window as well; `q` ends it.

    Raises:
        InputError: an image cannot be read, or a file cannot be written.
    """
    outcome, trails = Outcome(), Trails()
    window = Window(images.name) if show else None
    with contextlib.ExitStack() as outs:
        outs.enter_context(table)
        if video is not None:
            outs.enter_context(video)
        pictures = video is not None or window is not None
        tracked = _joined(model, images, boxes, outcome, pictures) or model.tracked(images, boxes)
        try:
            for frame in progress(tracked, images.name, total=images.length, unit="frame"):
                table.add(frame)
                outcome.frames += 1
                outcome.last, outcome.boxes = frame.number, table.boxes
                if pictures:
                    picture = trails.draw(frame)
                    if video is not None:
                        video.add(picture, frame.time)
                    if window is not None and not window.show(picture):
                        break
        except KeyboardInterrupt:
            outcome.interrupted = True
        tracked.close()
    outcome.trouble, outcome.damaged = images.trouble, images.damaged
    return outcome


def _joined(
    model: Model, images: ImageSource, boxes: AnnotationTable | None, outcome: Outcome, pictures: bool
) -> Generator[TrackedFrame, None, None] | None:
    """A film's frames with joined identities, after all of it is tracked; None: they are told as they are found.

    After Ctrl-C those that were tracked until then; `outcome` is told. `pictures`: whether images are wanted.
    """
    again = model.joins(images)
    if again is None:
        return None
    film = JoinedFilm(model.params, images)
    tracked = model.tracked(images, boxes, film.see, whole=True)
    try:
        film.keep(progress(tracked, f"{images.name}: tracking", total=images.length, unit="frame"))
    except KeyboardInterrupt:
        outcome.interrupted = True
    tracked.close()
    return film.pictured(again()) if pictures else film.joined()


class Window:
    """Where frames are seen as they are tracked."""

    def __init__(self, name: str) -> None:
        """Raises an InputError where there is no screen."""
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not screen:  # Qt would end the process
            raise InputError("--show needs a screen, and here is none: the video is written without it.")
        self.name = name

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Show a frame; False: it is enough."""
        import cv2

        library: Any = cv2
        try:
            library.imshow(self.name, picture)
            return bool(library.waitKey(1) & 0xFF != ord("q"))
        except library.error:
            raise InputError("--show: this OpenCV is built without windows (opencv-python has them).") from None
