"""Which frames train and which are tracked; except with `itself`, no frame may do both.

Four splits:

- `half`: of every sequence of the train set the first N//2 + 1 frames train and the rest is tracked,
  renumbered from 1 (the convention of CenterTrack and ByteTrack);
- `sequence`: named sequences of the train set are tracked, the others train;
- `full`: the train set trains, the test set is tracked;
- `itself`: every film trains and is tracked whole: for a film whose boxes are known and whose tracks are wanted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clmot.errors import InputError
from clmot.motchallenge.sequence import ManifestEntry
from clmot.params import DataParams

DETECTORS = ("DPM", "FRCNN", "SDP")
"""MOT17 has every sequence once for each of these public detectors, with the same frames and ground truth."""

ITSELF = "itself"
"""The split in which every film trains and is tracked."""
SEQUENCE = "sequence"
"""The split that holds out the films that are named."""

_SAME_FILM = {
    "Venice-2": "MOT17-02",
    "ETH-Pedcross2": "MOT17-05",
    "ADL-Rundle-6": "MOT17-09",
    "ADL-Rundle-8": "MOT17-10",
}  # MOT15 sequences that MOT16 and MOT17 took over

MOT15_FRAME_RATES: Mapping[str, float] = {
    "ADL-Rundle-1": 30,
    "ADL-Rundle-3": 30,
    "ADL-Rundle-6": 30,
    "ADL-Rundle-8": 30,
    "AVG-TownCentre": 2.5,
    "ETH-Bahnhof": 14,
    "ETH-Crossing": 14,
    "ETH-Jelmoli": 14,
    "ETH-Linthescher": 14,
    "ETH-Pedcross2": 14,
    "ETH-Sunnyday": 14,
    "KITTI-13": 10,
    "KITTI-16": 10,
    "KITTI-17": 10,
    "KITTI-19": 10,
    "PETS09-S2L1": 7,
    "PETS09-S2L2": 7,
    "TUD-Campus": 25,
    "TUD-Crossing": 25,
    "TUD-Stadtmitte": 25,
    "Venice-1": 30,
    "Venice-2": 30,
}
"""MOT15's sequences and their frames per second, which old releases of the archive do not state."""


@dataclass(frozen=True)
class FrameRange:
    """Frames `first` to `last`, both included, counted from 1."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"not a range of frames: {self.first} to {self.last}")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))


def without_detector(name: str) -> str:
    """`MOT17-02` for `MOT17-02-FRCNN`; a name that does not end in one of the detectors as it is."""
    return re.sub(rf"(?<=.)-(?:{'|'.join(DETECTORS)})$", "", name)


def film(name: str) -> str:
    """One name for all sequences that show the same film: detector copies, MOT16, and MOT15's overlaps."""
    name = without_detector(name)
    if re.fullmatch(r"MOT16-\d+", name):
        return f"MOT17{name[5:]}"  # MOT17 kept MOT16's frames and annotated them again
    return _SAME_FILM.get(name, name)


def home_benchmark(name: str) -> str | None:
    """The benchmark that has a sequence of this name; None for names that are not a benchmark's.

    Synthetic films are called after the benchmark they imitate: `SYN17-02` belongs to MOT17.
    """
    prefixed = re.match(r"(?:MOT(\d\d)-\d|SYN(\d\d)-)", name)
    if prefixed:
        return f"MOT{prefixed.group(1) or prefixed.group(2)}"
    return "MOT15" if name in MOT15_FRAME_RATES else None


@dataclass(frozen=True)
class Split:
    """Which frames train and which are tracked: `data.split` and `data.validation_sequences` as one value."""

    kind: str
    """`half`, `sequence`, `full` or `itself`."""
    held_out: tuple[str, ...] = ()
    """With `sequence`, the names that are tracked, with or without MOT17's detector suffix."""

    @classmethod
    def from_params(cls, data: DataParams) -> Split:
        """What params.yaml says."""
        return cls(data.split, data.validation_sequences)

    def training_range(self, entry: ManifestEntry) -> FrameRange | None:
        """The frames of a sequence that may train, or None."""
        whole = FrameRange(1, entry.frames)
        if self.kind == ITSELF:
            return whole
        if entry.subset != "train" or (self.kind == SEQUENCE and _is_named(entry.name, self.held_out)):
            return None
        return FrameRange(1, min(entry.frames, entry.frames // 2 + 1)) if self.kind == "half" else whole

    def tracking_range(self, entry: ManifestEntry) -> FrameRange | None:
        """The frames of a sequence that are tracked and scored, or None.

        Results count from 1 within the range: frame f of the film is f - first + 1 there.
        """
        trains = entry.subset == "train"
        if self.kind == "half":
            return second_half(entry.frames) if trains else None
        tracked = {
            ITSELF: True,
            SEQUENCE: trains and _is_named(entry.name, self.held_out),
            "full": entry.subset == "test",
        }
        return FrameRange(1, entry.frames) if tracked[self.kind] else None


def second_half(length: int) -> FrameRange | None:
    """The frames of a film of `length` frames that `half` tracks; None where the first half is all of it."""
    first = length // 2 + 2
    return FrameRange(first, length) if first <= length else None


def check_split(
    sequences: Mapping[str, Sequence[ManifestEntry]], split: Split, *, benchmarks: Iterable[str] | None = None
) -> None:
    """Refuse a split that tracks what it trained on, names unknown sequences, or leaves nothing to train on.

    Args:
        sequences: benchmark -> its sequences.
        split: which frames train and which are tracked.
        benchmarks: all benchmarks that take part, when `sequences` holds only some of them. A held-out name
            is then only unknown when it could be in none of the others, and a benchmark that is wholly held
            out is fine.

    Raises:
        InputError: with both names when one film would be on both sides.
    """
    names = [entry.name for entries in sequences.values() for entry in entries if entry.subset == "train"]
    others = sorted(set(benchmarks or ()) - set(sequences))
    if split.kind == SEQUENCE:
        for held_out in split.held_out:
            _check_known(held_out, names, sequences, others)
    trained: dict[str, list[_Part]] = {}
    for part in _parts(sequences, split.training_range):
        trained.setdefault(film(part.entry.name), []).append(part)
    if not trained and not others:
        raise InputError(
            f"the split '{split.kind}' leaves no sequence to train on: hold out fewer in "
            "'data.validation_sequences', or add a benchmark to 'data.benchmarks'."
        )
    if split.kind != ITSELF:
        _check_leaks(trained, _parts(sequences, split.tracking_range), split)


def tracked_films(sequences: Mapping[str, Sequence[ManifestEntry]], split: Split) -> dict[str, str]:
    """The films that are tracked, by the one name of all who show them, with what people call them.

    Args:
        sequences: benchmark -> its sequences.
        split: which frames are tracked.
    """
    return {film(part.entry.name): str(part) for part in _parts(sequences, split.tracking_range)}


@dataclass(frozen=True)
class _Part:
    """The frames of a sequence that train, or that are tracked."""

    benchmark: str
    entry: ManifestEntry
    frames: FrameRange

    def __str__(self) -> str:
        return f"{self.benchmark}'s {self.entry.name}"


def _parts(
    sequences: Mapping[str, Sequence[ManifestEntry]], frames_of: Callable[[ManifestEntry], FrameRange | None]
) -> list[_Part]:
    found = ((benchmark, entry, frames_of(entry)) for benchmark, entries in sequences.items() for entry in entries)
    return [_Part(benchmark, entry, frames) for benchmark, entry, frames in found if frames is not None]


def _check_leaks(trained: Mapping[str, Sequence[_Part]], tracked: Iterable[_Part], split: Split) -> None:
    """Refuse to train on a film that is tracked."""
    for part in tracked:
        for other in trained.get(film(part.entry.name), []):
            # Sequences of one film and one length are cut at the same moment by `half`; when the
            # lengths differ it is unknown which frames correspond.
            if other.entry.frames != part.entry.frames or other.frames.last >= part.frames.first:
                lengths = (other.entry.frames, part.entry.frames)
                raise InputError(_leak_sentence(str(other), str(part), split.kind, *lengths))
    for held_out in split.held_out if split.kind == SEQUENCE else ():
        # Held-out films of benchmarks that are elsewhere are known by name.
        for other in trained.get(film(held_out), []):
            raise InputError(_leak_sentence(str(other), held_out, split.kind, 0, 0))


def _is_named(name: str, names: Iterable[str]) -> bool:
    return without_detector(name) in {without_detector(other) for other in names}


def _check_known(
    held_out: str,
    names: Sequence[str],
    sequences: Mapping[str, Sequence[ManifestEntry]],
    others: Sequence[str],
) -> None:
    """Refuse a held-out name that no benchmark taking part can have."""
    if _is_named(held_out, names):
        return
    home = home_benchmark(held_out)
    if home in others or (home is None and others):
        return  # the stage that reads all benchmarks will check it
    tests = [entry.name for entries in sequences.values() for entry in entries if entry.subset == "test"]
    if _is_named(held_out, tests):
        raise InputError(
            f"'data.validation_sequences' names '{held_out}', a test sequence: only sequences of the train "
            f"set can be held out (they are {', '.join(names)})."
        )
    if home is not None and home not in sequences:
        raise InputError(
            f"'data.validation_sequences' names '{held_out}', a sequence of {home}: "
            f"add {home} to 'data.benchmarks' or take the name out."
        )
    close = difflib.get_close_matches(held_out, names, n=1, cutoff=0.6)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names) or 'none'}."
    where = home if home in sequences else ", ".join(sequences)
    raise InputError(
        f"'data.validation_sequences' names '{held_out}', which is not in the train set of {where}; {hint}"
    )


def _leak_sentence(trained: str, tracked: str, split: str, trained_length: int, tracked_length: int) -> str:
    if split == "half":
        return (
            f"{trained} ({trained_length} frames) and {tracked} ({tracked_length} frames) are the same film "
            "cut at different frames, so the halves would overlap: take one of the benchmarks out of "
            "'data.benchmarks'."
        )
    if split == SEQUENCE:
        return (
            f"{trained} would train although it is the same film as {tracked}, which is held out: "
            "name both in 'data.validation_sequences'."
        )
    return (
        f"{trained} would train although it is the same film as {tracked}, which is tracked: "
        "take one benchmark out of 'data.benchmarks'."
    )
