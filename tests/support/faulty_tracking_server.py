"""Tracking servers on this machine that do everything but track."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator

Fault = Callable[[socket.socket], None]
"""What is done with a connection whose request has been read."""


def answer(status: str, body: bytes = b"", **headers: str) -> Fault:
    """One answer, the same to everything."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda connection: connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def slowly(connection: socket.socket) -> None:
    """A byte a second of an answer that is announced long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        time.sleep(0.5)
        connection.sendall(b" ")


def slow_head(connection: socket.socket) -> None:
    """A head whose lines come one by one, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Wait: a little\r\n")
        time.sleep(0.5)


def endlessly(connection: socket.socket) -> None:
    """As many bytes as someone takes."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[")
    while True:
        connection.sendall(b"1, " * 20_000)


def silently(connection: socket.socket) -> None:
    """No answer at all."""
    while connection.recv(1 << 16):
        pass


def reset(connection: socket.socket) -> None:
    """The connection is torn."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


FAULTS: dict[str, Fault] = {
    "busy": answer("503 Service Unavailable", Retry_After="3600"),
    "too many requests": answer("429 Too Many Requests", Retry_After="3600"),
    "a byte a second": slowly,
    "a head without an end": slow_head,
    "a body without an end": endlessly,
    "no answer": silently,
    "reset": reset,
    "closed": lambda connection: connection.close(),
    "a web page": answer("200 OK", b"<html>\x1b[2Jsign in</html>", Content_Type="text/html"),
    "redirects in circles": answer("302 Found", Location="/api/again"),
    "no permission": answer("401 Unauthorized", b"who are you?", WWW_Authenticate="Basic"),
    "a fault of its own": answer("500 Internal Server Error", b'{"error_code": "INTERNAL_ERROR"}'),
    "JSON of something else": answer("200 OK", b"[1, 2]", Content_Type="application/json"),
    "no HTTP": lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"),
}
WAITING = ("a byte a second", "a head without an end", "no answer")
"""Those that would keep a client for ever, and a quick one no less than a slow one."""


@contextlib.contextmanager
def running(fault: Fault) -> Iterator[str]:
    """A server with one fault on a free port of this machine; its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head and (block := self.request.recv(1 << 16)):
                    head += block
                fault(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
