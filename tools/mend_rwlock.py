"""Remove DVC's list of who works on what, `.dvc/tmp/rwlock`, where a kill in the middle of its writing left no JSON.

DVC itself then refuses every command, without a way out. A list that can be read is DVC's own business.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

RWLOCK = Path(".dvc/tmp/rwlock")
SECONDS = 0.5
"""How long DVC may take to write it, which it does at once."""


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
    """Look twice: another DVC may be writing it."""
    if is_broken():
        time.sleep(SECONDS)
        if is_broken():
            with contextlib.suppress(FileNotFoundError):
                RWLOCK.unlink()
            print(f"note: {RWLOCK} was cut off by a kill and is removed; DVC makes another.", file=sys.stderr)


if __name__ == "__main__":
    main()
