"""The detections of a sequence before association, in one file: what a detector and an embedding are judged by.

A safetensors file: equal content gives equal bytes, and embeddings can be read in part. With embeddings of length D a
detection takes 24 + 2 D bytes: a film like MOT20-05, with 3,315 frames of 220 detections, 204 MB at D = 128.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import staged_file

_BLOCK = 1 << 16  # embeddings that are in memory at once when a few of many are read


@dataclass(frozen=True, eq=False)
class RecordedDetections:
    """N detections of one sequence, ordered by frame."""

    frame: NDArray[np.int32]
    """(N,) from 1 within the tracked range."""
    boxes: NDArray[np.float32]
    """(N, 4) x1 y1 x2 y2 in image pixels, the image's corner at 0, 0."""
    scores: NDArray[np.float32]
    """(N,) in 0..1."""
    embeddings: NDArray[np.float16] | None
    """(N, D) of length 1, or 0 where the network gave zeros; None: there are none, or they were not asked for."""

    def __len__(self) -> int:
        return len(self.frame)


def write_recording(path: str | os.PathLike[str], detections: RecordedDetections) -> None:
    """Write a sequence's detections, whole or not at all; equal detections give equal bytes."""
    tensors: dict[str, NDArray[Any]] = {
        "boxes": detections.boxes,
        "frame": detections.frame,
        "scores": detections.scores,
    }
    if detections.embeddings is not None:
        tensors["embeddings"] = detections.embeddings
    with staged_file(path) as aside:
        # No metadata: safetensors leaves the order of its keys open.
        safetensors.numpy.save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, aside)
        aside.chmod(0o644)  # it gives 0600, which would make shared results unreadable to others


def read_recording(path: str | os.PathLike[str]) -> RecordedDetections:
    """Read what `write_recording` wrote, except the embeddings: see `read_embeddings`.

    Raises:
        InputError: the file is absent or was not written by `write_recording`.
    """
    with _open(path) as file:
        try:
            found = RecordedDetections(
                file.get_tensor("frame"), file.get_tensor("boxes"), file.get_tensor("scores"), None
            )
        except safetensors.SafetensorError:
            raise _not_ours(path) from None
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no dictionary)
    if shapes["boxes"][1:] != [4] or any(shape[:1] != [len(found)] for shape in shapes.values()):
        raise _not_ours(path)
    return found


def read_embeddings(path: str | os.PathLike[str], rows: NDArray[np.integer]) -> NDArray[np.float32] | None:
    """The embeddings (M, D) of the detections `rows` (M,), in their order; None when the file holds none.

    Raises:
        InputError: as `read_recording`.
    """
    with _open(path) as file:
        if "embeddings" not in file.keys():  # noqa: SIM118 (it is no dictionary)
            return None
        stored = file.get_slice("embeddings")
        dimension = stored.get_shape()[1]
        found = np.empty((len(rows), dimension), np.float32)
        count = int(rows.max(initial=-1)) + 1
        for start in range(int(rows.min(initial=count)), count, _BLOCK):
            end = min(start + _BLOCK, count)
            inside = np.nonzero((rows >= start) & (rows < end))[0]
            if len(inside):
                found[inside] = stored[start:end][rows[inside] - start]
    return found


def _open(path: str | os.PathLike[str]) -> Any:
    try:
        return safetensors.safe_open(os.fspath(path), framework="numpy")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run the track stage first (`dvc repro track`).") from None
    except (safetensors.SafetensorError, OSError):
        raise _not_ours(path) from None


def _not_ours(path: str | os.PathLike[str]) -> InputError:
    return InputError(
        f"{path} does not hold the detections of a sequence: run the track stage again (`dvc repro track`)."
    )
