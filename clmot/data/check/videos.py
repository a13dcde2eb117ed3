"""One's own films: videos beside their boxes."""

from __future__ import annotations

from collections import Counter

import numpy as np

from clmot.data.check.findings import Summary
from clmot.data.check.tables import check_table
from clmot.data.extra.problems import Problem, Report
from clmot.data.films.boxes import is_mot, read_truth
from clmot.data.films.layout import Film
from clmot.data.films.video import Measured, measure, report_oddities
from clmot.errors import InputError
from clmot.motchallenge.classes import ObjectClass


def check_film(film: Film, report: Report) -> Summary:
    """Judge one video, which is decoded whole, and its boxes.

    Args:
        film: the video and where its boxes are.
        report: told of every fault.
    """
    try:
        measured = measure(film.video)
    except InputError as error:
        report(Problem("unusable video", "", str(error)))
        return Summary(film.name, 0, 0, 0)
    report_oddities(film.video, measured, report)
    identity, category = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if film.boxes is not None:
        try:
            identity, category = _boxes(film, measured, report)
        except InputError as error:
            report(Problem("unusable boxes", "", str(error)))
    if len(identity) and (identity < 0).any():
        text = "has boxes without an identity: it can train, but its tracks cannot be scored"
        report(Problem("no identities", str(film.boxes), text, fatal=False))
    classes = Counter(ObjectClass(number).name.lower() for number in category.tolist())
    return Summary(
        film.name,
        measured.frames,
        len(identity),
        len(np.unique(identity[identity >= 0])),
        classes,
        Counter({(measured.width, measured.height): measured.frames}),
        measured.frame_rate,
    )


def _boxes(film: Film, measured: Measured, report: Report) -> tuple[np.ndarray, np.ndarray]:
    """Identity (N,) and class (N,) of the usable boxes."""
    assert film.boxes is not None
    if not is_mot(film.boxes):
        truth = read_truth(film, measured, report)
        if truth is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return truth.table.identity, truth.table.category
    table = check_table(
        film.boxes.read_bytes(),
        str(film.boxes),
        report,
        ground_truth=True,
        length=measured.frames,
        size=(measured.width, measured.height),
    )
    if not len(table.frame):
        report(Problem("no people", str(film.boxes), "holds no row: expected one for every box of the film"))
    return table.identity, table.category
