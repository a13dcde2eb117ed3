"""Where the embeddings of boxes come from: the network, someone else's files, or a control.

What an embedding is worth shows beside controls: no embedding, one constant vector for all (what the looser first
matching alone gives), a colour histogram (what needs no learning), and the true identity (which none can exceed).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clmot.errors import InputError
from clmot.files import dvc_root, user_path
from clmot.inference.given_detections import TRUTH, VISIBLE, read_held_out
from clmot.inference.pipeline import BatchedSource, Detections, DetectionSource, Image
from clmot.motchallenge.annotations import UNKNOWN_IDENTITY, AnnotationTable
from clmot.motchallenge.splits import FrameRange, without_detector
from clmot.tracking.costs import iou_distance

NETWORK, NONE, CONSTANT, COLOUR, ORACLE = "network", "none", "constant", "colour", "oracle"
WORDS = (NETWORK, NONE, CONSTANT, COLOUR, ORACLE)
"""Of `track.embedding`; anything else names a folder."""

HISTOGRAM_BINS = (8, 8, 8)
"""Of hue, saturation and value, for each half of a box."""

TRUE_BOX_IOU = 0.5
"""From which a box is a person's, whose identity is its oracle's embedding."""

STRANGE = 128
"""Places for those who are no person: two of them are at one place once in 128 times."""

SAME_BOX_PIXELS = 0.51
"""How far the sides of two boxes may be apart that are the same: files round to whole pixels at worst."""

Embed = Callable[[int, Image, NDArray[np.float64]], NDArray[np.float32]]
"""(number of the frame from 1, image (H, W, 3) BGR, boxes (N, 4) x1 y1 x2 y2) -> embeddings (N, D), of any length."""


class Embedded:
    """The boxes of a source, with embeddings from elsewhere."""

    def __init__(self, source: DetectionSource, embed: Embed, floor: float = 0.0) -> None:
        """Ready for any frame.

        Args:
            source: finds the boxes.
            embed: what they look like.
            floor: detections scored below are of no use to anybody, and are left out.
        """
        self.source = source
        self.embed = embed
        self.floor = floor
        self.batch_size = source.batch_size if isinstance(source, BatchedSource) else 1

    def __call__(self, frame: int, image: Image) -> Detections:
        """The detections of the source with other embeddings."""
        return self._embedded(frame, image, self.source(frame, image))

    def prepare(self, frame: int, image: Image) -> tuple[int, Image, Any]:
        """A frame as the source wants it, and as it is."""
        assert isinstance(self.source, BatchedSource)
        return frame, image, self.source.prepare(frame, image)

    def detect(self, prepared: Sequence[tuple[int, Image, Any]]) -> list[Detections]:
        """The detections of several frames; each frame's boxes are embedded together, and without other frames'."""
        assert isinstance(self.source, BatchedSource)
        found = self.source.detect([ready for _, _, ready in prepared])
        return [self._embedded(frame, image, one) for (frame, image, _), one in zip(prepared, found, strict=True)]

    def _embedded(self, frame: int, image: Image, found: Detections) -> Detections:
        rows = found.scores >= self.floor
        boxes, scores = found.boxes[rows], found.scores[rows]
        return dataclasses.replace(found, boxes=boxes, scores=scores, embeddings=self.embed(frame, image, boxes))


def embedder(embedding: str, detections: str, held_out: Path, sequence: str, frames: FrameRange) -> Embed | None:
    """What `track.embedding` names for a sequence; None for `network` and `none`, which add nothing to a source.

    Args:
        embedding: the param.
        detections: `track.detections`: a folder may have embeddings of true boxes beside those of a detector's.
        held_out: data/held_out/B, for `oracle`.
        sequence: its name.
        frames: the tracked frames, as numbered in the film.

    Raises:
        InputError: there are no such embeddings, or they are not as they should be.
    """
    if embedding in (NETWORK, NONE):
        return None
    if embedding == CONSTANT:
        return lambda _frame, _image, boxes: np.ones((len(boxes), 1), np.float32)
    if embedding == COLOUR:
        return lambda _frame, image, boxes: colour_histograms(image, boxes)
    if embedding == ORACLE:
        return TrueIdentities(_identities(held_out / f"{sequence}.txt", sequence, frames))
    return StoredEmbeddings(_file_of(embedding, sequence, detections), frames)


def colour_histograms(image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 1024): square roots of the shares of a box's pixels by hue, saturation and value, upper half then lower.

    The square root makes the scalar product the Bhattacharyya coefficient of two histograms. A half outside of the
    image is all zeros.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    bins = int(np.prod(HISTOGRAM_BINS))
    found = np.zeros((len(boxes), 2, bins), np.float32)
    corners = np.column_stack([boxes[:, :2], boxes[:, 1::2].mean(axis=1), boxes[:, 2:]])  # x1 y1 middle x2 y2
    limits = np.array([*image.shape[1::-1], image.shape[0], *image.shape[1::-1]])
    for row, (left, top, middle, right, bottom) in enumerate(corners.round().clip(0, limits).astype(int).tolist()):
        for half, (first, last) in enumerate(((top, middle), (middle, bottom))):
            pixels = hsv[first:last, left:right]
            if pixels.size:
                counts = cv2.calcHist([pixels], [0, 1, 2], None, list(HISTOGRAM_BINS), [0, 180, 0, 256, 0, 256])
                found[row, half] = np.sqrt(counts.ravel() / counts.sum())
    return found.reshape(len(boxes), 2 * bins)


class TrueIdentities:
    """The true identity as a vector with a single one: a bound for embeddings, and none itself. It sees the truth.

    Boxes on no person look like no one, each other included: each is at a random place behind the people's. If they
    looked alike, the many at one moment would say that a look tells no one apart.
    """

    def __init__(self, truth: AnnotationTable) -> None:
        """Of the tracked frames, numbered from 1."""
        self.frame, self.boxes = truth.frame, truth.corners()
        distinct, self.places = np.unique(truth.identity, return_inverse=True)
        self.people = len(distinct)
        """Places (the first) of an embedding that stand for a person each."""

    def __call__(self, frame: int, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Boxes are matched one-to-one with the true ones, the summed IoU largest."""
        found = np.zeros((len(boxes), self.people + STRANGE), np.float32)
        there = np.nonzero(self.frame == frame)[0]
        overlap = 1 - iou_distance(self.boxes[there], boxes)
        overlap[overlap < TRUE_BOX_IOU] = 0
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        sure = overlap[rows, columns] > 0
        place = self.people + np.random.default_rng(frame).integers(STRANGE, size=len(boxes))
        place[columns[sure]] = self.places[there[rows[sure]]]
        found[np.arange(len(boxes)), place] = 1
        return found


class StoredEmbeddings:
    """Embeddings that someone made of these very boxes: a file with `frame` (R,), `box` (R, 4) and `embedding` (R, D).

    Frames are numbered within the film, boxes are x1 y1 x2 y2 from 0.
    """

    def __init__(self, path: Path, frames: FrameRange) -> None:
        """Read those of the tracked frames.

        Raises:
            InputError: the file does not hold them.
        """
        self.path, self.first = path, frames.first
        try:
            with np.load(path, allow_pickle=False) as stored:
                frame, box, vectors = stored["frame"], stored["box"], stored["embedding"]
                rows = np.nonzero((frame >= frames.first) & (frame <= frames.last))[0]
                rows = rows[np.argsort(frame[rows], kind="stable")]
                self.frame, self.boxes, self.vectors = frame[rows], box[rows].reshape(-1, 4), vectors[rows]
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"{path} does not hold embeddings ({error}): expected an .npz of frame (R,), box (R, 4) x1 y1 x2 y2 "
                "and embedding (R, D)."
            ) from None
        if self.vectors.ndim != 2 or not np.isfinite(self.vectors).all():
            raise InputError(f"{path}: 'embedding' should be (R, D) finite numbers.")

    def __call__(self, frame: int, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Those of the nearest stored boxes.

        Raises:
            InputError: a box is not among them.
        """
        rows = slice(*np.searchsorted(self.frame, (frame + self.first - 1, frame + self.first)))
        stored = self.boxes[rows]
        if not len(boxes):
            return np.zeros((0, self.vectors.shape[1]), np.float32)
        apart = np.full((len(boxes), max(1, len(stored))), np.inf)
        if len(stored):
            apart = np.abs(boxes[:, None] - stored[None]).max(axis=2)  # (N, M)
        nearest = apart.argmin(axis=1)
        far = apart[np.arange(len(boxes)), nearest] > SAME_BOX_PIXELS
        if far.any():
            box = ", ".join(f"{side:.1f}" for side in boxes[far][0])
            raise InputError(
                f"{self.path} has no embedding of the box {box} (x1 y1 x2 y2) in frame {frame + self.first - 1}: "
                "'track.detections' should be the boxes that it was made of."
            )
        return self.vectors[rows][nearest].astype(np.float32)


def _identities(path: Path, sequence: str, frames: FrameRange) -> AnnotationTable:
    """The true boxes of the tracked frames with their identities, which strip only lets through where it is told to."""
    if not path.is_file():
        raise InputError(
            f"{path} does not exist, as {sequence} has no ground truth: 'track.embedding: oracle' needs one."
        )
    table = read_held_out(path).in_frames(frames.first, frames.last, renumber=True)
    if (table.identity == UNKNOWN_IDENTITY).any():
        raise InputError(
            f"{path} has boxes without identities, and 'track.embedding: oracle' looks at those: set "
            "'strip.held_out_identities: true' (training sees none of them)."
        )
    return table


def _file_of(embedding: str, sequence: str, detections: str) -> Path:
    """The file of a sequence in a folder of embeddings: `<sequence>.npz`, or the one of true or of detected boxes."""
    folder = user_path(embedding, dvc_root()).resolve()
    if not folder.is_dir():
        raise InputError(
            f"'track.embedding' is '{embedding}', and {folder} is no folder: expected {', '.join(WORDS)}, or a folder "
            "of <sequence>.npz."
        )
    kind = "truth" if detections in (TRUTH, VISIBLE) else "detections"
    files = {path.name: path for path in sorted(folder.glob("*.npz"))}
    by_film = {without_detector(name.split(".")[0]) + name[len(name.split(".")[0]) :]: p for name, p in files.items()}
    for name in (f"{sequence}.npz", f"{sequence}.{kind}.npz"):
        found = files.get(name) or by_film.get(name)
        if found is not None:
            return found
    raise InputError(
        f"{folder} has neither {sequence}.npz nor {sequence}.{kind}.npz: 'track.embedding' needs one for each sequence."
    )
