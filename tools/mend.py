"""Remove what a kill has left.

DVC's list of who works on what, `.dvc/tmp/rwlock`, is no JSON if DVC was killed while it wrote: DVC then refuses every
command, without a way out. A list that can be read is DVC's own business. And drafts of outs, such as
`tracks/.MOT17.x2b1.partial`: the next run of the stage removes them, but DVC runs none if its cache has the outs.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from clmot.files import remove_abandoned

RWLOCK = Path(".dvc/tmp/rwlock")
SECONDS = 0.5
"""How long DVC may take to write it, which it does at once."""
PLACES = ("data", "models", "tracks", "metrics")
"""Folders of outs, which are in them or one folder down."""


def is_broken() -> bool:
    """Whether there is a list, and it cannot be read."""
    try:
        json.loads(RWLOCK.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def main() -> None:
    """Mend what is broken, and leave alone what a living process holds."""
    for place in map(Path, PLACES):
        for folder in (place, *(path for path in place.glob("*") if path.is_dir())):
            remove_abandoned(folder)
    if is_broken():  # look twice: another DVC may be writing it
        time.sleep(SECONDS)
        if is_broken():
            with contextlib.suppress(FileNotFoundError):
                RWLOCK.unlink()
            print(f"note: {RWLOCK} was cut off by a kill and is removed; DVC makes another.", file=sys.stderr)


if __name__ == "__main__":
    main()
