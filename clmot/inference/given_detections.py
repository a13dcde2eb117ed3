"""Where detections come from: the network, the benchmark's public detections, the truth, or anybody's files.

Boxes that somebody else found get our network's embeddings, read where training reads them: in the cell that holds the
box's centre. So the tracker can be run on any detector, and on true boxes, which leave embedding and association alone
to be judged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.images import STRIDE, Letterbox
from clmot.inference.fast_network import fast_network
from clmot.inference.pipeline import Detections, EmbedBoxes, Image, Runner, fitted, network_input
from clmot.inference.recording import RecordedDetections
from clmot.models.network import OneShotTracker
from clmot.models.targets import centre_cells
from clmot.motchallenge.annotations import AnnotationTable, parse_ground_truth, read_detections
from clmot.motchallenge.detection_files import file_of, usable_scores
from clmot.motchallenge.splits import FrameRange
from clmot.tracking.costs import normalised

NETWORK, PUBLIC, TRUTH, VISIBLE = "network", "public", "truth", "visible"
"""Words of `track.detections`; anything else names a folder."""

DATA = Path("data")


class HeadEmbeddings:
    """What boxes look like to the one-shot network, which is read at their centres."""

    def __init__(self, model: OneShotTracker, input_size: tuple[int, int], runner: Runner | torch.device) -> None:
        """Put the model on the device.

        Args:
            model: has an `id` head; is copied where `fast_network` copies it.
            input_size: width and height of the network's input.
            runner: how the network runs; or where alone.
        """
        self.runner = runner if isinstance(runner, Runner) else Runner(runner)
        self.model = fast_network(model, self.runner.device)
        self.input_size = input_size

    def __call__(self, image: Image, boxes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Embeddings (N, D) of boxes (N, 4), corners in image pixels; (0, 0) without boxes."""
        if not len(boxes):
            return np.zeros((0, 0), np.float32)
        frame = fitted(image, self.input_size)
        with self.runner():
            with self.runner.lowered():
                features = self.model.features(network_input([frame], self.runner.device))
            cells = read_cells(boxes, frame.fit, self.input_size).to(self.runner.device)
            return self.runner.fetched(self.model.read_at(features.float(), cells[None], ["id"])["id"][0])  # (N, D)


class GivenDetections:
    """Boxes that were found before."""

    def __init__(self, table: AnnotationTable, embed: EmbedBoxes | None = None) -> None:
        """Ready for the first frame.

        Args:
            table: the boxes, frames numbered as the source will be asked for them. Scores count as `usable_scores`
                says.
            embed: what they look like, say `HeadEmbeddings`; None: no network runs.
        """
        ordered = table.select(np.argsort(table.frame, kind="stable"))
        self.frame = ordered.frame
        self.boxes = ordered.corners()
        self.scores = usable_scores(ordered.confidence)
        self.embed = embed

    def __call__(self, frame: int, image: Image) -> Detections:
        """The boxes of a frame, in the order of the file."""
        rows = slice(*np.searchsorted(self.frame, (frame, frame + 1)))
        boxes = self.boxes[rows]
        embeddings = None if self.embed is None else self.embed(image, boxes)
        return Detections(boxes, self.scores[rows], embeddings)


class Recorder:
    """Remembers what a source found."""

    def __init__(self, floor: float) -> None:
        """Detections scored below `floor` are not remembered."""
        self.floor = floor
        self._frames: list[NDArray[np.int32]] = []
        self._boxes: list[NDArray[np.float32]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._embeddings: list[NDArray[np.float16]] = []

    def __call__(self, frame: int, found: Detections) -> None:
        """Take what was found in a frame; frames come in order."""
        rows = np.nonzero(found.scores >= self.floor)[0]
        if len(rows):
            self._frames.append(np.full(len(rows), frame, np.int32))
            self._boxes.append(found.boxes[rows].astype(np.float32))
            self._scores.append(found.scores[rows].astype(np.float32))
            if found.embeddings is not None:
                self._embeddings.append(normalised(found.embeddings[rows]).astype(np.float16))

    def recorded(self) -> RecordedDetections:
        """All that was found so far."""
        return RecordedDetections(
            np.concatenate([np.zeros(0, np.int32), *self._frames]),
            np.concatenate([np.zeros((0, 4), np.float32), *self._boxes]),
            np.concatenate([np.zeros(0, np.float32), *self._scores]),
            np.concatenate(self._embeddings) if self._embeddings else None,
        )


def read_cells(boxes: NDArray[np.float64], fit: Letterbox, input_size: tuple[int, int]) -> torch.Tensor:
    """Cells (N,) int64 in which training would read the embeddings of `boxes` (N, 4), corners in image pixels."""
    # float32 like a training frame's boxes, so that a centre on the edge of two cells falls on the same side.
    corners = torch.from_numpy(fit.to_input(boxes.astype(np.float32)).astype(np.float32)) / STRIDE
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    return centre_cells(centres, (input_size[0] // STRIDE, input_size[1] // STRIDE))


def given_detections(
    detections: str,
    benchmark: str,
    sequence: str,
    frames: FrameRange,
    length: int,
    visible_from: float = 0.0,
    size: tuple[int, int] | None = None,
) -> AnnotationTable | None:
    """The boxes that `track.detections` names for a sequence, frames numbered from 1 within the tracked range.

    Args:
        detections: `public` (data/detections), `truth` (data/held_out: boxes without identities), `visible` (those of
            them that a good detector would see), or a folder of `<sequence>.txt` in MOTChallenge format, a relative one
            starting where the project is; there MOT17's sequences may have a detector's suffix. All of them number
            frames within the film. `network`: None is returned.
        benchmark: `MOT15`, `MOT17` or `MOT20`.
        sequence: its name.
        frames: the tracked frames.
        length: frames of the whole film.
        visible_from: the least visibility of the true boxes that `visible` takes.
        size: (width, height) of the images, in which boxes of a folder must lie.

    Raises:
        InputError: there are no such detections, or they are not as they should be.
    """
    if detections == NETWORK:
        return None
    if detections == PUBLIC:
        path = DATA / "detections" / benchmark / f"{sequence}.txt"
        if not path.is_file():
            raise InputError(
                f"{path} does not exist, as {benchmark}'s archive has no det/det.txt for {sequence}: "
                "'track.detections: public' needs one; choose other detections."
            )
    elif detections in (TRUTH, VISIBLE):
        path = DATA / "held_out" / benchmark / f"{sequence}.txt"
        if not path.is_file():
            raise InputError(
                f"{path} does not exist, as {sequence} has no ground truth: 'track.detections: {detections}' needs "
                "one; choose another split or other detections."
            )
    else:
        path = file_of(detections, sequence, "track.detections", ", ".join((NETWORK, PUBLIC, TRUTH, VISIBLE)))
    if detections in (TRUTH, VISIBLE):
        table = read_held_out(path)
        table = table.select(table.visibility >= visible_from) if detections == VISIBLE else table
        return table.in_frames(frames.first, frames.last, renumber=True)
    table = read_detections(path, None if detections == PUBLIC else size)
    last = int(table.frame.max(initial=0))
    if detections != PUBLIC and (0 < last < frames.first or last > length):
        raise InputError(
            f"{path} ends with frame {last}, but frames {frames.first} to {frames.last} of the film's {length} are "
            "tracked: number frames within the film, from 1."
        )
    return table.in_frames(frames.first, frames.last, renumber=True)


def read_held_out(path: Path) -> AnnotationTable:
    """The true boxes of the tracked frames as strip wrote them: without identities, unless it was told to keep them."""
    data = path.read_bytes()
    return parse_ground_truth(data, str(path), unique_identities=False) if data.strip() else AnnotationTable.empty()
