"""`clmot ablation`: run a set of variants as DVC experiments and compare them in one table."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clmot.ablation.experiments import Experiment, expand
from clmot.ablation.snapshot import Snapshot, take_snapshot
from clmot.ablation.variants import VariantSet, read_set, sweep
from clmot.errors import InputError
from clmot.files import write_text
from clmot.progress import progress

SETS = Path("experiments")
DEFAULT_SET = SETS / "ablation.yaml"
REPORTS = SETS / "results"


def add_command(commands: Any) -> None:
    """Add `ablation` to the subcommands (argparse's) of `clmot`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "ablation",
        help="run a set of variants as experiments and compare them in one table",
        description="Run every variant of a set with every seed as an experiment of DVC's, except those that have "
        "results, and write experiments/results/SET.md, .json and .svg, which compare them.",
        epilog="example: clmot ablation --sweep loss.temperature=0.07,0.1,0.2 --seeds 0,1,2",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--set",
        type=set_path,
        default=str(DEFAULT_SET),
        metavar="FILE",
        help=f"of variants (default {DEFAULT_SET})",
    )
    chosen.add_argument(
        "--sweep", metavar="PARAM=V,V,...", help="a variant for each of these values of a param, in place of a set"
    )
    parser.add_argument(
        "--seeds", type=seed_list, metavar="N,N,...", help="run each variant for each (default: the set's)"
    )
    parser.add_argument("--only", type=name_list, default=(), metavar="NAME,...", help="run these variants alone")
    parser.add_argument(
        "--jobs", type=job_count, default=1, metavar="N", help="experiments beside each other (default 1)"
    )
    parser.add_argument(
        "--repeats", type=job_count, metavar="N", help="further runs of each tracker, without some boxes: mean ± sd"
    )
    parser.add_argument("--drop", type=float, default=0.03, metavar="SHARE", help="of these boxes (default 0.03)")
    parser.add_argument("--dry-run", action="store_true", help="show what would run, and run nothing")
    parser.add_argument("--table-only", action="store_true", help="write the table from the results there are")
    parser.set_defaults(
        action=lambda given: ablation(
            read_set(given.set) if given.sweep is None else sweep(given.sweep),
            given.seeds,
            given.only,
            given.jobs,
            given.dry_run,
            given.table_only,
            () if given.repeats is None else (f"evaluate.repeats={given.repeats}", f"evaluate.drop={given.drop}"),
        )
    )


def ablation(
    chosen: VariantSet,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
    jobs: int = 1,
    dry_run: bool = False,
    table_only: bool = False,
    common: Sequence[str] = (),
) -> None:
    """Run the experiments of a set that have no results yet, then write experiments/results/SET.* from all that have.

    Args:
        chosen: the variants.
        seeds: instead of the set's.
        only: run these variants alone; the table still holds all that have results.
        jobs: experiments that run beside each other.
        dry_run: only say what would run.
        table_only: only write the table.
        common: what every variant overrides beside what the set says.

    Raises:
        InputError: the set or the project does not allow it, or experiments failed. In the latter case the others have
            run and the table holds them.
    """
    from clmot.ablation.dvc_queue import finished_experiments
    from clmot.ablation.experiments import waves

    chosen = dataclasses.replace(chosen, common=(*chosen.common, *common))
    for name in only:
        chosen.variant(name)
    wanted = tuple(chosen.seeds if seeds is None else seeds)
    snapshot = take_snapshot()
    experiments = expand(chosen, wanted, snapshot)
    selected = [item for item in experiments if not only or item.name.variant in only]
    done = set(finished_experiments())
    if dry_run:
        for item in selected:
            has = str(item.name) in done
            print(f"# has results: {item.name}" if has else shlex.join(["dvc", *item.command()]))
        return
    failures: list[str] = []
    groups = [] if table_only else waves(selected, done, jobs)
    if not table_only:
        ready = len(selected) - sum(map(len, groups))
        print(f"{ready} of {len(selected)} experiments have results.", file=sys.stderr)
    if groups:
        uncommitted = snapshot.uncommitted()
        if uncommitted:
            print(
                f"warning: the experiments take along what is not committed in {', '.join(uncommitted)}; "
                "commit first if the table shall name a commit that holds it.",
                file=sys.stderr,
            )
        failures = _run(groups, jobs, functools.partial(_check_unchanged, chosen, wanted, experiments))
    _report(chosen, wanted, experiments, snapshot, required=not failures)
    if failures:
        raise InputError(
            f"{len(failures)} of {len(selected)} experiments failed: {', '.join(failures)}; the same command runs "
            "them again, the others are kept."
        )


def _run(groups: Sequence[Sequence[Experiment]], jobs: int, check_unchanged: Callable[[], None]) -> list[str]:
    """Run the experiments; the names of those that failed, whose logs' ends were shown."""
    from tqdm import tqdm

    from clmot.ablation import dvc_queue

    print("`dvc queue status` shows them, `dvc queue logs NAME --follow` one of them.", file=sys.stderr)
    failures = []
    with dvc_queue.sole_runner():
        outcomes = dvc_queue.run_experiments(groups, dvc_queue.DvcQueue(), jobs, check_unchanged)
        total = sum(map(len, groups))
        with contextlib.closing(outcomes):
            for experiment, failure in progress(outcomes, "experiments", total=total, unit="experiment"):
                if failure:
                    failures.append(str(experiment.name))
                indented = failure.replace("\n", "\n    ")
                told = f"FAILED\n    {indented}" if failure else "done"
                tqdm.write(f"{experiment.name}: {told}", file=sys.stderr)
    return failures


def _check_unchanged(chosen: VariantSet, seeds: Sequence[int], planned: Sequence[Experiment]) -> None:
    """Raises InputError when experiments queued now would not be those that were planned."""
    now = expand(chosen, seeds, take_snapshot())
    if [item.name for item in now] != [item.name for item in planned]:
        raise InputError(
            "the pipeline's code or params.yaml changed while experiments ran, so the rest would not be comparable: "
            "start again (with --jobs 1 all are queued at the start, and changes do not matter)."
        )


def _report(
    chosen: VariantSet, seeds: Sequence[int], experiments: Sequence[Experiment], snapshot: Snapshot, required: bool
) -> None:
    """Write the report from all experiments that have results, and print its first table."""
    from clmot.ablation.picture import svg
    from clmot.ablation.report import Comparison, as_json, markdown, metric_table, provenance, read_results
    from clmot.tables import markdown_rows

    results = read_results(experiments)
    if not results and required:
        raise InputError(
            f"no experiment of {' '.join(chosen.option)} has results for the code and the params as they are now: run "
            "`clmot ablation` without --table-only."
        )
    if not results:
        return
    supervised = {item.name.variant for item in experiments if item.params.loss.embedding == "supervised"}
    comparison = Comparison(chosen, tuple(seeds), results, frozenset(supervised))
    if not comparison.measured():
        raise InputError(
            "the experiments have run, but nothing in them is scored: 'data.split: full' tracks films without public "
            "ground truth; choose another split to compare variants."
        )
    words = ["clmot", "ablation"]
    words += [] if chosen.path == DEFAULT_SET else chosen.option
    words += [] if tuple(seeds) == chosen.seeds else ["--seeds", ",".join(map(str, seeds))]
    command, sources = shlex.join(words), provenance(results, snapshot)
    texts = {
        "md": markdown(comparison, command, sources),
        "json": as_json(comparison, command, sources),
        "svg": svg(comparison),
    }
    for ending, text in texts.items():
        write_text(REPORTS / f"{chosen.name}.{ending}", text)
    print("\n".join(markdown_rows(metric_table(comparison, comparison.measured()[0]))))
    print(f"\nThe whole comparison: {REPORTS / chosen.name}.md, .json and .svg")


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
    """`a,b` -> ("a", "b"); at least one, as no name at all would mean every variant."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"'{text}' should be names of variants like nt_xent,none")
    return names


def job_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' should be a whole number from 1 on")
    return int(text)
