"""Where the sequences are in an archive or a folder.

Archives come in several layouts: `train/` and `test/` at the root, below `MOT17/`, or below `MOT17/images/`.
One's own films may be laid out so as well, or lie side by side without `train/`, or be just one:

    films/MyFilm/img1/000001.jpg, 000002.jpg, ...
    films/MyFilm/gt/gt.txt          frame,id,x,y,width,height,1,1,1
    films/MyFilm/seqinfo.ini        where it is absent, 30 frames per second are taken

Frames and tables may come from two archives: MOT17's frames are those of MOT16.zip, its tables are in
MOT17Labels.zip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clmot.archives.entries import Entry, is_litter
from clmot.archives.foreign_layouts import foreign_layout, set_of_images
from clmot.errors import InputError
from clmot.files import IMAGE_SUFFIXES
from clmot.motchallenge.meaning import LABELS_FILE
from clmot.motchallenge.sequence import IMAGE_DIR, SEQINFO_FILE, SUBSETS
from clmot.motchallenge.splits import film, home_benchmark, without_detector
from clmot.wording import joined, listed

GROUND_TRUTH_FILE = "gt/gt.txt"
CLASSES_FILE = f"gt/{LABELS_FILE}"
"""Names of the classes in there, where they are not MOTChallenge's."""

_Root = tuple[str, ...]
"""Folders above `train/` and `test/`, or above the sequences."""


@dataclass(frozen=True)
class SequenceCopy:
    """One folder of an archive that holds a sequence (MOT17 has up to three of the same film)."""

    source: Path
    """The archive, or the folder used as one."""
    folder: str
    """Its path in there, `MOT17/train/MOT17-02-DPM`."""
    name: str
    subset: str
    members: dict[str, Entry] = field(default_factory=dict)
    """Path below the folder -> entry."""

    def has_images(self) -> bool:
        return any(path.lower().endswith(IMAGE_SUFFIXES) and path.count("/") == 1 for path in self.members)

    def is_sequence(self) -> bool:
        return SEQINFO_FILE in self.members or GROUND_TRUTH_FILE in self.members or self.has_images()


def find_copies(
    contents: Mapping[Path, Mapping[str, Entry]], benchmark: str, subsets: Sequence[str], one_will_do: bool = False
) -> dict[str, list[SequenceCopy]]:
    """Sequence name without detector -> its copies, sorted by name.

    Args:
        contents: an archive's path -> its files.
        benchmark: whose sequences are looked for.
        subsets: `train`, `test`: what is taken.
        one_will_do: whether one of several subsets may be empty.

    Raises:
        InputError: a subset has no sequence, or they are not of this benchmark.
    """
    copies = [
        copy
        for path, members in contents.items()
        for copy in _sequences_of(path, _by_root(path, members) or _own_by_root(path, members), benchmark)
    ]
    missing = [subset for subset in subsets if not any(copy.subset == subset for copy in copies)]
    if missing and (not one_will_do or missing == list(subsets)):
        raise InputError(_nothing_found(contents, missing[0], copies))
    groups: dict[str, list[SequenceCopy]] = {}
    for copy in copies:
        if copy.subset in subsets:
            name, copy = _at_home(copy, benchmark)
            group = groups.setdefault(name, [])
            if group and group[0].subset != copy.subset:
                raise InputError(f"{copy.source} has {name} in train/ and in test/: a film can be in one of them only.")
            group.append(copy)
    for group in groups.values():
        if all(home_benchmark(copy.name) not in (None, benchmark) for copy in group):
            raise InputError(
                f"{group[0].source} has the frames of {group[0].folder}, but MOT17's tables of them are nowhere: "
                "put MOT17Labels.zip beside it."
            )
    return groups


def _at_home(copy: SequenceCopy, benchmark: str) -> tuple[str, SequenceCopy]:
    """The name of a copy's film in a benchmark, and of the copy what the benchmark takes. Raises an InputError if it
    is another benchmark's."""
    home = home_benchmark(copy.name)
    if benchmark == "MOT17" and home == "MOT16":
        # The same frames; but MOT17's tables were annotated again.
        members = {name: entry for name, entry in copy.members.items() if name.split("/")[0] not in ("gt", "det")}
        return film(copy.name), dataclasses.replace(copy, members=members)
    if home not in (None, benchmark):
        raise InputError(
            f"{copy.source} holds {copy.folder}, a sequence of {home}: expected those of {benchmark}; "
            "was the archive renamed?"
        )
    return without_detector(copy.name) if benchmark == "MOT17" else copy.name, copy


def sequence_folders(names: Collection[str]) -> set[str]:
    """Folders that hold a sequence by the paths of all files, as paths themselves; "" is the root."""
    folders = {
        name[: -len(sign) - 1]
        for name in names
        for sign in (SEQINFO_FILE, GROUND_TRUTH_FILE)
        if f"/{name}".endswith(f"/{sign}")
    }
    return folders | {
        name.removesuffix(f"{IMAGE_DIR}/{frame}").removesuffix("/")
        for name in names
        for frame in [name.rsplit("/", 1)[-1]]
        if f"/{name}".endswith(f"/{IMAGE_DIR}/{frame}") and name.lower().endswith(IMAGE_SUFFIXES)
    }


def roots_of(sequences: Iterable[str]) -> list[str]:
    """The folders that hold these sequences (paths), or that hold `train/` and `test/` with them; where there are such
    subsets, whatever is beside them is left out."""
    above = {folder.rpartition("/")[0] for folder in sequences}
    subsets = {folder for folder in above if folder.rpartition("/")[2] in SUBSETS}
    return sorted({folder.rpartition("/")[0] for folder in subsets} if subsets else above)


def _by_root(path: Path, members: Mapping[str, Entry]) -> dict[_Root, list[SequenceCopy]]:
    """The sequences below `train/` and `test/`, wherever those are."""
    found: dict[_Root, dict[tuple[str, str], SequenceCopy]] = {}
    for name, entry in members.items():
        parts = name.split("/")
        at = next((i for i, part in enumerate(parts) if part in SUBSETS), None)
        if at is None or len(parts) < at + 3 or is_litter(name):
            continue
        subset, sequence = parts[at : at + 2]
        folder = SequenceCopy(path, "/".join(parts[: at + 2]), sequence, subset)
        copy = found.setdefault(tuple(parts[:at]), {}).setdefault((subset, sequence), folder)
        copy.members["/".join(parts[at + 2 :])] = entry
    return _sorted_roots(found)


def _own_by_root(path: Path, members: Mapping[str, Entry]) -> dict[_Root, list[SequenceCopy]]:
    """Sequences that lie side by side without `train/`, or the only one there is: all of them may train."""
    folders = sequence_folders(members)
    found: dict[_Root, dict[tuple[str, str], SequenceCopy]] = {}
    for folder in folders:
        *root, name = folder.split("/") if folder else [path.stem if path.is_file() else path.name]
        found.setdefault(tuple(root), {})["train", name] = SequenceCopy(path, folder or name, name, "train")
    for name, entry in members.items():
        parts = name.split("/")
        # The innermost sequence that the file is in.
        ends = (end for end in range(len(parts) - 1, -1, -1) if "/".join(parts[:end]) in folders)
        end = next(ends, None)
        if end is None or is_litter(name):
            continue
        title = parts[end - 1] if end else (path.stem if path.is_file() else path.name)
        found[tuple(parts[: max(end - 1, 0)])]["train", title].members["/".join(parts[end:])] = entry
    return _sorted_roots(found)


def _sorted_roots(found: dict[_Root, dict[tuple[str, str], SequenceCopy]]) -> dict[_Root, list[SequenceCopy]]:
    """Without folders that hold no sequence, in an order that does not depend on the archive's."""
    roots = {
        root: [copy for _, copy in sorted(copies.items()) if copy.is_sequence()]
        for root, copies in sorted(found.items())
    }
    return {root: copies for root, copies in roots.items() if copies}


def _sequences_of(path: Path, found: dict[_Root, list[SequenceCopy]], benchmark: str) -> list[SequenceCopy]:
    """The sequences below the one root that is meant."""
    if len(found) > 1:  # several benchmarks in one archive: the right one says so
        found = {root: copies for root, copies in found.items() if benchmark in root} or found
    if len(found) > 1:
        roots = " and ".join("/".join(root) or "the root" for root in list(found)[:2])
        raise InputError(f"{path} holds sequences below {roots}: keep one of them in the archive.")
    return next(iter(found.values()), [])


def _nothing_found(contents: Mapping[Path, Mapping[str, Entry]], subset: str, copies: Sequence[SequenceCopy]) -> str:
    """Says what an archive holds instead of the sequences that were looked for."""
    if copies:
        names = sorted({copy.name for copy in copies})
        held = f"it has only {copies[0].subset}/ with {listed(names)}"
    else:
        held_members = {name: entry for members in contents.values() for name, entry in members.items()}
        layout = foreign_layout(held_members) or set_of_images(held_members)
        if layout is not None:
            return f"{joined(contents)} {layout}."
        tops = sorted({"/".join(name.split("/")[:3]) for members in contents.values() for name in members})
        held = f"it holds {listed(tops)}" if tops else "it is empty"
    wanted = f"{subset}/<sequence>/img1/000001.jpg, at the root or below a folder like MOT17/"
    return f"{joined(contents)} has no {subset} sequence ({held}): expected {wanted}."
