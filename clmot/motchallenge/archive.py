"""From a benchmark's zip to its frames, its ground truth and its public detections, kept in folders apart.

Archives come in several layouts: `train/` and `test/` at the root, below `MOT17/`, or below `MOT17/images/`.
Nothing is written under a name that the archive chose, except that of the sequence, so no entry can leave its
folder; entries that try are refused all the same, because such an archive is not what it claims to be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import lzma
import os
import re
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clmot.errors import InputError
from clmot.files import staged_directory, write_json
from clmot.motchallenge.annotations import AnnotationTable, parse_ground_truth
from clmot.motchallenge.sequence import (
    IMAGE_DIR,
    SEQINFO_FILE,
    SUBSETS,
    ManifestEntry,
    SequenceInfo,
    frame_name,
    parse_seqinfo,
    write_manifest,
    write_seqinfo,
)
from clmot.motchallenge.splits import MOT15_FRAME_RATES, home_benchmark, without_detector
from clmot.progress import progress

GROUND_TRUTH_FILE = "gt/gt.txt"
DETECTIONS_FILE = "det/det.txt"
DETECTION_SOURCES_FILE = "sources.json"
"""In a folder of public detections: which entry of the archive each sequence's file was."""
DEFAULT_FRAME_RATE = 30.0
"""Frames per second of a sequence that has no seqinfo.ini and is none of MOT15's: the commonest rate."""

_IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# Frames hardly shrink in a zip and tables shrink some ten times: more than this is made to fill the disk.
_HIGHEST_COMPRESSION = 200
_COMPRESSION_FREE = 1 << 20  # bytes; smaller files may shrink as they like
_BLOCK = 1 << 20

Members = Mapping[str, zipfile.ZipInfo]


@dataclass(frozen=True)
class _Copy:
    """One folder of the archive that holds a sequence (MOT17 has up to three of the same film)."""

    folder: str
    """Its path in the archive, `MOT17/train/MOT17-02-DPM`."""
    name: str
    subset: str
    members: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    """Path below the folder -> entry."""

    def has_images(self) -> bool:
        return any(path.lower().endswith(_IMAGE_EXTENSIONS) and path.count("/") == 1 for path in self.members)

    def is_sequence(self) -> bool:
        return SEQINFO_FILE in self.members or GROUND_TRUTH_FILE in self.members or self.has_images()


@dataclass(frozen=True)
class _Sequence:
    """A sequence ready to be written."""

    entry: ManifestEntry
    info: SequenceInfo
    frames: list[zipfile.ZipInfo]
    ground_truth: bytes | None
    detections: zipfile.ZipInfo | None


def extract_benchmark(
    zip_path: str | os.PathLike[str],
    benchmark: str,
    split: str,
    frames_out: str | os.PathLike[str],
    gt_out: str | os.PathLike[str],
    detections_out: str | os.PathLike[str] | None = None,
) -> list[ManifestEntry]:
    """Extract what `split` needs: images into `frames_out`, ground truth (with identities) into `gt_out`, public
    detections into `detections_out`.

    `half` and `sequence` take the train set, `full` the test set as well. Writes, per sequence,
    `frames_out/<seq>/{seqinfo.ini,img1/000001.jpg,...}` and, where there is ground truth,
    `gt_out/<seq>/{seqinfo.ini,gt.txt}`, and a `manifest.json` in both (that of `gt_out` lists the sequences
    with ground truth). MOT17's detector copies are stored once, under the name without the detector. Each
    folder appears whole or stays as it was. Frames are streamed from the zip; there is no second copy.

    `detections_out/<seq>.txt` is the sequence's `det/det.txt` as it stands in the archive, frames numbered within
    the film; a sequence without one has no file. MOT17's copies differ in it: the one beside the frames that were
    taken is kept (where all copies are complete, the first by name: DPM), or where that copy has none, the first
    copy's that has. `detections_out/sources.json` says which it was.

    Returns:
        The sequences, sorted by name.

    Raises:
        InputError: the archive is not a zip, damaged, cut off or unsafe; a sequence lacks a frame or its
            ground truth, or its ground truth has a faulty row; there is no sequence, or none of this
            benchmark; the disk is too small.
    """
    path = Path(zip_path)
    with _open(path) as archive:
        members = _safe_members(archive, path)
        copies = _find_copies(members, path, benchmark, ("train", "test") if split == "full" else ("train",))
        sequences = [
            _prepare(archive, path, benchmark, name, group) for name, group in sorted(copies.items())
        ]
        _check_space(sequences, Path(frames_out))
        with contextlib.ExitStack() as outs:
            frames_dir, gt_dir = (outs.enter_context(staged_directory(out)) for out in (frames_out, gt_out))
            _write(archive, path, benchmark, sequences, frames_dir, gt_dir)
            if detections_out is not None:
                detections_dir = outs.enter_context(staged_directory(detections_out))
                _write_detections(archive, path, benchmark, sequences, detections_dir)
    return [sequence.entry for sequence in sequences]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as stream:
            start = stream.read(24)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expected a benchmark's zip there.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): expected a benchmark's zip.") from None
    if not start.startswith(b"PK"):
        text = re.match(rb"[\x20-\x7e]{4,}", start)
        what = f"it starts with {text.group().decode()!r}" if text else "its first bytes are not a zip's"
        what = what if start else "it is empty"
        raise InputError(f"{path} is not a zip archive ({what}): delete it, fetch it again and run again.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError, EOFError):
        raise InputError(
            f"{path} is cut off or damaged (a zip's directory stands at its end, and there is none): "
            "delete it, fetch it again and run again."
        ) from None
    with archive:
        yield archive


@contextlib.contextmanager
def _naming_damage(path: Path, member: str) -> Iterator[None]:
    """Turn what the zip machinery raises on damaged data into a sentence that names the entry."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error) as error:
        reason = "its checksum is wrong" if "CRC" in str(error) else "its data cannot be unpacked"
        raise InputError(
            f"{path} is damaged at {member} ({reason}): delete the archive, fetch it again and run again."
        ) from None
    except NotImplementedError:
        raise InputError(
            f"{path}: {member} is compressed in a way that Python cannot unpack: pack the archive again."
        ) from None
    except OSError as error:
        if error.errno in (
            None,
            errno.EINVAL,
        ):  # bz2 says so of damaged data, and seek of an impossible offset
            raise InputError(
                f"{path} is damaged at {member} (its data cannot be unpacked): "
                "delete the archive, fetch it again and run again."
            ) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"no space is left on the disk while extracting {member} of {path}: "
                "free some and run again (nothing that was there is lost)."
            ) from None
        raise


def _safe_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by name. Raises an InputError that names the first unsafe entry."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        # `filename` was cut at a NUL; the original shows what the archive really says.
        name = info.orig_filename
        reason = _unsafe(name, info)
        if reason is None and not info.is_dir():
            name = "/".join(part for part in name.split("/") if part not in ("", "."))
            if name in members:
                reason = "it is there twice"
            members[name] = info
        if reason is not None:
            raise InputError(
                f"{path} is refused because of its entry {name!r}: {reason}; "
                "get the archive from a source you trust."
            )
    return members


def _unsafe(name: str, info: zipfile.ZipInfo) -> str | None:
    """Why an entry must not be unpacked, or None."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "its path is absolute"
    if "\\" in name:
        return "its path has a backslash"
    if ".." in name.split("/"):
        return "its path leads out of the archive's folder"
    if any(ord(character) < 32 for character in name):
        return "its name has control characters"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode == stat.S_IFLNK:
        return "it is a link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is neither a file nor a folder"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.file_size > _COMPRESSION_FREE + _HIGHEST_COMPRESSION * info.compress_size:
        return f"{info.compress_size} bytes would unpack to {info.file_size}, as in a zip bomb"
    return None


def _find_copies(
    members: Members, path: Path, benchmark: str, subsets: Sequence[str]
) -> dict[str, list[_Copy]]:
    """Sequence name without detector -> its copies, sorted by name."""
    by_root: dict[tuple[str, ...], dict[tuple[str, str], _Copy]] = {}
    for name, info in members.items():
        parts = name.split("/")
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue  # what file managers leave in archives
        at = next((i for i, part in enumerate(parts) if part in SUBSETS), None)
        if at is None or len(parts) < at + 3:
            continue
        subset, sequence = parts[at : at + 2]
        folder = _Copy("/".join(parts[: at + 2]), sequence, subset)
        copy = by_root.setdefault(tuple(parts[:at]), {}).setdefault((subset, sequence), folder)
        copy.members["/".join(parts[at + 2 :])] = info
    found = {
        root: [copy for _, copy in sorted(folders.items()) if copy.is_sequence()]
        for root, folders in sorted(by_root.items())
    }
    found = {root: copies for root, copies in found.items() if copies}
    if len(found) > 1:  # several benchmarks in one archive: the right one says so
        found = {root: copies for root, copies in found.items() if benchmark in root} or found
    if len(found) > 1:
        roots = " and ".join("/".join(root) or "the root" for root in list(found)[:2])
        raise InputError(f"{path} holds sequences below {roots}: keep one of them in the archive.")
    copies = next(iter(found.values()), [])
    for subset in subsets:
        if not any(copy.subset == subset for copy in copies):
            raise InputError(_nothing_found(path, subset, members, copies))
    groups: dict[str, list[_Copy]] = {}
    for copy in copies:
        if copy.subset not in subsets:
            continue
        home = home_benchmark(copy.name)
        if home not in (None, benchmark):
            raise InputError(
                f"{path} holds {copy.folder}, a sequence of {home}: expected those of {benchmark}; "
                "was the archive renamed?"
            )
        name = without_detector(copy.name) if benchmark == "MOT17" else copy.name
        group = groups.setdefault(name, [])
        if group and group[0].subset != copy.subset:
            raise InputError(f"{path} has {name} in train/ and in test/: a film can be in one of them only.")
        group.append(copy)
    return groups


def _nothing_found(path: Path, subset: str, members: Members, copies: Sequence[_Copy]) -> str:
    """Says what an archive holds instead of the sequences that were looked for."""
    if copies:
        names = sorted({copy.name for copy in copies})
        held = (
            f"it has only {copies[0].subset}/ with {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        )
    else:
        tops = sorted({"/".join(name.split("/")[:3]) for name in members})
        held = f"it holds {', '.join(tops[:5])}{' ...' if len(tops) > 5 else ''}" if tops else "it is empty"
    wanted = f"{subset}/<sequence>/img1/000001.jpg, at the root or below a folder like MOT17/"
    return f"{path} has no {subset} sequence ({held}): expected {wanted}."


def _prepare(
    archive: zipfile.ZipFile, path: Path, benchmark: str, name: str, copies: Sequence[_Copy]
) -> _Sequence:
    """Check a sequence's copies against each other and choose the one whose frames are all there."""
    if not re.fullmatch(r"[^\\/:\x00-\x1f]+", name):
        raise InputError(f"{path}: {copies[0].folder} is no name for a sequence: rename the folder.")
    ground_truth, source, table = _ground_truth(archive, path, copies)
    subset = copies[0].subset
    if ground_truth is None and subset == "train":
        raise InputError(
            f"{path}: {copies[0].folder} has no {GROUND_TRUTH_FILE}, which every train sequence needs: "
            "get the complete archive."
        )
    pictured = [copy for copy in copies if copy.has_images()]
    if not pictured:
        raise InputError(
            f"{path} holds no frames of {copies[0].folder} (expected {IMAGE_DIR}/000001.jpg and so on): "
            "get the archive with the images."
        )
    last_row = int(table.frame.max()) if table is not None else None
    offers = [(copy, _info(archive, path, benchmark, name, copy)) for copy in pictured]
    chosen, info = min(offers, key=lambda offer: len(_missing(*offer)))  # the first of the most complete
    info = _without_missing_end(path, chosen, info, last_row)
    if ground_truth is not None and last_row is not None and last_row > info.length:
        # Only now is the length known; reading the table again names the line that goes beyond it.
        parse_ground_truth(ground_truth, f"{path}:{source}", length=info.length)
    frames = [chosen.members[f"{info.image_dir}/{frame_name(n, info.extension)}"] for n in _numbers(info)]
    empty = next((frame for frame in frames if frame.file_size == 0), None)
    if empty is not None:
        raise InputError(f"{path}: {empty.filename} is empty: get the complete archive.")
    info = _with_true_size(archive, path, info, frames[0])
    beyond = _numbered_images(chosen, info)
    if beyond and max(beyond) > info.length:
        _warn(
            f"{path}: {chosen.folder} has frames up to {max(beyond)} but its length is {info.length}; "
            "the others are left out."
        )
    detectors = (copy.name[len(name) + 1 :] for copy in copies if copy.name != name)
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
    detections = (copy.members.get(DETECTIONS_FILE) for copy in (chosen, *copies))
    return _Sequence(entry, stored, frames, ground_truth, next(filter(None, detections), None))


def _ground_truth(
    archive: zipfile.ZipFile, path: Path, copies: Sequence[_Copy]
) -> tuple[bytes | None, str, AnnotationTable | None]:
    """The ground truth that all copies agree on: its bytes, its entry's name and its rows."""
    found = [(copy, copy.members[GROUND_TRUTH_FILE]) for copy in copies if GROUND_TRUTH_FILE in copy.members]
    if not found:
        return None, "", None
    contents = [_read(archive, path, info) for _, info in found]
    first = contents[0].split()
    for (copy, _), content in zip(found[1:], contents[1:], strict=True):
        if content.split() != first:  # line ends may differ
            raise InputError(
                f"{path}: the ground truth of {found[0][0].folder} and of {copy.folder} differ although they "
                "are copies of one film: get the archive again, or keep one of the copies."
            )
    source = f"{found[0][0].folder}/{GROUND_TRUTH_FILE}"
    return contents[0], source, parse_ground_truth(contents[0], f"{path}:{source}")


def _info(archive: zipfile.ZipFile, path: Path, benchmark: str, name: str, copy: _Copy) -> SequenceInfo:
    """The copy's seqinfo.ini, or, where an old release has none, what its frames tell."""
    if SEQINFO_FILE in copy.members:
        data = _read(archive, path, copy.members[SEQINFO_FILE])
        return parse_seqinfo(data, f"{path}:{copy.folder}/{SEQINFO_FILE}")
    extensions = Counter(
        Path(member).suffix
        for member in copy.members
        if re.fullmatch(rf"{IMAGE_DIR}/\d{{6}}\.\w+", member) and member.lower().endswith(_IMAGE_EXTENSIONS)
    )
    if not extensions:
        raise InputError(
            f"{path}: {copy.folder} has neither a {SEQINFO_FILE} nor frames named {IMAGE_DIR}/000001.jpg: "
            "name them so, or add the file."
        )
    extension = max(sorted(extensions), key=lambda suffix: extensions[suffix])
    rate = MOT15_FRAME_RATES.get(name)
    if rate is None:
        rate = DEFAULT_FRAME_RATE
        _warn(
            f"{path}: {copy.folder} has no {SEQINFO_FILE}, so its frame rate is unknown; {rate:g} is taken. "
            f"Add the file to the archive if that is wrong."
        )
    info = SequenceInfo(copy.name, IMAGE_DIR, float(rate), 0, 0, 0, extension)
    # Width and height follow from the first frame, once the copy is chosen.
    return dataclasses.replace(info, length=max(_numbered_images(copy, info)))


def _numbered_images(copy: _Copy, info: SequenceInfo) -> set[int]:
    """Numbers of the frames that are there under their proper names."""
    pattern = re.compile(rf"{re.escape(info.image_dir)}/(\d{{6}}){re.escape(info.extension)}")
    matches = (pattern.fullmatch(member) for member in copy.members)
    return {int(match.group(1)) for match in matches if match}


def _numbers(info: SequenceInfo) -> range:
    return range(1, info.length + 1)


def _missing(copy: _Copy, info: SequenceInfo) -> list[int]:
    present = _numbered_images(copy, info)
    return [n for n in _numbers(info) if n not in present]


def _without_missing_end(path: Path, copy: _Copy, info: SequenceInfo, last_row: int | None) -> SequenceInfo:
    """Shorten a sequence whose last frames are absent and unannotated; refuse any other missing frame.

    Some official sequences announce a few frames more than they have; nothing is lost without these.
    """
    missing = _missing(copy, info)
    if not missing:
        return info
    end = info.length - len(missing)
    at_the_end = missing[0] == end + 1
    if at_the_end and last_row is not None and 1 <= last_row <= end:
        _warn(
            f"{path}: {copy.folder} announces {info.length} frames but has {end}, and no ground truth "
            f"beyond; its length is taken as {end}."
        )
        return dataclasses.replace(info, length=end)
    absent = f"{copy.folder}/{info.image_dir}/{frame_name(missing[0], info.extension)}"
    more = f" and {len(missing) - 1} other frames are" if len(missing) > 1 else " is"
    raise InputError(
        f"{path}: {absent}{more} missing although the sequence has {info.length} frames: "
        "get the complete archive."
    )


def _with_true_size(
    archive: zipfile.ZipFile, path: Path, info: SequenceInfo, frame: zipfile.ZipInfo
) -> SequenceInfo:
    """`info` with the size of the first frame, which must be a readable image."""
    import cv2  # only extraction looks into images; readers of tables need not load it
    import numpy as np

    image = cv2.imdecode(np.frombuffer(_read(archive, path, frame), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: {frame.filename} is not a readable image: get the archive again.")
    height, width = image.shape[:2]
    if info.width and (info.width, info.height) != (width, height):
        _warn(
            f"{path}: {frame.filename} is {width}x{height} but its {SEQINFO_FILE} says "
            f"{info.width}x{info.height}; the frame is believed."
        )
    return dataclasses.replace(info, width=width, height=height)


def _check_space(sequences: Sequence[_Sequence], out: Path) -> None:
    """Refuse to begin what cannot end."""
    needed = sum(frame.file_size for sequence in sequences for frame in sequence.frames)
    needed += sum(len(sequence.ground_truth or b"") for sequence in sequences)
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{out} needs {needed / 1e9:.2f} GB but its disk has {free / 1e9:.2f} GB left: "
            "free some and run again (nothing that was there is lost)."
        )


def _write(
    archive: zipfile.ZipFile,
    path: Path,
    benchmark: str,
    sequences: Sequence[_Sequence],
    frames_dir: Path,
    gt_dir: Path,
) -> None:
    """Write the chosen frames and tables; both folders are empty."""
    targets: list[tuple[zipfile.ZipInfo, Path]] = []
    for sequence in sequences:
        folder = frames_dir / sequence.entry.name
        (folder / IMAGE_DIR).mkdir(parents=True)
        write_seqinfo(folder / SEQINFO_FILE, sequence.info)
        targets += [
            (frame, folder / IMAGE_DIR / frame_name(number, sequence.info.extension))
            for number, frame in enumerate(sequence.frames, 1)
        ]
        if sequence.ground_truth is not None:
            folder = gt_dir / sequence.entry.name
            folder.mkdir()
            write_seqinfo(folder / SEQINFO_FILE, sequence.info)
            (folder / "gt.txt").write_bytes(sequence.ground_truth)
    for frame, target in progress(targets, f"extract {benchmark}", total=len(targets), unit="frame"):
        with (
            _naming_damage(path, frame.filename),
            archive.open(frame) as source,
            target.open("wb") as stream,
        ):
            shutil.copyfileobj(source, stream, _BLOCK)
    write_manifest(frames_dir, benchmark, [sequence.entry for sequence in sequences])
    write_manifest(gt_dir, benchmark, [s.entry for s in sequences if s.ground_truth is not None])


def _write_detections(
    archive: zipfile.ZipFile, path: Path, benchmark: str, sequences: Sequence[_Sequence], directory: Path
) -> None:
    """Copy the chosen det.txt of every sequence that has one, unread: whoever tracks with them checks them."""
    sources = {}
    for sequence in sequences:
        if sequence.detections is not None:
            data = _read(archive, path, sequence.detections)
            (directory / f"{sequence.entry.name}.txt").write_bytes(data)
            sources[sequence.entry.name] = sequence.detections.filename
    write_json(directory / DETECTION_SOURCES_FILE, {"benchmark": benchmark, "sources": sources})


def _read(archive: zipfile.ZipFile, path: Path, info: zipfile.ZipInfo) -> bytes:
    with _naming_damage(path, info.filename):
        return archive.read(info)


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
