"""Fetching from a server that cuts, lies, changes its mind and dies: the archive arrives, or a sentence says why."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import random
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flaky_server import FlakyServer, Request, running
from hypothesis import given
from hypothesis import strategies as st

from clmot.addresses import readable
from clmot.errors import InputError
from clmot.sources import download as module
from clmot.sources import partial_file as module_partial
from clmot.sources.checksums import damaged_ranges
from clmot.sources.download import Unavailable, download
from clmot.sources.partial_file import PartialFile, RemoteFile, joined, without
from clmot.sources.server import Patience

PIECE = 1 << 14
QUICK = Patience(
    piece=PIECE,
    connect_timeout=20,
    read_timeout=20,
    first_attempts=6,
    attempts=5,
    stream_attempts=3,
    first_pause=0.002,
    longest_pause=0.02,
    record_every=0.02,
)
PATH = "/data/MOT20.zip"


def an_archive(seed: int, entries: int = 40, size: int = 8000) -> bytes:
    """A zip of some 300 kB that does not shrink."""
    stream = io.BytesIO()
    generator = random.Random(seed)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for n in range(entries):
            archive.writestr(zipfile.ZipInfo(f"train/x/img1/{n:06d}.jpg"), generator.randbytes(size))
    return stream.getvalue()


ARCHIVE = an_archive(0)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", QUICK)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with running() as state:
        state.put(PATH, ARCHIVE)
        yield state


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "MOT20.zip"


def fetch(server: FlakyServer, target: Path, **options: object) -> None:
    download(server.url + PATH, target, **options)  # type: ignore[arg-type]


def arrives(server: FlakyServer, target: Path, body: bytes = ARCHIVE, **options: object) -> None:
    """The archive comes whole, under its name, with nothing left beside it."""
    fetch(server, target, **options)
    assert target.read_bytes() == body
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def refuses(message: str, server: FlakyServer, target: Path, **options: object) -> str:
    """There is one sentence, and nothing that looks like the archive."""
    with pytest.raises(InputError, match=message) as caught:
        fetch(server, target, **options)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def kept(target: Path) -> int:
    held = PartialFile.load(target)
    return held.received if held else 0


class TestRanges:
    pieces = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)

    @given(pieces, pieces)
    def test_they_are_sets_of_bytes(self, some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
        def numbers(ranges: object) -> set[int]:
            return {n for start, stop in ranges for n in range(start, stop)}  # type: ignore[attr-defined]

        result = without(some, others)
        assert numbers(joined(some)) == numbers(some)
        assert numbers(result) == numbers(some) - numbers(others)
        assert result == joined(result)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(result))


class TestPartialFile:
    def test_what_was_recorded_is_found_again(self, tmp_path: Path) -> None:
        remote = RemoteFile("http://here/x.zip", 100, "tag", "today")
        partial = PartialFile.begin(tmp_path / "x.zip", remote)
        partial.path.write_bytes(bytes(60))
        partial.add(10, 20)
        partial.record()
        partial.add(40, 50)  # never recorded
        found = PartialFile.load(tmp_path / "x.zip")
        assert found is not None
        assert found.remote == remote
        assert found.missing() == ((0, 10), (20, 100))

    def test_bytes_that_the_file_does_not_have_are_missing(self, tmp_path: Path) -> None:
        partial = PartialFile.begin(tmp_path / "x.zip", RemoteFile("u", 100))
        partial.add(0, 100)
        partial.path.write_bytes(bytes(30))
        partial.record()
        found = PartialFile.load(tmp_path / "x.zip")
        assert found is not None
        assert found.missing() == ((30, 100),)

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_keeps_all_but_the_last_bytes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """The note finds room in place of the last bytes, also of those that came while it was written."""
        path = tmp_path / "x.zip"
        partial = PartialFile.begin(path, RemoteFile("u", 300_000))
        partial.path.write_bytes(bytes(250_000))
        partial.add(0, 200_000)
        write_json = module_partial.write_json

        def full(target: Path, value: object) -> None:
            if partial.path.stat().st_size == 250_000:
                partial.add(200_000, 250_000)
                raise OSError(code, os.strerror(code))
            write_json(target, value)

        monkeypatch.setattr(module_partial, "write_json", full)
        partial.record()
        with partial.path.open("r+b") as stream:  # another connection goes on behind what was given up
            stream.seek(250_000)
            stream.write(bytes(50_000))
        partial.add(250_000, 300_000)
        partial.record()
        found = PartialFile.load(path)
        assert found is not None
        assert found.missing() == partial.missing() == ((184_464, 250_000),)

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"complete": 3}', '{"complete": [], "x": 1}'])
    def test_a_broken_sidecar_is_nothing(self, tmp_path: Path, text: str) -> None:
        partial = PartialFile.begin(tmp_path / "x.zip", RemoteFile("u", 100))
        partial.sidecar.write_text(text)
        assert PartialFile.load(tmp_path / "x.zip") is None


class TestWhole:
    def test_several_connections_fetch_every_byte_once(self, server: FlakyServer, target: Path) -> None:
        server.speed = 2e6
        arrives(server, target, size=len(ARCHIVE), sha256=SHA256)
        assert 2 <= server.busiest <= QUICK.connections
        assert server.sent == len(ARCHIVE) + 4  # the first answer shows that it is a zip

    def test_redirects_are_followed(self, server: FlakyServer, target: Path) -> None:
        server.redirects = {PATH: "/elsewhere/a.zip"}
        server.files = {"/elsewhere/a.zip": ARCHIVE}
        arrives(server, target)

    def test_what_is_there_already_needs_no_server(self, server: FlakyServer, target: Path) -> None:
        """The process ended after the last byte and before the check."""
        fetch(server, target)
        server.mute = True
        partial = PartialFile(target, RemoteFile(server.url + PATH, len(ARCHIVE)), [(0, len(ARCHIVE))])
        os.replace(target, partial.path)
        partial.record()
        arrives(server, target, sha256=SHA256)

    def test_it_says_what_it_does_and_no_more(
        self, server: FlakyServer, target: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fetch(server, target)
        out, err = capsys.readouterr()
        assert out == f"fetching {server.url}{PATH} ({len(ARCHIVE) / 1000:.2f} kB)\n"
        assert err == ""


class TestBreaks:
    @pytest.mark.parametrize("seed", range(5))
    def test_random_cuts(self, server: FlakyServer, target: Path, seed: int) -> None:
        generator = random.Random(seed)
        server.cut = lambda request: generator.choice([None, 0, generator.randrange(PIECE)])
        arrives(server, target)
        assert server.sent < 1.2 * len(ARCHIVE), "what had come was asked for again"

    def test_server_errors_pass(self, server: FlakyServer, target: Path) -> None:
        server.status = lambda request: 503 if request.number % 3 == 0 else None
        arrives(server, target)
        assert server.sent == len(ARCHIVE) + 4

    def test_silence_is_a_break(self, server: FlakyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PATIENCE", Patience(**{**vars(QUICK), "read_timeout": 0.2}))

        def asked_again(request: Request) -> bool:
            return [later.range for later in server.requests].count(request.range) > 1

        def body(request: Request, data: bytes) -> bytes:
            deadline = time.monotonic() + 20
            while request.number == 3 and not asked_again(request) and time.monotonic() < deadline:
                time.sleep(0.01)
            return data

        server.corrupt = body
        arrives(server, target)
        assert asked_again(server.requests[3])

    def test_a_trickle_is_a_break(self, server: FlakyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        changes = {"read_timeout": 0.4, "slowest": 1e9}
        monkeypatch.setattr(module, "PATIENCE", Patience(**{**vars(QUICK), **changes}))
        server.speed = 4e3
        # Every connection is too slow, yet each brings some bytes: it ends, and what came is not asked for again.
        small = an_archive(3, entries=2, size=4000)
        server.put(PATH, small)
        arrives(server, target, small)
        starts = [request.range[0] for request in server.requests[1:] if request.range]
        assert len(set(starts)) > 2
        assert starts == sorted(starts)

    def test_dead_for_good_then_alive(self, server: FlakyServer, target: Path) -> None:
        half = len(ARCHIVE) // 2
        server.cut = lambda request: 0 if server.sent > half else None
        sentence = refuses("broke off again and again", server, target)
        held = kept(target)
        assert half / 2 < held < len(ARCHIVE)
        assert f"{held / 1000:.2f} kB of {len(ARCHIVE) / 1000:.2f} kB that came are kept in" in sentence
        assert "run again later to go on from there" in sentence
        before, server.cut = server.settled(), lambda request: None
        arrives(server, target)
        assert server.settled() - before == len(ARCHIVE) - held + 4

    def test_nobody_there_keeps_what_came(self, server: FlakyServer, target: Path) -> None:
        server.cut = lambda request: 0 if server.sent > 100_000 else None
        refuses("broke off", server, target)
        held = kept(target)
        server.mute = True
        assert "that came are kept" in refuses("cannot be reached", server, target)
        assert kept(target) == held

    @pytest.mark.parametrize("hole", [(0, 5), (7, 8), (12, 20), (18, 20)], ids=str)
    @pytest.mark.parametrize("slow", [0, 6, 17])
    def test_pieces_that_nobody_gets(self, server: FlakyServer, target: Path, hole: tuple[int, int], slow: int) -> None:
        """All others come, also one that is still on its way when every other connection has given up."""
        lost = [(n * PIECE, min((n + 1) * PIECE, len(ARCHIVE))) for n in range(*hole)]

        def status(request: Request) -> int | None:
            return 503 if request.number and request.range in lost else None

        def body(request: Request, data: bytes) -> bytes:
            if request.number and request.range and request.range[0] == slow * PIECE:
                time.sleep(0.3)  # a connection has long given up by then
            return data

        server.status, server.corrupt = status, body
        refuses("broke off again and again .it answered 503", server, target)
        held = PartialFile.load(target)
        assert held is not None
        assert held.missing() == joined(lost)
        server.status = lambda request: None
        arrives(server, target)

    def test_gone_on_the_way(self, server: FlakyServer, target: Path) -> None:
        server.status = lambda request: 404 if request.number > 6 else None
        sentence = refuses("answered 404 Not Found: check 'data.source'", server, target)
        assert "that came are kept" in sentence
        assert kept(target) > 0

    def test_interrupted(self, server: FlakyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C, at a moment when half is there, of which a busy machine needs some to see it."""
        server.speed = 1e5
        record = PartialFile.record

        def interrupt(partial: PartialFile) -> None:
            record(partial)
            if len(ARCHIVE) // 2 < partial.received < len(ARCHIVE):
                monkeypatch.setattr(PartialFile, "record", record)
                raise KeyboardInterrupt

        monkeypatch.setattr(PartialFile, "record", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, target)
        held = kept(target)
        assert held >= len(ARCHIVE) // 2
        before, server.speed = server.settled(), None
        arrives(server, target)
        assert server.settled() - before == len(ARCHIVE) - held + 4


class TestServersWithoutRanges:
    def test_one_stream(self, server: FlakyServer, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
        server.ranges = False
        arrives(server, target)
        assert server.sent == len(ARCHIVE), "the first answer is used"
        assert "the server cannot go on after a break" in capsys.readouterr().out

    def test_broken_streams_begin_anew(self, server: FlakyServer, target: Path) -> None:
        server.ranges = False
        server.cut = lambda request: [100_000, 60_000, None][request.number]
        arrives(server, target)

    def test_never_to_the_end(self, server: FlakyServer, target: Path) -> None:
        server.ranges = False
        server.cut = lambda request: 100_000
        refuses("broke off again and again", server, target)
        assert kept(target) == 100_000
        assert len(server.requests) <= 2 * QUICK.stream_attempts
        server.ranges, server.cut, before = True, lambda request: None, server.settled()
        arrives(server, target)  # a server that has learnt it in the meantime
        assert server.settled() - before == len(ARCHIVE) - 100_000 + 4

    def test_they_end_on_the_way(self, server: FlakyServer, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
        def forget(request: Request) -> None:
            server.ranges = request.number < 6

        server.status = forget
        arrives(server, target)
        assert "no longer sends parts" in capsys.readouterr().err

    @pytest.mark.parametrize("size", [None, len(ARCHIVE)])
    def test_no_length(self, server: FlakyServer, target: Path, size: int | None) -> None:
        server.ranges = server.announce_length = False
        server.cut = lambda request: [150_000, None][request.number]
        arrives(server, target, sha256=SHA256, size=size)

    @pytest.mark.parametrize("size", [None, len(ARCHIVE)])
    def test_parts_of_a_file_of_unknown_length(self, server: FlakyServer, target: Path, size: int | None) -> None:
        server.total = lambda size: "*"
        server.cut = lambda request: 100_000 if request.number == 1 else None
        arrives(server, target, sha256=SHA256, size=size)

    def test_the_wrong_part(self, server: FlakyServer, target: Path) -> None:
        server.shift = 1
        arrives(server, target)


class TestLies:
    def test_content_length_too_large(self, server: FlakyServer, target: Path) -> None:
        server.excess = 10
        arrives(server, target)

    def test_content_length_too_large_without_ranges(self, server: FlakyServer, target: Path) -> None:
        server.excess, server.ranges = 10, False
        assert "it broke" in refuses("broke off again and again", server, target).replace("connection", "it")
        assert kept(target) == len(ARCHIVE)

    @pytest.mark.parametrize("pieces", [1, 5, 20])
    @pytest.mark.parametrize("seconds", [0, 0.1])
    def test_file_shorter_than_announced(self, server: FlakyServer, target: Path, pieces: int, seconds: float) -> None:
        def body(request: Request, data: bytes) -> bytes:
            if request.range and request.range[0] > 17 * PIECE:
                time.sleep(seconds)
            return data

        server.total, server.corrupt = lambda size: size + pieces * PIECE, body
        refuses("broke off again and again .it says that there are no bytes from", server, target)
        assert kept(target) == len(ARCHIVE)

    def test_known_to_be_larger(self, server: FlakyServer, target: Path) -> None:
        sentence = refuses(
            f"has {len(ARCHIVE)} bytes, but the known MOT20.zip has 5: take mine",
            server,
            target,
            size=5,
            advice="take mine",
        )
        assert isinstance(sentence, str)
        assert server.sent == 4

    def test_cut_off_on_the_server(self, server: FlakyServer, target: Path) -> None:
        server.put(PATH, ARCHIVE[:-3000])
        refuses("is cut off or no zip archive", server, target)

    def test_error_page(self, server: FlakyServer, target: Path) -> None:
        server.page = lambda request: True
        refuses(r"is not a zip archive \(the server sent text/html\)", server, target)
        assert len(server.requests) == 1

    def test_error_page_on_the_way(self, server: FlakyServer, target: Path) -> None:
        server.page = lambda request: request.number in (3, 5, 6)
        arrives(server, target)

    def test_circle_of_redirects(self, server: FlakyServer, target: Path) -> None:
        server.redirects = {PATH: PATH}
        refuses("redirects in circles", server, target)


class TestDamage:
    @pytest.mark.parametrize("sha256", [None, SHA256])
    def test_a_corrupt_block_is_fetched_again(
        self, server: FlakyServer, target: Path, sha256: str | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def corrupt(request: Request, body: bytes) -> bytes:
            return body[:5000] + bytes(500) + body[5500:] if request.number == 4 else body

        server.corrupt = corrupt
        arrives(server, target, sha256=sha256)
        assert server.sent < 1.2 * len(ARCHIVE)
        assert "came damaged and are fetched again" in capsys.readouterr().err

    def test_a_corrupt_directory(self, server: FlakyServer, target: Path) -> None:
        def corrupt(request: Request, body: bytes) -> bytes:
            last = request.range is not None and request.range[1] == len(ARCHIVE)
            return body[:-900] + bytes(900) if last and request.number < 40 else body

        server.corrupt = corrupt
        arrives(server, target)

    def test_damaged_on_the_server(self, server: FlakyServer, target: Path) -> None:
        """What is sound is not fetched again and again."""
        server.put(PATH, ARCHIVE[:50_000] + bytes(100) + ARCHIVE[50_100:])
        refuses("its checksums are wrong however often", server, target)
        assert server.sent < 1.5 * len(ARCHIVE)
        assert kept(target) > 0.9 * len(ARCHIVE) - 8100 * 2

    def test_sound_but_another(self, server: FlakyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It never has the name, not even for a moment: whoever is killed then would take it for the right one."""
        monkeypatch.setattr(PartialFile, "finish", lambda _: pytest.fail("it got the name"))
        other = an_archive(1)
        assert len(other) == len(ARCHIVE)
        server.put(PATH, other)
        refuses("its SHA-256 is not that of the known MOT20.zip; it is kept in", server, target, sha256=SHA256)
        assert (target.parent / "unverified" / "MOT20.zip").read_bytes() == other
        assert [p.name for p in target.parent.iterdir()] == ["unverified"]

    def test_ranges_of_damage(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        path.write_bytes(ARCHIVE)
        assert damaged_ranges(path) == ()
        path.write_bytes(ARCHIVE[:20_000] + b"x" + ARCHIVE[20_001:])
        (start, stop), directory = damaged_ranges(path)
        assert start <= 20_000 < stop < start + 8200
        assert directory[1] == len(ARCHIVE)


class TestChanges:
    def test_on_the_way(self, server: FlakyServer, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
        def change(request: Request) -> None:
            if request.number == 8:
                server.put(PATH, an_archive(1))

        server.status = change
        arrives(server, target, an_archive(1))
        assert "has changed on the server while it was fetched: starting afresh" in capsys.readouterr().err

    def test_all_the_time(self, server: FlakyServer, target: Path) -> None:
        server.status = lambda request: server.put(PATH, an_archive(request.number))
        refuses("changes on the server all the time", server, target)

    @pytest.mark.parametrize("etags", [True, False])
    def test_between_two_runs(
        self, server: FlakyServer, target: Path, etags: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.etags = etags
        server.cut = lambda request: 0 if server.sent > 100_000 else None
        refuses("broke off", server, target)
        server.cut = lambda request: None
        server.put(PATH, other := an_archive(1, entries=41))
        arrives(server, target, other)
        assert "is no longer the file of which" in capsys.readouterr().err

    def test_a_mirror_goes_on_with_a_known_archive(self, server: FlakyServer, target: Path) -> None:
        server.cut = lambda request: 0 if server.sent > 150_000 else None
        refuses("broke off", server, target, sha256=SHA256)
        held = kept(target)
        with running() as mirror:
            mirror.put(PATH, ARCHIVE)
            mirror.etags = False
            arrives(mirror, target, sha256=SHA256)
            assert mirror.settled() == len(ARCHIVE) - held + 4

    def test_a_mirror_of_an_unknown_archive_begins_afresh(self, server: FlakyServer, target: Path) -> None:
        server.cut = lambda request: 0 if server.sent > 150_000 else None
        refuses("broke off", server, target)
        with running() as mirror:
            mirror.put(PATH, ARCHIVE)
            arrives(mirror, target)
            assert mirror.settled() == len(ARCHIVE) + 4


class TestSpace:
    def test_no_room_is_said_before(self, server: FlakyServer, target: Path) -> None:
        def room(missing: int, size: int) -> None:
            assert (missing, size) == (len(ARCHIVE), len(ARCHIVE))
            raise InputError("the disk is too small.")

        refuses("the disk is too small", server, target, room=room)
        assert server.sent == 4

    def test_no_room_left_on_the_way(self, server: FlakyServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write = module._write

        def full(stream: object, position: int, data: bytes) -> None:
            if server.sent > 200_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(stream, position, data)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "_write", full)
        sentence = refuses(r"no space is left in .*: free some and run again", server, target)
        held = kept(target)
        assert held > 50_000
        assert f"(the {held / 1000:.2f} kB that came are kept)" in sentence
        monkeypatch.undo()
        monkeypatch.setattr(module, "PATIENCE", QUICK)
        before = server.settled()
        arrives(server, target)
        assert server.settled() - before == len(ARCHIVE) - held + 4

    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_disk_that_is_really_full(self, server: FlakyServer, tmp_path: Path, ranges: bool) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk; a write that the system refuses is tested above without one")
        try:
            server.ranges = ranges
            target = disk / "MOT20.zip"
            refuses("no space is left", server, target)
            held = kept(target)
            assert held > 20_000
            subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
            before = server.settled()
            arrives(server, target)
            # On a busy machine the server may still push bytes into connections that were given up.
            assert not ranges or server.settled() - before < len(ARCHIVE) - held + held // 4
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def test_passwords_are_not_shown() -> None:
    assert readable("http://me:secret@host:80/a/b.zip?token=x#y") == "http://host:80/a/b.zip"
    assert "secret" not in readable("http://me:secret@[half/b.zip?token=secret")


def test_unavailable_is_an_input_error() -> None:
    assert issubclass(Unavailable, InputError)
