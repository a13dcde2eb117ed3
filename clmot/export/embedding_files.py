"""Embeddings of given boxes as a file: what trackers of any kind can look up, without this project."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from clmot.errors import InputError
from clmot.files import staged_file
from clmot.images import read_image
from clmot.inference.reid import reid
from clmot.motchallenge.annotations import read_detections
from clmot.motchallenge.sequence import SEQINFO_FILE, image_path, read_seqinfo
from clmot.progress import progress


def export_npz(
    directory: str | os.PathLike[str], out: str | os.PathLike[str], film: Path, boxes: Path, device: str = "auto"
) -> int:
    """Write what the boxes of a film look like to the model in `directory`, whole or not at all.

    The file holds `frame` (R,) int32 from 1, `box` (R, 4) float32 x1 y1 x2 y2 in pixels from 0, `score` (R,) float32
    and `embedding` (R, D) float16 of length 1, ordered by frame: `<film>.npz` of a folder for `track.embedding`.

    Args:
        directory: of a model with a crop encoder.
        out: the file.
        film: a sequence as MOTChallenge lays it out, with seqinfo.ini.
        boxes: of the film, MOTChallenge rows.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        How many boxes there are.

    Raises:
        InputError: the model, the film or the boxes cannot be used, or a box is in a frame that the film does not have.
    """
    model = reid(directory, device=device)
    info = read_seqinfo(film / SEQINFO_FILE)
    table = read_detections(boxes)
    table = table.select(np.argsort(table.frame, kind="stable"))
    if len(table) and table.frame[-1] > info.length:
        raise InputError(f"{boxes}: has boxes in frame {table.frame[-1]}, and {film} has {info.length} frames.")
    corners = table.corners()
    found = []
    for frame in progress(np.unique(table.frame).tolist(), "embed", unit="frame"):
        rows = slice(*np.searchsorted(table.frame, (frame, frame + 1)))
        found.append(model.get_features(corners[rows], read_image(image_path(film, info, frame))).astype(np.float16))
    dimension = model.embed.encoder.config.dimension
    with staged_file(out) as aside, aside.open("wb") as stream:
        np.savez(
            stream,
            frame=table.frame.astype(np.int32),
            box=corners.astype(np.float32),
            score=table.confidence.astype(np.float32),
            embedding=np.concatenate([np.zeros((0, dimension), np.float16), *found]),
        )
    return len(table)
