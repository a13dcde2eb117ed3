"""One's own films: videos beside their boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from clmot.check.findings import Summary
from clmot.check.project import project_kind
from clmot.check.sequences import report_no_people
from clmot.errors import InputError
from clmot.files import read_bytes
from clmot.films.boxes import is_mot, read_truth
from clmot.films.find_films import Film
from clmot.films.video import Measured, measure, report_oddities
from clmot.motchallenge.annotations import GROUND_TRUTH, UNKNOWN_IDENTITY, AnnotationTable, classes_beside, judge_rows
from clmot.motchallenge.classes import ObjectClass
from clmot.motchallenge.meaning import ends_early
from clmot.problems import Problem, Report


def check_film(
    film: Film,
    report: Report,
    measured_as: Callable[[Path], Measured] = measure,
    classes: Sequence[int | str] = (),
) -> Summary:
    """Judge one video, which is decoded whole, and its boxes.

    Args:
        film: the video and where its boxes are.
        report: told of every fault.
        measured_as: decodes a whole video.
        classes: names or numbers of those that are tracked; empty: that of people.
    """
    try:
        measured = measured_as(film.video)
    except InputError as error:
        report(Problem("unusable video", "", str(error)))
        return Summary(film.name, 0, 0, 0)
    report_oddities(film.video, measured, report)
    table: AnnotationTable | None = None
    if film.boxes is not None:
        try:
            table = _boxes(film.boxes, film, measured, report, classes)
        except InputError as error:
            report(Problem("unusable boxes", "", str(error)))
    if table is not None and (table.tracked(project_kind()) & (table.identity == UNKNOWN_IDENTITY)).any():
        text = "has boxes without an identity: it can train, but its tracks cannot be scored"
        report(Problem("no identities", str(film.boxes), text, fatal=False))
    return Summary(
        film.name,
        measured.frames,
        len(table.frame) if table else 0,
        table.known_identities() if table else 0,
        Counter(ObjectClass(number).name.lower() for number in table.category.tolist()) if table else Counter(),
        Counter({(measured.width, measured.height): measured.frames}),
        measured.frame_rate,
    )


def _boxes(
    boxes: Path, film: Film, measured: Measured, report: Report, classes: Sequence[int | str]
) -> AnnotationTable | None:
    """The usable boxes; None where none of them can be used."""
    if is_mot(boxes):
        size = (measured.width, measured.height)
        table = judge_rows(
            *(read_bytes(boxes), str(boxes), GROUND_TRUTH, report),
            length=measured.frames,
            size=size,
            classes=classes_beside(boxes, report, classes),
        )
        if not len(table.frame):
            return None
    else:
        truth = read_truth(film, measured, report, classes)
        if truth is None:
            return None
        table = truth.table
    report_no_people(table, str(boxes), report)
    early = ends_early(table.frame, measured.frames)
    if early is not None:
        report(Problem("labels end early", str(boxes), early, fatal=False))
    return table
