"""How a user's mistake is told from a fault of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user gave (a file, a parameter, an option) cannot be used.

    The message is one clear sentence for that user: which file (and line), what was expected, what to do.
    `run_as_script` prints it without a traceback and exits with code 2.
    """


def run_as_script(main: Callable[[], None]) -> None:
    """Call `main`, turning an `InputError` into one sentence on stderr and exit code 2.

    Any other exception is a fault of ours and keeps its traceback. Ctrl-C exits with 130, as shells expect.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
