"""Outputs are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clmot.errors import InputError, run_as_script
from clmot.files import content_hash, dvc_root, require_space, staged_directory, staged_file, write_json


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
