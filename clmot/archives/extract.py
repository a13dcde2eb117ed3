"""From a benchmark's zips or folder to its frames, its ground truth and its public detections, kept in folders apart.

Nothing is written under a name that the archive chose, except that of the sequence, so no entry can leave its
folder; entries that try are refused all the same, because such an archive is not what it claims to be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clmot.archives.benchmark_layout import (
    CLASSES_FILE,
    GROUND_TRUTH_FILE,
    SequenceCopy,
    find_copies,
    sequence_folders,
)
from clmot.archives.entries import (
    COMPRESSION_FREE,
    HIGHEST_TOTAL_COMPRESSION,
    Entry,
    naming_damage,
    open_contents,
)
from clmot.errors import LONGEST, InputError
from clmot.files import IMAGE_SUFFIXES, OTHER_IMAGES, is_video, require_space, staged_directory, write_json
from clmot.motchallenge.annotations import (
    GROUND_TRUTH,
    AnnotationTable,
    format_ground_truth,
    judge_rows,
    parse_ground_truth,
)
from clmot.motchallenge.frame_names import FrameFiles, frame_files
from clmot.motchallenge.meaning import class_numbers, ends_early, of_stated_size, unlabelled_between, wrong_units
from clmot.motchallenge.sequence import (
    IMAGE_DIR,
    SEQINFO_FILE,
    ManifestEntry,
    SequenceInfo,
    frame_name,
    is_sequence_name,
    parse_seqinfo,
    write_manifest,
    write_seqinfo,
)
from clmot.motchallenge.splits import ITSELF, MOT15_FRAME_RATES
from clmot.pictures import UnreadablePicture, check_picture, other_size
from clmot.problems import Problem, warn_or_refuse
from clmot.progress import progress
from clmot.wording import counted, listed, one_line

DETECTIONS_FILE = "det/det.txt"
DETECTION_SOURCES_FILE = "sources.json"
"""In a folder of public detections: which entry of the archive each sequence's file was."""
DEFAULT_FRAME_RATE = 30.0
"""Frames per second of a sequence that has no seqinfo.ini and is none of MOT15's: the commonest rate."""

Opener = Callable[[Path, Sequence[str]], contextlib.AbstractContextManager[Mapping[str, Entry]]]
"""An archive, and the subsets (`train`, `test`) that are needed of it -> its files by name while the context lasts."""


@dataclass(frozen=True)
class Reading:
    """How archives are read."""

    opener: Opener = lambda path, subsets: open_contents(path)
    """Shows what is in an archive: its files. Another one may show what is no sequence as one."""
    classes: Sequence[int | str] = ()
    """Where a `labels.txt` names the classes of a table: those that are tracked (see `class_numbers`)."""


PLAINLY = Reading()


@dataclass(frozen=True)
class _Sequence:
    """A sequence ready to be written."""

    entry: ManifestEntry
    info: SequenceInfo
    frames: list[Entry]
    ground_truth: bytes | None
    table: AnnotationTable | None
    """Of the ground truth."""
    detections: Entry | None


def extract_benchmark(
    archives: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    benchmark: str,
    split: str,
    frames_out: str | os.PathLike[str],
    gt_out: str | os.PathLike[str],
    detections_out: str | os.PathLike[str] | None = None,
    *,
    reading: Reading = PLAINLY,
) -> list[ManifestEntry]:
    """Extract what `split` needs: images into `frames_out`, ground truth (with identities) into `gt_out`, public
    detections into `detections_out`.

    `half` and `sequence` take the train set, `full` the test set as well. Writes, per sequence,
    `frames_out/<seq>/{seqinfo.ini,img1/000001.jpg,...}` and, where there is ground truth,
    `gt_out/<seq>/{seqinfo.ini,gt.txt}`, and a `manifest.json` in both (that of `gt_out` lists the sequences
    with ground truth). MOT17's detector copies are stored once, under the name without the detector. Each
    folder appears whole or stays as it was. Frames are streamed from the zip; there is no second copy.

    `detections_out/<seq>.txt` is the sequence's `det/det.txt` as it is in the archive, frames numbered within
    the film; a sequence without one has no file. MOT17's copies differ in it: the one beside the frames that were
    taken is kept (where all copies are complete, the first by name: DPM), or where that copy has none, the first
    copy's that has. `detections_out/sources.json` says which it was.

    Args:
        archives: a zip or a folder, or several that make the benchmark together.
        benchmark: `MOT15`, `MOT17` or `MOT20`.
        reading: how archives are read.

    Returns:
        The sequences, sorted by name.

    Raises:
        InputError: the archive is not a zip, damaged, cut off or unsafe; a sequence lacks a frame or its
            ground truth, or its ground truth has a faulty row; there is no sequence, or none of this
            benchmark; the disk is too small.
    """
    with _prepared(archives, benchmark, split, reading) as sequences:
        _check_size(sequences, Path(frames_out))
        with contextlib.ExitStack() as outs:
            frames_dir, gt_dir = (outs.enter_context(staged_directory(out)) for out in (frames_out, gt_out))
            _write(benchmark, sequences, frames_dir, gt_dir)
            if detections_out is not None:
                detections_dir = outs.enter_context(staged_directory(detections_out))
                _write_detections(benchmark, sequences, detections_dir)
    return [sequence.entry for sequence in sequences]


def inspect_benchmark(
    archives: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    benchmark: str,
    split: str,
    *,
    reading: Reading = PLAINLY,
) -> list[tuple[ManifestEntry, AnnotationTable | None]]:
    """What `extract_benchmark` would extract, with the ground truth where there is one. It refuses the same archives
    (except for frames that do not decode), and writes nothing."""
    with _prepared(archives, benchmark, split, reading) as sequences:
        return [(sequence.entry, sequence.table) for sequence in sequences]


@contextlib.contextmanager
def _prepared(
    archives: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    benchmark: str,
    split: str,
    reading: Reading = PLAINLY,
) -> Iterator[list[_Sequence]]:
    """The sequences that `split` needs, checked, while their archives are open."""
    paths = [Path(archives)] if isinstance(archives, str | os.PathLike) else [Path(a) for a in archives]
    itself = split == ITSELF  # every film trains and is tracked; a detector's boxes of it may be all that there is
    subsets = ("train", "test") if split == "full" or itself else ("train",)
    with contextlib.ExitStack() as stack:
        contents = {path: stack.enter_context(reading.opener(path, subsets)) for path in paths}
        copies = find_copies(contents, benchmark, subsets, one_will_do=itself)
        yield [_prepare(name, group, not itself, reading.classes) for name, group in sorted(copies.items())]


def _prepare(name: str, copies: Sequence[SequenceCopy], needs_truth: bool, classes: Sequence[int | str]) -> _Sequence:
    """Check a sequence's copies against each other and choose the one whose frames are all there."""
    path = copies[0].source
    if not is_sequence_name(name):
        raise InputError(f"{path}: {copies[0].folder} is no name for a sequence: rename the folder.")
    truth = _ground_truth(copies, classes)
    subset = copies[0].subset
    if truth is None and subset == "train" and needs_truth:
        raise InputError(f"{path}: {copies[0].folder} {_why_no_truth(copies[0])}.")
    pictured = [copy for copy in copies if copy.has_images()]
    if not pictured:
        raise InputError(
            f"{path} holds no frames of {copies[0].folder} (expected {IMAGE_DIR}/000001.jpg and so on): "
            f"{_what_to_get(copies)}."
        )
    offers = [_Offer(copy, *_info(name, copy)) for copy in pictured]
    chosen = min(offers, key=lambda offer: len(offer.missing()))  # the first of the most complete
    if not chosen.files.names:
        instead = frames_instead(chosen.copy.members, chosen.info.image_dir) or "get the complete archive"
        raise InputError(
            f"{chosen.where} holds no frames in {chosen.info.image_dir}/, where {SEQINFO_FILE} says: {instead}."
        )
    info = _without_missing_end(chosen, truth.last_row if truth else None)
    frames = [chosen.frame(number) for number in range(1, info.length + 1)]
    empty = next((frame for frame in frames if frame.size == 0), None)
    if empty is not None:
        raise InputError(f"{empty.source}: {empty.name} is empty: get the complete archive.")
    stated = info.width, info.height
    info = _with_true_size(info, frames[0])
    if truth:
        truth.refuse_misfits(info, stated)
        early = ends_early(truth.table.frame, info.length)
        if early:
            _warn(f"{chosen.where} {early}.")
    if chosen.files.last > info.length:
        _warn(
            f"{chosen.where} has frames up to {chosen.files.last} but its length is {info.length}; "
            "the others are left out."
        )
    detectors = (copy.name[len(name) + 1 :] for copy in copies if copy.name.startswith(f"{name}-"))
    entry = ManifestEntry(
        name=name,
        subset=subset,
        frames=info.length,
        width=info.width,
        height=info.height,
        frame_rate=info.frame_rate,
        detectors=tuple(sorted(detectors)),
    )
    stored = dataclasses.replace(info, name=name, image_dir=IMAGE_DIR)
    detections = (copy.members.get(DETECTIONS_FILE) for copy in (chosen.copy, *copies))
    public = next(filter(None, detections), None)
    if truth is None:
        return _Sequence(entry, stored, frames, None, None, public)
    return _Sequence(entry, stored, frames, truth.stored(), truth.table, public)


def _what_to_get(copies: Sequence[SequenceCopy]) -> str:
    """What to do about a sequence without images that can be read."""
    instead = (frames_instead(copy.members) for copy in copies)
    return next(filter(None, instead), "get the archive with the images")


def frames_instead(members: Collection[str], image_dir: str = IMAGE_DIR) -> str:
    """What a sequence has in the place of frames that are read, and what to do; empty where there is nothing.

    Args:
        members: its files, by their paths below its folder.
        image_dir: where its frames should be.
    """
    if image_dir != IMAGE_DIR and any(name.startswith(f"{IMAGE_DIR}/") for name in members):
        return f"the frames are in {IMAGE_DIR}/: write imDir={IMAGE_DIR} into {SEQINFO_FILE}"
    others = [name for name in members if name.startswith(f"{image_dir}/") or name.lower().endswith(OTHER_IMAGES)]
    if others:
        return f"{others[0]} is of a kind that is not read; convert the frames to .jpg or .png"
    image = next((name for name in members if name.lower().endswith(IMAGE_SUFFIXES) and name.count("/") == 1), None)
    if image is not None:
        folder = image.partition("/")[0]
        return f"{image} is here: call the folder of frames {IMAGE_DIR}, or write imDir={folder} into {SEQINFO_FILE}"
    video = next((name for name in members if is_video(name) and "/" not in name), None)
    if video is not None and GROUND_TRUTH_FILE in members:
        boxes = Path(video).with_suffix(".txt").name
        return f"{video} is here without frames: put {GROUND_TRUTH_FILE} beside it as {boxes}, and remove gt/"
    return ""


def _why_no_truth(copy: SequenceCopy) -> str:
    """What is wrong with a folder below train/ that has no ground truth, and what to do."""
    inside = sorted(sequence_folders(copy.members))
    if inside and "" not in inside:
        return (
            f"holds sequences of its own ({listed(inside)}), but they belong directly in train/: move them there, or "
            "name that folder itself in 'data.source'"
        )
    if SEQINFO_FILE not in copy.members and not any(name.startswith(f"{IMAGE_DIR}/") for name in copy.members):
        return f"is no sequence ({next(iter(copy.members))}, ...): expected {IMAGE_DIR}/ and {GROUND_TRUTH_FILE} in it"
    return f"has no {GROUND_TRUTH_FILE}, which train sequences need: add it, or put the sequence into test/"


def _ground_truth(copies: Sequence[SequenceCopy], asked: Sequence[int | str]) -> _Truth | None:
    """The ground truth that all copies agree on; None where there is none."""
    found = [(copy, copy.members[GROUND_TRUTH_FILE]) for copy in copies if GROUND_TRUTH_FILE in copy.members]
    if not found:
        return None
    contents = [entry.read() for _, entry in found]
    first = contents[0].split()
    for (copy, _), content in zip(found[1:], contents[1:], strict=True):
        if content.split() != first:  # line ends may differ
            raise InputError(
                f"{copy.source}: the ground truth of {found[0][0].folder} and of {copy.folder} differ although they "
                "are copies of one film: get the archive again, or keep one of the copies."
            )
    copy = found[0][0]
    labels, folder = copy.members.get(CLASSES_FILE), f"{copy.source}:{copy.folder}"
    classes = class_numbers(labels.read(), f"{folder}/{CLASSES_FILE}", warn_or_refuse, asked) if labels else None
    return _Truth.read(contents[0], f"{folder}/{GROUND_TRUTH_FILE}", classes)


@dataclass(frozen=True, eq=False)
class _Truth:
    """The ground truth of a sequence."""

    data: bytes
    """Of the archive."""
    name: str
    """Of the file, for messages."""
    classes: dict[int, int] | None
    """See `class_numbers`; None: MOTChallenge's."""
    table: AnnotationTable
    """Its rows."""

    @classmethod
    def read(cls, data: bytes, name: str, classes: dict[int, int] | None) -> _Truth:
        """Raises an InputError that names a faulty row."""
        return cls(data, name, classes, judge_rows(data, name, GROUND_TRUTH, _of_the_file, classes=classes))

    @property
    def last_row(self) -> int:
        return int(self.table.frame.max(initial=0))

    def stored(self) -> bytes:
        """What is kept: the file as it is, unless it numbers its classes its own way."""
        return self.data if self.classes is None else format_ground_truth(self.table).encode("ascii")

    def refuse_misfits(self, info: SequenceInfo, stated: tuple[int, int]) -> None:
        """Raise an InputError if the rows do not fit the frames, now that their number and size are known; `stated` is
        the size that seqinfo.ini says."""
        if self.last_row > info.length:  # reading the table again names the line that goes beyond it
            parse_ground_truth(self.data, self.name, length=info.length, classes=self.classes)
        text = unlabelled_between(self.table.frame, info.length)
        if text:
            raise InputError(f"{self.name}: {text}.")
        boxes = self.table.box - [1, 1, 0, 0]  # files count pixels from 1
        size = info.width, info.height
        text = wrong_units(boxes, np.array(size, np.float64)) or of_stated_size(boxes, stated, size)
        if text:
            raise InputError(f"{self.name}: {text}.")


def _info(name: str, copy: SequenceCopy) -> tuple[SequenceInfo, FrameFiles]:
    """The copy's seqinfo.ini, or, where an old release has none, what its frames tell; and the frames."""

    def files(directory: str, extension: str | None = None, length: int | None = None) -> FrameFiles:
        inside = [path[len(directory) + 1 :] for path in copy.members if path.startswith(f"{directory}/")]
        return frame_files(inside, f"{copy.source}: {copy.folder}/{directory}", warn_or_refuse, extension, length)

    if SEQINFO_FILE in copy.members:
        data = copy.members[SEQINFO_FILE].read()
        info = parse_seqinfo(data, f"{copy.source}:{copy.folder}/{SEQINFO_FILE}")
        return info, files(info.image_dir, info.extension, info.length)
    found = files(IMAGE_DIR)
    if not found.names:
        todo = frames_instead(copy.members) or "name them so, or add the file"
        raise InputError(
            f"{copy.source}: {copy.folder} has neither a {SEQINFO_FILE} nor frames named {IMAGE_DIR}/000001.jpg: "
            f"{todo}."
        )
    rate = MOT15_FRAME_RATES.get(name)
    if rate is None:
        rate = DEFAULT_FRAME_RATE
        _warn(
            f"{copy.source}: {copy.folder} has no {SEQINFO_FILE}, so its frame rate is unknown; {rate:g} is taken. "
            f"Add the file to the archive if that is wrong."
        )
    # Width and height follow from the first frame, once the copy is chosen.
    return SequenceInfo(copy.name, IMAGE_DIR, float(rate), found.last, 0, 0, found.extension), found


@dataclass(frozen=True)
class _Offer:
    """A copy whose frames could be taken."""

    copy: SequenceCopy
    info: SequenceInfo
    files: FrameFiles

    @property
    def where(self) -> str:
        return f"{self.copy.source}: {self.copy.folder}"

    def missing(self) -> list[int]:
        return self.files.missing(self.info.length)

    def frame(self, number: int) -> Entry:
        return self.copy.members[f"{self.info.image_dir}/{self.files.names[number]}"]


def _without_missing_end(offer: _Offer, last_row: int | None) -> SequenceInfo:
    """Shorten a sequence whose last frames are absent and unannotated; refuse any other missing frame.

    Some official sequences announce a few frames more than they have; nothing is lost without these.
    """
    info, missing = offer.info, offer.missing()
    if not missing:
        return info
    end = info.length - len(missing)
    at_the_end = missing[0] == end + 1
    if at_the_end and last_row is not None and 1 <= last_row <= end:
        _warn(
            f"{offer.where} announces {info.length} frames but has {end}, and no ground truth "
            f"beyond; its length is taken as {end}."
        )
        return dataclasses.replace(info, length=end)
    absent = f"{offer.where}/{info.image_dir}/{offer.files.called(missing[0])}"
    more = f" and {counted(len(missing) - 1, 'other frame')} are" if len(missing) > 1 else " is"
    numbers = list(offer.files.names)
    misnumbered = len(numbers) == info.length or numbers[-1:] == [info.length]
    todo = (
        f"the {counted(len(numbers), 'frame')} there are numbered from {numbers[0]} to {numbers[-1]}; number them from "
        "1 without gaps, in the boxes too, or get the complete archive"
        if numbers and misnumbered
        else "get the complete archive"
    )
    raise InputError(f"{absent}{more} missing although the sequence has {info.length} frames: {todo}.")


def _with_true_size(info: SequenceInfo, frame: Entry) -> SequenceInfo:
    """`info` with the size of the first frame, which must be a readable image."""
    try:
        width, height = check_picture(frame.read())
    except UnreadablePicture as error:
        raise InputError(f"{frame.source}: {frame.name} {error}: get the archive again.") from None
    if info.width and (info.width, info.height) != (width, height):
        _warn(
            f"{frame.source}: {frame.name} is {width}x{height} but its {SEQINFO_FILE} says "
            f"{info.width}x{info.height}; the frame is believed."
        )
    return dataclasses.replace(info, width=width, height=height)


def _check_size(sequences: Sequence[_Sequence], out: Path) -> None:
    """Refuse to begin what cannot end, and what only a zip made to fill the disk would hold."""
    frames = [frame for sequence in sequences for frame in sequence.frames]
    size, stored = sum(frame.size for frame in frames), sum(frame.stored for frame in frames)
    if size > 1000 * COMPRESSION_FREE + HIGHEST_TOTAL_COMPRESSION * stored:
        raise InputError(
            f"{frames[0].source} is refused: {stored} bytes of frames such as {frames[0].name!r} would unpack to "
            f"{size}, as in a zip bomb; get the archive from a source you trust."
        )
    require_space([(out, size + sum(len(s.ground_truth or b"") for s in sequences))], f"{frames[0].source}")


def _write(benchmark: str, sequences: Sequence[_Sequence], frames_dir: Path, gt_dir: Path) -> None:
    """Write the chosen frames and tables; both folders are empty."""
    targets: list[tuple[Entry, Path, tuple[int, int]]] = []
    for sequence in sequences:
        folder = frames_dir / sequence.entry.name
        (folder / IMAGE_DIR).mkdir(parents=True)
        write_seqinfo(folder / SEQINFO_FILE, sequence.info)
        targets += [
            (
                frame,
                folder / IMAGE_DIR / frame_name(number, sequence.info.extension),
                (sequence.info.width, sequence.info.height),
            )
            for number, frame in enumerate(sequence.frames, 1)
        ]
        if sequence.ground_truth is not None:
            folder = gt_dir / sequence.entry.name
            folder.mkdir()
            write_seqinfo(folder / SEQINFO_FILE, sequence.info)
            (folder / "gt.txt").write_bytes(sequence.ground_truth)
    for frame, target, wanted in progress(targets, f"extract {benchmark}", total=len(targets), unit="frame"):
        data = frame.read()
        try:
            size = check_picture(data)
        except UnreadablePicture as error:
            raise InputError(f"{frame.source}: {frame.name} {error}: get the archive or the frame again.") from None
        if size != wanted:
            raise InputError(f"{frame.source}: {frame.name} {other_size(size, wanted)}.")
        with naming_damage(frame.source, frame.name):
            target.write_bytes(data)
    write_manifest(frames_dir, benchmark, [sequence.entry for sequence in sequences])
    write_manifest(gt_dir, benchmark, [s.entry for s in sequences if s.ground_truth is not None])


def _write_detections(benchmark: str, sequences: Sequence[_Sequence], directory: Path) -> None:
    """Copy the chosen det.txt of every sequence that has one, unread: the stage that tracks with them checks them."""
    sources = {}
    for sequence in sequences:
        if sequence.detections is not None:
            (directory / f"{sequence.entry.name}.txt").write_bytes(sequence.detections.read())
            sources[sequence.entry.name] = sequence.detections.name
    write_json(directory / DETECTION_SOURCES_FILE, {"benchmark": benchmark, "sources": sources})


def _of_the_file(problem: Problem) -> None:
    """As `warn_or_refuse`, without what is said mildly of single rows: `strip` counts those."""
    if problem.fatal or problem.kind in ("other classes", "no identities"):
        warn_or_refuse(problem)


def _warn(sentence: str) -> None:
    print(f"warning: {one_line(sentence, LONGEST)}", file=sys.stderr)
