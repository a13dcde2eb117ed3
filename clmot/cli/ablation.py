"""`clmot ablation`: run a set of variants as DVC experiments and compare them in one table."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clmot.ablation.experiments import Experiment, expand
from clmot.ablation.snapshot import Snapshot, take_snapshot
from clmot.ablation.variants import VariantSet, read_set
from clmot.errors import InputError
from clmot.files import write_json, write_text
from clmot.progress import progress

SETS = Path("experiments")
DEFAULT_SET = SETS / "ablation.yaml"
REPORTS = Path("metrics")


def add_command(commands: Any) -> None:
    """Add `ablation` to the subcommands (argparse's) of `clmot`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "ablation",
        help="run a set of variants as experiments and compare them in one table",
        description="Run every variant of a set with every seed as an experiment of DVC's, but for those that have "
        "results, and write metrics/SET.md, .json and .svg, which compare them.",
    )
    parser.add_argument(
        "--set",
        type=set_path,
        default=str(DEFAULT_SET),
        metavar="FILE",
        help=f"of variants (default {DEFAULT_SET})",
    )
    parser.add_argument(
        "--seeds", type=seed_list, metavar="N,N,...", help="run each variant for each (default: the set's)"
    )
    parser.add_argument("--only", type=name_list, default=(), metavar="NAME,...", help="run these variants alone")
    parser.add_argument(
        "--jobs", type=job_count, default=1, metavar="N", help="experiments beside each other (default 1)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would run, and run nothing")
    parser.add_argument("--table-only", action="store_true", help="write the table from the results there are")
    parser.set_defaults(
        action=lambda given: ablation(given.set, given.seeds, given.only, given.jobs, given.dry_run, given.table_only)
    )


def ablation(
    path: str,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
    jobs: int = 1,
    dry_run: bool = False,
    table_only: bool = False,
) -> None:
    """Run the experiments of a set that have no results yet, then write metrics/<set>.{md,json,svg} from all that have.

    Args:
        path: the file of variants.
        seeds: instead of the set's.
        only: run these variants alone; the table still holds all that have results.
        jobs: experiments that run beside each other.
        dry_run: only say what would run.
        table_only: only write the table.

    Raises:
        InputError: the set or the project does not allow it, or experiments failed. In the latter case the others have
            run and the table holds them.
    """
    from clmot.ablation.git import experiment_commits

    chosen = read_set(path)
    for name in only:
        chosen.variant(name)
    wanted = tuple(chosen.seeds if seeds is None else seeds)
    snapshot = take_snapshot()
    taken = {out for stage in snapshot.pipeline for out in stage.outs} & set(map(str, _reports(chosen)))
    if taken:
        raise InputError(
            f"{chosen.path} would write {min(taken)}, which the pipeline writes: give the file another name."
        )
    experiments = expand(chosen, wanted, snapshot)
    selected = [item for item in experiments if not only or item.variant.name in only]
    done = set(experiment_commits())
    if dry_run:
        _describe(selected, done)
        return
    failures: list[str] = []
    if not table_only:
        if snapshot.uncommitted and any(str(item.name) not in done for item in selected):
            print(
                f"warning: the experiments take along what is not committed in {', '.join(snapshot.uncommitted)}; "
                "commit first if the table shall name a commit that holds it.",
                file=sys.stderr,
            )
        failures = _run(selected, done, jobs, functools.partial(_check_unchanged, chosen, wanted, experiments))
    _report(chosen, wanted, experiments, snapshot, required=not failures)
    if failures:
        raise InputError(
            f"{len(failures)} of {len(selected)} experiments failed: {', '.join(failures)}; the same command runs "
            "them again, the others are kept."
        )


def _describe(experiments: Sequence[Experiment], done: set[str]) -> None:
    for experiment in experiments:
        if str(experiment.name) in done:
            print(f"# has results: {experiment.name}")
        else:
            print(shlex.join(["dvc", *experiment.command()]))


def _run(
    experiments: Sequence[Experiment], done: set[str], jobs: int, check_unchanged: Callable[[], None]
) -> list[str]:
    """Run what has no results; the names of what failed, whose logs' ends were shown."""
    from clmot.ablation.dvc_queue import sole_runner

    waiting = [item for item in experiments if str(item.name) not in done]
    print(f"{len(experiments) - len(waiting)} of {len(experiments)} experiments have results.", file=sys.stderr)
    if not waiting:
        return []
    with sole_runner():
        return _run_through_dvc(experiments, {str(item.name) for item in waiting}, jobs, check_unchanged)


def _run_through_dvc(
    experiments: Sequence[Experiment], ours: set[str], jobs: int, check_unchanged: Callable[[], None]
) -> list[str]:
    """Run those of the experiments that are `ours` (names); what the others have made is not made again."""
    from tqdm import tqdm

    from clmot.ablation.dvc_queue import DvcQueue
    from clmot.ablation.runner import run_experiments

    queue = DvcQueue()
    others = sorted(name for name, state in queue.states().items() if state == "Queued" and name not in ours)
    if others:
        print(f"note: DVC's queue runs what else is in it as well: {', '.join(others)}.", file=sys.stderr)
    print("`dvc queue status` shows them, `dvc queue logs NAME --follow` one of them.", file=sys.stderr)
    failures = []
    outcomes = run_experiments(experiments, queue, jobs, check_unchanged)
    try:
        for outcome in progress(outcomes, "experiments", total=len(ours), unit="experiment"):
            name = str(outcome.experiment.name)
            if not outcome.failure:
                tqdm.write(f"{name}: done", file=sys.stderr)
                continue
            failures.append(name)
            indented = outcome.failure.replace("\n", "\n    ")
            tqdm.write(f"{name}: FAILED\n    {indented}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped; what has results is kept, and the same command goes on.", file=sys.stderr)
        raise
    finally:
        outcomes.close()
    return failures


def _check_unchanged(chosen: VariantSet, seeds: Sequence[int], planned: Sequence[Experiment]) -> None:
    """Raises InputError when experiments queued now would not be those that were planned."""
    now = expand(chosen, seeds, take_snapshot())
    if [str(item.name) for item in now] != [str(item.name) for item in planned]:
        raise InputError(
            "the pipeline's code or params.yaml changed while experiments ran, so the rest would not be comparable: "
            "start again (with --jobs 1 all are queued at the start, and changes do not matter)."
        )


def _report(
    chosen: VariantSet,
    seeds: Sequence[int],
    experiments: Sequence[Experiment],
    snapshot: Snapshot,
    required: bool,
) -> None:
    """Write the report from all experiments that have results, and print its first table."""
    from clmot.ablation.comparison import METRICS, compare
    from clmot.ablation.picture import svg
    from clmot.ablation.results import provenance, read_results
    from clmot.ablation.table import as_json, command_line, markdown, metric_table
    from clmot.tables import markdown_rows

    results = read_results(experiments)
    if not results:
        if required:
            raise InputError(
                f"no experiment of {chosen.path} has results for the code and the params as they are now: run "
                "`clmot ablation` without --table-only."
            )
        return
    supervised = {item.variant.name for item in experiments if item.supervised}
    comparison = compare(chosen, seeds, results, supervised)
    if not comparison.benchmarks:
        raise InputError(
            "the experiments have run, but nothing in them is scored: 'data.split: full' tracks films without public "
            "ground truth; choose another split to compare variants."
        )
    command = command_line(chosen.path.as_posix(), DEFAULT_SET.as_posix(), seeds, chosen.seeds)
    sources = provenance(results, snapshot.base)
    texts = markdown(comparison, command, sources), svg(comparison)
    table, numbers, picture = _reports(chosen)
    write_text(table, texts[0])
    write_json(numbers, as_json(comparison, command, sources))
    write_text(picture, texts[1])
    print("\n".join(markdown_rows(metric_table(comparison, METRICS[0]))))
    print(f"\nThe whole comparison: {table}, {numbers}, {picture}")


def _reports(chosen: VariantSet) -> tuple[Path, Path, Path]:
    """What is written about a set: table, numbers, picture."""
    table, numbers, picture = (REPORTS / f"{chosen.name}.{ending}" for ending in ("md", "json", "svg"))
    return table, numbers, picture


def set_path(text: str) -> str:
    """A file of variants by its path, or by its name alone: `association` -> experiments/association.yaml."""
    return text if Path(text).suffix or "/" in text else (SETS / f"{text}.yaml").as_posix()


def seed_list(text: str) -> tuple[int, ...]:
    """`0,1,2` -> (0, 1, 2)."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts) or len({int(part) for part in parts}) != len(parts):
        raise argparse.ArgumentTypeError(f"'{text}' should be different whole numbers like 0,1,2")
    return tuple(int(part) for part in parts)


def name_list(text: str) -> tuple[str, ...]:
    """`a,b` -> ("a", "b"); at least one, as no name at all would stand for every variant."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"'{text}' should be names of variants like nt_xent,none")
    return names


def job_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' should be a whole number from 1 on")
    return int(text)
