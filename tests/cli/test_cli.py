"""`clmot`: its commands as they are typed, and how it ends when something is wrong."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_box_sets import write_set

import clmot
from clmot.cli import main as cli
from clmot.cli.main import run
from clmot.errors import InputError

ROOT = Path(__file__).parents[2]
THIS_CODE = {"PYTHONPATH": str(ROOT)}  # in other folders Python would import the installed project, maybe another copy
DEFAULT = ROOT / "clmot" / "default_params.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the profiles and params.yaml as they are shipped, and the current one."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(DEFAULT, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, pattern: str, new: str) -> None:
    """Replace the first match of a regular expression in a file."""
    text, replaced = re.subn(pattern, new, path.read_text(), count=1)
    assert replaced
    path.write_text(text)


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clmot", *arguments],
        cwd=folder,
        env=os.environ | THIS_CODE,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_mistake_is_one_sentence_and_exit_code_2(project: Path) -> None:
    done = command("profile", "mnii", folder=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_version_and_usage(project: Path) -> None:
    assert command("--version", folder=project).stdout == f"clmot {clmot.__version__}\n"
    assert command(folder=project).returncode == 2


def test_the_help_loads_nothing_that_is_slow(project: Path) -> None:
    program = "import sys; from clmot.cli.main import command_line; command_line(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=os.environ | THIS_CODE,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "clmot.cli.profile" in loaded
    assert loaded.isdisjoint({"torch", "numpy", "pandas", "cv2", "dvc", "mlflow", "timm"})


@pytest.mark.parametrize("module", ["clmot", "clmot.cli.main"])
def test_both_modules_are_the_command(project: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        cwd=project,
        env=os.environ | THIS_CODE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == f"clmot {clmot.__version__}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_is_no_fault(project: Path, unbuffered: str) -> None:
    """`clmot profile | head -1`: no traceback, whenever Python happens to notice."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "clmot", "profile"],
            cwd=project,
            env=os.environ | THIS_CODE | {"PYTHONUNBUFFERED": unbuffered},
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_names_of_files_that_are_no_text_are_printed(project: Path) -> None:
    write_set(project / "set", "jde")
    image = project / "set" / "images" / "part" / "nobody.jpg"
    image.rename(image.with_name(os.fsdecode(b"caf\xe9.jpg")))
    done = clmot_in(project, "check", "set")
    assert done.returncode == 2
    assert b"caf\\udce9.jpg" in done.stdout
    assert done.stderr.count(b"\n") == 1


def test_export_without_a_model_says_where_there_is_one(project: Path) -> None:
    with pytest.raises(InputError, match=r"models/tracker holds no model.*dvc repro"):
        run(["export", "models/tracker", "tracker.pth"])
    assert not (project / "tracker.pth").exists()


def clmot_in(project: Path, *arguments: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    """Run `clmot` as a process of its own, in the project's folder."""
    command = [sys.executable, "-m", "clmot", *arguments]
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120}
    options = defaults | streams
    return subprocess.run(command, cwd=project, env=os.environ | THIS_CODE, **options)  # type: ignore[call-overload]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_at_standard_output_is_one_sentence(project: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = clmot_in(project, "profile", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: standard output: No space left on device:")
    assert done.stderr.count(b"\n") == 1


def test_an_output_below_a_file_is_one_sentence_with_the_name_that_was_given(project: Path) -> None:
    truth = project / "truth" / "A" / "gt" / "gt.txt"
    truth.parent.mkdir(parents=True)
    truth.write_text("1,1,10,10,20,40,1,1,1\n")
    (project / "results").mkdir()
    (project / "results" / "A.txt").write_text("1,1,10,10,20,40,1,-1,-1,-1\n")
    (project / "file").write_text("mine")
    done = clmot_in(project, "evaluate", "results", "truth", "--benchmark", "MOT17", "--json", "file/scores.json")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(b"error: file: File exists:")
    assert b"Traceback" not in done.stderr
    assert (project / "file").read_text() == "mine"


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(cli, "run", fail)
    with pytest.raises(OSError, match="Input/output error"):
        cli.main()


def parsers(parser: argparse.ArgumentParser, name: str = "clmot") -> dict[str, argparse.ArgumentParser]:
    """A parser and those of its subcommands, by what is typed."""
    found = {name: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                found |= parsers(inner, f"{name} {command}")
    return found


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    found = parsers(cli.command_line())
    assert {"clmot show tracks", "clmot profile", "clmot submit"} < set(found)
    for name, parser in found.items():
        with pytest.raises(SystemExit):
            run([*name.split()[1:], "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert parser.description, name
        assert parser.description in said, name
        assert parser.description.endswith("."), name


def test_submit_says_which_file_it_writes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["submit", "--help"])
    assert "(default: MOT17.zip for MOT17)" in " ".join(capsys.readouterr().out.split())


def test_make_mlflow_takes_a_port(tmp_path: Path) -> None:
    """Here the environment's Python tells how it is called."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "called: $*"\n')
    program.chmod(0o755)
    for port in ([], ["PORT=5001"]):
        # Whatever the environment is made from is older than it: nothing is installed.
        command = ["make", "-s", "mlflow", "-o", ".venv/.installed", *port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"called: -m clmot.reporting.mlflow_server {5001 if port else 5000}"


def test_the_help_is_one_screen_with_every_command_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])
    said = capsys.readouterr().out.splitlines()
    assert len(said) <= 50
    assert max(map(len, said)) <= 100
    listed = [line.split()[0] for line in said if re.match(r"  [a-z]+  +\w", line) and "see below" not in line]
    assert sorted(listed) == sorted(name.split()[1] for name in parsers(cli.command_line()) if name.count(" ") == 1)


def test_every_command_has_an_example_that_it_takes() -> None:
    for name, parser in parsers(cli.command_line()).items():
        if name == "clmot":
            continue
        assert (parser.epilog or "").startswith(f"example: {name} "), name
        words = parser.epilog.partition(": ")[2].split()
        assert cli.command_line().parse_args(words[1:]).action


def test_a_project_can_be_named_from_anywhere(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = command("--project", str(project), "profile", folder=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "mini" in done.stdout
    done = command("--project", "nowhere", "profile", folder=elsewhere)
    assert (done.returncode, done.stderr) == (
        2,
        "error: --project nowhere is no folder: name the one with params.yaml.\n",
    )


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(["--completion", shell])
    assert left.value.code == 0
    said = capsys.readouterr().out
    for name in ("ablation", "compare", "show", "tracks", "--dry-run"):
        assert name in said


def test_machines_can_read_checks(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "bad.txt").write_text("1,1,1,1,x,10,1,1,1\n")
    with pytest.raises(InputError, match="cannot be used"):
        run(["check", "bad.txt", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["usable"] is False
    assert found["problems"][0]["where"].endswith("bad.txt:1")


def test_machines_can_read_scores(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{frame},1,10,10,20,40,1,1,1\n" for frame in range(1, 5))
    (project / "truth.txt").write_text(rows)
    run(["evaluate", "truth.txt", "truth.txt", "--benchmark", "MOT17", "--json"])
    assert json.loads(capsys.readouterr().out)["combined"]["IDF1"] == 1


@pytest.mark.parametrize(("where", "told"), [("here", True), ("elsewhere", False)])
def test_a_stage_says_how_to_get_its_results_back(project: Path, where: str, told: bool) -> None:
    """Except in an experiment's copy of the project, where none were lost."""
    root = project if where == "here" else project.parent
    program = (
        "from clmot.errors import InputError, run_as_script\ndef main(): raise InputError('no')\nrun_as_script(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=os.environ | THIS_CODE | {"DVC_STAGE": "train", "DVC_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no\n")
    assert ("git checkout params.yaml && dvc checkout" in done.stderr) == told


def test_make_repro_looks_at_params_before_dvc_does(project: Path) -> None:
    shutil.copy(ROOT / "Makefile", project)
    shutil.copytree(ROOT / "tools", project / "tools")
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").symlink_to(sys.executable)
    dvc = project / ".venv/bin/dvc"
    dvc.write_text("#!/bin/sh\ntouch dvc_ran\n")
    dvc.chmod(0o755)
    change(project / "params.yaml", r"seed: 0", "seed: many")
    done = subprocess.run(
        ["make", "-s", "repro", "-o", ".venv/.installed"],
        cwd=project,
        env=os.environ | THIS_CODE,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "'seed'" in done.stderr
    assert not (project / "dvc_ran").exists()
