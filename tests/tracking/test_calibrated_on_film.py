"""The calibrated association on real films with a detector's boxes, held to perfect assignment of the same boxes."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from clmot.evaluation.preprocessing import iou_matrix, judge_truth
from clmot.evaluation.score import score_sequence
from clmot.motchallenge.annotations import AnnotationTable, parse_ground_truth, read_detections
from clmot.params import load_params
from clmot.tracking.calibrated import start_tracker

pytestmark = pytest.mark.shared_data

FILMS = {  # archive, folder in it, benchmark, frames per second, frames
    "MOT17-02-FRCNN": ("MOT17.zip", "MOT17/train", "MOT17", 30, 600),
    "PETS09-S2L1": ("MOT15.zip", "train", "MOT15", 7, 795),
    "TUD-Stadtmitte": ("MOT15.zip", "train", "MOT15", 25, 179),
}
SETTINGS = {
    "confidence": 0.5,
    "new_track_confidence": 0.6,
    "iou_threshold": 0.8,
    "iou_threshold_alone": 0.8,
    "second_pass": True,
    "second_pass_confidence": 0.2,
    "second_pass_threshold": 0.5,
}
CALIBRATED = {"association": "calibrated", "lost_seconds": 3.0, "refind_seconds": 7.0}


@pytest.fixture(scope="module")
def films(shared):
    """Per film: ground truth, detections, and whose each detection is (IoU of .5 and more; -1: no one's)."""
    found = {}
    for name, (archive, folder, benchmark, rate, frames) in FILMS.items():
        with zipfile.ZipFile(shared / "data" / archive) as opened:
            truth = parse_ground_truth(opened.read(f"{folder}/{name}/gt/gt.txt"), name)
        judged = judge_truth(truth, frames, benchmark, name)
        boxes = read_detections(shared / "data" / "detections" / f"{name}.txt")
        people = judged.table.select(judged.counted)
        identity = np.full(len(boxes), -1)
        for frame in range(1, frames + 1):
            rows, true = np.nonzero(boxes.frame == frame)[0], np.nonzero(people.frame == frame)[0]
            iou = iou_matrix(people.box[true], boxes.box[rows])
            iou[iou < 0.5] = 0
            a, b = linear_sum_assignment(-iou)
            matched = iou[a, b] > 0
            identity[rows[b[matched]]] = people.identity[true[a[matched]]]
        found[name] = (judged, boxes, identity, rate)
    return found


def true_identities(identity):
    """One-hot vectors; boxes on no one have one of their own, as far as 512 places can tell them apart."""
    _, number = np.unique(identity, return_inverse=True)
    vectors = np.zeros((len(identity), number.max() + 1 + 512), np.float32)
    nobody = np.random.default_rng(0).integers(number.max() + 1, vectors.shape[1], len(identity))
    vectors[np.arange(len(identity)), np.where(identity < 0, nobody, number)] = 1
    return vectors


def tracked(film, params, embedding):
    """IDF1 and purity."""
    judged, boxes, identity, rate = film
    tracker, corners = start_tracker(params, rate), boxes.corners()
    rows, ids, where = [], [], []
    for frame in range(1, judged.length + 1):
        given = np.nonzero(boxes.frame == frame)[0]
        looks = None if embedding is None else embedding[given]
        tracks = tracker.update(corners[given], boxes.confidence[given], looks)
        rows.append(given[tracks.detections])
        ids.append(tracks.identities)
        where.append(tracks.boxes)
    row, ident = np.concatenate(rows), np.concatenate(ids)
    on = identity[row] >= 0
    pairs, count = np.unique(np.stack((ident[on], identity[row[on]])), axis=1, return_counts=True)
    purity = sum(count[pairs[0] == one].max() for one in np.unique(pairs[0])) / on.sum()
    return scored(judged, boxes.frame[row], ident, np.concatenate(where)), purity


def scored(judged, frame, identity, corners):
    box = np.concatenate((corners[:, :2] + 1, corners[:, 2:] - corners[:, :2]), axis=1)
    ones = np.ones(len(frame))
    return score_sequence(judged, AnnotationTable(frame, identity, box, ones, ones.astype(int), ones)).IDF1


def perfect(film, confidence):
    """IDF1 of the same boxes in the right hands; boxes on no one are tracks of their own."""
    judged, boxes, identity, _ = film
    used = boxes.confidence >= confidence
    ident = np.where(identity < 0, identity.max() + 1 + np.arange(len(identity)), identity)[used]
    return scored(judged, boxes.frame[used], ident, boxes.corners()[used])


def test_with_true_identities_the_calibrated_association_comes_near_perfect_assignment(films):
    base = dataclasses.replace(load_params().track, **SETTINGS)
    none = np.mean([tracked(film, base, None)[0] for film in films.values()])
    bound = np.mean([perfect(film, base.confidence) for film in films.values()])
    ours = [tracked(film, dataclasses.replace(base, **CALIBRATED), true_identities(film[2])) for film in films.values()]
    idf1, purity = np.array(ours).T
    assert (purity >= 0.95).all()
    assert idf1.mean() >= none + 0.8 * (bound - none)
