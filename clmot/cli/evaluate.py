"""`clmot evaluate`: score anybody's results against ground truth, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from clmot.errors import InputError
from clmot.files import write_json

if TYPE_CHECKING:
    from clmot.evaluation.clear import Evaluator
    from clmot.evaluation.result_files import Pairs

STDOUT = "-"
"""In the place of a file: the scores are printed as JSON, and no table."""


def add_command(commands: Any) -> None:
    """Add `evaluate` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "evaluate",
        help="score results, ours or anybody's, against ground truth",
        description="Score results by the rules of their benchmark and print a table, a row for a sequence and one for "
        "all: CLEAR, identity and HOTA metrics.",
        epilog="example: clmot evaluate tracks/MOT17 data/gt/MOT17 --split half",
    )
    parser.add_argument("results", help="a folder of <sequence>.txt in MOTChallenge format, or one such file")
    parser.add_argument("truth", help="a folder of <sequence>/gt/gt.txt or <sequence>/gt.txt, or one such file")
    parser.add_argument("--benchmark", help="whose rules apply: MOT15, MOT16, MOT17, MOT20 (else names tell)")
    parser.add_argument(
        "--split",
        choices=("all", "half"),
        default="all",
        help="half: second halves, numbered from 1 in the results",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="SEQUENCE", help="score these of the folders alone")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="count these boxes, as one kind of object: names or numbers, car or 3 (default: pedestrian)",
    )
    parser.add_argument(
        "--evaluator",
        choices=("trackeval", "motmetrics"),
        default="trackeval",
        help="whose CLEAR metrics: the official ones (default), or those of the original project",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=0,
        metavar="N",
        help="of the pipeline's tracks: run the tracker of params.yaml N times, each without other boxes: mean ± sd",
    )
    parser.add_argument("--drop", type=float, default=0.03, metavar="SHARE", help="of these boxes (default 0.03)")
    parser.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="write the scores there as well; without a FILE print them",
    )
    parser.set_defaults(action=_evaluate_given)


def _evaluate_given(given: argparse.Namespace) -> None:
    from clmot.evaluation.result_files import RULES, read_pairs
    from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind

    if given.benchmark is not None and given.benchmark not in RULES:
        raise InputError(f"--benchmark should be one of {', '.join(RULES)}, got '{given.benchmark}'.")
    kind = TrackedKind.named(given.classes) if given.classes else PEDESTRIANS
    pairs = read_pairs(given.results, given.truth, given.benchmark, given.only, kind)
    evaluate(pairs, given.split, given.evaluator, given.json)
    if given.repeats:
        repeat(given, pairs)


def repeat(given: argparse.Namespace, pairs: Pairs) -> None:
    """Print how far chance carries the scores of the pipeline's tracks: see `clmot.evaluation.folders.repeat_folder`.

    Raises:
        InputError: see there; or params.yaml, which has the tracker's settings, is not there.
    """
    from clmot.evaluation.folders import repeat_folder
    from clmot.evaluation.repeats import REPEATED_METRICS, Repeats
    from clmot.params import load_params

    if given.repeats < 0 or not 0 <= given.drop < 1:
        raise InputError("--repeats should be a whole number from 1 on, and --drop a share from 0 to below 1.")
    params = load_params()
    repeats = Repeats(given.repeats, given.drop, params.seed, params.track)
    found = repeat_folder(given.results, pairs, repeats, given.split, given.evaluator)
    told = [
        f"{name} {100 * found[f'{name}_drop']:.1f} ± {100 * found[f'{name}_drop_sd']:.1f}" for name in REPEATED_METRICS
    ]
    print(f"{given.repeats} runs without {100 * given.drop:g} % of the boxes: {', '.join(told)}")


def evaluate(
    pairs: Pairs, split: str = "all", evaluator: Evaluator = "trackeval", json_file: str | None = None
) -> None:
    """Print the scores of results, per sequence and combined.

    Args:
        pairs, split, evaluator: as `clmot.evaluation.folders.score_folder`.
        json_file: write the scores there as well; `-`: print them instead of the table.

    Raises:
        InputError: see there.
    """
    # Loads pandas and scipy: faulty files are refused before that.
    from clmot.evaluation.folders import score_folder

    scores = score_folder(pairs, split, evaluator=evaluator)
    if json_file not in (None, STDOUT):
        write_json(json_file, scores.as_dict())
    print(json.dumps(scores.as_dict(), indent=2) if json_file == STDOUT else scores.table())
    if scores.left_out:
        print(f"note: there is no ground truth for {', '.join(scores.left_out)}: not scored.", file=sys.stderr)
    if scores.without_truth:
        print(
            f"note: the ground truth of {', '.join(scores.without_truth)} has no box to score (class {scores.kind}; of "
            "pedestrians those whose flag is not 0): the numbers there say nothing of the tracker.",
            file=sys.stderr,
        )
    if scores.apart:
        print(
            f"note: the results of {', '.join(scores.apart)} have no frame in common with the boxes of the ground "
            "truth, so nothing can match: frames should be counted from 1 in both.",
            file=sys.stderr,
        )
    if scores.unmatched:
        print(
            f"note: the results of {', '.join(scores.unmatched)} meet no box of the ground truth: are they of this "
            "film, and x, y, w, h in pixels of its images?",
            file=sys.stderr,
        )
    if scores.seem_halves:
        print(
            "note: no result goes beyond the first half of its film: if these are second halves, numbered from 1 "
            "(as `data.split: half` tracks them), add --split half.",
            file=sys.stderr,
        )
