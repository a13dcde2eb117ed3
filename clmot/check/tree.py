"""A folder and a zip, looked into alike."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from clmot.archives.entries import Entry
from clmot.errors import InputError
from clmot.films.find_films import is_video
from clmot.labels.box_set import walk


class Folder:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = sorted(file.relative_to(root).as_posix() for file in walk(root))
        """Of every file, with `/`; hidden ones are left out."""

    def open(self, name: str) -> BinaryIO:
        """A file for reading, at any place of it. Raises an InputError if it cannot be read."""
        try:
            return (self.root / name).open("rb")
        except OSError as error:
            raise InputError(f"{self.root / name} cannot be read ({error.strerror}): check the file.") from None

    def videos(self) -> list[Path]:
        """The files that are called as videos are."""
        return [self.root / name for name in self.names if is_video(name)]

    def where(self, name: str) -> str:
        """How to call a file or folder in messages."""
        return str(self.root / name)


class Zip:
    """The files of an open zip, with what `Folder` has."""

    def __init__(self, root: Path, members: Mapping[str, Entry]) -> None:
        self.root, self.members = root, members
        hidden = {name for name in members if any(p.startswith((".", "__MACOSX")) for p in name.split("/"))}
        self.names = sorted(members.keys() - hidden)

    def open(self, name: str) -> BinaryIO:
        """A file for reading. It is read whole, so that its checksum is looked at."""
        return io.BytesIO(self.members[name].read())

    def where(self, name: str) -> str:
        """How to call a file or folder in messages."""
        return f"{self.root}:{name}"


Tree = Folder | Zip
