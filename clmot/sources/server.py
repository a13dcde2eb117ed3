"""One file on a server: asking for parts of it, and judging what comes.

Servers ignore ranges, announce wrong lengths, answer with an error page and status 200, or put another file in
the same place. Whatever is not the part that was asked for, of the file that was expected, is one of four
exceptions; what to do about each is the caller's business.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clmot.addresses import readable
from clmot.sources.partial_file import RemoteFile
from clmot.wording import one_line

if TYPE_CHECKING:  # only this source needs a network; the others shall not wait for the import
    import requests

_BLOCK = 1 << 16
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
BEGINNING = len(_ZIP_STARTS[0])
"""Bytes that tell a zip from an error page."""


@dataclass(frozen=True)
class Patience:
    """How a server is treated."""

    connections: int = 4
    """At a time: enough to add up throttled ones, few enough not to be shut out."""
    piece: int = 8 << 20
    """Bytes asked for at once."""
    connect_timeout: float = 20
    """Seconds."""
    read_timeout: float = 60
    """Seconds without a byte after which a connection counts as dead."""
    slowest: float = 256
    """Bytes per second, over `read_timeout`; a slower connection is closed and opened again."""
    first_attempts: int = 5
    """Failures in a row before the server's first answer, after which it is given up."""
    attempts: int = 8
    """Failures of a connection in a row, with no byte from any other, after which it gives up: the server is given
    up once all have."""
    stream_attempts: int = 4
    """The same for a server that can only send the whole file, from its beginning."""
    first_pause: float = 1
    """Seconds before trying again; doubled after every failure."""
    longest_pause: float = 60
    """Seconds."""
    record_every: float = 2
    """Seconds; a killed process loses what came in the last of them."""
    fresh_starts: int = 3
    """How often the file may change on the server while it is fetched."""
    repairs: int = 3
    """How often damaged bytes are fetched again."""


class Broken(Exception):
    """A connection failed in a way that may pass. `wait`: seconds the server asks for."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class Denied(Exception):
    """The server answers, but not with the archive. The message goes on from its address: "answered 404"."""


class Changed(Exception):
    """The server now has another file at the address."""


class NoRanges(Exception):
    """The server does not give the part of the file that was asked for."""


LARGEST = 1 << 44
"""Bytes; an answer that announces more is none of an archive, and a list of its pieces would fill the memory."""


def number(text: str) -> int | None:
    """A whole number as a header writes it; None: it is none, or has more digits than anything that is counted."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip()) else None


class Server:
    """One file on a server. Threads keep a connection each."""

    def __init__(self, url: str, patience: Patience) -> None:
        self.url = url
        self.patience = patience
        self.shown = readable(url)
        self._local = threading.local()

    def ask(self, start: int | None, stop: int | None) -> Answer:
        """Ask for bytes `start` to `stop` (None: the end); start None: for the file as such.

        Raises:
            Broken: no answer, or one that may be another next time.
            NoRanges: there are no such bytes, or the answer does not say which bytes it gives.
            Denied: the server does not have the file, or the address cannot be used.
        """
        import requests
        import urllib3

        # Compression on the way would make lengths mean something else.
        headers = {"Accept-Encoding": "identity"}
        if start is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        try:
            response = self._local.session.get(
                self.url,
                headers=headers,
                stream=True,
                timeout=(self.patience.connect_timeout, self.patience.read_timeout),
            )
        except requests.exceptions.Timeout:
            raise Broken("it did not answer in time") from None
        except requests.exceptions.TooManyRedirects:
            raise Denied("redirects in circles") from None
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise Broken("its encryption failed") from None
            raise Denied("has no valid certificate (check this machine's clock as well)") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise Broken(_reason(error)) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise Denied(f"cannot be used ({type(error).__name__})") from None
        try:
            return self._judged(response, start)
        except BaseException:
            response.close()
            raise

    def _judged(self, response: requests.Response, start: int | None) -> Answer:
        code, reason = response.status_code, one_line(str(response.reason or ""), 60)
        if code in (408, 425, 429) or code >= 500:
            wait = number(response.headers.get("Retry-After", "")) or 0
            raise Broken(f"it answered {code} {reason}", wait)
        if code == 416 and start == 0:
            raise NoRanges
        if code == 416 and start is not None:
            raise Broken(f"it says that there are no bytes from {start} on")
        if code not in (200, 206):
            password = " (a password belongs into ~/.netrc or the environment)" if code in (401, 403, 407) else ""
            raise Denied(f"answered {code} {reason}{password}")
        coded = response.headers.get("Content-Encoding", "").strip().lower()
        if coded not in ("", "identity"):
            raise Denied(f"comes packed on its way (Content-Encoding: {one_line(coded, 60)}), against what was asked")
        if code == 200:
            remote = self._remote(response, number(response.headers.get("Content-Length", "")))
            return Answer(response, remote, 0, False, self.patience)
        given = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", "").strip()
        )
        if given is None or int(given[1]) != (start or 0):
            if start is None:
                raise Denied("answered 206 and a part that was not asked for")
            raise NoRanges
        remote = self._remote(response, number(given[2]))
        return Answer(response, remote, int(given[1]), start is not None, self.patience)

    def _remote(self, response: requests.Response, size: int | None) -> RemoteFile:
        if size is not None and size > LARGEST:
            raise Denied(f"announces {size} bytes, which no archive has")
        etag = response.headers.get("ETag", "").removeprefix("W/")
        return RemoteFile(self.shown, size, etag, response.headers.get("Last-Modified", ""))


@dataclass
class Answer:
    """An answer whose body has not been read yet."""

    response: requests.Response
    remote: RemoteFile
    start: int
    """Place in the file of the body's first byte."""
    ranged: bool
    """Whether it is a part that was asked for, rather than the whole file."""
    patience: Patience
    _read: bytes = b""

    @property
    def content_type(self) -> str:
        return one_line(str(self.response.headers.get("Content-Type", "something of unknown type")), 60)

    def require(self, expected: RemoteFile) -> None:
        """Refuse an answer about another file than the one that is being fetched."""
        if self.remote.is_same_as(expected):
            return
        # A page that says the site is down is not a new version of the archive.
        if not self.ranged and not self.starts_a_zip():
            raise Broken(f"it sent {self.content_type} instead of the archive")
        raise Changed

    def starts_a_zip(self) -> bool:
        """Whether the body, which must be the beginning of the file, begins like a zip."""
        while len(self._read) < BEGINNING:
            block = self._more()
            if not block and (self.remote.size is None or self.remote.size > len(self._read)):
                raise Broken("it broke off")
            if not block:
                break
            self._read += block
        return self._read.startswith(_ZIP_STARTS)

    def blocks(self) -> Iterator[bytes]:
        """The body as it arrives. Raises Broken when it does not."""
        if self._read:
            yield self._read
        began, received = time.monotonic(), 0
        while block := self._more():
            yield block
            received += len(block)
            seconds = time.monotonic() - began
            if seconds > self.patience.read_timeout:
                if received < self.patience.slowest * seconds:
                    raise Broken(f"it sent {received} bytes in {seconds:.0f} s")
                began, received = time.monotonic(), 0

    def _more(self) -> bytes:
        import urllib3

        try:
            # read1 gives what has arrived; decode_content=False: the file's own bytes, whatever the header says.
            return self.response.raw.read1(_BLOCK, decode_content=False) or b""
        except urllib3.exceptions.TimeoutError:
            raise Broken("it fell silent") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Broken(_reason(error)) from None

    def close(self) -> None:
        self.response.close()


def _reason(error: BaseException) -> str:
    """What went wrong in words for people: the innermost cause without addresses of objects."""
    if type(error).__name__ == "ProxyError":
        return "the proxy that the environment names, http_proxy or https_proxy, does not let it"
    text = str(error)
    for sign, words in (
        ("Name or service not known", "its name is not known"),
        ("NameResolutionError", "its name is not known"),
        ("Connection refused", "no server is listening there"),
        ("timed out", "it did not answer in time"),
    ):
        if sign in text:
            return words
    return "the connection broke"
