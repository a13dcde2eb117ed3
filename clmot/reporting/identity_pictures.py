"""Who kept which identity, to look at: a timeline of each sequence, a short clip of each benchmark, which crops look
alike, and a map of the embeddings.

A table says how often people are confused; these say when, where, and with whom. They look at ground truth.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clmot.errors import InputError
from clmot.evaluation.preprocessing import JudgedTruth, judge_truth
from clmot.images import read_image
from clmot.inference.recording import read_embeddings, read_recording
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth
from clmot.motchallenge.classes import TrackedKind
from clmot.reporting.drawing import draw_tracks, identity_colour
from clmot.reporting.picture_file import write_picture
from clmot.reporting.track_pictures import TRACKS, TrackedSequence, find_tracked_sequences, write_video
from clmot.tracking.costs import Floats, Indices, iou_distance, normalised

GROUND_TRUTH = Path("data/gt")
LEAST_IOU = 0.5
"""From which a box is a person's, as CLEAR has it."""
CLIP_WIDTH = 960
CLIP_FRAMES = 60
"""The longest clip: the frames with the most switches."""
PRESET = "ultrafast"
"""Of x264: a clip is short, and looked at once."""
TRAIL_SECONDS = 1.0
FLASH_SECONDS = 0.6
"""How long a switch is shown, in flashes."""
ROW, LONGEST_LINE, MARGIN = 9, 1400, 46
"""Of a timeline, pixels: a person's row, all frames, and the room for words."""
QUERIES, NEAREST = 6, 5
CROP = (64, 128)
"""Width, height of a drawn crop."""
APART_SECONDS = 1.0
"""Neighbours are sought among other moments: a box is always like itself a frame later."""
MAP_SIDE, MAP_POINTS = 640, 3000
GREY, WHITE, RED, GREEN, INK = (205, 205, 205), (255, 255, 255), (40, 40, 220), (60, 160, 40), (40, 40, 40)


@dataclass(frozen=True, eq=False)
class Followed:
    """The true boxes of a sequence, and the identity that each was given; rows ordered by frame."""

    frame: NDArray[np.int64]
    """(R,) from 1."""
    person: NDArray[np.int64]
    """(R,) the true identity."""
    boxes: NDArray[np.float64]
    """(R, 4) corners in pixels."""
    given: NDArray[np.int64]
    """(R,) the track's identity; 0: no track is there."""
    switched: NDArray[np.bool_]
    """(R,) whether this is another identity than the person was given last."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Boxes as they were given to the tracker that are a true person's, with what they look like."""

    frame: NDArray[np.int64]
    person: NDArray[np.int64]
    boxes: NDArray[np.float64]
    vectors: NDArray[np.float32]
    """(R, D) of length 1."""


def follow(truth: AnnotationTable, tracks: AnnotationTable) -> Followed:
    """Match tracks with true boxes, frame by frame, the summed IoU largest.

    Args:
        truth: the boxes that count, with identities.
        tracks: results, frames numbered as the truth's.
    """
    order = np.lexsort((truth.identity, truth.frame))
    frame, person, boxes = truth.frame[order], truth.identity[order], truth.corners()[order]
    given = np.zeros(len(order), np.int64)
    corners = tracks.corners()
    for number in np.unique(frame).tolist():
        there, found = np.nonzero(frame == number)[0], np.nonzero(tracks.frame == number)[0]
        rows, columns = _matched(boxes[there], corners[found])
        given[there[rows]] = tracks.identity[found[columns]]
    switched = np.zeros(len(order), bool)
    for one in np.unique(person):
        rows = np.nonzero((person == one) & (given > 0))[0]
        switched[rows[1:]] = given[rows[1:]] != given[rows[:-1]]
    return Followed(frame, person, boxes, given, switched)


def _matched(boxes: Floats, others: Floats) -> tuple[Indices, Indices]:
    """Rows of boxes (N, 4) and of others (M, 4) that are pairs, the summed IoU of all pairs largest."""
    overlap = 1 - iou_distance(boxes, others)
    overlap[overlap < LEAST_IOU] = 0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    sure = overlap[rows, columns] > 0
    return rows[sure], columns[sure]


def timeline(followed: Followed, length: int, frame_rate: float, title: str) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: a line a true person, coloured by the identity that he or she was given, grey where none was;
    a tick at each switch."""
    people = list(dict.fromkeys(followed.person.tolist()))  # by their first frame
    scale = min(12.0, LONGEST_LINE / max(1, length))
    width, height = max(420, round(length * scale)) + 2 * MARGIN, len(people) * ROW + 2 * MARGIN
    canvas = np.full((height, width, 3), 255, np.uint8)
    _say(canvas, title, 8, 24)
    for at, one in enumerate(people):
        top = MARGIN + at * ROW
        rows = np.nonzero(followed.person == one)[0]
        for row in rows.tolist():
            left = MARGIN + round((followed.frame[row] - 1) * scale)
            right = max(left, MARGIN + round(followed.frame[row] * scale) - 1)
            given = int(followed.given[row])
            cv2.rectangle(
                canvas, (left, top + 2), (right, top + ROW - 2), identity_colour(given) if given else GREY, -1
            )
            if followed.switched[row]:
                cv2.line(canvas, (left, top), (left, top + ROW), (0, 0, 0), 1)
    step = max(1, round(length / frame_rate / 8))
    for second in range(0, int(length / frame_rate) + 1, step):
        left = MARGIN + round(second * frame_rate * scale)
        cv2.line(canvas, (left, height - MARGIN + 2), (left, height - MARGIN + 8), INK, 1)
        _say(canvas, f"{second} s", left - 8, height - MARGIN + 24)
    return canvas


def clip_frames(followed: Followed, length: int) -> range:
    """The frames (from 1) of a clip: those with the most switches in a row of `CLIP_FRAMES`."""
    switches = np.bincount(followed.frame[followed.switched], minlength=length + 2)
    summed = np.concatenate([[0], np.cumsum(switches)])  # summed[n]: before frame n
    starts = np.arange(1, max(1, length - CLIP_FRAMES + 1) + 1)
    ends = np.minimum(starts + CLIP_FRAMES, length + 1)
    first = int(starts[np.argmax(summed[ends] - summed[starts])])
    return range(first, min(first + CLIP_FRAMES, length + 1))


def clip(sequence: TrackedSequence, followed: Followed) -> Iterator[NDArray[np.uint8]]:
    """Frames of `CLIP_WIDTH`, with boxes, trails, and a flashing frame around whose identity has just changed."""
    rate = sequence.part.frame_rate
    tracks, corners = sequence.tracks, sequence.tracks.corners()
    for number in clip_frames(followed, len(sequence.part.images)):
        image = read_image(sequence.part.images[number - 1])
        scale = CLIP_WIDTH / image.shape[1]
        image = cv2.resize(image, (CLIP_WIDTH, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
        now = tracks.frame == number
        for identity in tracks.identity[now].tolist():
            back = tracks.frame > number - max(2, round(TRAIL_SECONDS * rate))
            rows = np.nonzero((tracks.identity == identity) & (tracks.frame <= number) & back)[0]
            rows = rows[np.argsort(tracks.frame[rows])]
            feet = np.column_stack([corners[rows][:, [0, 2]].mean(axis=1), corners[rows][:, 3]]) * scale
            cv2.polylines(image, [feet.round().astype(np.int32)], False, identity_colour(identity), 2, cv2.LINE_AA)
        drawn = draw_tracks(np.asarray(image, np.uint8), corners[now] * scale, tracks.identity[now])
        _flash(drawn, followed, number, rate, scale)
        yield drawn


def _flash(image: NDArray[np.uint8], followed: Followed, number: int, rate: float, scale: float) -> None:
    """A thick frame, red and white in turns, around the people whose identity has just changed."""
    lasting = max(2, round(FLASH_SECONDS * rate))
    lately = followed.switched & (followed.frame <= number) & (followed.frame > number - lasting)
    for row in np.nonzero((followed.frame == number) & np.isin(followed.person, followed.person[lately]))[0].tolist():
        x1, y1, x2, y2 = (followed.boxes[row] * scale).round().astype(int).tolist()
        colour = RED if number // max(1, lasting // 4) % 2 else WHITE
        cv2.rectangle(image, (x1 - 4, y1 - 4), (x2 + 4, y2 + 4), colour, 4)


def alike(sequence: TrackedSequence, seen: Seen) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: a row for each of some people, one crop and the five that look most like it at other moments, in
    green where it is the same person and in red where it is not, with the cosine below."""
    gap = max(1, round(APART_SECONDS * sequence.part.frame_rate))
    people, counts = np.unique(seen.person, return_counts=True)
    chosen = people[np.argsort(-counts, kind="stable")][:QUERIES]
    rows = []
    for one in chosen.tolist():
        own = np.nonzero(seen.person == one)[0]
        query = int(own[len(own) // 2])
        others = np.nonzero(np.abs(seen.frame - seen.frame[query]) >= gap)[0]
        cosine = seen.vectors[others] @ seen.vectors[query]
        best = np.argsort(-cosine, kind="stable")[:NEAREST]
        cells = [_crop(sequence, seen, query, INK, "")]
        for at in best.tolist():
            colour = GREEN if seen.person[others[at]] == one else RED
            cells.append(_crop(sequence, seen, int(others[at]), colour, f"{cosine[at]:.2f}"))
        cells += [np.full_like(cells[0], 255)] * (NEAREST + 1 - len(cells))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows) if rows else np.full((CROP[1], CROP[0], 3), 255, np.uint8)


def seen_people(followed: Followed, path: str | os.PathLike[str], confidence: float) -> Seen | None:
    """The recorded boxes that score `confidence` or more and are a person's; None: there are no embeddings."""
    recorded = read_recording(path)
    used = np.nonzero(recorded.scores >= np.float32(confidence))[0]
    rows, people = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number in np.unique(followed.frame).tolist():
        there, found = np.nonzero(followed.frame == number)[0], used[recorded.frame[used] == number]
        first, second = _matched(followed.boxes[there], recorded.boxes[found].astype(np.float64))
        rows.append(found[second])
        people.append(followed.person[there[first]])
    row, person = np.concatenate(rows), np.concatenate(people)
    vectors = read_embeddings(path, row)
    if vectors is None or not len(row):
        return None
    return Seen(recorded.frame[row].astype(np.int64), person, recorded.boxes[row].astype(float), normalised(vectors))


def embedding_map(seen: Seen, title: str) -> NDArray[np.uint8]:
    """(S, S, 3) BGR: the embeddings in the plane in which they differ most (PCA), a colour a true person."""
    some = np.unique(np.linspace(0, len(seen.person) - 1, min(len(seen.person), MAP_POINTS)).round().astype(int))
    centred = seen.vectors[some].astype(np.float64) - seen.vectors[some].mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    places = np.zeros((len(some), 2))
    places[:, : min(2, axes.shape[1])] = centred @ axes[:, :-3:-1]
    places /= max(float(np.abs(places).max(initial=0)), 1e-9)
    share = float(variances[-2:].sum() / max(float(variances.sum()), 1e-12))
    canvas = np.full((MAP_SIDE, MAP_SIDE, 3), 255, np.uint8)
    middle, reach = MAP_SIDE / 2, MAP_SIDE / 2 - MARGIN
    for (x, y), person in zip((middle + places * reach).round().astype(int).tolist(), seen.person[some], strict=True):
        cv2.circle(canvas, (x, y), 3, identity_colour(int(person)), -1, cv2.LINE_AA)
    _say(canvas, f"{title}: {100 * share:.0f} % of the variance", 8, 24)
    return canvas


def _crop(
    sequence: TrackedSequence, seen: Seen, row: int, colour: tuple[int, int, int], word: str
) -> NDArray[np.uint8]:
    image = read_image(sequence.part.images[seen.frame[row] - 1])
    limits = [image.shape[1], image.shape[0]] * 2
    x1, y1, x2, y2 = seen.boxes[row].round().clip(0, limits).astype(int).tolist()
    cell = np.full((CROP[1] + 26, CROP[0] + 8, 3), 255, np.uint8)
    if x2 > x1 and y2 > y1:
        cell[4 : 4 + CROP[1], 4 : 4 + CROP[0]] = cv2.resize(image[y1:y2, x1:x2], CROP, interpolation=cv2.INTER_AREA)
    cv2.rectangle(cell, (2, 2), (CROP[0] + 5, CROP[1] + 5), colour, 3)
    _say(cell, word, 16, CROP[1] + 22)
    return cell


def _say(canvas: NDArray[np.uint8], words: str, left: int, bottom: int) -> None:
    cv2.putText(canvas, words, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)


def draw_identities(names: Sequence[str], out: Path, confidence: float, kind: TrackedKind) -> dict[str, Path]:
    """Write the pictures of tracked sequences that have ground truth with identities into `out`.

    Args:
        names: of benchmarks or sequences; none: all.
        out: a folder, which gets `<benchmark>-<sequence>.timeline.png`, and for each benchmark's sequence with the most
            switches `.clip.mp4`, `.alike.jpg` and `.map.png`.
        confidence: score from which the tracker used a box.
        kind: which true boxes count.

    Returns:
        The files by name.

    Raises:
        InputError: nothing was tracked yet, or none of it has ground truth.
    """
    known = [
        (one, follow(truth, one.tracks))
        for one in find_tracked_sequences(names)
        if (truth := _truth(one, kind)) is not None
    ]
    if not known:
        raise InputError("none of these sequences has ground truth with identities: there is nothing to compare with.")
    files = []
    for sequence, followed in known:
        start = out / f"{sequence.benchmark}-{sequence.name}"
        files.append(start.with_name(f"{start.name}.timeline.png"))
        people, switches = len(np.unique(followed.person)), int(followed.switched.sum())
        title = f"{sequence.name}: {people} people, {switches} switches"
        drawn = timeline(followed, len(sequence.part.images), sequence.part.frame_rate, title)
        write_picture(files[-1], drawn)
    for sequence, followed in _most_switches(known).values():
        start = out / f"{sequence.benchmark}-{sequence.name}"
        files.append(start.with_name(f"{start.name}.clip.mp4"))
        write_video(files[-1], clip(sequence, followed), sequence.part.frame_rate, PRESET)
        recording = TRACKS / f"{sequence.benchmark}.detections" / f"{sequence.name}.safetensors"
        seen = seen_people(followed, recording, confidence) if recording.is_file() else None
        if seen is not None:
            files += [start.with_name(f"{start.name}.alike.jpg"), start.with_name(f"{start.name}.map.png")]
            write_picture(files[-2], alike(sequence, seen))
            write_picture(files[-1], embedding_map(seen, sequence.name))
    return {file.name: file for file in files}


def _most_switches(
    known: Sequence[tuple[TrackedSequence, Followed]],
) -> Mapping[str, tuple[TrackedSequence, Followed]]:
    """Of each benchmark the sequence with the most."""
    found: dict[str, tuple[TrackedSequence, Followed]] = {}
    for sequence, followed in known:
        before = found.get(sequence.benchmark)
        if before is None or followed.switched.sum() > before[1].switched.sum():
            found[sequence.benchmark] = sequence, followed
    return found


def _truth(sequence: TrackedSequence, kind: TrackedKind) -> AnnotationTable | None:
    """The true boxes that count in the tracked frames; None: there are none with identities."""
    path = GROUND_TRUTH / sequence.benchmark / sequence.name / "gt.txt"
    if not path.is_file():
        return None
    part = sequence.part
    table = read_ground_truth(path, length=part.length).in_frames(part.frames.first, part.frames.last, renumber=True)
    judged: JudgedTruth = judge_truth(table, len(part.images), sequence.benchmark, sequence.name, str(path), kind)
    return judged.table.select(judged.counted) if judged.identified and judged.boxes else None
