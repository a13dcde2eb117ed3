"""Where a benchmark's frames and tables come from: drawn here, the official site, a mirror, or the user's disk.

Whatever the source, the result is the same: paths of zips in an official layout, or of a folder laid out like
one, so that everything after it is the same for synthetic, official and one's own data.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from filelock import FileLock, Timeout

from clmot.addresses import VARIABLE, readable
from clmot.archives.benchmark_layout import roots_of, sequence_folders
from clmot.archives.entries import Entry, Tree, refuse_stand_in
from clmot.archives.foreign_layouts import foreign_layout, set_of_images
from clmot.errors import InputError
from clmot.files import content_hash, dvc_root, is_video, remove_abandoned, require_space, user_path
from clmot.sources.checksums import file_sha256
from clmot.sources.download import Unavailable, download
from clmot.sources.official import ARCHIVES, LICENCE, OFFICIAL_URL, RECIPES
from clmot.sources.partial_file import PartialFile
from clmot.sources.scenes import SYNTHETIC
from clmot.wording import listed

OFFICIAL = "official"
NO_ARCHIVES = "none"
_KNOWN = (
    "'synthetic', 'official', a folder, zip or video of yours, or a file://, http:// or https:// address "
    "that holds MOT15.zip and so on"
)
_SIGNS_OF_SEQUENCES = (
    "train",
    "test",
    "*/train",
    "*/test",
    "img1",
    "seqinfo.ini",
    "*/img1",
    "*/seqinfo.ini",
    "*/gt/gt.txt",
)


def archives_dir() -> Path:
    """Where drawn and fetched archives are kept: outside the outs, so that no changed param loses them."""
    return dvc_root() / ".archives"


def fetch_archives(
    source: str,
    benchmark: str,
    cache_dir: str | os.PathLike[str],
    seed: int,
    synthetic_frames: int,
    archives: str = NO_ARCHIVES,
) -> tuple[Path, ...]:
    """The zips, the folder, or the video, that hold a benchmark; for `extract_benchmark`.

    Args:
        source: `synthetic`; `official`, whose archives are fetched once and kept in `cache_dir`; an
            `http(s)://` address, whose `<benchmark>.zip` is fetched once in the same way; or a folder, zip or video
            (a path or a `file://` address; a relative path starts where the project is, also for experiments
            that run in a copy of it), which is used in place. A folder holds the benchmark's zips under
            their official names, or else sequences, or videos beside their boxes (`clmot.films.find_films`).
        benchmark: `MOT15`, `MOT17` or `MOT20`.
        cache_dir: where drawn and fetched archives are kept.
        seed: of the synthetic films.
        synthetic_frames: frames in each of them.
        archives: a folder of archives that the user has already, or `none`; those are used in place of
            fetching them.

    Raises:
        InputError: the source is none of these, does not hold the benchmark, or cannot be reached; an
            archive of the user's is not the official one that its name says; the disk is too small.
    """
    cache_dir = Path(cache_dir)
    if source == SYNTHETIC:
        return (_drawn(benchmark, cache_dir, seed, synthetic_frames),)
    if source == OFFICIAL:
        return _official(benchmark, cache_dir, _owned(archives))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", source)
    if scheme is None:
        return on_disk(_path(source), source, benchmark)
    if scheme.group(1).lower() in ("http", "https"):
        return (_mirrored(source, benchmark, cache_dir, _owned(archives)),)
    if scheme.group(1).lower() == "file":
        parts = urlsplit(source)
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"data.source '{readable(source)}' names a host: a local address is file:///folder.")
        return on_disk(Path(unquote(parts.path)), source, benchmark)
    raise InputError(f"data.source '{readable(source)}' cannot be used: expected {_KNOWN}.")


def _path(text: str) -> Path:
    """A path that params.yaml names; a relative one starts at the project, not at an experiment's copy of it."""
    return user_path(text, dvc_root()).resolve()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait, and then find it made."""
    folder = path.parent / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another process is getting {path.name}: waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# --- drawn -----------------------------------------------------------------------------------------------


def _drawn(benchmark: str, cache_dir: Path, seed: int, frames: int) -> Path:
    """The synthetic archive; drawn again whenever the drawing code changed."""
    from clmot import synthetic

    package = Path(next(iter(synthetic.__path__)))
    modules = sorted(package.rglob("*.py"))
    # Only the modules count: compiled files beside them differ from run to run.
    code = content_hash(*(part for m in modules for part in (m.relative_to(package).as_posix(), m)))
    stem = f"synthetic-{benchmark}-seed{seed}-frames{frames}"
    path = cache_dir / f"{stem}-{code[:12]}.zip"
    with _alone(path):
        if not path.exists():
            remove_abandoned(cache_dir, f"{stem}-*.zip")  # also by other code
            synthetic.write_archive(path, benchmark, seed, frames)
            for older in sorted(cache_dir.glob(f"{stem}-*.zip")):
                if older != path:
                    older.unlink(missing_ok=True)
    return path


# --- on the user's disk ----------------------------------------------------------------------------------


def on_disk(path: Path, source: str, benchmark: str) -> tuple[Path, ...]:
    """A zip or video as it is, the zips of a folder, or the folder itself if it holds sequences or videos.

    Args:
        path: the file or folder.
        source: the same as it was named, for messages.
        benchmark: `MOT15`, `MOT17` or `MOT20`.

    Raises:
        InputError: it is none of these, or does not hold the benchmark.
    """
    if path.is_file():
        if not is_video(path) and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            refuse_stand_in(path)
            raise InputError(
                f"data.source '{source}' is neither a zip nor a video: expected {_KNOWN}; "
                "boxes are found beside their video."
            )
        return (path,)
    if not path.is_dir():
        close = difflib.get_close_matches(source, [SYNTHETIC, OFFICIAL], n=1, cutoff=0.7)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise InputError(f"data.source '{source}' is no folder{hint}: {path} does not exist; expected {_KNOWN}.")
    for recipe in sorted(RECIPES[benchmark], key=len):  # the archive of the benchmark's own name first
        zips = tuple(path / name for name in recipe)
        if all(zip_path.is_file() for zip_path in zips):
            return zips
    if (path / benchmark).is_dir():
        return (path / benchmark,)
    if any(next(path.glob(sign), None) for sign in _SIGNS_OF_SEQUENCES) or any(map(is_video, path.iterdir())):
        return (path,)
    names = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() == ".zip")
    if not names:
        members = Tree.of_folder(path).members
        if roots_of(sequence_folders(members)) == [""]:
            return (path,)  # what it lacks is told where it is read
        _refuse_for_what_it_holds(path, members)
    held = f"it has {listed(names)}" if names else "it has no zip"
    raise InputError(
        f"{path / benchmark}.zip does not exist ({held}) and {path} holds no sequences either: put the archive there, "
        f"change 'data.source', or take {benchmark} out of 'data.benchmarks'."
    )


def _refuse_for_what_it_holds(path: Path, members: Mapping[str, Entry]) -> None:
    """Raise an InputError where a folder holds sequences or videos further down, or what is no film."""
    roots = roots_of(sequence_folders(members))
    layout = None if roots else foreign_layout(members) or set_of_images(members)
    if layout is not None:
        raise InputError(f"{path} {layout}.")
    roots = roots or roots_of(name.rpartition(".")[0] for name in members if is_video(name))
    if len(roots) == 1:
        raise InputError(f"{path} holds no sequences directly: name {path / roots[0]} in 'data.source'.")


def _owned(archives: str) -> Mapping[str, Path]:
    """Name -> path of the zips in the folder `data.archives`."""
    if archives == NO_ARCHIVES:
        return {}
    folder = _path(archives)
    if not folder.is_dir():
        raise InputError(
            f"data.archives '{archives}' is no folder: {folder} does not exist; expected a folder of archives that you "
            "have already, or 'none'."
        )
    return {entry.name: entry for entry in sorted(folder.iterdir()) if entry.suffix.lower() == ".zip"}


# --- on servers ------------------------------------------------------------------------------------------


def _official(benchmark: str, cache_dir: Path, owned: Mapping[str, Path]) -> tuple[Path, ...]:
    """The official archives of a benchmark: those that are here, else those that are the least to fetch."""
    recipes = RECIPES[benchmark]
    for recipe in recipes:
        if all(name in owned or (cache_dir / name).exists() for name in recipe):
            return tuple(_official_archive(name, cache_dir, owned) for name in recipe)
    first, *others = recipes
    try:
        return tuple(_official_archive(name, cache_dir, owned) for name in first)
    except Unavailable as reason:
        for recipe in others:
            print(f"warning: {reason} Trying {' and '.join(recipe)} instead.", file=sys.stderr)
            with contextlib.suppress(Unavailable):
                return tuple(_official_archive(name, cache_dir, owned) for name in recipe)
        raise


def _official_archive(name: str, cache_dir: Path, owned: Mapping[str, Path]) -> Path:
    known = ARCHIVES[name]
    if name in owned:
        _require_official(owned[name])
        return owned[name]
    path = cache_dir / name
    url = f"{(os.environ.get('CLMOT_OFFICIAL_URL') or OFFICIAL_URL).rstrip('/')}/{name}"
    with _alone(path):
        if not is_fetched(path):
            print(f"{name} is licensed {LICENCE}: no commercial use, see https://motchallenge.net", flush=True)
            download(
                _checked_address(url, "CLMOT_OFFICIAL_URL"),
                path,
                size=known.size,
                sha256=known.sha256,
                advice=(
                    "set 'data.source' to a mirror's address (also one of a newer release), "
                    f"or 'data.archives' to a folder that has {name}"
                ),
                room=_room(path, known.frames),
            )
    return path


def _require_official(path: Path) -> None:
    """Refuse a zip that is not the official one of its name."""
    known = ARCHIVES[path.name]
    wrong = ""
    if known.size is not None and path.stat().st_size != known.size:
        wrong = f"it has {path.stat().st_size} bytes instead of {known.size}"
    elif known.sha256 is not None and (found := file_sha256(path)) != known.sha256:
        wrong = f"its SHA-256 is {found} instead of {known.sha256}"
    if wrong:
        raise InputError(
            f"{path} is not the official {path.name} ({wrong}): set 'data.archives: none' to fetch that one, or "
            f"'data.source: {path.parent}' to use yours as it is."
        )


def _mirrored(source: str, benchmark: str, cache_dir: Path, owned: Mapping[str, Path]) -> Path:
    """`<benchmark>.zip` of a server, fetched once."""
    name = f"{benchmark}.zip"
    if name in owned:
        return owned[name]
    address = _checked_address(expanded(source, "data.source"), "data.source")
    # The archive goes by what is written down: another password makes no other one.
    path = cache_dir / f"{benchmark}-{content_hash(_below(source, name))[:12]}.zip"
    with _alone(path):
        if not is_fetched(path):
            download(
                _below(address, name),
                path,
                advice=f"check 'data.source' (it should hold {name})",
                room=_room(path, ARCHIVES[name].frames),
            )
    return path


def _below(address: str, name: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def is_fetched(path: Path) -> bool:
    """Whether the archive is here, and then nothing else of its fetch: its process may have been killed at the end."""
    if path.exists():
        PartialFile.unknown(path).discard()
        return True
    return False


def expanded(address: str, where: str) -> str:
    """The address with the values of the environment's variables that it names.

    Raises:
        InputError: one is not set; `where` names the address in the sentence.
    """

    def value(name: re.Match[str]) -> str:
        known = os.environ.get(name[1] or name[2])
        if known is None:
            raise InputError(f"{where} names ${name[1] or name[2]}, which is not set in the environment: set it.")
        return quote(known, safe="")

    return VARIABLE.sub(value, address)


def _checked_address(address: str, where: str) -> str:
    try:
        if urlsplit(address).hostname and urlsplit(address).scheme in ("http", "https"):
            return address
    except ValueError:
        pass
    raise InputError(f"{where} '{readable(address)}' is no valid address: expected {_KNOWN}.")


def _room(path: Path, frames: float) -> Callable[[int, int], None]:
    """The check of the disks before a fetch: for what is missing of the archive, and the frames that it will give.

    DVC's cache needs nothing more: it holds the frames by hard links (`cache.type` in .dvc/config).
    """

    def check(missing: int, size: int) -> None:
        outs = Path.cwd()
        require_space([(path.parent, missing), (outs, int(frames * size))], f"{path.name} with its frames")

    return check
