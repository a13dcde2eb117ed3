"""A trained model, ready to track: `clmot.load(folder)`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from clmot.errors import InputError
from clmot.hardware import set_up
from clmot.inference.collect import Tracking
from clmot.inference.crop_embeddings import CropEmbeddings, EncodedBoxes
from clmot.inference.embeddings import NETWORK, NONE
from clmot.inference.fast_network import fast_network
from clmot.inference.film_projection import projected
from clmot.inference.found_ahead import found_ahead
from clmot.inference.given_detections import GivenDetections, HeadEmbeddings
from clmot.inference.image_sources import DEFAULT_RATE, ImageSource, Source, open_images
from clmot.inference.joined_film import JoinedFilm
from clmot.inference.pipeline import DetectionSource, EmbedBoxes, NetworkDetections, Runner
from clmot.inference.session import Session, TrackedFrame, Watch, lowest_used
from clmot.model_description import ModelDescription, model_params, read_description
from clmot.models.checkpoint import load_model
from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import load_crop_encoder
from clmot.models.network import OneShotTracker
from clmot.motchallenge.annotations import AnnotationTable
from clmot.params import HardwareParams, TrackParams

HOW_TO_GET_ONE = (
    "`dvc repro` trains models/tracker, and with `--boxes FILE --learn` `clmot track` needs none: it learns from the "
    "boxes of the film itself."
)


@dataclass(frozen=True, eq=False)
class Model:
    """What tracks people. Its networks share one device; sessions share the networks."""

    params: TrackParams
    """Association, as the model was made with."""
    device: torch.device
    network: OneShotTracker | None = None
    """Detects people, and embeds them where it has an `id` head; None: boxes are always given."""
    encoder: CropEncoder | None = None
    """Embeds boxes in the network's place."""
    input_size: tuple[int, int] = (0, 0)
    """Of the network: width, height."""
    description: ModelDescription | None = None
    """How it came to be; None: it was made here and now."""

    def session(self, fps: float = DEFAULT_RATE) -> Session:
        """For images as they come, or with somebody's boxes: see `Session.update`.

        Args:
            fps: frames per second where none is dropped.
        """
        self._told_at_once()
        return self._session(fps, self._detector())

    def track(
        self,
        source: Source,
        *,
        boxes: AnnotationTable | None = None,
        fps: float | None = None,
        every: int = 1,
    ) -> Tracking:
        """Track people through a video.

        Args:
            source: a video file, a folder of images, a glob, an http or rtsp address, a camera's number; or images
                (H, W, 3) BGR, any iterable of them.
            boxes: somebody's, instead of the model's own; frames are numbered as the source has them, from 1.
            fps: frames per second of images, which do not say; None: their seqinfo.ini's, or 30.
            every: take every n-th frame.

        Returns:
            The frames, tracked as they are asked for; with `track.link: offline` or `track.projection: film` all of
            them when the first is asked for, if the source can be read again.

        Raises:
            InputError: the source cannot be read, or there is nothing that finds people.
        """
        images = open_images(source, fps, every)
        again = self.joins(images)
        return Tracking(self.tracked(images, boxes) if again is None else self._joined(images, boxes, again))

    def joins(self, images: ImageSource) -> Callable[[], ImageSource] | None:
        """What opens a film again once it is over, if its tracks are told only then; None: they are told as they are
        found. Where the params want what a stream cannot give, that is said.

        Raises:
            InputError: the params want images of a film whose images are gone by then.
        """
        if not self.params.whole_films:
            return None
        if self.params.projection == "film" and self.params.camera_motion:
            raise InputError(
                "'track.projection: film' tracks once the film is over, when there are no images from which "
                "'track.camera_motion' could tell: set one of them otherwise."
            )
        if images.again is None:
            self._told_at_once()
        return images.again

    def _told_at_once(self) -> None:
        for name, value in (("link", "offline"), ("projection", "film")):
            if getattr(self.params, name) == value:
                print(
                    f"'track.{name}: {value}' needs whole films; here tracks are told as they are found.",
                    file=sys.stderr,
                )

    def _joined(
        self, images: ImageSource, boxes: AnnotationTable | None, again: Callable[[], ImageSource]
    ) -> Generator[TrackedFrame, None, None]:
        film = JoinedFilm(self.params, images)
        film.keep(self.tracked(images, boxes, film.see, whole=True))
        yield from film.pictured(again())

    def check(self, boxes: AnnotationTable | None = None) -> None:
        """Raise an InputError if there is nothing that finds people."""
        if boxes is None and self._detector() is None:
            raise InputError(
                "this model has no detector that was trained: give it boxes (`--boxes FILE`; in Python "
                "`session.update(image, boxes, scores)`)."
            )

    def tracked(
        self,
        images: ImageSource,
        boxes: AnnotationTable | None = None,
        watch: Watch | None = None,
        *,
        whole: bool = False,
    ) -> Generator[TrackedFrame, None, None]:
        """The tracked frames of an open source, as they are found; it is closed in the end. Else as `track`.

        `watch` is told of each frame's tracks and of what they look like. `whole`: the source is a film that ends, and
        its frames may come after that, without their images.
        """
        self.check(boxes)
        detector = self._detector() if boxes is None else self._with_looks(boxes)
        assert detector is not None
        session = self._session(images.frame_rate / images.every, detector)
        session.watch = watch
        with closing(images):
            if images.live:
                for one in images:
                    yield session.update(one.image, time=one.time, number=one.number)
                return
            with closing(found_ahead(detector, images.unread())) as coming:
                film = (
                    projected(coming, self.params.confidence) if whole and self.params.projection == "film" else coming
                )
                for found in film:
                    one, seconds = found.source, found.seconds
                    yield session.follow(one.image, found.detections, time=one.time, number=one.number, seconds=seconds)

    @functools.cached_property
    def _runner(self) -> Runner:
        return Runner(self.device, self.params.precision)

    @functools.cached_property
    def _fast(self) -> OneShotTracker:
        """The network, made ready once for all sessions."""
        assert self.network is not None
        return fast_network(self.network, self.device)

    @functools.cached_property
    def _found(self) -> NetworkDetections:
        """What the network finds; what it records when it runs first serves all sessions."""
        return NetworkDetections(
            self._fast,
            self.input_size,
            self.params.max_objects,
            self._runner,
            embeddings=self.params.embedding == NETWORK,
            batch_size=self.params.batch_size,
        )

    def _session(self, fps: float, detector: DetectionSource | None) -> Session:
        floor = lowest_used(self.params) if self.encoder is not None else 0.0
        return Session(self.params, fps, detector, self._looks(), floor)

    def _looks(self) -> EmbedBoxes | None:
        if self.params.embedding == NONE:
            return None
        if self.encoder is not None:
            return EncodedBoxes(self.encoder, self._runner)
        if self.network is not None and self.network.config.embedding_dim:
            return HeadEmbeddings(self._fast, self.input_size, self._runner)
        return None

    def _detector(self) -> DetectionSource | None:
        if self.network is None or (self.description is not None and not self.description.detects):
            return None
        looks = self.encoder is not None and self.params.embedding == NETWORK
        return self._encoded(self._found) if looks else self._found

    def _with_looks(self, boxes: AnnotationTable) -> DetectionSource:
        if self.encoder is not None and self.params.embedding != NONE:
            return self._encoded(GivenDetections(boxes))
        return GivenDetections(boxes, self._looks())

    def _encoded(self, source: DetectionSource) -> DetectionSource:
        assert self.encoder is not None
        return CropEmbeddings(source, self.encoder, self._runner, lowest_used(self.params))


def load(
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    changes: Iterable[tuple[str, str]] = (),
) -> Model:
    """The model in a folder, as the stage `train` or `clmot pack` writes it.

    Args:
        folder: `models/tracker`, say.
        device: auto (CUDA where present), cpu, cuda, cuda:N.
        changes: params in the place of the model's, as texts (`track: {confidence: 0.4}`) and what to call them.

    Raises:
        InputError: there is no model, a file is damaged, or a param is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no model's folder: {HOW_TO_GET_ONE}")
    description = read_description(folder)
    params = model_params(folder, description, changes)
    track = supported(params.track)
    return Model(
        params=track,
        device=set_up(HardwareParams(device, params.hardware.threads, 0)).device,
        network=load_model(folder),
        encoder=load_crop_encoder(folder),
        input_size=description.input_size,
        description=description,
    )


def supported(track: TrackParams) -> TrackParams:
    """The params, if a video alone gives what they want.

    Raises:
        InputError: embeddings come from elsewhere.
    """
    if track.embedding not in (NETWORK, NONE):
        raise InputError(
            f"'track.embedding' is '{track.embedding}', which is for judging films with ground truth: here it is "
            f"{NETWORK} or {NONE} (`--set track.embedding={NETWORK}`)."
        )
    return track
