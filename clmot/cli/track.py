"""`clmot track`: people in a video, a stream or images get numbers."""

from __future__ import annotations

import argparse
import contextlib
import glob
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clmot import __version__
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES, content_hash, is_video
from clmot.inference.finished_films import film_key, finished, note_finished
from clmot.motchallenge.sequence import IMAGE_DIR
from clmot.params import DEFAULT_FILE, Params, changed_params, read_text
from clmot.profiles import FILM_FILE
from clmot.spread import NONE, is_cluster, spread
from clmot.wording import counted

if TYPE_CHECKING:
    from clmot.inference.model import Model
    from clmot.motchallenge.annotations import AnnotationTable
    from clmot.reporting.track_film import Outcome

MODEL, OUT = Path("models/tracker"), Path("tracked")
FORMATS = {"mot": ".txt", "csv": ".csv", "json": ".json", "coco": ".coco.json"}


def add_command(commands: Any) -> None:
    """Add `track` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "track",
        help="track people through a video, a stream or images",
        description="Track people through videos, folders of images, streams or a camera: a video with numbered boxes "
        "and a table of them. Exits with 0; with 3 where a source broke off, and with 130 after Ctrl-C, and then too "
        "the files are whole up to there.",
        epilog="example: clmot track phone.mp4 --boxes yolo_labels/ --learn",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a video, a folder of images, a glob, an http or rtsp address, or a camera's number",
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=OUT, help="a folder, or an .mp4 with the table beside it (default: tracked)"
    )
    parser.add_argument("--model", type=Path, default=None, help="the model's folder (default: models/tracker)")
    parser.add_argument(
        "--boxes",
        type=Path,
        help="anybody's detections of the film: MOTChallenge's rows (.txt), COCO's (.json), a folder of YOLO's labels, "
        "or a folder with one of these for each film",
    )
    parser.add_argument(
        "--learn",
        action="store_true",
        help="learn this film's people from the boxes first, in minutes; needs no model of ours",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep what --learn learnt: a model's folder, for --model and Python"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a param: track.confidence=0.4"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every n-th frame (default: 1)")
    parser.add_argument("--fps", type=float, help="frames per second, where the source does not say or is wrong")
    parser.add_argument("--format", choices=sorted(FORMATS), default="mot", help="of the table (default: mot)")
    parser.add_argument("--no-video", action="store_true", help="write the table alone")
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="track N films at once, each in a process (default: 0)"
    )
    parser.add_argument(
        "--cluster",
        default=NONE,
        help="spread films over machines with Ray: auto (the cluster that runs here), ray://HOST:PORT (default: none)",
    )
    parser.add_argument("--show", action="store_true", help="show the frames in a window as well; q ends it")
    parser.set_defaults(action=track)


def track(given: argparse.Namespace) -> None:
    """Track every source that was named; leaves with the exit code that the command describes.

    Raises:
        InputError: a source, the boxes, the model or a param cannot be used.
    """
    films = films_of(given.sources)
    if given.out.suffix and len(films) > 1:
        raise InputError(f"--out {given.out}: these are {len(films)} films: name a folder.")
    if given.out.suffix not in ("", ".mp4"):
        raise InputError(f"--out {given.out}: should be a folder, or end in .mp4.")
    names = [_name(film) for film in films]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"two films have the name {twice[0]}: their tracks would have the same file; track them one after the "
            "other, each with its own --out."
        )
    if given.learn and given.boxes is None:
        raise InputError("--learn learns from boxes: name them with `--boxes FILE`.")
    if given.keep is not None:
        _check_kept(given, films)
    if given.learn and given.model is not None:
        raise InputError("--learn makes a model of its own: leave --model away, or --learn.")
    if not is_cluster(given.cluster) or given.workers < 0:
        raise InputError("--cluster should be auto or ray://HOST:PORT, --workers a number of processes.")
    changes = [_change(text) for text in given.set]
    with _ended_like_ctrl_c():
        spreads = given.cluster != NONE or given.workers > 1
        worst = _track_spread(films, given, changes) if spreads else _track_in_turn(films, given, changes)
    if worst:
        raise SystemExit(worst)


def _check_kept(given: argparse.Namespace, films: list[str | list[str]]) -> None:
    from clmot.model_description import DESCRIPTION_FILE

    if not given.learn:
        raise InputError("--keep keeps what was learnt: give --learn too, or leave it away.")
    if len(films) > 1:
        raise InputError(f"--keep {given.keep}: these are {len(films)} films, and each learns a model: name one.")
    if given.keep.exists() and not (given.keep / DESCRIPTION_FILE).is_file():
        raise InputError(f"--keep {given.keep} exists and is no model's folder: name another, it would be replaced.")


def _track_in_turn(films: list[str | list[str]], given: argparse.Namespace, changes: list[tuple[str, str]]) -> int:
    # Torch takes seconds to import; a wrong option is told at once.
    model = None if given.learn else _loaded(given, changes)
    worst = 0
    for film in films:
        said, outcome = _track_one(film, model, given, changes)
        print(said)
        worst = max(worst, outcome.exit_code)
        if outcome.interrupted:
            break
    return worst


def _track_spread(films: list[str | list[str]], given: argparse.Namespace, changes: list[tuple[str, str]]) -> int:
    """Track films in several processes, those that are not finished with this model and these options."""
    if given.show or given.out.suffix:
        raise InputError("--workers and --cluster write into a folder, and show nothing.")
    names = [_name(film) for film in films]
    if not given.learn:
        _model_folder(given)
    keys = _keys(films, given)
    left = [at for at, name in enumerate(names) if finished(given.out, name, keys[at]) is None]
    if len(left) < len(films):
        print(f"{counted(len(films) - len(left), 'film')} finished before, with this model and these options.")
    # Whatever works elsewhere works in another folder.
    there = argparse.Namespace(**{**vars(given), "action": None, "sources": [], "out": given.out.absolute()})
    there.model = None if given.model is None else given.model.absolute()
    there.boxes = None if given.boxes is None else given.boxes.absolute()
    jobs = [_absolute(films[at]) for at in left]
    worst = 0
    done = spread(partial(_worker, there, changes, MODEL.absolute()), jobs, given.cluster, given.workers)
    with contextlib.closing(done):  # ends the workers
        for number, (at, (said, code, files)) in enumerate(done, 1):
            print(f"{number} of {len(left)}: {said}", flush=True)
            worst = max(worst, code)
            if not code:
                note_finished(given.out, names[left[at]], keys[left[at]], said, files)
    return worst


def _worker(
    given: argparse.Namespace, changes: list[tuple[str, str]], model: Path
) -> Callable[[str | list[str]], tuple[str, int, list[str]]]:
    """What tracks one film after another in a process of its own: what is said of each, its exit code and files."""
    if given.model is None:
        given.model = model
    loaded = None if given.learn else _loaded(given, changes)

    def track_one(film: str | list[str]) -> tuple[str, int, list[str]]:
        try:
            said, outcome = _track_one(film, loaded, given, changes)
        except InputError as error:  # the other films go on
            return f"error: {error}", 2, []
        endings = [FORMATS[given.format], *([] if given.no_video else [".mp4"])]
        return said, outcome.exit_code, [f"{_name(film)}{ending}" for ending in endings]

    return track_one


def _keys(films: list[str | list[str]], given: argparse.Namespace) -> list[str]:
    """What decides the tracks of each film."""
    options = {name: getattr(given, name) for name in ("set", "every", "fps", "format", "no_video", "learn", "device")}
    contents = [path for path in (None if given.learn else given.model or MODEL, given.boxes) if path is not None]
    decides = {"version": __version__, "contents": content_hash(*contents), **options}
    return [film_key(film, decides) for film in films]


def _name(film: str | list[str]) -> str:
    """The name of a film's files, as its source will have it."""
    if isinstance(film, list):
        return Path(film[0]).resolve().parent.name
    path = Path(film.partition("?")[0] if "://" in film else film)
    return path.resolve().name if path.is_dir() else path.stem


def _absolute(film: str | list[str]) -> str | list[str]:
    if isinstance(film, list):
        return [str(Path(one).absolute()) for one in film]
    return str(Path(film).absolute()) if Path(film).exists() else film


def films_of(sources: list[str]) -> list[str | list[str]]:
    """What was named, as films: images that are named one by one, as a shell does with `frames/*.jpg`, are one film.

    >>> films_of(["a.mp4", "b.mp4"]), films_of(["f/1.jpg", "f/2.jpg"])
    (['a.mp4', 'b.mp4'], [['f/1.jpg', 'f/2.jpg']])
    """
    named: list[str] = []
    for source in sources:
        found = films_in(Path(source)) if Path(source).exists() else sorted(glob.glob(source, recursive=True))
        named += found or [source]
    images = [name for name in named if Path(name).suffix.lower() in IMAGE_SUFFIXES and "://" not in name]
    if images and len(images) < len(named):
        raise InputError("name the images of one film, or videos and folders, not both.")
    return [images] if images else list(named)


def films_in(path: Path) -> list[str]:
    """The films of a folder that is none itself: its videos, and its folders with images; none where it is a film."""
    if not path.is_dir() or (path / IMAGE_DIR).is_dir() or _has_images(path):
        return []

    entries = sorted(path.iterdir())
    return [
        str(entry)
        for entry in entries
        if is_video(entry) or (entry.is_dir() and (_has_images(entry) or (entry / IMAGE_DIR).is_dir()))
    ]


def _has_images(folder: Path) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.iterdir())


def _track_one(
    film: str | list[str], model: Model | None, given: argparse.Namespace, changes: list[tuple[str, str]]
) -> tuple[str, Outcome]:
    """Track a film; what to say of it, and how it ended."""
    from clmot.inference.image_sources import open_images
    from clmot.reporting.track_film import track_film
    from clmot.reporting.track_tables import TrackTable
    from clmot.reporting.tracked_video import TrackedVideo

    images = open_images(film, given.fps, given.every)
    with contextlib.closing(images):
        boxes = None if given.boxes is None else _boxes(film, images.name, given)
        folder, name = (given.out, images.name) if not given.out.suffix else (given.out.parent, given.out.stem)
        table = TrackTable(folder / f"{name}{FORMATS[given.format]}", given.format)
        video = None if given.no_video else TrackedVideo(folder / f"{name}.mp4", images.frame_rate / given.every)
        for path in [table.path, *([video.path] if video else [])]:
            named = [film] if isinstance(film, str) else film
            if path.exists() and any(Path(one).exists() and path.samefile(one) for one in [*named, given.boxes or "."]):
                raise InputError(f"{path} is what is to be read: choose another --out.")
        _check_room(folder)
        if model is None:
            assert boxes is not None
            model = _learnt(film, boxes, given, changes)
        model.check(boxes)
        outcome = track_film(model, images, boxes, table, video, given.show)
    said = f"{images.name}: {outcome}: {', '.join(str(file.path) for file in (video, table) if file is not None)}"
    if boxes is not None and int(boxes.frame.max(initial=0)) > outcome.last and not outcome.exit_code:
        last = int(boxes.frame.max())
        said += f"\nnote: the boxes go on to frame {last}, the film ends with {outcome.last}: are they of another film?"
    return said, outcome


def _check_room(folder: Path) -> None:
    """Refuse a place where no files can be made: that should not be known only after minutes of learning."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: {there} is no folder that can be written to; choose another.")


def _loaded(given: argparse.Namespace, changes: list[tuple[str, str]]) -> Model:
    folder = _model_folder(given)
    from clmot.inference.model import load

    return load(folder, device=given.device, changes=changes)


def _model_folder(given: argparse.Namespace) -> Path:
    folder: Path = given.model or MODEL
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no model's folder: `dvc repro` trains models/tracker in a project, `--model FOLDER` names "
            "another, and with `--boxes FILE --learn` none is needed."
        )
    return folder


def _learnt(
    film: str | list[str], boxes: AnnotationTable, given: argparse.Namespace, changes: list[tuple[str, str]]
) -> Model:
    """A model that knows the people of this film."""
    from clmot.hardware import set_up
    from clmot.inference.image_sources import open_images
    from clmot.inference.learn_film import learn_film
    from clmot.inference.model import Model, supported

    params = film_params(given.device, changes)
    track = supported(params.track)
    encoder = learn_film(open_images(film, given.fps), boxes, params, given.keep)
    return Model(track, set_up(params.hardware).device, encoder=encoder)


def film_params(device: str, changes: list[tuple[str, str]]) -> Params:
    """The params of the film profile, with changes."""
    film = read_text(FILM_FILE), FILM_FILE.name
    return changed_params(
        read_text(DEFAULT_FILE), DEFAULT_FILE.name, film, (f"hardware: {{device: '{device}'}}", "--device"), *changes
    )


def _boxes(film: str | list[str], name: str, given: argparse.Namespace) -> AnnotationTable:
    from clmot.addresses import is_address
    from clmot.films.detections import read_film_detections
    from clmot.inference.image_sources import first_size

    if isinstance(film, str) and (is_address(film) or film.isdecimal()):
        raise InputError(f"{name} is live: boxes of a file belong to the frames of a film.")
    return read_film_detections(given.boxes, name, first_size(film))


def _change(text: str) -> tuple[str, str]:
    """`track.confidence=0.4` as a part of a params file."""
    key, equals, value = text.partition("=")
    section, dot, name = key.partition(".")
    if not equals or not value or (dot and not name):
        raise InputError(f"--set {text}: expected KEY=VALUE, as in `--set track.confidence=0.4`.")
    below = [part for part in name.split(".") if part]
    return f"{section}: {''.join(f'{{{part}: ' for part in below)}{value}{'}' * len(below)}", f"--set {text}"


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A block that `kill` and a container's stop interrupt as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
