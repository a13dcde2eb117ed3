"""A file that arrives in pieces: in any order, from several connections, over several runs of the program.

Beside `MOT20.zip` there are `MOT20.zip.partial`, full of holes, and `MOT20.zip.partial.json`, which says what
the server called the file and which bytes of it are on the disk. The json is replaced as a whole, and only
after the bytes it speaks of are safe; so whatever happens it never promises too much.
"""

from __future__ import annotations

import dataclasses
import errno
import glob
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clmot.files import remove_abandoned, write_json

Range = tuple[int, int]
"""Bytes `start` to `stop`, without `stop`."""

_ROOM_FOR_SIDECAR = 1 << 16
"""Bytes."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as a server describes it."""

    url: str
    """Without password and query, for people to read."""
    size: int | None
    """Bytes; None where the server does not say."""
    etag: str = ""
    """The server's name of this version of the file; empty: it gives none."""
    last_modified: str = ""
    """As the server writes it; empty: it does not."""

    def is_same_as(self, other: RemoteFile) -> bool:
        """Whether both descriptions mean the same bytes, as far as the server tells."""
        if None in (self.size, other.size):
            return dataclasses.replace(self, size=other.size) == other
        return self == other


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same bytes as sorted ranges that neither touch nor overlap.

    >>> joined([(5, 9), (0, 3), (3, 5), (20, 21)])
    ((0, 9), (20, 21))
    """
    result: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return tuple(result)


def without(ranges: Iterable[Range], removed: Iterable[Range]) -> tuple[Range, ...]:
    """What is left of `ranges` after taking away `removed`.

    >>> without([(0, 10)], [(2, 4), (8, 20)])
    ((0, 2), (4, 8))
    """
    left = list(joined(ranges))
    for start, stop in joined(removed):
        left = [part for first, last in left for part in ((first, min(last, start)), (max(first, stop), last))]
        left = [(first, last) for first, last in left if first < last]
    return tuple(left)


class PartialFile:
    """What there is of `target`. `add`, `received` and `missing` may be called by several threads."""

    def __init__(self, target: Path, remote: RemoteFile, complete: Iterable[Range] = ()) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.partial")
        self.sidecar = target.with_name(f"{target.name}.partial.json")
        self.remote = remote
        self._complete = joined(complete)
        self._guard = threading.Lock()

    @classmethod
    def begin(cls, target: Path, remote: RemoteFile) -> PartialFile:
        """An empty one; what there was is forgotten."""
        partial = cls(target, remote)
        partial.discard()
        partial.path.write_bytes(b"")
        return partial

    @classmethod
    def unknown(cls, target: Path) -> PartialFile:
        """Of a file of which no server has told anything yet."""
        return cls(target, RemoteFile("", None))

    @classmethod
    def load(cls, target: Path) -> PartialFile | None:
        """What an earlier run left; None: nothing that can be used."""
        partial = cls.unknown(target)
        try:
            content = json.loads(partial.sidecar.read_bytes())
            complete = [(int(start), int(stop)) for start, stop in content.pop("complete")]
            remote = RemoteFile(**content)
            length = partial.path.stat().st_size
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        # Ranges beyond the end of the file belong to another version of it.
        return cls(target, remote, without(complete, [(length, max(length, *(b for _, b in complete), 0))]))

    @property
    def received(self) -> int:
        """Bytes that are there."""
        return sum(stop - start for start, stop in self._complete)

    def missing(self, start: int = 0, stop: int | None = None) -> tuple[Range, ...]:
        """What is absent between `start` and `stop` (None: the end of the file, whose size must be known)."""
        stop = self.remote.size if stop is None else stop
        if stop is None:
            raise ValueError("the size of the file is not known")
        return without([(start, stop)], self._complete)

    def is_complete(self) -> bool:
        """Whether every byte is there."""
        return self.remote.size is not None and not self.missing()

    def add(self, start: int, stop: int) -> None:
        """These bytes have been written."""
        with self._guard:
            self._complete = joined((*self._complete, (start, stop)))

    def forget(self, ranges: Iterable[Range]) -> None:
        """These bytes turned out to be wrong."""
        with self._guard:
            self._complete = without(self._complete, ranges)
        self.record()

    def record(self) -> None:
        """Write down what is there, so that it outlives this process and a fall of the machine."""
        with self._guard:
            complete = self._complete
        with self.path.open("r+b") as stream:
            os.fsync(stream.fileno())
        try:
            self._write_sidecar(complete)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not complete:
                raise
            # The last bytes make room for the note that saves all the others.
            with self._guard:
                stop = self._complete[-1][1]
                start = max(0, stop - _ROOM_FOR_SIDECAR)
                os.truncate(self.path, start)
                self._complete = without(self._complete, [(start, stop)])
            self._write_sidecar(self._complete)

    def _write_sidecar(self, complete: Iterable[Range]) -> None:
        write_json(self.sidecar, dataclasses.asdict(self.remote) | {"complete": [list(r) for r in complete]})

    def finish(self) -> None:
        """The file is whole: it takes its name."""
        if self.remote.size is not None:
            os.truncate(self.path, self.remote.size)
        os.replace(self.path, self.target)
        self.discard()

    def discard(self) -> None:
        """Remove what there is, except `target`, and what killed processes left beside it."""
        self.sidecar.unlink(missing_ok=True)  # first: it must not describe other bytes
        self.path.unlink(missing_ok=True)
        remove_abandoned(self.target.parent, glob.escape(self.sidecar.name))
