"""A file server on this machine that misbehaves on request, and counts what it sends."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<html>down for repair</html>"


@dataclass
class Request:
    """One request as the server got it."""

    number: int
    """From 0."""
    path: str
    range: tuple[int, int | None] | None
    """First byte and the one after the last (None: the end) of the part that was asked for."""


@dataclass
class FlakyServer:
    """Serves `files`; the other fields are its faults, which may be changed while it runs."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """By path, `/data/MOT15.zip`."""
    ranges: bool = True
    """False: it ignores what part was asked for."""
    etags: bool = True
    announce_length: bool = True
    """False: the end of the file is the end of the connection."""
    speed: float | None = None
    """Bytes per second of one connection."""
    cut: Callable[[Request], int | None] = lambda request: None
    """Bytes of the body after which a connection is cut; None: it is not."""
    status: Callable[[Request], int | None] = lambda request: None
    """Another status than 200 or 206; None: no."""
    page: Callable[[Request], bool] = lambda request: False
    """Whether an HTML page comes instead of the file, with status 200."""
    corrupt: Callable[[Request, bytes], bytes] = lambda request, body: body
    """What is sent instead of a body (of the same length)."""
    total: Callable[[int], int | str] = lambda size: size
    """The size of the file as it is announced in Content-Range, which may be `*`."""
    shift: int = 0
    """By so many bytes the part that comes, and is announced, lies behind the one that was asked for."""
    excess: int = 0
    """Bytes by which Content-Length is too large."""
    redirects: dict[str, str] = field(default_factory=dict)
    mute: bool = False
    """True: connections are accepted and dropped without an answer."""

    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    """Bytes of bodies."""
    busiest: int = 0
    """Most connections at once that were sending a body."""
    _sending: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def put(self, path: str, body: bytes) -> None:
        self.files[path] = body

    def settled(self) -> int:
        """Bytes of bodies that were sent, once no one listens any more."""
        deadline = time.monotonic() + 10
        while self._sending and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.sent

    def asked(self, name: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    state: FlakyServer

    def setup(self) -> None:
        super().setup()
        # What lies in buffers counts as sent although no one may read it: keep it small.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 13)

    def do_GET(self) -> None:
        state = self.state
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        part = (int(asked[1]), int(asked[2]) + 1 if asked[2] else None) if asked else None
        with state._guard:
            request = Request(len(state.requests), self.path, part)
            state.requests.append(request)
        if state.mute:
            self.close_connection = True
            return
        if self.path in state.redirects:
            self._head(302, 0, {"Location": state.redirects[self.path]})
            return
        status = state.status(request)
        body = state.files.get(self.path)
        if status is not None or body is None:
            self._head(status or 404, 0, {"Retry-After": "0"})
            return
        if state.page(request):
            self._head(200, len(HTML), {"Content-Type": "text/html"})
            self._send(request, HTML)
            return
        headers = {"Content-Type": "application/zip", "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        if state.etags:
            headers["ETag"] = f'"{hashlib.md5(body).hexdigest()}"'
        if part is None or not state.ranges:
            self._head(200, len(body), headers)
            self._send(request, body)
            return
        start, stop = part[0] + state.shift, min(part[1] or len(body), len(body))
        total = state.total(len(body))
        if part[0] >= len(body):
            self._head(416, 0, {"Content-Range": f"bytes */{total}"})
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self._head(206, stop - start, headers)
        self._send(request, body[start:stop])

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.state.announce_length or not length:
            self.send_header("Content-Length", str(length + (self.state.excess if length else 0)))
        else:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, request: Request, body: bytes) -> None:
        state = self.state
        end = state.cut(request)
        body = state.corrupt(request, body)
        allowed = body if end is None else body[:end]
        step = len(allowed) if state.speed is None else max(1, int(state.speed * 0.01))
        with state._guard:
            state._sending += 1
            state.busiest = max(state.busiest, state._sending)
        try:
            for at in range(0, len(allowed), step or 1):
                block = allowed[at : at + step]
                with state._guard:
                    state.sent += len(block)
                self.wfile.write(block)
                if state.speed is not None:
                    time.sleep(len(block) / state.speed)
        except OSError:
            self.close_connection = True
        finally:
            with state._guard:
                state._sending -= 1
        if len(allowed) < len(body) or state.excess:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def running() -> Iterator[FlakyServer]:
    """A server on a free port of this machine."""
    state = FlakyServer()
    handler = type("Handler", (_Handler,), {"state": state})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
