"""Fetching an archive from a server that is slow, throttled and often down.

Several connections fetch a piece each, because servers throttle single connections. Whatever arrived is kept
(see `partial`), so that a break, Ctrl-C, a killed process or a full disk costs nothing that was there. The
archive takes its name only after it was found whole: by its size and SHA-256 where they are known, else by
the checksums inside the zip; these also tell which bytes to fetch again when some were damaged on the way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sys
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from clmot.addresses import readable, without_secrets
from clmot.errors import InputError
from clmot.progress import byte_progress
from clmot.sources.checksums import damaged_ranges, file_sha256
from clmot.sources.partial_file import PartialFile, Range, RemoteFile
from clmot.sources.server import (
    BEGINNING,
    Answer,
    Broken,
    Changed,
    Denied,
    NoRanges,
    Patience,
    Server,
)
from clmot.wording import one_line

PATIENCE = Patience()


class Unavailable(InputError):
    """The server answers, but does not have the archive, or not the one that was expected."""


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    advice: str = "check 'data.source'",
    room: Callable[[int, int], None] = lambda missing, size: None,
) -> None:
    """Fetch the zip at `url` to `target`, whole and checked, or not at all; what arrived is kept for the next call.

    Only one process at a time may fetch one target: the caller sees to that.

    Args:
        size: bytes it must have; None: whatever the server says.
        sha256: that it must have (hex); None: the checksums inside the zip decide.
        advice: what the user can do when the server does not have the archive.
        room: called before anything is fetched with the bytes that are still to come and those of the whole
            archive; raises an InputError when the disk is too small.

    Raises:
        Unavailable: the server does not have the archive, or another one.
        InputError: it cannot be reached, breaks off again and again or sends damaged data; the disk is full.
    """
    for _ in range(PATIENCE.fresh_starts):
        try:
            _Download(url, target, size, sha256, advice, room).run()
            return
        except Denied as error:  # noqa: PERF203
            raise Unavailable(f"{readable(url)} {error}: {advice}{_kept(target)}.") from None
        except Changed:
            PartialFile.unknown(target).discard()
            _say(f"{readable(url)} has changed on the server while it was fetched: starting afresh.")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise InputError(
                f"no space is left in {target.parent} for {readable(url)}: free some and run again{_kept(target)}."
            ) from None
    raise InputError(f"{readable(url)} changes on the server all the time: run again later, or {advice}.")


class _Download:
    """One attempt at one version of the file."""

    def __init__(
        self,
        url: str,
        target: Path,
        size: int | None,
        sha256: str | None,
        advice: str,
        room: Callable[[int, int], None],
    ) -> None:
        self.server = Server(url, PATIENCE)
        self.shown = readable(url)
        self.target = target
        self.size = size
        self.sha256 = sha256
        self.advice = advice
        self.room = room

    def run(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        partial = PartialFile.load(self.target)
        if partial is not None and partial.remote.url == self.shown and partial.is_complete():
            damaged = self._damaged(partial)  # all there, but the process ended before it was checked
            if not damaged:
                partial.finish()
                return
            partial.forget(damaged)
        for _ in range(PATIENCE.repairs + 1):
            partial = self._fetch()
            damaged = self._damaged(partial)
            if not damaged:
                partial.finish()
                return
            partial.forget(damaged)
            amount = sum(stop - start for start, stop in damaged)
            _say(f"{self.shown}: {_bytes(amount)} came damaged and are fetched again.")
        raise Denied("is cut off or no zip archive: its checksums are wrong however often it is fetched")

    # --- getting the bytes -------------------------------------------------------------------------------

    def _fetch(self) -> PartialFile:
        """Everything that is missing."""
        answer = self._first_answer()
        with contextlib.ExitStack() as stack:
            stack.callback(answer.close)
            partial = self._begun(answer.remote)
            size = partial.remote.size
            if size is not None:
                self.room(size - partial.received, size)
            self._announce(partial, answer)
            with byte_progress(size, self.target.name, done=partial.received) as bar:
                if answer.ranged and size is not None:
                    answer.close()
                    try:
                        _Pieces(self.server, partial, bar, self._given_up).run()
                        return partial
                    except NoRanges:
                        _say(f"{self.shown}: the server no longer sends parts of the file; one stream is used.")
                        self._one_stream(partial, bar, None)
                else:
                    self._one_stream(partial, bar, answer)
        return partial

    def _first_answer(self) -> Answer:
        """Ask for the first bytes, which tell whether there is such a file and what the server can do."""
        for failures in range(1, PATIENCE.first_attempts + 1):
            try:
                answer = self._asked_for_its_beginning()
                is_zip = answer.starts_a_zip()
                break
            except Broken as error:
                if failures == PATIENCE.first_attempts:
                    raise InputError(
                        f"{self.shown} cannot be reached ({error}): check the network, run again later, "
                        f"or {self.advice}{_kept(self.target)}."
                    ) from None
                seconds = _pause(failures, error)
                _say(f"{self.shown} cannot be reached ({error}): trying again in {seconds:.0f} s.")
                time.sleep(seconds)
        if not is_zip:
            kind = answer.content_type
            answer.close()
            raise Denied(f"is not a zip archive (the server sent {kind})")
        if answer.remote.size is None:
            answer.remote = replace(answer.remote, size=self.size)
        if self.size is not None and self.size != answer.remote.size:
            answer.close()
            raise Denied(f"has {answer.remote.size} bytes, but the known {self.target.name} has {self.size}")
        return answer

    def _asked_for_its_beginning(self) -> Answer:
        try:
            return self.server.ask(0, BEGINNING)
        except NoRanges:
            return self.server.ask(None, None)

    def _begun(self, remote: RemoteFile) -> PartialFile:
        """What an earlier run left of this very file, else an empty one."""
        held = PartialFile.load(self.target)
        if held is None:
            return PartialFile.begin(self.target, remote)
        if held.remote.is_same_as(remote):
            return held
        # Of a file whose checksum is known every server has the same bytes.
        if held.remote.url != remote.url and self.sha256 is not None and held.remote.size == remote.size:
            held.remote = remote
            return held
        if held.received:
            _say(f"{self.shown} is no longer the file of which {_bytes(held.received)} were here: starting afresh.")
        return PartialFile.begin(self.target, remote)

    def _one_stream(self, partial: PartialFile, bar: tqdm, answer: Answer | None) -> None:
        """For servers that send the file only from its beginning, or do not say how long it is."""
        failures, before = 0, -1
        with partial.path.open("r+b", buffering=0) as stream:
            while not partial.is_complete():
                try:
                    answer = answer or self._reopened(partial)
                    with contextlib.closing(answer):
                        self._receive(partial, stream, bar, answer)
                except Broken as error:  # noqa: PERF203
                    failures = 1 if partial.received > before else failures + 1
                    before = partial.received
                    if failures == PATIENCE.stream_attempts:
                        raise self._given_up(partial, str(error)) from None
                    time.sleep(_pause(failures, error))
                finally:
                    answer = None
                    with contextlib.suppress(OSError):  # a full disk keeps what was recorded before
                        partial.record()

    def _reopened(self, partial: PartialFile) -> Answer:
        gaps = partial.missing() if partial.remote.size is not None else ()
        start = gaps[0][0] if gaps else partial.received
        try:
            answer = self.server.ask(start or None, None)
        except NoRanges:
            answer = self.server.ask(None, None)
        answer.require(partial.remote)
        return answer

    def _receive(self, partial: PartialFile, stream: BinaryIO, bar: tqdm, answer: Answer) -> None:
        """Take a stream up to the last byte that is missing."""
        position, recorded = answer.start, time.monotonic()
        for block in answer.blocks():
            before = partial.received
            _write(stream, position, block)
            partial.add(position, position + len(block))
            position += len(block)
            bar.update(partial.received - before)
            if time.monotonic() - recorded > PATIENCE.record_every:
                partial.record()
                recorded = time.monotonic()
            if partial.is_complete():
                return
        if partial.remote.size is not None:
            raise Broken(f"it ended after {position} of {partial.remote.size} bytes")
        # No length was announced: only the content can tell whether this was the end or a break.
        if not zipfile.is_zipfile(partial.path):
            raise Broken(f"it ended after {position} bytes, and a zip does not end there")
        partial.remote = replace(partial.remote, size=position)

    def _announce(self, partial: PartialFile, answer: Answer) -> None:
        size = "unknown size" if partial.remote.size is None else _bytes(partial.remote.size)
        here = f", of which {_bytes(partial.received)} are here already" if partial.received else ""
        how = "" if answer.ranged else "; the server cannot go on after a break"
        print(f"fetching {self.shown} ({size}{here}{how})", flush=True)

    def _given_up(self, partial: PartialFile, reason: str) -> InputError:
        size = partial.remote.size
        of = "" if size is None else f" of {_bytes(size)}"
        return InputError(
            f"{self.shown} broke off again and again ({reason}): the {_bytes(partial.received)}{of} that came are "
            f"kept in {partial.path}; run again later to go on from there, or {self.advice}."
        )

    # --- judging what came -------------------------------------------------------------------------------

    def _damaged(self, partial: PartialFile) -> tuple[Range, ...]:
        """Bytes that are not what the server has; empty: the archive is whole."""
        size = partial.remote.size
        assert size is not None
        if self.sha256 is not None and file_sha256(partial.path) == self.sha256:
            return ()
        damaged = damaged_ranges(partial.path)
        if damaged or self.sha256 is None:
            return damaged
        aside = self.target.parent / "unverified" / self.target.name
        aside.parent.mkdir(exist_ok=True)
        os.replace(partial.path, aside)
        partial.discard()
        raise Denied(
            f"is a sound zip, but its SHA-256 is not that of the known {self.target.name}; it is kept in "
            f"{aside.parent}, which 'data.source' can name to use it all the same"
        )


@dataclass
class _Pieces:
    """The missing pieces, and the connections that fetch them side by side."""

    server: Server
    partial: PartialFile
    bar: tqdm
    given_up: Callable[[PartialFile, str], InputError]
    todo: deque[Range] = field(default_factory=deque)
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    """What ended all connections at once."""
    reason: str = ""
    """Why the first connection that gave up did; the others go on with what they can have."""

    def run(self) -> None:
        size = PATIENCE.piece
        for start, stop in self.partial.missing():
            self.todo += [(at, min(at + size, stop)) for at in range(start, stop, size)]
        threads = [
            # Daemons: Ctrl-C shall not wait for a server that says nothing.
            threading.Thread(target=self._connection, name=f"connection {n}", daemon=True)
            for n in range(min(PATIENCE.connections, len(self.todo)))
        ]
        for thread in threads:
            thread.start()
        recorded, shown = time.monotonic(), self.partial.received
        try:
            while not self.stop.is_set() and (alive := [t for t in threads if t.is_alive()]):
                alive[0].join(0.1)
                received = self.partial.received
                self.bar.update(received - shown)
                shown = received
                if time.monotonic() - recorded > PATIENCE.record_every:
                    self.partial.record()
                    recorded = time.monotonic()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(1)
            with contextlib.suppress(OSError):  # a full disk keeps what was recorded before
                self.partial.record()
        if self.error is not None:
            raise self.error
        if not self.partial.is_complete():  # said only now, when no connection adds to what came
            raise self.given_up(self.partial, self.reason) from None

    def _connection(self) -> None:
        """Fetch piece after piece; one that failed waits until the others had their turn."""
        failures, before = 0, -1
        try:
            with self.partial.path.open("r+b", buffering=0) as stream:
                while not self.stop.is_set():
                    try:
                        start, stop = self.todo.popleft()
                    except IndexError:
                        return
                    try:
                        self._fetch(stream, start, stop)
                        failures = 0
                    except Broken as error:
                        self.todo.extend(self.partial.missing(start, stop))
                        received = self.partial.received
                        failures = 1 if received > before else failures + 1
                        before = received
                        if failures == PATIENCE.attempts:
                            self.reason = self.reason or str(error)
                            return
                        seconds = _pause(failures, error)
                        if failures > 2:
                            _say(f"{self.server.shown}: {error}; trying again in {seconds:.0f} s.")
                        self.stop.wait(seconds)
        except BaseException as error:
            self.error = self.error or error
            self.stop.set()

    def _fetch(self, stream: BinaryIO, start: int, stop: int) -> None:
        with contextlib.closing(self.server.ask(start, stop)) as answer:
            answer.require(self.partial.remote)
            if not answer.ranged:
                raise NoRanges
            for block in answer.blocks():
                wanted = block[: stop - start]
                _write(stream, start, wanted)
                self.partial.add(start, start + len(wanted))
                start += len(wanted)
                if start == stop or self.stop.is_set():
                    return
        raise Broken("it broke off")


def _write(stream: BinaryIO, position: int, data: bytes) -> None:
    """Write all of `data` at `position` of an unbuffered file."""
    stream.seek(position)
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _pause(failures: int, error: Broken) -> float:
    """Seconds to wait: longer after every failure, and never quite as long as the other connections."""
    seconds = PATIENCE.first_pause * 2 ** (failures - 1) * random.uniform(0.5, 1)
    return min(PATIENCE.longest_pause, max(seconds, error.wait))


def _kept(target: Path) -> str:
    held = PartialFile.load(target)
    return f" (the {_bytes(held.received)} that came are kept)" if held and held.received else ""


def _bytes(count: int) -> str:
    """In the unit that people would choose."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


def _say(sentence: str) -> None:
    tqdm.write(f"warning: {one_line(without_secrets(sentence), 1000)}", file=sys.stderr)
