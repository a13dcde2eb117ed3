"""`clmot ...`: what people do outside the pipeline."""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clmot import __version__
from clmot.cli.ablation import add_command as add_ablation
from clmot.cli.clean import add_command as add_clean
from clmot.cli.evaluate import add_command as add_evaluate
from clmot.cli.submit import add_command as add_submit
from clmot.errors import InputError, run_as_script
from clmot.files import write_text
from clmot.params import PARAMS_FILE, load_params

PROFILES = Path("profiles")
# By name: not every system has every number.
REFUSALS = {
    *("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EEXIST"),
    *("ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG"),
}


def main() -> None:
    """The `clmot` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be bytes that are no text
    try:
        run_as_script(lambda: run(None))
        sys.stdout.flush()  # what a closed pipe refuses shows here, not when Python has left
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python flushes once more at its end, which must not fail again; 141 is
        # what shells show for a program that a closed pipe stopped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if errno.errorcode.get(error.errno or 0) not in REFUSALS:
            raise
        print(f"error: {refusal(error)}", file=sys.stderr)
        # What stdout still holds would be refused again when Python leaves, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None


def refusal(error: OSError) -> str:
    """What the system would not do, in one sentence for the user who named the path or whose disk is full."""
    path = Path(os.fsdecode(error.filename or "standard output"))
    staged = re.fullmatch(r"\.(.+)\.\d+\.partial", path.name)  # the draft beside what was asked for
    path = path.with_name(staged[1]) if staged else path
    return f"{path}: {error.strerror or error}: name a place that exists, has room and may be written to."


def run(arguments: Sequence[str] | None) -> None:
    """Carry out one command line (None: the process's own).

    Raises:
        InputError: what was asked for cannot be done; nothing was changed.
    """
    given = command_line().parse_args(arguments)
    given.action(given)


def command_line() -> argparse.ArgumentParser:
    """All commands with their arguments; each sets `action`, which takes what was given."""
    parser = argparse.ArgumentParser(prog="clmot", description="Tracking people, learnt from boxes without identities.")
    parser.add_argument("--version", action="version", version=f"clmot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser(
        "show",
        help="draw what the pipeline works with",
        description="Draw what training looks at, or what was tracked.",
    ).add_subparsers(required=True, metavar="WHAT")
    views = show.add_parser(
        "views",
        help="the views of frames that training contrasts, as a picture",
        description="Draw the first frames that `train` will look at, a row for a frame and a column for a view, with "
        "the same number on the same person in all of them. Needs `dvc repro strip collect`, no training.",
    )
    views.add_argument("--out", default="views.jpg", help="a .jpg or .png to write (default: %(default)s)")
    views.add_argument("--count", type=int, default=4, help="how many frames (default: %(default)s)")
    views.set_defaults(action=lambda given: show_views(given.out, given.count))
    tracks = show.add_parser(
        "tracks",
        help="what was tracked: a video of every sequence, or one picture",
        description="Draw the tracks that `dvc repro` has made into their frames: a video (H.264) of every sequence, "
        "or one picture of the frames with the most people.",
    )
    tracks.add_argument("names", nargs="*", metavar="NAME", help="benchmarks or sequences (default: all)")
    tracks.add_argument(
        "--out",
        default="videos",
        help="a folder for an .mp4 per sequence, or a .jpg or .png of their fullest frames (default: %(default)s)",
    )
    tracks.set_defaults(action=lambda given: show_tracks(given.names, given.out))

    use = commands.add_parser(
        "use",
        help="put a profile in place of params.yaml",
        description="Replace params.yaml by a profile and show which values changed. A params.yaml with changes of "
        "your own is left alone.",
    )
    use.add_argument("profile", help="a file of profiles/, without .yaml: mini, mot17-half, paper")
    use.add_argument("--force", action="store_true", help="replace params.yaml even if changes in it are lost")
    use.set_defaults(action=lambda given: use_profile(given.profile, given.force))

    params = commands.add_parser(
        "params",
        help="check params.yaml and say how it differs from the profiles",
        description="Check every value of params.yaml, name the profile that it is nearest to, and list what differs.",
    )
    params.set_defaults(action=lambda given: describe_params())

    export = commands.add_parser(
        "export",
        help="write a model as a .pth that the original's tools read",
        description="Write a model as a .pth that the tools of the original code read, and say with which options.",
    )
    export.add_argument("model", type=Path, help="its folder, say models/tracker")
    export.add_argument("out", type=Path, help="the file to write, ending in .pth")
    export.set_defaults(action=lambda given: export_model(given.model, given.out))
    add_ablation(commands)
    add_clean(commands)
    judge = commands.add_parser(
        "check",
        help="say what data hold, and everything that is wrong with them",
        description="Read archives, sequences, films, sets of images or results of your own as the pipeline would, and "
        "say what they hold and what is wrong with them. Exits with 0 if they can be used, with 2 if not.",
    )
    judge.add_argument("data", help="a zip, sequence, set of images, or results; or a folder of them")
    judge.add_argument("--images", help="the folder that a set's images are in, where it is not found")
    judge.add_argument("--format", choices=("jde", "crowdhuman", "coco", "yolo"), help="of a set of images")
    judge.add_argument("--classes", nargs="+", help="names or numbers of a set's classes that are people")
    judge.add_argument("--all", action="store_true", help="every problem, not only the first of each kind")
    judge.set_defaults(action=check_data)
    add_evaluate(commands)
    add_submit(commands)
    return parser


def show_tracks(names: Sequence[str], out: str) -> None:
    """Draw tracks, see `clmot.reporting.track_pictures.show_tracks`."""
    from clmot.reporting import track_pictures

    track_pictures.show_tracks(names, out)


def show_views(out: str, count: int) -> None:
    """Draw the first frames that `train` will look at, in all their views, with numbered boxes.

    Raises:
        InputError: there are no training frames yet, or `out` or `count` is not possible.
    """
    # What needs torch is imported where it is needed: the other commands answer at once.
    from clmot.data.frames import find_training_frames
    from clmot.reporting.picture_file import ENDINGS, write_picture
    from clmot.reporting.view_sheet import draw_sheet, first_training_views

    path = Path(out)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"--out {out} should end in .jpg or .png.")
    if count < 1:
        raise InputError(f"--count {count} should be at least 1.")
    params = load_params()
    frames = find_training_frames("data/frames", "data/boxes", params.data.benchmarks, extra_dir="data/extra")
    sheet = draw_sheet(first_training_views(params, frames, count))
    write_picture(path, sheet)
    print(f"{path}: {sheet.shape[1]} x {sheet.shape[0]} pixels, a row for a frame, a column for a view.")


def use_profile(name: str, force: bool = False) -> None:
    """Replace params.yaml by profiles/<name>.yaml, and say which values changed.

    A params.yaml with values of no profile is somebody's work, so it is only replaced by `force`.

    Raises:
        InputError: there is no such profile, it is not valid, or params.yaml holds changes (without `force`).
    """
    profiles = profile_values()
    if name not in profiles:
        close = difflib.get_close_matches(name, profiles, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(profiles)}."
        raise InputError(f"there is no profile '{name}' in {PROFILES}/: {hint}")
    current: dict[str, Any] = {}
    if Path(PARAMS_FILE).exists():
        try:
            current = load_params().flat()
        except InputError as error:
            if not force:
                raise InputError(
                    f"{error} As it stands {PARAMS_FILE} cannot be compared with the profiles; "
                    f"`clmot use {name} --force` replaces it all the same."
                ) from None
    if current and not force:
        nearest, changes = nearest_profile(current, profiles)
        if changes:
            raise InputError(
                f"{PARAMS_FILE} differs from profile '{nearest}' in {_listed(changes)}: keep a copy of it, "
                f"then `clmot use {name} --force` replaces it."
            )
    source = PROFILES / f"{name}.yaml"
    write_text(PARAMS_FILE, source.read_text(encoding="utf-8"))
    changes = _changes(current, profiles[name]) if current else []
    print(f"{PARAMS_FILE} is now profile '{name}'.")
    for key in changes:
        print(f"  {key}: {current[key]} -> {profiles[name][key]}")


def describe_params() -> None:
    """Say that params.yaml is valid, which profile it is nearest to, and in which values it differs.

    Raises:
        InputError: it, or a profile, is not valid.
    """
    current = load_params().flat()
    nearest, changes = nearest_profile(current, profiles := profile_values())
    print(f"{PARAMS_FILE} is valid; it is profile '{nearest}'{' with these changes:' if changes else '.'}")
    for key in changes:
        print(f"  {key}: {profiles[nearest][key]} -> {current[key]}")


def export_model(directory: Path, out: Path) -> None:
    """Write the model in `directory` as a .pth of the original, and say with which options that reads it.

    Raises:
        InputError: `out` is no .pth, there is no such model, or the original has no network like it.
    """
    if out.suffix != ".pth":
        raise InputError(f"{out}: should end in .pth, by which the original's tools know such files.")
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory} holds no model (config.json and model.safetensors): name a model's folder; "
            "`dvc repro` writes models/tracker."
        )
    # torch and timm take seconds to import, which the other commands need not wait for.
    from clmot.models.export import export_pth

    readers = export_pth(directory, out)
    print(f"{out} is written. With these options it is read by")
    for tool, options in readers.items():
        print(f"  {tool}: --load_model {shlex.quote(str(out))} {options}")


def check_data(given: argparse.Namespace) -> None:
    """Say what data hold and what is wrong with them.

    Raises:
        InputError: they cannot be used as they are.
    """
    from clmot.check.judge import (
        check,
    )  # loads what reads images; the other commands need not wait for it

    classes = tuple(int(c) if c.isdecimal() else c for c in given.classes) if given.classes else None
    check(given.data, given.images, given.format, classes, given.all)


def profile_values() -> dict[str, dict[str, Any]]:
    """The values of every profile by dotted name.

    Raises:
        InputError: there is no folder of profiles here, or one of them is not valid.
    """
    files = sorted(PROFILES.glob("*.yaml"))
    if not files:
        raise InputError(f"there is no {PROFILES}/*.yaml in {Path.cwd()}: run clmot from the project's folder.")
    return {file.stem: load_params(file).flat() for file in files}


def nearest_profile(current: dict[str, Any], profiles: dict[str, dict[str, Any]]) -> tuple[str, list[str]]:
    """The profile with the fewest values that differ from `current`, and the names of those."""
    differences = {name: _changes(current, values) for name, values in profiles.items()}
    nearest = min(differences, key=lambda name: len(differences[name]))
    return nearest, differences[nearest]


def _changes(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in one if one[key] != other[key]]


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:4])
    return shown if len(keys) <= 4 else f"{shown} and {len(keys) - 4} more"


if __name__ == "__main__":
    main()
