"""A kill in the middle of DVC's own writing does not lock the project for ever, and leaves no drafts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from clmot.files import staged_directory

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("mend", ROOT / "tools" / "mend.py")
assert spec is not None
assert spec.loader is not None
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture
def rwlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool, "SECONDS", 0)
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("left", [b"", b'{"write": {"/a": {"pid": 4', b"\0\0\0\0", b'{"read": \xff'])
def test_what_a_kill_left_is_removed_and_that_is_said(
    left: bytes, rwlock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rwlock.write_bytes(left)
    tool.main()
    assert not rwlock.exists()
    assert capsys.readouterr().err.startswith("note: .dvc/tmp/rwlock was cut off by a kill and is removed")


def test_what_can_be_read_is_dvcs_own(rwlock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool.main()
    rwlock.write_text(json.dumps({"read": {"/a": [{"pid": 1, "cmd": "dvc repro"}]}, "write": {}}))
    before = rwlock.read_bytes()
    tool.main()
    assert rwlock.read_bytes() == before
    assert capsys.readouterr().err == ""


def test_a_list_that_is_being_written_is_let_be(rwlock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rwlock.write_bytes(b"")
    monkeypatch.setattr(tool.time, "sleep", lambda seconds: rwlock.write_text("{}"))
    tool.main()
    assert rwlock.read_text() == "{}"


def test_make_repro_mends_it_first() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nrepro:")[2].partition("\n\n")[0]
    assert recipe.index("tools/mend.py") < recipe.index("dvc repro")


def test_drafts_of_the_dead_are_removed_and_of_the_living_not(rwlock: Path, tmp_path: Path) -> None:
    dead = [tmp_path / name for name in ("tracks/.MOT17.a1.partial", "data/frames/.MOT17.b2.partial")]
    for folder in dead:
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("half")
    kept = tmp_path / "tracks" / "MOT17"
    with staged_directory(kept) as draft:
        tool.main()
        assert draft.is_dir()
    assert kept.is_dir()
    assert not any(folder.exists() for folder in dead)
