"""What the system refuses, in one sentence, whichever library was told so; faults of ours keep their traceback."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clmot.errors import InputError, as_refusal, at, run_as_script, sentence
from clmot.files import staged_directory, staged_file, write_json, write_text

ROOT = Path(__file__).parents[2]
FULL = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS")


def said_of(main: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> str:
    """What a stage says that ends so; it leaves with code 2."""
    with pytest.raises(SystemExit) as left:
        run_as_script(main)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def refusing(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("name", [*FULL, "EACCES", "EPERM", "EISDIR", "ENAMETOOLONG", "EMFILE"])
def test_what_the_system_refuses_is_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = getattr(errno, name)
    said = said_of(refusing(OSError(code, os.strerror(code), "metrics/table.md")), capsys)
    assert said.startswith(f"error: metrics/table.md: {os.strerror(code)}: ")
    assert said.endswith(".\n")


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize(
    "text",
    [
        "Error while serializing: I/O error: {} (os error 0)",  # safetensors
        "Caught OSError in DataLoader worker process 0.\nTraceback ...\nOSError: [Errno 0] {}",
        "unable to write to file </torch_4711_0>: {} (0)",  # shared memory
        "[enforce fail at inline_container.cc:747] . open file failed with strerror: {}",
    ],
)
def test_libraries_say_so_in_their_own_exceptions(name: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    reason = os.strerror(getattr(errno, name))
    assert f"{reason}: " in said_of(refusing(RuntimeError(text.format(reason))), capsys)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), RuntimeError("shapes differ"), KeyError(28)]
)
def test_faults_of_ours_keep_their_traceback(error: Exception) -> None:
    assert as_refusal(error) is None
    with pytest.raises(type(error)):
        run_as_script(refusing(error))


@pytest.mark.parametrize(
    ("draft", "asked"),
    [
        ("/usr/.views.jpg.k3_x9.partial", "/usr/views.jpg"),
        ("/usr/.views.jpg.k3_x9.partial/views.jpg", "/usr/views.jpg"),
        ("data/data/gt.txt", "data/data/gt.txt"),
        ("models/.tracker.k2_x9.partial/model.safetensors", "models/tracker/model.safetensors"),
        ("data/.MOT17.a1.partial/.gt.txt.12.partial/gt.txt", "data/MOT17/gt.txt"),
    ],
)
def test_a_draft_is_named_by_what_was_asked_for(draft: str, asked: str) -> None:
    assert sentence(OSError(errno.EACCES, "Permission denied", draft)).startswith(f"{asked}: Permission denied: ")


def test_a_refusal_that_names_no_file_gets_the_one_that_was_to_be_written(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    with pytest.raises(OSError, match="No space left") as caught, staged_file(target):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(target))
    with pytest.raises(OSError, match="quota") as caught, staged_directory(tmp_path / "out"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert caught.value.filename == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    ours = ValueError("ours")
    assert at(ours, target) is ours


def big_text(out: Path) -> None:
    write_text(out, "a" * 50_000)


def big_json(out: Path) -> None:
    write_json(out, list(range(20_000)))


def big_array(out: Path) -> None:
    import numpy as np

    with staged_file(out) as aside, aside.open("wb") as stream:
        np.save(stream, np.zeros(20_000))


def big_tensors(out: Path) -> None:
    import numpy as np
    import safetensors.numpy

    with staged_file(out) as aside:
        safetensors.numpy.save_file({"a": np.zeros(20_000)}, aside)


def big_checkpoint(out: Path) -> None:
    import torch

    from clmot.params import default_params
    from clmot.training.criteria import Criterion
    from clmot.training.kept_weights import KeptWeights
    from clmot.training.resume import Checkpoint, TrainingState

    model = torch.nn.Linear(100, 100)
    kept = KeptWeights(model, default_params().train)
    state = TrainingState(model, Criterion(), torch.optim.SGD(model.parameters()), kept)
    checkpoint = Checkpoint(out.parent)
    out.parent.mkdir()
    checkpoint.path.write_bytes(b"the last good one")
    checkpoint.save(state)
    assert checkpoint.path.read_bytes() == b"the last good one"
    checkpoint.path.unlink()
    raise InputError("training went on.")


WRITERS = [big_text, big_json, big_array, big_tensors, big_checkpoint]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_limit_on_the_size_of_files(writer: Callable[[Path], None], tmp_path: Path) -> None:
    """`ulimit -f`, of a process of its own: as a full disk does, it breaks a file off in the middle."""
    out = tmp_path / "out" / "file"
    program = f"from test_errors import {writer.__name__} as write, run_as_script; from pathlib import Path; "
    program += f"run_as_script(lambda: write(Path({str(out)!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONDONTWRITEBYTECODE": "1"}
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    *warnings, last = done.stderr.splitlines()
    assert (done.returncode, len(warnings)) == (2, writer is big_checkpoint), done.stderr
    if writer is big_checkpoint:
        assert warnings[0].startswith("warning: no checkpoint could be written, training goes on (")
        assert last == "error: training went on."
    else:
        assert last.startswith(f"error: {out}: ")
    assert list(out.parent.iterdir()) == [], "no debris"


@pytest.mark.parametrize("raised", ["OSError(28, 'No space left on device', 'cache')", "KeyError(1)"])
def test_what_fails_before_a_stage_begins(raised: str) -> None:
    program = f"import sys; sys.argv[0] = '-m'; import stages; raise {raised}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    if "KeyError" in raised:
        assert (done.returncode, "Traceback" in done.stderr) == (1, True)
    else:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith("error: cache: No space left on device: ")


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_folders_keep_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with staged_directory(tmp_path / "out") as aside:
            (aside / "below").mkdir()
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("out", "out/below", "file")]
    assert modes == [0o777 & ~umask, 0o777 & ~umask, 0o666 & ~umask]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("in\x1b[2Jnocent", r"in\x1b[2Jnocent"),
        ("two\nlines\r", r"two\nlines\r"),
        ("a\udcffb \u202egpj.exe", r"a\udcffb \u202egpj.exe"),
        ("x" * 5000, "x" * 1997 + "..."),
    ],
)
def test_text_of_strangers_moves_no_cursor(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said_of(refusing(InputError(text)), capsys) == f"error: {shown}\n"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", str(ROOT / "clmot" / "absent.yaml")), True),
        (PermissionError(errno.EACCES, "Permission denied", os.__file__), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), True),
        (FileNotFoundError(errno.ENOENT, "No such file", "data/gt/MOT17/manifest.json"), False),
        (OSError(errno.ENOSPC, "No space left", str(ROOT / "clmot" / "cache")), False),
    ],
    ids=["our file", "Python's file", "no file", "a stage's file", "a full disk"],
)
def test_a_file_of_the_code_that_is_not_there_is_our_fault(
    error: OSError, ours: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error) if ours else SystemExit):
        run_as_script(refusing(error))
    assert ours != capsys.readouterr().err.startswith("error: ")


def test_a_closed_output_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    run_as_script(lambda: print("to no one"))


@pytest.mark.parametrize("name", ["ENOENT", "EACCES"])
def test_a_folder_that_is_gone_is_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: refusing(OSError(getattr(errno, name), "gone"))())
    assert "the folder that this is started in is gone" in said_of(lambda: None, capsys)
