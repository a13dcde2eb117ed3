"""How a user's mistake, and the world's faults, are told from a fault of ours."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from clmot.addresses import without_secrets
from clmot.wording import one_line

_ROOM = "free some space there and run again; what was finished before is kept."
_PLACE = "name a place that exists, has room and may be written to."
_OF_A_PLACE = ("EACCES", "EPERM", "EEXIST", "ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP")
REFUSALS = {
    "ENOSPC": f"the disk, or its table of files (`df -i`), is full: {_ROOM}",
    "EDQUOT": f"your quota on that disk is used up: {_ROOM}",
    "EFBIG": "files may not become that large here: raise the limit (`ulimit -f`), or use another disk.",
    "EROFS": f"that disk cannot be written to: {_PLACE}",
    "EMFILE": "this process may open no more files: raise the limit (`ulimit -n`).",
    "ENFILE": "this machine has no more files to open: close other programs, or raise its limit.",
    **dict.fromkeys(_OF_A_PLACE, _PLACE),
}
"""What systems will not do, and what to do about it. By name: not every system has every number."""
_FULL = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS")
"""Those that libraries report in exceptions of their own."""
GOING_BACK = (
    "DVC has removed what this stage made before; `git checkout params.yaml && dvc checkout` brings the last committed "
    "params and their results back."
)
"""Told in a stage that DVC runs where the project is. In an experiment's copy of it nothing is lost."""
LONGEST = 2000
"""Characters of a sentence; more of it is some stranger's text."""


class InputError(Exception):
    """Something the user gave (a file, a parameter, an option) cannot be used.

    The message is one clear sentence for that user: which file (and line), what was expected, what to do.
    `run_as_script` prints it without a traceback and exits with code 2.
    """


def run_as_script(main: Callable[[], None]) -> None:
    """Call `main`, turning what is not our fault into one sentence on stderr and exit code 2: an `InputError`, and what
    the system refuses, such as to write to a full disk.

    Any other exception is a fault of ours and keeps its traceback, as does a file of the code that is missing. Ctrl-C
    exits with 130, as shells expect, and a reader of the output who has seen enough (`| head`) with 141.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be bytes that are no text
    try:
        _refuse_no_place()
        main()
        if sys.stdout is not None:  # a shell may have closed it
            sys.stdout.flush()  # what standard output refuses shows here, not when Python has left
    except InputError as error:
        _leave(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        _let_go_of_stdout()
        raise SystemExit(141) from None
    except Exception as error:
        refused = as_refusal(error)
        if refused is None or _is_our_fault(refused):
            raise
        _let_go_of_stdout()
        _leave(sentence(refused))


def _refuse_no_place() -> None:
    """Whoever is started in a folder that was removed since can name no path."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the folder that this is started in is gone or may not be looked at ({error.strerror}): `cd` to another."
        ) from None


def explain_refusals(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A `sys.excepthook` for what happens before `run_as_script`: libraries look for a place for temporary files."""
    refused = as_refusal(error)
    if refused is None or _is_our_fault(refused) or not isinstance(error, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    print(f"error: {one_line(sentence(refused), LONGEST)}", file=sys.stderr, flush=True)
    os._exit(2)  # a hook cannot choose the code otherwise, and nothing has begun


def as_refusal(error: BaseException) -> OSError | None:
    """`error` as the system's refusal; None: it is something else.

    Torch, safetensors, NumPy and the processes that read data say so in exceptions that have no error number.
    """
    if isinstance(error, OSError) and errno.errorcode.get(error.errno or 0) in REFUSALS:
        return error
    text = str(error)
    for name in _FULL:
        code = getattr(errno, name, None)
        if code is not None and os.strerror(code) in text:
            return OSError(code, os.strerror(code))
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):  # NumPy keeps the reason
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


def _is_our_fault(refused: OSError) -> bool:
    """Whether a place is refused that no user and no stage named: one among the code's own files, or none at all. Its
    traceback is what we need to see."""
    if errno.errorcode.get(refused.errno or 0) not in _OF_A_PLACE:
        return False
    if refused.filename is None or isinstance(refused.filename, int):
        return "temporary" not in str(refused.strerror)
    path = os.path.abspath(os.fsdecode(refused.filename))
    own = (os.path.dirname(os.path.abspath(__file__)), sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))
    return any(path.startswith(os.path.join(folder, "")) for folder in own)


def at(error: BaseException, target: str | os.PathLike[str]) -> BaseException:
    """`error`, or the refusal that it is, naming the file that was to be written where it names none."""
    refused = as_refusal(error)
    if refused is None:
        return error
    if refused.filename is None:
        refused.filename = os.fspath(target)
    return refused


def sentence(refused: OSError) -> str:
    """What the system would not do, in one sentence for the user who named the path or whose disk is full."""
    asked, draft_of = [], ""
    unnamed = "temporary files" if "temporary" in str(refused.strerror) else "standard output"
    for part in Path(os.fsdecode(refused.filename or unnamed)).parts:
        drafted = re.fullmatch(r"\.(.+)\.[^.]+\.partial", part)  # in such a folder, beside what was asked for
        if drafted is not None or part != draft_of:
            asked.append(drafted[1] if drafted else part)
        draft_of = drafted[1] if drafted else ""
    advice = REFUSALS.get(errno.errorcode.get(refused.errno or 0, ""), _PLACE)
    return f"{Path(*asked)}: {refused.strerror or refused}: {advice}"


def _leave(message: str) -> None:
    print(f"error: {one_line(without_secrets(message), LONGEST)}", file=sys.stderr)
    if os.environ.get("DVC_STAGE") and os.environ.get("DVC_ROOT") == os.getcwd():
        print(f"note: {GOING_BACK}", file=sys.stderr)
    raise SystemExit(2) from None


def _let_go_of_stdout() -> None:
    """What stdout still holds would be refused again when Python leaves, with an exit code of its own."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # there is none, or it is no file
        return
