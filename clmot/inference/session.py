"""A tracker at work: the images of one video in, one after another, people out. The stage `track`, `clmot track` and
`model.session()` all go through it, so that they say the same."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clmot.errors import InputError
from clmot.inference.pipeline import Detections, DetectionSource, EmbedBoxes, Image
from clmot.params import TrackParams
from clmot.tracking.calibrated import start_tracker
from clmot.tracking.camera import CameraMotion
from clmot.tracking.costs import Floats
from clmot.tracking.tracks import Tracks

WHOLE = 0.1
"""Of a frame: times of a video are rounded (to milliseconds in Matroska), so that what is nearly a whole number of
frames is one."""
Watch = Callable[[int, Tracks, "NDArray[np.float32] | None"], None]
"""Told of each frame's number, tracks, and embeddings of all that was found."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The people of one frame."""

    number: int
    """From 1, as the film counts."""
    time: float
    """Seconds since the film began."""
    boxes: NDArray[np.float64]
    """(N, 4) x1 y1 x2 y2 in image pixels, where the tracker believes them; ordered by identity."""
    identities: NDArray[np.int64]
    """(N,) from 1."""
    scores: NDArray[np.float64]
    """(N,) in 0..1, of the boxes that were found."""
    image: Image
    """(H, W, 3) BGR, as it was given."""

    def __len__(self) -> int:
        return len(self.identities)

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, with `tracker_id`; class 0 is a person.

        Raises:
            InputError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError:
            raise InputError("supervision is not installed: `pip install supervision`, or take .to_pandas().") from None
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            confidence=self.scores.astype(np.float32),
            class_id=np.zeros(len(self), int),
            tracker_id=self.identities.astype(int),
        )


class Session:
    """Follows people through one video; every video needs its own.

    >>> import numpy as np
    >>> from clmot.params import TrackParams
    >>> session = Session(TrackParams(), frame_rate=30)
    >>> image = np.zeros((240, 320, 3), np.uint8)
    >>> frame = session.update(image, boxes=[[10, 10, 50, 120], [200, 15, 240, 130]], scores=[0.9, 0.8])
    >>> frame.number, frame.identities.tolist()
    (1, [1, 2])
    """

    def __init__(
        self,
        params: TrackParams,
        frame_rate: float,
        source: DetectionSource | None = None,
        embed: EmbedBoxes | None = None,
        floor: float = 0.0,
    ) -> None:
        """Start before the first frame.

        Args:
            params: association.
            frame_rate: frames per second that the video has where none is missing.
            source: finds people in an image; None: boxes are always given.
            embed: what the given boxes look like; None: they are associated by motion and overlap.
            floor: given boxes scored below are left out before they are looked at.

        Raises:
            ValueError: the frame rate is not a number above 0.
        """
        self.params = params
        self.frame_rate = frame_rate
        self.number = 0
        """Of the last frame; 0 before the first."""
        self.time = 0.0
        """Of the last frame, in seconds."""
        self.network_seconds = self.camera_seconds = self.association_seconds = 0.0
        self.watch: Watch | None = None
        self._source, self._embed, self._floor = source, embed, floor
        self._tracker = start_tracker(params, frame_rate)
        self._camera = CameraMotion() if params.camera_motion else None

    def update(
        self,
        image: Image,
        boxes: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        *,
        time: float | None = None,
        number: int | None = None,
    ) -> TrackedFrame:
        """Let one frame pass.

        Args:
            image: (H, W, 3) uint8 BGR, as OpenCV reads it, or (H, W) grey.
            boxes: (N, 4) x1 y1 x2 y2 in image pixels, of somebody's detector; None: the model's own.
            scores: (N,) of the boxes, in 0..1; None: all are sure.
            time: seconds since the video began, where frames are dropped or come irregularly; None: a frame after the
                last. Times that do not advance count as that too.
            number: of the frame, from 1; None: the next.

        Raises:
            ValueError: image, boxes or scores are not of these shapes; or there are none and the model has no detector.
        """
        number = self.number + 1 if number is None else number
        begin = clock.perf_counter()
        found = self._detections(number, checked_image(image), boxes, scores)
        return self.follow(image, found, time=time, number=number, seconds=clock.perf_counter() - begin)

    def follow(
        self,
        image: Image,
        found: Detections,
        *,
        time: float | None = None,
        number: int | None = None,
        seconds: float = 0.0,
    ) -> TrackedFrame:
        """Let one frame pass in which people were found already, as `update` finds them.

        Args:
            image: (H, W, 3) uint8 BGR, or (H, W) grey.
            found: people, those of the session's source.
            time: as for `update`.
            number: as for `update`.
            seconds: that finding them took.

        Raises:
            ValueError: the image is none.
        """
        number = self.number + 1 if number is None else number
        begin = clock.perf_counter()
        moved = self._moved(image, found)
        followed = clock.perf_counter()
        elapsed = self._elapsed(time)
        tracks = self._tracker.update(found.boxes, found.scores, found.embeddings, moved, elapsed)
        if self.watch is not None:
            self.watch(number, tracks, found.embeddings)
        self.network_seconds += seconds
        self.camera_seconds += followed - begin if self._camera is not None else 0.0
        self.association_seconds += clock.perf_counter() - followed
        if time is not None:
            self.time = time
        elif self.number:
            self.time += 1 / self.frame_rate
        self.number = number
        return TrackedFrame(number, self.time, tracks.boxes, tracks.identities, tracks.scores, image)

    def _detections(self, number: int, image: Image, boxes: ArrayLike | None, scores: ArrayLike | None) -> Detections:
        if boxes is None:
            if self._source is None:
                raise ValueError("this session has no detector: give update() the boxes of each image.")
            return self._source(number, image)
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        score = np.ones(len(corners)) if scores is None else np.asarray(scores, np.float64).reshape(-1)
        if len(score) != len(corners):
            raise ValueError(f"{len(corners)} boxes, but {len(score)} scores")
        if not (np.isfinite(corners).all() and np.isfinite(score).all()):
            raise ValueError("boxes and scores should be finite numbers")
        used = score >= self._floor
        corners, score = corners[used], score[used]
        return Detections(corners, score, None if self._embed is None else self._embed(image, corners))

    def _moved(self, image: Image, found: Detections) -> Floats | None:
        if self._camera is None:
            return None
        return self._camera.update(checked_image(image), found.boxes[found.scores >= self.params.confidence])

    def _elapsed(self, time: float | None) -> float:
        """Frames since the last one; those that the times make nearly whole are whole."""
        if time is None or not self.number or not time > self.time:
            return 1.0
        frames = (time - self.time) * self.frame_rate
        whole = max(1.0, float(round(frames)))
        return whole if abs(frames - whole) <= WHOLE else frames


def lowest_used(track: TrackParams) -> float:
    """The score below which neither tracking nor judging looks at a detection."""
    floors = [track.confidence, track.recorded_confidence]
    return min([*floors, track.second_pass_confidence] if track.second_pass else floors)


def checked_image(image: Image) -> Image:
    """An image as (H, W, 3) uint8 BGR.

    Raises:
        ValueError: it is none.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"an image should be (H, W, 3) of uint8, got {pixels.shape} of {pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    if pixels.ndim == 2 or pixels.shape[2:] == (1,):
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.ascontiguousarray(pixels[:, :, :3])
    raise ValueError(f"an image should be (H, W, 3) BGR, got the shape {pixels.shape}")
