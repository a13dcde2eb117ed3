"""Files of boxes from any detector: where those of a sequence are, and what their scores mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import dvc_root, user_path
from clmot.motchallenge.splits import without_detector
from clmot.wording import listed


def file_of(detections: str, sequence: str, param: str, words: str = "public, truth") -> Path:
    """The file of a sequence in a folder of detections.

    Args:
        detections: the folder, a relative one starting where the project is.
        sequence: its name; MOT17's may have a detector's suffix in the file's.
        param, words: that names the folder, and what else it may say, for messages.

    Raises:
        InputError: there is no such folder or file, or there are several.
    """
    folder = user_path(detections, dvc_root()).resolve()
    if not folder.is_dir():
        raise InputError(
            f"'{param}' is '{detections}', and {folder} is no folder: expected {words}, or a folder of <sequence>.txt."
        )
    names = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if sequence in names:
        return names[sequence]
    copies = [name for name in names if without_detector(name) == sequence]
    if len(copies) == 1:
        return names[copies[0]]
    if copies:
        raise InputError(
            f"{folder} has {', '.join(f'{name}.txt' for name in copies)} for {sequence}: leave one of them there."
        )
    held = f"it has {listed(names)}" if names else "it has no .txt"
    raise InputError(
        f"{folder / sequence}.txt does not exist ({held}): '{param}: {detections}' needs a file for every "
        "sequence, an empty one where no one was found."
    )


def usable_scores(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Confidences (N,) of a file as scores (N,) in 0..1, in which `track.confidence` can be expressed.

    Detectors have no common scale: those of MOT17's FRCNN and SDP lie in 0..1, DPM's are margins around 0, MOT15's
    reach 100. Rescaling by what a file happens to hold would make a threshold mean something else in every film, so
    scores are taken as they are and cut off at 0 and 1: a threshold says the same as on the detector's own scale, and a
    threshold of 0 takes every box, as the rules for public detections intend. A file that says -1 of every box states
    none, as results may: then each counts as 1.
    """
    if len(confidence) and (confidence == -1).all():
        return np.ones(len(confidence))
    return np.clip(confidence, 0.0, 1.0)
