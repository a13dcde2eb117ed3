"""`clmot submit`: write the zip that the MOTChallenge server takes, or check anybody's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clmot.errors import InputError
from clmot.params import BENCHMARKS, load_params

if TYPE_CHECKING:
    from clmot.evaluation.submission import Submission

FRAMES = Path("data/frames")
TRACKS = Path("tracks")


def add_command(commands: Any) -> None:
    """Add `submit` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "submit",
        help="zip the tracks of a test set for the MOTChallenge server",
        description="Write the zip of a test set's tracks that the MOTChallenge server takes, and check all of it; or "
        "check a zip that is there.",
        epilog="example: clmot submit MOT17",
    )
    parser.add_argument("benchmark", nargs="?", help="MOT15, MOT17 or MOT20")
    parser.add_argument("--out", metavar="ZIP", help="the file to write (default: MOT17.zip for MOT17)")
    parser.add_argument("--any", action="store_true", help="zip what was tracked, though the server will not take it")
    parser.add_argument("--check", metavar="ZIP", help="check a zip, ours or anybody's, instead of writing one")
    parser.set_defaults(action=lambda given: submit(given.benchmark, given.out, given.any, given.check))


def submit(benchmark: str | None, out: str | None = None, any_films: bool = False, check: str | None = None) -> None:
    """Write the zip of a benchmark's test set and check it, or `check` any zip; say what it holds.

    Args:
        benchmark: `MOT15`, `MOT17` or `MOT20`; for a check, None: the names in the zip tell.
        out: the zip to write; None: `<benchmark>.zip`.
        any_films: zip whatever was tracked.
        check: a zip to check; nothing is written then.

    Raises:
        InputError: what was tracked, or the zip, is not what the server takes.
    """
    # Loads numpy; the other commands need not wait for it.
    from clmot.evaluation.submission import check_submission

    if benchmark is not None and benchmark not in BENCHMARKS:
        raise InputError(f"there is no benchmark '{benchmark}': expected {', '.join(BENCHMARKS)}.")
    if check is not None:
        if out is not None or any_films:
            raise InputError("--check writes nothing: leave --out and --any away, or leave --check away.")
        found = check_submission(check, benchmark, _test_lengths(benchmark))
    elif benchmark is None:
        raise InputError("say what to zip (`clmot submit MOT17`) or to check (`clmot submit --check FILE.zip`).")
    else:
        out = out or f"{benchmark}.zip"
        found = _zipped(benchmark, out, any_films)
    verdict = (
        "every row is well formed, but these are not the films that the server scores"
        if any_films
        else "every check passed"
    )
    print(f"{check or out}: {found.files} files, {found.boxes} boxes, {found.tracks} tracks; {verdict}.")
    if found.unknown_lengths:
        print(f"note: the lengths of {', '.join(found.unknown_lengths)} are not known here, nor checked.")


def _zipped(benchmark: str, out: str, any_films: bool) -> Submission:
    from clmot.evaluation.submission import write_submission
    from clmot.motchallenge.sequence import read_manifest
    from clmot.motchallenge.splits import Split

    data = load_params().data
    if data.split != "full" and not any_films:
        raise InputError(
            f"'data.split: {data.split}' tracks sequences of the train set, which the server does not score: "
            "`dvc exp run -S data.split=full` tracks the test set (--any zips what there is all the same)."
        )
    films, split = {}, Split.from_params(data)
    for entry in read_manifest(FRAMES / benchmark):
        frames = split.tracking_range(entry)
        if frames is not None:
            films[entry.name] = len(frames)
    return write_submission(out, TRACKS / benchmark, benchmark, films, official=not any_films)


def _test_lengths(benchmark: str | None) -> dict[str, int]:
    """Numbers of frames of the test films that are here, those of all benchmarks for None."""
    from clmot.motchallenge.sequence import MANIFEST_FILE, ManifestEntry, read_manifest

    entries: list[ManifestEntry] = []
    for name in BENCHMARKS if benchmark is None else (benchmark,):
        if (FRAMES / name / MANIFEST_FILE).is_file():
            entries += read_manifest(FRAMES / name)
    return {entry.name: entry.frames for entry in entries if entry.subset == "test"}
