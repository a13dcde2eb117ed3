"""Evaluation: parity with trackeval's own file route and with motmetrics, and the rules of the benchmarks."""
# ruff: noqa: SIM300 (the metrics' names are in capitals, which does not make them constants)

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import motmetrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.errors import InputError
from clmot.evaluation import preprocessing, score
from clmot.evaluation.benchmark import score_benchmark
from clmot.evaluation.clear import Evaluator, identity_matches
from clmot.evaluation.preprocessing import ScoredFrames, iou_matrix, judge_truth
from clmot.evaluation.score import COUNTS, METRICS, SequenceScores, combine
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth
from clmot.motchallenge.sequence import ManifestEntry, write_manifest
from clmot.motchallenge.splits import Split

with contextlib.redirect_stdout(io.StringIO()):  # its import names the optional parts that are absent
    import trackeval

BENCHMARKS = ("MOT15", "MOT17", "MOT20")
LENGTH = 40


def preprocess(truth: AnnotationTable, results: AnnotationTable, length: int, benchmark: str) -> ScoredFrames:
    return preprocessing.preprocess(judge_truth(truth, length, benchmark), results)


def score_sequence(
    truth: AnnotationTable,
    results: AnnotationTable,
    length: int,
    benchmark: str,
    iou_threshold: float = 0.5,
    evaluator: Evaluator = "trackeval",
) -> SequenceScores:
    return score.score_sequence(judge_truth(truth, length, benchmark), results, iou_threshold, evaluator)


def table(rows: list[tuple[float, ...]]) -> AnnotationTable:
    """Rows of frame, identity, x, y, w, h[, flag, class]."""
    if not rows:
        return AnnotationTable.empty()
    columns = np.array([[*row, *(1, 1)[len(row) - 6 :]] for row in rows], dtype=float)
    whole = columns[:, [0, 1, 7]].astype(np.int64)
    return AnnotationTable(whole[:, 0], whole[:, 1], columns[:, 2:6], columns[:, 6], whole[:, 2], np.ones(len(rows)))


def scene(
    seed: int, length: int = LENGTH, people: int = 8, *, sparse: bool = False
) -> tuple[AnnotationTable, AnnotationTable]:
    """Ground truth with every class and flag, and the tracks of an imperfect tracker, rows in random order.

    Even seeds have whole-numbered boxes, so that IoUs of exactly 0.5 and ties come up. In a `sparse` scene
    nobody comes near anybody else: which tracker box belongs to whom is never in doubt.
    """
    rng = np.random.default_rng(seed)
    truth, tracks, next_track = [], [], 100
    for person in range(1, people + 1):
        category = int(rng.choice([1, 1, 1, 1, 2, 3, 6, 7, 8, 12, 13]))
        first, last = sorted(rng.integers(1, length + 1, 2))
        corner = np.array([400.0 * person, 50]) if sparse else rng.uniform(0, 60, 2)
        size = rng.integers(10, 30, 2) * [1, 2]
        track = next_track = next_track + 1
        flag = int(rng.random() > 0.1)
        for frame in range(first, last + 1):
            corner = corner + rng.normal(0, 1.0, 2)
            if rng.random() < 0.1:
                continue  # not in the picture
            box = np.concatenate([corner, size])
            box = np.round(box) if seed % 2 == 0 else np.round(box, 2)
            truth.append((frame, person, *box, flag, category))
            if rng.random() < 0.05:
                track = next_track = next_track + 1
            if rng.random() < 0.8:
                shift = rng.integers(-3, 4, 4) if seed % 2 == 0 else rng.normal(0, 2, 4).round(2)
                tracks.append((frame, track, *box + shift))
    for frame in range(1, length + 1):
        if rng.random() < 0.2:
            far = [-500, -500] if sparse else rng.integers(0, 60, 2)
            tracks.append((frame, 7, *far, 20, 40))
    shuffle = rng.permutation
    return table([truth[n] for n in shuffle(len(truth))]), table([tracks[n] for n in shuffle(len(tracks))])


def as_text(rows: AnnotationTable, benchmark: str | None) -> str:
    """Ground truth in the columns of `benchmark`; results for None."""
    lines = []
    for n in range(len(rows)):
        start = f"{rows.frame[n]},{rows.identity[n]},{','.join(f'{v:.2f}' for v in rows.box[n])}"
        if benchmark is None:
            lines.append(f"{start},0.9,-1,-1,-1")
        elif benchmark == "MOT15":
            lines.append(f"{start},{rows.confidence[n]:.0f},-1,-1,-1")
        else:
            lines.append(f"{start},{rows.confidence[n]:.0f},{rows.category[n]},{rows.visibility[n]:.1f}")
    return "".join(line + "\n" for line in lines)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def by_trackeval(folder: Path, benchmark: str, sequences: dict, length: int) -> dict:
    """trackeval's scores of {name: (truth, results)} from files: {name or COMBINED_SEQ: {metric: value}}."""
    gt, tracker = (
        folder / "gt" / f"{benchmark}-train",
        folder / "trackers" / f"{benchmark}-train" / "ours" / "data",
    )
    for name, (truth, results) in sequences.items():
        write(gt / name / "gt" / "gt.txt", as_text(truth, benchmark))
        write(gt / name / "seqinfo.ini", f"[Sequence]\nname={name}\nseqLength={length}\n")
        write(tracker / f"{name}.txt", as_text(results, None))
    write(folder / "gt" / "seqmaps" / f"{benchmark}-train.txt", "\n".join(["name", *sequences]) + "\n")
    with contextlib.redirect_stdout(io.StringIO()):
        quiet = {"PRINT_CONFIG": False}
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "gt"),
                "TRACKERS_FOLDER": str(folder / "trackers"),
                "BENCHMARK": benchmark,
                **quiet,
            }
        )
        evaluator = trackeval.Evaluator(
            {
                "LOG_ON_ERROR": None,
                "PRINT_RESULTS": False,
                "TIME_PROGRESS": False,
                "OUTPUT_SUMMARY": False,
                "OUTPUT_DETAILED": False,
                "PLOT_CURVES": False,
                **quiet,
            }
        )
        metrics = [
            trackeval.metrics.HOTA(),
            trackeval.metrics.CLEAR(dict(quiet)),
            trackeval.metrics.Identity(dict(quiet)),
        ]
        scores, _ = evaluator.evaluate([dataset], metrics)
    return {
        name: {**all_["HOTA"], **all_["CLEAR"], **all_["Identity"]}
        for name, found in scores["MotChallenge2DBox"]["ours"].items()
        for all_ in [found["pedestrian"]]
    }


COLUMNS = {"FP": "CLR_FP", "FN": "CLR_FN"}
"""What TrackEval calls some of ours."""


def differences(ours, theirs: dict) -> dict[str, float]:
    """By column, how far ours are from TrackEval's; those beyond 1e-6."""
    apart = {name: abs(value - np.mean(theirs[COLUMNS.get(name, name)])) for name, value in ours.metrics().items()}
    return {name: value for name, value in apart.items() if value > 1e-6}


def assert_parity(ours, theirs: dict) -> None:
    """Every column, and what HOTA is made of."""
    assert differences(ours, theirs) == {}
    assert {"DetRe", "DetPr", "AssRe", "AssPr", "LocA"} < set(ours.hota.fields)
    for name, values in ours.hota.fields.items():  # a value for each threshold
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-9, err_msg=name)
    assert ours.IDF1 == pytest.approx(theirs["IDF1"], abs=1e-9)
    assert ours.clear.objects == theirs["CLR_TP"] + theirs["CLR_FN"]
    assert ours.clear.predictions == theirs["CLR_TP"] + theirs["CLR_FP"]


def every_class(benchmark: str) -> tuple[AnnotationTable, AnnotationTable]:
    """Somebody of every class, each followed by a track; identities are large, far apart and in no order."""
    truth, tracks = [], []
    for category in range(1, 14):
        # trackeval expects class 1 in every row that it counts for MOT15.
        kind = 1 if benchmark == "MOT15" else category
        for frame in range(1, 11):
            box = (300.0 * category, 50.0 + frame, 20, 40)
            truth.append((frame, 10**6 - 1000 * category, *box, 1, kind))
            tracks.append((frame, 7919 * category % 101 + 10**7, *box))
    return table(truth), table(tracks)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("whose", ["truth", "results"])
@pytest.mark.parametrize("fault", ["beyond the end", "twice in a frame"])
def test_refuses_what_trackeval_refuses(tmp_path, benchmark, whose, fault):
    good = table(standing(range(1, 11)))
    row = standing(range(11, 12)) if fault == "beyond the end" else [(4, 1, 90, 90, 20, 40)]
    bad = table(standing(range(1, 11)) + row)
    pair = (bad, good) if whose == "truth" else (good, bad)
    with pytest.raises(InputError, match=r"frame 11 lies outside|identity 1 appears more than once in frame 4"):
        score_sequence(*pair, 10, benchmark)
    with pytest.raises(trackeval.utils.TrackEvalException):
        by_trackeval(tmp_path, benchmark, {"S": pair}, 10)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("sparse", [False, True], ids=["crowded", "sparse"])
def test_agrees_with_trackeval_on_files(tmp_path, benchmark, sparse):
    scenes = {f"S{seed}": scene(seed, sparse=sparse) for seed in range(5)}
    full, tracks = scenes["S0"]
    scenes["no-results"] = (full, AnnotationTable.empty())
    scenes["no-truth"] = (AnnotationTable.empty(), tracks)
    scenes["nothing"] = (AnnotationTable.empty(), AnnotationTable.empty())
    ignored = dataclasses.replace(full, confidence=np.zeros(len(full)))
    scenes["only-ignored-truth"] = (ignored, tracks)
    scenes["every-class"] = every_class(benchmark)
    theirs = by_trackeval(tmp_path, benchmark, scenes, LENGTH)
    ours = {name: score_sequence(truth, results, LENGTH, benchmark) for name, (truth, results) in scenes.items()}
    for name, scores in ours.items():
        assert_parity(scores, theirs[name])
        assert scores.frames == LENGTH
    assert_parity(combine(list(ours.values())), theirs["COMBINED_SEQ"])


@pytest.mark.parametrize(("benchmark", "first"), [("MOT15", 0), ("MOT17", 60), ("MOT20", 120)])
def test_no_column_differs_from_trackeval_in_180_crowded_sequences(tmp_path, benchmark, first):
    length = 16
    scenes = {f"S{n:03}": scene(1000 + n, length, people=6) for n in range(first, first + 60)}
    theirs = by_trackeval(tmp_path, benchmark, scenes, length)
    ours = {name: score_sequence(*pair, length, benchmark) for name, pair in scenes.items()}
    apart = {name: differences(scores, theirs[name]) for name, scores in ours.items()}
    assert {name: found for name, found in apart.items() if found} == {}
    combined = combine(list(ours.values()))
    assert differences(combined, theirs["COMBINED_SEQ"]) == {}
    assert combined.IDSW > 20, "there is something to differ in"
    assert combined.Frag > 20


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_without_any_truth_the_combination_is_trackevals(tmp_path, benchmark):
    nothing = AnnotationTable.empty()
    scenes = {"A": (nothing, scene(0)[1]), "B": (nothing, scene(1)[1]), "C": (nothing, nothing)}
    theirs = by_trackeval(tmp_path, benchmark, scenes, LENGTH)
    ours = [score_sequence(*pair, LENGTH, benchmark) for pair in scenes.values()]
    assert [scores.MOTA for scores in ours] == [0.0, 0.0, 0.0]
    combined = combine(ours)
    assert combined.MOTA == -combined.FP == theirs["COMBINED_SEQ"]["MOTA"] < 0
    assert differences(combined, theirs["COMBINED_SEQ"]) == {}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_half_split_agrees_with_trackeval_on_the_second_half(tmp_path, benchmark):
    """Also when the evaluated half has no ground truth: its file is not empty, but that part of it is."""
    first = LENGTH // 2 + 2
    entries, halves = [], {}
    for seed in range(2, 6):
        name = f"S{seed}"
        truth, tracks = scene(seed)
        if seed == 5:
            truth = truth.in_frames(1, first - 1)
        results = tracks.in_frames(first, LENGTH, renumber=True)
        entries.append(ManifestEntry(name, "train", LENGTH, 1920, 1080, 30.0))
        write(tmp_path / "data" / "gt" / name / "gt.txt", as_text(truth, benchmark))
        write(tmp_path / "tracks" / f"{name}.txt", as_text(results, None))
        halves[name] = (truth.in_frames(first, LENGTH, renumber=True), results)
    write_manifest(tmp_path / "data" / "gt", benchmark, entries)
    theirs = by_trackeval(tmp_path, benchmark, halves, LENGTH - first + 1)
    ours = score_benchmark(tmp_path / "tracks", tmp_path / "data" / "gt", benchmark, Split("half"))
    assert [s.sequence for s in ours.sequences] == list(halves)
    for scores in ours.sequences:
        assert_parity(scores, theirs[scores.sequence])
        assert scores.frames == LENGTH // 2 - 1
    assert ours.combined is not None
    assert_parity(ours.combined, theirs["COMBINED_SEQ"])


whole_boxes = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 6), st.integers(0, 6)), max_size=6
)
frames_of_boxes = st.lists(
    st.tuples(whole_boxes, whole_boxes, st.randoms(use_true_random=False)), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(frames_of_boxes, st.sampled_from(BENCHMARKS))
def test_preprocessing_keeps_what_trackeval_keeps(frames, benchmark):
    """Small whole-numbered boxes on a small grid: ties, touching and empty boxes, exact thresholds."""
    classes = [1, 1, 2, 3, 6, 7, 8, 12]
    truth = table(
        [
            (t, n + 1, *box, random.choice([0, 1, 1]), 1 if benchmark == "MOT15" else random.choice(classes))
            for t, (boxes, _, random) in enumerate(frames, 1)
            for n, box in enumerate(boxes)
        ]
    )
    results = table([(t, n + 1, *b) for t, (_, boxes, _) in enumerate(frames, 1) for n, b in enumerate(boxes)])
    raw = {"num_timesteps": len(frames), "seq": "S"}
    for kind, rows in (("gt", truth), ("tracker", results)):
        at = [rows.frame == t for t in range(1, len(frames) + 1)]
        raw[f"{kind}_ids"] = [rows.identity[m] for m in at]
        raw[f"{kind}_dets"] = [rows.box[m] for m in at]
        raw[f"{kind}_classes"] = [rows.category[m] for m in at]
    raw["tracker_confidences"] = [np.ones(len(ids)) for ids in raw["tracker_ids"]]
    raw["gt_extras"] = [{"zero_marked": truth.confidence[truth.frame == t]} for t in range(1, len(frames) + 1)]
    dataset = object.__new__(trackeval.datasets.MotChallenge2DBox)
    dataset.benchmark, dataset.do_preproc = benchmark, True
    dataset.class_name_to_class_id = {
        "pedestrian": 1, "person_on_vehicle": 2, "non_mot_vehicle": 6, "static_person": 7, "distractor": 8,
        "reflection": 12,
    }  # fmt: skip
    dataset.valid_class_numbers = list(range(1, 14))
    raw["similarity_scores"] = [
        dataset._calculate_similarities(g, d) for g, d in zip(raw["gt_dets"], raw["tracker_dets"], strict=True)
    ]
    theirs = dataset.get_preprocessed_seq_data(raw, "pedestrian")

    ours = preprocess(truth, results, len(frames), benchmark)
    assert (ours.truth_identities, ours.tracked_identities) == (
        theirs["num_gt_ids"],
        theirs["num_tracker_ids"],
    )
    boxes = zip(raw["gt_ids"], raw["tracker_ids"], strict=True)
    seen = [t for t, (true, tracked) in enumerate(boxes) if len(true) or len(tracked)]
    for t, frame in zip(seen, ours.frames, strict=True):
        np.testing.assert_array_equal(frame.truth, theirs["gt_ids"][t])
        np.testing.assert_array_equal(frame.tracked, theirs["tracker_ids"][t])
        np.testing.assert_array_equal(frame.similarity(), theirs["similarity_scores"][t])


@pytest.mark.parametrize("seed", range(4))
def test_identity_agrees_with_motmetrics(seed):
    """Its own IDF1 and IDTP, from a square matrix of identities and tracks together."""
    truth, results = scene(seed)
    frames = preprocess(truth, results, LENGTH, "MOT17")
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in frames.frames:
        similarity = frame.similarity()
        accumulator.update(frame.truth, frame.tracked, np.where(similarity >= 0.5, 1 - similarity, np.nan))
    names = ["idf1", "idtp", "mota", "num_switches", "num_false_positives", "num_misses"]
    theirs = motmetrics.metrics.create().compute(accumulator, metrics=names, return_dataframe=False)
    ours = score_sequence(truth, results, LENGTH, "MOT17", evaluator="motmetrics")
    assert identity_matches(frames) == theirs["idtp"]
    assert ours.IDF1 == pytest.approx(theirs["idf1"], abs=1e-12)
    assert ours.MOTA == pytest.approx(theirs["mota"], abs=1e-12)
    assert [ours.IDSW, ours.FP, ours.FN] == [theirs[n] for n in names[3:]]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_ground_truth_scored_against_itself_is_perfect(tmp_path, benchmark):
    path = tmp_path / "gt.txt"
    path.write_text(as_text(scene(3)[0], benchmark))
    truth = read_ground_truth(path)
    counted = (truth.confidence != 0) & ((truth.category == 1) | (benchmark == "MOT15"))
    people = truth.select(counted)
    scores = score_sequence(truth, people, LENGTH, benchmark)
    assert (scores.MOTA, scores.IDF1) == (1.0, 1.0)
    assert [scores.MOTP, scores.HOTA, scores.DetA, scores.AssA] == pytest.approx([1, 1, 1, 1], abs=1e-12)
    assert (scores.IDSW, scores.FP, scores.FN, scores.ML) == (0, 0, 0, 0)  # TrackEval's Frag counts absences too
    assert score_sequence(truth, people, LENGTH, benchmark, evaluator="motmetrics").Frag == 0
    assert scores.MT == len(np.unique(people.identity))


def standing(frames: range, identity: int = 1, x: float = 10, flag: int = 1, category: int = 1) -> list[tuple]:
    return [(frame, identity, x, 10, 20, 40, flag, category) for frame in frames]


def test_frames_without_output_count_as_missed():
    """The original's peers score only the frames that a tracker wrote something for."""
    truth = table(standing(range(1, 11)))
    results = table(standing(range(1, 6), identity=9))
    scores = score_sequence(truth, results, 10, "MOT17")
    assert (scores.FN, scores.FP, scores.frames) == (5, 0, 10)
    assert scores.MOTA == 0.5
    assert scores.IDF1 == pytest.approx(10 / 15)


@pytest.mark.parametrize(
    ("benchmark", "dropped"),
    [("MOT15", []), ("MOT17", [2, 7, 8, 12]), ("MOT20", [2, 6, 7, 8, 12])],
)
def test_boxes_on_distractors_are_neither_right_nor_wrong(benchmark, dropped):
    """MOT20 is filtered too, and there non-motorised vehicles are distractors as well."""
    results = table(standing(range(1, 5)) + standing(range(1, 5), identity=2, x=200))
    for category in range(2, 14):
        truth = table(standing(range(1, 5)) + standing(range(1, 5), identity=2, x=200, category=category))
        scores = score_sequence(truth, results, 4, benchmark)
        wrong = 0 if category in dropped or benchmark == "MOT15" else 4
        assert (scores.FP, scores.FN) == (wrong, 0), category
        people = 2 if benchmark == "MOT15" else 1
        assert scores.MT == people


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_unflagged_people_are_not_missed_and_not_forgiven(benchmark):
    truth = table(standing(range(1, 5), flag=0) + standing(range(1, 5), identity=2, x=200))
    found_both = table(standing(range(1, 5)) + standing(range(1, 5), identity=2, x=200))
    nothing = score_sequence(truth, AnnotationTable.empty(), 4, benchmark)
    both = score_sequence(truth, found_both, 4, benchmark)
    assert (nothing.FN, nothing.FP) == (4, 0)
    assert (both.FN, both.FP) == (0, 4)


def test_a_box_belongs_to_whom_it_overlaps_most():
    """A pedestrian in front of a distractor keeps the tracker's box: matching is over all true boxes."""
    truth = table(standing(range(1, 3)) + standing(range(1, 3), identity=2, x=14, category=7))
    on_pedestrian = score_sequence(truth, table(standing(range(1, 3), x=11)), 2, "MOT17")
    on_distractor = score_sequence(truth, table(standing(range(1, 3), x=13)), 2, "MOT17")
    assert (on_pedestrian.FN, on_pedestrian.FP) == (0, 0)
    assert (on_distractor.FN, on_distractor.FP) == (2, 0)


def test_nothing_is_nan():
    rows = table(standing(range(1, 4)))
    empty = AnnotationTable.empty()
    far = table(standing(range(1, 4), x=900))
    for truth, results in ((rows, empty), (empty, rows), (empty, empty), (rows, far)):
        scores = score_sequence(truth, results, 3, "MOT17")
        json.dumps(scores.metrics(), allow_nan=False)
        assert [scores.MOTP, scores.IDF1, scores.HOTA, scores.DetA, scores.AssA] == [0.0] * 5
    assert score_sequence(rows, empty, 3, "MOT17").MOTA == 0.0
    assert score_sequence(empty, rows, 3, "MOT17").MOTA == 0.0
    assert score_sequence(rows, far, 3, "MOT17").MOTA == -1.0


def test_counts_are_whole_numbers_and_fractions_are_floats():
    metrics = score_sequence(*scene(1), LENGTH, "MOT20").metrics()
    assert tuple(metrics) == METRICS
    assert {name for name, value in metrics.items() if type(value) is int} == set(COUNTS)
    assert {name for name, value in metrics.items() if type(value) is float} == set(METRICS) - set(COUNTS)


def test_switches_and_fragments_are_those_of_motmetrics():
    """One person: tracked as 1, missed, tracked as 1, then as 2 after being out of the picture."""
    truth = table(standing(range(1, 6)) + standing(range(8, 12)))
    results = table(standing(range(1, 3)) + standing(range(4, 6)) + standing(range(8, 12), identity=2))
    scores = score_sequence(truth, results, 12, "MOT17", evaluator="motmetrics")
    assert (scores.IDSW, scores.Frag, scores.FN) == (1, 1, 1)
    assert scores.MT == 1  # 8 of 9 frames
    assert score_sequence(truth, results, 12, "MOT17").Frag == 0, "TrackEval skips frames without any tracker box"


def test_mostly_tracked_starts_at_80_percent():
    truth = table(standing(range(1, 11)))
    assert score_sequence(truth, table(standing(range(1, 9))), 10, "MOT17", evaluator="motmetrics").MT == 1
    assert score_sequence(truth, table(standing(range(1, 9))), 10, "MOT17").MT == 0, "officially it starts above"
    assert score_sequence(truth, table(standing(range(1, 10))), 10, "MOT17").MT == 1
    assert score_sequence(truth, table(standing(range(1, 8))), 10, "MOT17").MT == 0
    assert score_sequence(truth, table(standing(range(1, 3))), 10, "MOT17").ML == 0
    assert score_sequence(truth, table(standing(range(1, 2))), 10, "MOT17").ML == 1


def test_iou_threshold_decides_what_can_match():
    truth, results = table(standing(range(1, 5))), table(standing(range(1, 5), x=16))  # IoU 14/26
    assert score_sequence(truth, results, 4, "MOT17", 0.5).FN == 0
    strict = score_sequence(truth, results, 4, "MOT17", 0.6)
    assert (strict.FN, strict.FP, strict.IDF1) == (4, 4, 0.0)


@pytest.mark.parametrize("whose", ["truth", "results"])
def test_an_identity_twice_in_a_frame_is_refused(whose):
    good = table(standing(range(1, 4)))
    twice = table([*standing(range(1, 4), identity=5), (2, 5, 60, 10, 20, 40)])
    pair = (twice, good) if whose == "truth" else (good, twice)
    with pytest.raises(InputError, match=r"^a\.txt: identity 5 appears more than once in frame 2"):
        score.score_sequence(judge_truth(pair[0], 3, "MOT17", source="a.txt"), pair[1], results_source="a.txt")


def test_frames_beyond_the_end_are_refused():
    rows = table(standing(range(1, 6)))
    with pytest.raises(InputError, match=r"^tracks/S\.txt: frame 4 lies outside the evaluated frames 1 to 3"):
        score.score_sequence(judge_truth(rows.in_frames(1, 3), 3, "MOT17"), rows, results_source="tracks/S.txt")


def test_unknown_classes_are_refused():
    with pytest.raises(InputError, match="class 14 in frame 1"):
        score_sequence(table(standing(range(1, 2), category=14)), AnnotationTable.empty(), 1, "MOT17")


def test_combining_sums_before_dividing():
    sequences = [score_sequence(*scene(seed), LENGTH, "MOT17") for seed in range(3)]
    together = combine(sequences)
    for name in COUNTS:
        assert getattr(together, name) == sum(getattr(s, name) for s in sequences)
    objects = sum(s.clear.objects for s in sequences)
    assert together.MOTA == pytest.approx(1 - (together.FN + together.FP + together.IDSW) / objects)
    assert together.frames == 3 * LENGTH
    alone = combine(sequences[:1])
    assert list(alone.metrics().values()) == pytest.approx(list(sequences[0].metrics().values()), abs=1e-12)
    with pytest.raises(ValueError, match="no sequence"):
        combine([])


def test_boxes_without_area_overlap_nothing():
    boxes = np.array([[1.0, 1, 0, 10], [1, 1, 10, 10]])
    np.testing.assert_array_equal(iou_matrix(boxes, boxes), [[0, 0], [0, 1]])
    assert iou_matrix(np.zeros((0, 4)), boxes).shape == (0, 2)
