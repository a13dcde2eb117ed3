"""What `data.source` can name: zips, sequences and videos, judged to the end; the last word is the stage's own."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from clmot.archives.benchmark_layout import GROUND_TRUTH_FILE, sequence_folders
from clmot.archives.entries import Tree, open_contents
from clmot.archives.extract import Reading, inspect_benchmark
from clmot.archives.foreign_layouts import foreign_layout, set_of_images
from clmot.check.findings import Findings
from clmot.check.project import boxes_are_given, project_params
from clmot.check.sequences import Copies, check_sequence
from clmot.check.videos import check_film
from clmot.data.strip import TRUTH, judge_training_boxes
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES
from clmot.films.find_films import Film, film_of, find_films
from clmot.films.open_films import open_with_films
from clmot.films.video import Measured, measure
from clmot.motchallenge.sequence import SUBSETS
from clmot.motchallenge.splits import ITSELF, Split, film, home_benchmark, without_detector
from clmot.params import BENCHMARKS, default_params
from clmot.problems import Problem
from clmot.sources.fetch import on_disk
from clmot.sources.official import RECIPES
from clmot.wording import joined

_ANY = "MOT17"
"""The benchmark whose rules are taken for films that belong to none; they are the same for all."""
_SPLIT = "half"
"""The split of the last word where no params.yaml names one; its films are those that every split needs."""


def check_zip(path: Path, findings: Findings) -> None:
    """Judge a zip that was named itself, with those beside it that make its benchmark together with it."""
    recipe = next((recipe for recipe in _recipes(path.parent) if path in recipe), (path,))
    check_zips(recipe, findings)


def check_zips_of(folder: Path, zips: Sequence[Path], findings: Findings) -> None:
    """Judge the zips of a folder, those of one benchmark together, and warn of names that the pipeline knows not.

    Args:
        folder: the folder.
        zips: all that are in it.
        findings: gets what is found; one of them that cannot be opened is told of, for the others may be better.
    """
    recipes = _recipes(folder)
    left = [path for path in zips if not any(path in recipe for recipe in recipes)]
    for group in [*recipes, *((path,) for path in left)]:
        with findings.going_on():
            check_zips(group, findings)
    known = {name for recipes_of in RECIPES.values() for recipe in recipes_of for name in recipe}
    for path in left:
        if path.name not in known:
            names = ", ".join(f"{name}.zip" for name in BENCHMARKS)
            text = f"in a folder the pipeline looks for {names}: name this file itself in 'data.source', or rename it"
            findings.report(Problem("name of the zip", str(path), text, fatal=False))


def has_recipe(folder: Path) -> bool:
    """Whether a folder has all zips of a benchmark, so that the stage takes those, whatever else is there."""
    return bool(_recipes(folder))


def check_zips(paths: Sequence[Path], findings: Findings) -> None:
    """Judge zips that make one benchmark together.

    Raises:
        InputError: one of them cannot be opened, or they hold no sequence at all.
    """
    known = findings.errors
    with contextlib.ExitStack() as stack:
        trees = [Tree(path, stack.enter_context(open_contents(path))) for path in paths]
        names = _check_sequences(trees, findings)
        if not names:
            members = {name: entry for tree in trees for name, entry in tree.members.items()}
            instead = foreign_layout(members) or set_of_images(members)
            expected = "holds no sequence: expected train/<sequence>/img1/000001.jpg, ..."
            raise InputError(f"{joined(paths)} {instead or expected}.")
    if findings.errors == known:
        for benchmark in _benchmarks_of_zips(paths, names):
            with findings.going_on():
                _last_word(paths, benchmark, _reading(findings, measure))


def check_folder(tree: Tree, findings: Findings) -> None:
    """Judge a folder with sequences, or videos beside their boxes, or both."""
    known = findings.errors
    measured_as = functools.cache(measure)  # decoding a video once is long enough
    names = _check_sequences([tree], findings)
    films = find_films(tree.root, tree.members, SUBSETS, findings.report)
    for found in films:
        findings.summaries.append(check_film(found, findings.report, measured_as, findings.classes))
    if findings.errors > known:
        return
    homes = _homes([*names, *(found.name for found in films)])
    homes |= {name for name in BENCHMARKS if not homes and (tree.root / name).is_dir()}
    reading = _reading(findings, measured_as)
    for benchmark in sorted(homes or {_ANY}):
        with findings.going_on():
            _last_word(_taken(tree, films, benchmark, reading), benchmark, reading)


def check_video(path: Path, findings: Findings) -> None:
    """Judge a video that was named itself, with its boxes."""
    known = findings.errors
    measured_as = functools.cache(measure)
    found = film_of(path, findings.report)
    if found is None:
        return
    findings.summaries.append(check_film(found, findings.report, measured_as, findings.classes))
    if findings.errors == known:
        with findings.going_on():
            _last_word((path,), _ANY, _reading(findings, measured_as))


def _recipes(folder: Path) -> list[tuple[Path, ...]]:
    """The sets of zips in a folder that make a benchmark."""
    recipes = [tuple(folder / name for name in recipe) for of in RECIPES.values() for recipe in of]
    return [recipe for recipe in recipes if all(path.is_file() for path in recipe)]


def _benchmarks_of_zips(paths: Sequence[Path], names: Sequence[str]) -> list[str]:
    """The benchmarks for which the stage would open these zips, with sequences of these names."""
    stem = paths[0].stem
    if stem in BENCHMARKS:
        return [stem]
    parts = {name for name, of in RECIPES.items() for recipe in of if paths[0].name in recipe}
    return sorted(parts or _homes(names) or {_ANY})


def _homes(names: Sequence[str]) -> set[str]:
    """The benchmarks that sequences of these names belong to."""
    homes = {home_benchmark(name) for name in names}
    return {"MOT17" if home == "MOT16" else home for home in homes if home in (*BENCHMARKS, "MOT16")}


def _reading(findings: Findings, measured_as: Callable[[Path], Measured]) -> Reading:
    """As the download stage reads, with `measured_as` to decode videos."""
    opener = functools.partial(open_with_films, measured_as=measured_as, classes=findings.classes)
    return Reading(opener, findings.classes)


def _last_word(archives: Sequence[Path], benchmark: str, reading: Reading) -> None:
    """Raise the InputError with which download or strip, as params.yaml or (outside of a project) the default has it,
    would refuse these; what they warn of was found before."""
    params = project_params() or default_params()
    itself = params.data.split == ITSELF
    with contextlib.redirect_stderr(io.StringIO()):
        sequences = inspect_benchmark(archives, benchmark, ITSELF if itself else _SPLIT, reading=reading)
    labelled = [(entry, table) for entry, table in sequences if table is not None]
    if params.strip.boxes == TRUTH:
        judge_training_boxes(labelled, benchmark, Split.from_params(params.data), params.strip)


def _taken(tree: Tree, films: Sequence[Film], benchmark: str, reading: Reading) -> tuple[Path, ...]:
    """What the download stage takes for a benchmark where `data.source` names this folder.

    Raises:
        InputError: it finds nothing.
    """
    try:
        return on_disk(tree.root, str(tree.root), benchmark)
    except InputError as error:
        refused = error
    _last_word((tree.root,), benchmark, reading)  # more than one root says more than that nothing is found
    raise refused


def _check_sequences(trees: Sequence[Tree], findings: Findings) -> list[str]:
    """Judge the sequences that are films together, and return their names."""
    copies_of: dict[str, list[tuple[Tree, str, set[str]]]] = {}
    for tree in trees:
        for folder in _used(tree, findings):
            kinds = {_kind(name) for name in tree.below(folder)}
            copies_of.setdefault(_film(_name(tree, folder)), []).append((tree, folder, kinds))
    names = []
    for tree, folder, kinds in (copy for group in copies_of.values() for copy in group):
        name = _name(tree, folder)
        group = copies_of[_film(name)]
        frames_only = home_benchmark(name) == "MOT16"  # MOT17's tables of the same frames were annotated again
        copies = Copies(
            frames=any("frames" in other for *_, other in group if other is not kinds),
            truth=boxes_are_given()
            or frames_only
            or "test" in folder.split("/")
            or any("truth" in other for *_, other in group),
            frames_only=frames_only,
        )
        findings.summaries.append(check_sequence(tree, folder, findings.report, copies, findings.classes))
        names.append(name)
    return names


def _used(tree: Tree, findings: Findings) -> list[str]:
    """The folders with sequences that the stage looks at, sorted."""
    folders = sorted(sequence_folders(tree.members))
    if not any(part in SUBSETS for folder in folders for part in folder.split("/")[:-1]):
        return folders
    used = []
    for folder in folders:
        above = folder.split("/")[:-1]
        if above and above[-1] in SUBSETS and not any(part in SUBSETS for part in above[:-1]):
            used.append(folder)
        else:
            text = (
                "is left out: sequences belong directly in train/ or test/, where there are such folders; move it there"
            )
            findings.report(Problem("place of a sequence", tree.where(folder), text, fatal=False))
    return used


def _kind(file: str) -> str:
    """What a file of a sequence is, by its path in there: `frames`, `truth`, or nothing that others lack."""
    if file == GROUND_TRUTH_FILE:
        return "truth"
    return "frames" if file.lower().endswith(IMAGE_SUFFIXES) and file.count("/") == 1 else ""


def _name(tree: Tree, folder: str) -> str:
    """The name of the sequence in a folder of a tree."""
    return folder.rpartition("/")[2] or (tree.root.stem if tree.in_zip else tree.root.name)


def _film(name: str) -> str:
    """One name for the copies of a film that the stage puts together."""
    return film(name) if home_benchmark(name) == "MOT16" else without_detector(name)
