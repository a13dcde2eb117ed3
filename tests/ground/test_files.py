"""Outputs are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clmot.errors import InputError, run_as_script
from clmot.files import (
    content_hash,
    dvc_root,
    remove_abandoned,
    require_space,
    staged_directory,
    staged_file,
    write_json,
)
from clmot.inference.recording import RecordedDetections, write_recording
from clmot.motchallenge.annotations import write_results
from clmot.sources.fetch import is_fetched
from clmot.sources.partial_file import PartialFile, RemoteFile
from clmot.synthetic import archive as synthetic_archive

PYTHONPATH = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[2])))


def fill(directory, text):
    (directory / "file.txt").write_text(text)


def test_a_directory_appears_whole(tmp_path):
    target = tmp_path / "deep" / "out"
    with staged_directory(target) as aside:
        fill(aside, "new")
        assert not target.exists()
    assert (target / "file.txt").read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    """But not what a living one writes: the kernel knows, by the lock that each holds on its directory."""
    code = """
import sys, time
from clmot.files import staged_directory
with staged_directory(sys.argv[1]) as aside:
    (aside / "file.txt").write_text("half")
    print("there", flush=True)
    time.sleep(60)
"""
    target = tmp_path / "out"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout.readline() == b"there\n"
        assert len(list(tmp_path.iterdir())) == 2, "the second must not have taken the first for dead"
        processes[0].kill()
        processes[0].wait()
        with staged_directory(target) as aside:
            fill(aside, "new")
        assert (target / "file.txt").read_text() == "new"
        assert len(list(tmp_path.iterdir())) == 2, "the living one's and the result"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def write_folder(target: Path) -> None:
    with staged_directory(target) as aside:
        fill(aside, "whole")


def write_tracks(target: Path) -> None:
    write_results(target, [2], [1], [[0, 0, 9, 9]], [1])


def write_detections(target: Path) -> None:
    frame, boxes, scores = (np.ones(shape, np.float32) for shape in (1, (1, 4), 1))
    write_recording(target, RecordedDetections(frame.astype(np.int32), boxes, scores, None))


def write_small_json(target: Path) -> None:
    write_json(target, {"a": 1})


def draw_archive(target: Path) -> None:
    """An archive without its films: what is drawn into it takes seconds, and its name is all that matters here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_archive, "_write_sequence", lambda *_: None)
        synthetic_archive.write_archive(target, "MOT15", 0, 8)


def fetch_archive(target: Path) -> None:
    """The bookkeeping of a download, whose note takes its place several times."""
    if is_fetched(target):
        return
    partial = PartialFile.load(target) or PartialFile.begin(target, RemoteFile("http://host/a.zip", 8))
    partial.path.write_bytes(b"archive.")
    for start, stop in partial.missing():
        for middle in range(start, stop):
            partial.add(middle, middle + 1)
            partial.record()
    partial.finish()


def killed_at_rename(write: Callable[[Path], None], target: Path, number: int, after: bool) -> None:
    """Write in this process, which dies where a draft takes its name for the number-th time: before that, or after."""
    waiting = iter(range(number))

    def dying(rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(*names: Path) -> None:
            last = next(waiting, None) is None
            if after or not last:
                rename(*names)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

        return renamed

    os.replace, Path.rename = dying(os.replace), dying(Path.rename)
    write(target)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("write", "number"),
    [
        (write_small_json, 0),
        (write_folder, 0),
        (write_tracks, 0),
        (write_detections, 0),
        (draw_archive, 0),
        (fetch_archive, 0),
        (fetch_archive, 7),  # the last note: the next run has nothing to note, and only finishes
        (fetch_archive, 8),  # the archive itself
    ],
    ids=["json", "folder", "tracks", "detections", "drawn", "first note", "last note", "fetched"],
)
def test_a_process_killed_at_the_rename_leaves_nothing_to_the_next(
    write: Callable[[Path], None], number: int, after: bool, tmp_path: Path
) -> None:
    target = tmp_path / "out.zip"
    # Not a fork of this process: its threads may hold locks that no one would ever open in the child.
    program = f"from pathlib import Path; import test_files as t; t.killed_at_rename(t.{write.__name__}, "
    program += f"Path({str(target)!r}), {number}, {after})"
    child = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": PYTHONPATH})
    assert child.returncode == -signal.SIGKILL
    assert target.exists() == (after and (write is not fetch_archive or number == 8))
    write(target)
    assert [p.name for p in tmp_path.iterdir()] == ["out.zip"]


def test_a_draft_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    with staged_file(target) as first:
        first.write_text("first")
        with staged_file(target) as second:
            second.write_text("second")
        remove_abandoned(tmp_path)
        assert target.read_text() == "second"
        assert first.read_text() == "first"
    assert target.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_space_on_one_disk_adds_up(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    require_space([(tmp_path / "not" / "yet", 4_000_000), (tmp_path, 6_000_000)], "this")
    with pytest.raises(InputError, match=r"^this needs 0\.01 GB in .* but its disk has 0\.01 GB left: free some"):
        require_space([(tmp_path / "not" / "yet", 4_000_001), (tmp_path, 6_000_000)], "this")


def test_a_failure_leaves_the_earlier_directory(tmp_path):
    target = tmp_path / "out"
    with staged_directory(target) as aside:
        fill(aside, "old")
    with pytest.raises(KeyboardInterrupt), staged_directory(target) as aside:
        fill(aside, "half")
        raise KeyboardInterrupt
    assert (target / "file.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_a_process_of_the_same_number_left_is_no_obstacle(tmp_path):
    """In a container every run may have the same process number, and one was killed while it replaced the folder."""
    target = tmp_path / "out"
    for directory in (target, tmp_path / f".out.{os.getpid()}.old"):
        directory.mkdir()
        fill(directory, "old")
    with staged_directory(target) as aside:
        fill(aside, "new")
    assert (target / "file.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_interruption_while_it_is_replaced_leaves_the_earlier_directory(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    fill(target, "old")
    rename = Path.rename

    def interrupted(source, destination):
        if destination == target and source.suffix == ".partial":
            raise KeyboardInterrupt
        return rename(source, destination)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), staged_directory(target) as aside:
        fill(aside, "new")
    assert (target / "file.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_directory_is_replaced_not_merged(tmp_path):
    target = tmp_path / "out"
    with staged_directory(target) as aside:
        (aside / "stale.txt").write_text("stale")
    with staged_directory(target) as aside:
        fill(aside, "new")
    assert [p.name for p in target.iterdir()] == ["file.txt"]


def test_a_failure_leaves_the_earlier_file(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), staged_file(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_json_refuses_nan_and_keeps_the_earlier_file(tmp_path):
    target = tmp_path / "out.json"
    write_json(target, {"b": 1, "a": [0.5]})
    assert target.read_text() == '{\n  "b": 1,\n  "a": [\n    0.5\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"a": float("nan")})
    assert '"b": 1' in target.read_text()


def test_content_hash_sees_names_content_and_borders(tmp_path):
    fill(tmp_path, "x")
    one = content_hash(tmp_path)
    (tmp_path / "file.txt").rename(tmp_path / "other.txt")
    assert content_hash(tmp_path) != one
    (tmp_path / "other.txt").rename(tmp_path / "file.txt")
    assert content_hash(tmp_path) == one
    fill(tmp_path, "y")
    assert content_hash(tmp_path) != one
    assert content_hash("ab", "c") != content_hash("a", "bc")


def test_dvc_root_is_where_dvc_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert dvc_root() == tmp_path.resolve()


def test_an_input_error_is_one_sentence_and_exit_code_2(capsys):
    def main():
        raise InputError("gt.txt:3 holds nan, expected a number: mend that line.")

    with pytest.raises(SystemExit) as stopped:
        run_as_script(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: gt.txt:3 holds nan, expected a number: mend that line.\n"


def test_an_interruption_is_no_fault(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run_as_script(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_as_script(main)
