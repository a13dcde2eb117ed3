"""Addresses as they may be shown: a password in one belongs neither on a screen nor in a log."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:/{1,3}"
_USER = re.compile(rf"({_SCHEME})[^\s'\"/?#]*@")
_ODD_USER = re.compile(rf"({_SCHEME})[^\s'\"/@:]*:(?!\d{{1,5}}(?:[/?#\s'\"]|$))[^\s'\"]*@")
"""With a `/`, `?` or `#` in the password, which should be written with percent signs."""
_BARE_USER = re.compile(r"(^|[\s'\"/])[^\s'\"/@:]+:[^\s'\"/@]+@")
"""Before a host without a scheme."""
_QUERY = re.compile(rf"({_SCHEME}[^\s'\"?#]*)[?#][^\s'\"]*")
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
"""`$NAME` or `${NAME}`: in its place the environment has what is not to be written down."""


def is_address(text: str) -> bool:
    """Whether a source is somewhere in a network.

    >>> is_address("rtsp://door/1"), is_address("films/door.mp4")
    (True, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def readable(url: str) -> str:
    """The address without user, password, query and fragment.

    >>> readable("https://me:secret@example.org/data?key=secret")
    'https://example.org/data'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return without_secrets(url)
    if not parts.netloc:
        return without_secrets(url)
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    return without_secrets(shown)


def without_secrets(text: str) -> str:
    """Any text, with the addresses in it as `readable` gives them.

    >>> without_secrets("no answer from 's3://key:secret@bucket/a?b=secret' yet")
    "no answer from 's3://bucket/a' yet"
    """
    for pattern in (_USER, _ODD_USER, _BARE_USER, _QUERY):
        text = pattern.sub(r"\1", text)
    return text


def holds_secrets(text: str) -> bool:
    """Whether the text is an address with something in it that is not to be shown, other than names of variables.

    >>> holds_secrets("https://me:secret@example.org"), holds_secrets("https://me:$PASSWORD@example.org/data")
    (True, False)
    """
    text = re.sub(r"\s", "_", text)  # a blank ends an address in a text, but this is one as a whole
    # The value of a variable is not in the text, and a user's name beside one is no secret.
    plain = re.sub(rf"(:/{{1,3}})[^\s:@/?#]*:(?:{VARIABLE.pattern})@", r"\1", text)
    plain = re.sub(rf"([?&])[\w.~-]*=(?:{VARIABLE.pattern})(?=[&#]|$)", r"\1", plain).rstrip("?&")
    plain = re.sub(rf"(:/{{1,3}})(?:{VARIABLE.pattern})@", r"\1", plain)
    return without_secrets(plain) != plain
