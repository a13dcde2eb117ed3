"""Servers whose answers contradict themselves: each ends in a sentence that can be printed, whatever they say."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clmot.errors import InputError
from clmot.sources import download as module
from clmot.sources.download import download
from clmot.sources.fetch import expanded
from clmot.sources.server import LARGEST, Patience, number

PAGE = b"PK\x03\x04" + b"x" * 60
MANY = "9" * 5000
LIES: dict[str, tuple[int, dict[str, str]]] = {
    "a part without saying which": (206, {}),
    "a part of no number": (206, {"Content-Range": "bytes ²-³/¹"}),
    "a part of 5,000 digits": (206, {"Content-Range": f"bytes 0-{MANY}/{MANY}"}),
    "another part than asked for": (206, {"Content-Range": "bytes 7-9/64"}),
    "a size that fills the memory": (206, {"Content-Range": f"bytes 0-3/{10**17}"}),
    "a length of no number": (200, {"Content-Length": "²"}),
    "a length of 5,000 digits": (200, {"Content-Length": MANY}),
    "a length that fills the memory": (200, {"Content-Length": str(LARGEST + 1)}),
    "a pause of no number": (503, {"Retry-After": "²"}),
    "a pause of 5,000 digits": (429, {"Retry-After": MANY}),
    "no such part, of a whole": (416, {"Content-Range": "bytes */²"}),
    "a redirect to nowhere": (302, {"Location": "http://[half/"}),
    "a redirect to a file": (302, {"Location": "file:///etc/passwd"}),
    "a status of its own": (299, {}),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(read_timeout=1, first_attempts=2, attempts=2, stream_attempts=2, first_pause=0.01)
    monkeypatch.setattr(module, "PATIENCE", patience)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


def refused(status: int, headers: dict[str, str], target: Path, reason: str = "So", body: bytes = PAGE) -> str:
    """What is said of a server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(f"HTTP/1.1 {status} {reason}\r\n".encode("latin-1"))
            lines = {"Content-Type": "application/zip", "Connection": "close", **headers}
            self.wfile.write("".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode("latin-1") + b"\r\n" + body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            with pytest.raises(InputError) as caught:
                download(f"http://me:s3cret@127.0.0.1:{server.server_address[1]}/MOT17.zip", target)
        finally:
            server.shutdown()
    return str(caught.value)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_sentence(lie: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(*LIES[lie], tmp_path / "MOT17.zip")
    assert len(said) < 600
    shown = said + "".join(capsys.readouterr())
    assert "s3cret" not in shown
    assert not (tmp_path / "MOT17.zip").exists()


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {"WWW-Authenticate": "Basic"}, "answered 401 So (a password belongs into ~/.netrc or the environment)"),
        (403, {}, "answered 403 So (a password belongs into ~/.netrc"),
        (404, {}, "answered 404 So: check"),
        (200, {"Content-Encoding": "gzip"}, "comes packed on its way (Content-Encoding: gzip)"),
        (206, {"Content-Encoding": "br", "Content-Range": "bytes 0-3/64"}, "(Content-Encoding: br)"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, headers: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert expected in refused(status, headers, tmp_path / "MOT17.zip")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_dead_proxy_is_named(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(InputError, match="the proxy that the environment names"):
        download("http://mirror.invalid/MOT17.zip", tmp_path / "MOT17.zip")


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (404, {}, "\x1b[2J\x07Gone"),
        (200, {"Content-Type": "text/\x1b]0;mine\x07html" + "x" * 5000, "Content-Range": "no"}, "OK"),
        (503, {}, "x" * 3000 + "\x08"),
    ],
)
def test_what_a_server_says_moves_no_cursor(
    status: int, headers: dict[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(status, headers, tmp_path / "MOT17.zip", reason, b"<html>")
    shown = said + "".join(capsys.readouterr())
    assert shown.replace("\n", "").isprintable()
    assert len(said) < 600


@pytest.mark.parametrize("text", ["²", "٣", "-1", "1e3", "0x10", "1_000", "", "9" * 19])
def test_what_is_no_number_of_a_header(text: str) -> None:
    assert number(text) is None
    assert number(" 20 ") == 20


def test_the_environment_has_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOT_PASSWORD", "s3/c@ret")
    assert expanded("https://me:${MOT_PASSWORD}@h/a", "data.source") == "https://me:s3%2Fc%40ret@h/a"
    assert expanded("https://h/a?key=$MOT_PASSWORD", "data.source") == "https://h/a?key=s3%2Fc%40ret"
    monkeypatch.delenv("MOT_PASSWORD")
    with pytest.raises(InputError, match=r"names [$]MOT_PASSWORD, which is not set"):
        expanded("https://me:$MOT_PASSWORD@h/a", "data.source")
