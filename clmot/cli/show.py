"""`clmot show`: draw what training looks at, or what was tracked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clmot.errors import InputError
from clmot.params import load_params


def add_command(commands: Any) -> None:
    """Add `show` to the subcommands (argparse's) of `clmot`."""
    show = commands.add_parser(
        "show",
        help="draw what the pipeline works with",
        description="Draw what training looks at, or what was tracked.",
        epilog="example: clmot show tracks MOT17",
    ).add_subparsers(required=True, metavar="WHAT")
    views = show.add_parser(
        "views",
        help="the views of frames that training contrasts, as a picture",
        description="Draw the first frames that `train` will look at, a row for a frame and a column for a view, with "
        "the same number on the same person in all of them. Needs `dvc repro strip index`, no training.",
        epilog="example: clmot show views --out views.jpg",
    )
    views.add_argument("--out", default="views.jpg", help="a .jpg or .png to write (default: %(default)s)")
    views.add_argument("--count", type=int, default=4, help="how many frames (default: %(default)s)")
    views.set_defaults(action=lambda given: show_views(given.out, given.count))
    tracks = show.add_parser(
        "tracks",
        help="what was tracked: a video of every sequence, or one picture",
        description="Draw the tracks that `dvc repro` has made into their frames: a video (H.264) of every sequence, "
        "or one picture of the frames with the most people.",
        epilog="example: clmot show tracks MOT17 --out fullest.jpg",
    )
    tracks.add_argument("names", nargs="*", metavar="NAME", help="benchmarks or sequences (default: all)")
    tracks.add_argument(
        "--out",
        default="videos",
        help="a folder for an .mp4 per sequence, or a .jpg or .png of their fullest frames (default: %(default)s)",
    )
    tracks.set_defaults(action=lambda given: show_tracks(given.names, given.out))
    identities = show.add_parser(
        "identities",
        help="who was given which identity: timelines, clips, crops that look alike",
        description="Draw what became of every true person: a timeline of each sequence, coloured by the identity "
        "given; of each benchmark a clip with flashing switches, crops with the five most similar, and a map of "
        "embeddings.",
        epilog="example: clmot show identities MOT17",
    )
    identities.add_argument("names", nargs="*", metavar="NAME", help="benchmarks or sequences (default: all)")
    identities.add_argument("--out", type=Path, default=Path("videos"), help="a folder (default: %(default)s)")
    identities.set_defaults(action=lambda given: show_identities(given.names, given.out))


def show_tracks(names: list[str], out: str) -> None:
    """Draw tracks, see `clmot.reporting.track_pictures.show_tracks`."""
    from clmot.reporting import track_pictures

    track_pictures.show_tracks(names, out)


def show_identities(names: list[str], out: Path) -> None:
    """Draw identities, see `clmot.reporting.identity_pictures.draw_identities`."""
    from clmot.motchallenge.classes import TrackedKind
    from clmot.reporting.identity_pictures import draw_identities

    params = load_params()
    kind = TrackedKind(params.strip.classes, params.strip.flagged)
    for file in draw_identities(names, out, params.track.confidence, kind).values():
        print(file)


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
    frames = find_training_frames("data/training", params.data.benchmarks, extra_dir="data/extra")
    sheet = draw_sheet(first_training_views(params, frames, count))
    write_picture(path, sheet)
    print(f"{path}: {sheet.shape[1]} x {sheet.shape[0]} pixels, a row for a frame, a column for a view.")
