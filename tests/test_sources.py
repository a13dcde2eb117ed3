"""Where archives come from: drawn, found, fetched; and what is said when there is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_archive import sequence_files, write_zip

from clmot.data import sources, synthetic
from clmot.data.sources import archives_dir, fetch_archive
from clmot.errors import InputError


def fetch(source: str, cache: Path, benchmark: str = "MOT15", seed: int = 0, frames: int = 8) -> Path:
    return fetch_archive(source, benchmark, cache, seed, frames)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "zips").mkdir()
    return write_zip(tmp_path / "zips" / "MOT15.zip", sequence_files("train/TUD-Campus", 2))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


class TestFolder:
    def test_used_in_place(self, archive: Path, cache: Path) -> None:
        assert fetch(str(archive.parent), cache) == archive
        assert fetch(archive.parent.as_uri(), cache) == archive
        assert not cache.exists()

    def test_address_with_a_space(self, tmp_path: Path, archive: Path, cache: Path) -> None:
        folder = archive.parent.rename(tmp_path / "my zips")
        assert fetch(folder.as_uri(), cache) == folder / "MOT15.zip"

    def test_relative_to_the_project_even_from_a_copy_of_it(
        self, tmp_path: Path, archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "copy" / "deep"
        copy.mkdir(parents=True)
        monkeypatch.chdir(copy)
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
        assert fetch("../zips", cache) == archive
        assert archives_dir() == tmp_path / "project" / ".archives"

    def test_zip_is_absent(self, archive: Path, cache: Path) -> None:
        with pytest.raises(
            InputError, match=r"MOT20\.zip does not exist \(it has MOT15\.zip\): put the archive there"
        ):
            fetch(str(archive.parent), cache, "MOT20")

    def test_source_is_the_zip_itself(self, archive: Path, cache: Path) -> None:
        with pytest.raises(InputError, match=r"is a file: name the folder that holds MOT15\.zip"):
            fetch(str(archive), cache)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("synthetc", r"did you mean 'synthetic'\?"),
            (
                "no/such/folder",
                "is no folder: .*no/such/folder does not exist; expected 'synthetic', a folder",
            ),
            ("official", "'official' is not offered: expected 'synthetic', a folder, or a file://"),
            ("ftp://example.org/mot", "'ftp://example.org/mot' cannot be used: expected"),
            ("file://elsewhere/zips", "names a host"),
            ("http://", "'http://' is no valid address"),
            ("https://[half/", "is no valid address"),
        ],
    )
    def test_no_source(
        self, source: str, message: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=message):
            fetch(source, cache)
        assert not cache.exists()


class TestSynthetic:
    def test_drawn_once_for_each_request(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: list[tuple[str, int, int]] = []

        def draw(path: Path, benchmark: str, seed: int, frames: int) -> None:
            drawn.append((benchmark, seed, frames))
            write_zip(path, {"a.txt": f"{benchmark} {seed} {frames}".encode()})

        monkeypatch.setattr(synthetic, "write_archive", draw, raising=False)
        first = fetch("synthetic", cache)
        assert fetch("synthetic", cache) == first
        assert drawn == [("MOT15", 0, 8)]
        others = {
            fetch("synthetic", cache, seed=1),
            fetch("synthetic", cache, frames=9),
            fetch("synthetic", cache, "MOT20"),
        }
        assert len(others | {first}) == 4
        assert len(drawn) == 4
        assert all(path.is_file() for path in [first, *others])

    def test_drawn_anew_by_other_code(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "synthetic"
        package.mkdir()
        (package / "drawing.py").write_text("one = 1\n")
        monkeypatch.setattr(synthetic, "__path__", [str(package)])
        monkeypatch.setattr(synthetic, "write_archive", lambda path, *_: write_zip(path, {}), raising=False)
        first = fetch("synthetic", cache)
        (package / "drawing.pyc").write_text("compiled")
        assert fetch("synthetic", cache) == first
        (package / "drawing.py").write_text("one = 2\n")
        second = fetch("synthetic", cache)
        assert second != first
        assert list(cache.iterdir()) == [second]

    def test_half_drawn_archive_is_not_kept(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def draw(path: Path, *_: object) -> None:
            path.write_bytes(b"PK half")
            raise KeyboardInterrupt

        monkeypatch.setattr(synthetic, "write_archive", draw, raising=False)
        with pytest.raises(KeyboardInterrupt):
            fetch("synthetic", cache)
        assert list(cache.iterdir()) == []


@dataclass
class Server:
    """What the server answers, by path, and what it was asked."""

    url: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    """Whole raw answers, so that they can be wrong in any way."""
    requests: list[str] = field(default_factory=list)

    def serve(self, path: str, body: bytes, status: str = "200 OK", length: int | None = None) -> None:
        size = len(body) if length is None else length
        head = [
            f"HTTP/1.1 {status}",
            f"Content-Length: {size}",
            "Content-Type: text/html",
            "Connection: close",
        ]
        self.answers[path] = "\r\n".join([*head, "", ""]).encode() + body


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            self.wfile.write(
                state.answers.get(self.path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            )
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


class TestServer:
    def test_fetched_once(self, server: Server, archive: Path, cache: Path) -> None:
        server.serve("/data/MOT15.zip", archive.read_bytes())
        path = fetch(f"{server.url}/data", cache)
        assert path.read_bytes() == archive.read_bytes()
        assert fetch(f"{server.url}/data/", cache) == path
        assert server.requests == ["/data/MOT15.zip"]
        assert list(cache.iterdir()) == [path]

    def test_addresses_do_not_share_an_archive(self, server: Server, archive: Path, cache: Path) -> None:
        for path in ("/a/MOT15.zip", "/b/MOT15.zip"):
            server.serve(path, archive.read_bytes())
        assert fetch(f"{server.url}/a", cache) != fetch(f"{server.url}/b", cache)

    def refuse(self, message: str, server: Server, cache: Path, source: str | None = None) -> str:
        with pytest.raises(InputError, match=message) as caught:
            fetch(source or f"{server.url}/data", cache)
        assert not list(cache.iterdir())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_absent(self, server: Server, cache: Path) -> None:
        self.refuse(r"/data/MOT15\.zip answered 404 Not Found: check 'data\.source'", server, cache)

    def test_error_page_as_success(self, server: Server, cache: Path) -> None:
        server.serve("/data/MOT15.zip", b"<html>down for repair</html>")
        self.refuse("is not a zip archive \\(the server sent text/html\\)", server, cache)

    def test_broken_off(self, server: Server, archive: Path, cache: Path) -> None:
        body = archive.read_bytes()
        server.serve("/data/MOT15.zip", body[:500], length=len(body))
        self.refuse(r"(broke off after|cannot be reached)", server, cache)

    def test_cut_at_the_source(self, server: Server, archive: Path, cache: Path) -> None:
        server.serve("/data/MOT15.zip", archive.read_bytes()[:500])
        self.refuse(r"is cut off or no zip archive \(500 bytes came\)", server, cache)

    def test_nobody_listens(self, server: Server, cache: Path) -> None:
        self.refuse("cannot be reached", server, cache, "http://127.0.0.1:1/data")

    def test_silence(self, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        monkeypatch.setattr(sources, "_TIMEOUT", (1, 0.1))
        with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts, never answers
            port = mute.getsockname()[1]
            self.refuse("did not answer in time", server, cache, f"http://127.0.0.1:{port}")

    def test_password_stays_unsaid(self, server: Server, cache: Path) -> None:
        source = server.url.replace("http://", "http://me:secret@") + "/data?token=hidden"
        sentence = self.refuse("answered 404", server, cache, source)
        assert "secret" not in sentence
        assert "hidden" not in sentence
        assert server.requests == ["/data/MOT15.zip?token=hidden"]
