"""`clmot`: putting profiles in place without losing anybody's changes."""

from __future__ import annotations

import argparse
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
from clmot.params import load_params

ROOT = Path(__file__).parents[2]
THIS_CODE = {"PYTHONPATH": str(ROOT)}  # in other folders Python would import the installed project, maybe another copy
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the profiles and params.yaml as they are shipped, and the current one."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles" / "mini.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, pattern: str, new: str) -> None:
    """Replace the first match of a regular expression in a file."""
    text, replaced = re.subn(pattern, new, path.read_text(), count=1)
    assert replaced
    path.write_text(text)


def test_profiles_there_are() -> None:
    assert PROFILES == ["mini", "mot17-half", "paper"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_valid(name: str) -> None:
    load_params(ROOT / "profiles" / f"{name}.yaml")


def test_mini_is_the_default() -> None:
    """After tuning params.yaml: `cp params.yaml profiles/mini.yaml`."""
    assert (ROOT / "profiles" / "mini.yaml").read_text() == (ROOT / "params.yaml").read_text()


def test_paper_is_the_original() -> None:
    paper = load_params(ROOT / "profiles" / "paper.yaml")
    assert (paper.model.backbone, paper.model.operator, paper.model.embedding_dim) == ("dla34", "dcn", 512)
    assert paper.model.input_size == (1088, 608)
    assert (paper.loss.temperature, paper.loss.weighting) == (0.5, "frozen")
    assert (paper.train.epochs, paper.train.milestones, paper.train.learning_rate) == (30, (20, 27), 1e-4)
    assert (paper.track.confidence, paper.track.match_threshold) == (0.6, 0.7)


def test_use_puts_a_profile_in_place(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["use", "paper"])
    assert (project / "params.yaml").read_bytes() == (project / "profiles" / "paper.yaml").read_bytes()
    said = capsys.readouterr().out.splitlines()
    mini, paper = (load_params(project / "profiles" / f"{name}.yaml").flat() for name in ("mini", "paper"))
    assert said[0] == "params.yaml is now profile 'paper'."
    assert said[1:] == [f"  {key}: {mini[key]} -> {paper[key]}" for key in mini if mini[key] != paper[key]]
    assert f"  model.backbone: {mini['model.backbone']} -> dla34" in said
    run(["use", "mini"])
    assert (project / "params.yaml").read_bytes() == (project / "profiles" / "mini.yaml").read_bytes()


def test_use_where_there_are_no_params(project: Path) -> None:
    (project / "params.yaml").unlink()
    run(["use", "mini"])
    load_params(project / "params.yaml")


def test_use_keeps_what_somebody_changed(project: Path) -> None:
    change(project / "params.yaml", r"temperature: [\d.]+", "temperature: 0.123")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=r"differs from profile 'mini' in loss\.temperature.*--force"):
        run(["use", "paper"])
    assert (project / "params.yaml").read_bytes() == before
    run(["use", "paper", "--force"])
    assert load_params(project / "params.yaml").model.backbone == "dla34"


def test_use_ignores_how_a_file_is_laid_out(project: Path) -> None:
    """DVC rewrites params.yaml for an experiment; the same values in other spacing are nobody's work."""
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text("\n".join(line.split("  #")[0] for line in text.splitlines()) + "\n")
    run(["use", "mini"])
    assert (project / "params.yaml").read_text() == text


def test_use_with_broken_params(project: Path) -> None:
    change(project / "params.yaml", "temperature:", "temprature:")
    with pytest.raises(InputError, match=r"temprature.*--force"):
        run(["use", "mini"])
    run(["use", "mini", "--force"])
    load_params(project / "params.yaml")


def test_a_broken_profile_replaces_nothing(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    change(project / "profiles" / "paper.yaml", "temperature:", "temprature:")
    with pytest.raises(InputError, match=r"paper\.yaml:\d+: unknown key 'loss\.temprature'"):
        run(["use", "paper"])
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(("name", "words"), [("mnii", "did you mean 'mini'"), ("xyz", "mini, mot17-half, paper")])
def test_no_such_profile(project: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(["use", name])


def test_outside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run clmot from the project's folder"):
        run(["use", "mini"])


def test_params_names_the_differences(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["params"])
    assert capsys.readouterr().out == "params.yaml is valid; it is profile 'mini'.\n"
    change(project / "params.yaml", r"temperature: [\d.]+", "temperature: 0.123")
    run(["params"])
    assert re.search(r"^  loss\.temperature: \S+ -> 0\.123$", capsys.readouterr().out, re.MULTILINE)


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
    done = command("use", "mnii", folder=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_version_and_usage(project: Path) -> None:
    assert command("--version", folder=project).stdout == f"clmot {clmot.__version__}\n"
    assert command(folder=project).returncode == 2


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
    """`clmot params | head -1`: no traceback, whenever Python happens to notice."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "clmot", "params"],
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
        done = clmot_in(project, "params", stdout=full)
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


def test_a_refused_draft_is_named_by_what_was_asked_for() -> None:
    refused = OSError(13, "Permission denied", "/usr/.views.jpg.4711.partial")
    assert cli.refusal(refused).startswith("/usr/views.jpg: Permission denied:")


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
    assert {"clmot show tracks", "clmot params", "clmot submit"} < set(found)
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


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_mlflow_names_the_server_that_has_the_runs(tmp_path: Path) -> None:
    """`mlflow ui` cannot show a server's runs. Here its program tells how it is called."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / ".venv" / "bin" / "mlflow"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "called: $*"\n')
    program.chmod(0o755)

    def said(uri: str | None) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        environment |= {} if uri is None else {"MLFLOW_TRACKING_URI": uri}
        # Whatever the environment is made from is older than it: nothing is installed.
        command = ["make", "-s", "mlflow", "-o", ".venv/.installed"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert said(None) == "called: ui --backend-store-uri sqlite:///mlflow.db"
    assert said("sqlite:////runs/mlflow.db") == "called: ui --backend-store-uri sqlite:////runs/mlflow.db"
    for server in ("http://127.0.0.1:5000", "https://runs.example.org"):
        assert said(server).endswith(f"open {server}")
