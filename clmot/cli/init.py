"""`clmot init`: a project of one's own, where the package is installed and not its repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import clmot
from clmot.errors import InputError
from clmot.files import staged_directory
from clmot.params import DEFAULT_FILE

PACKAGED, REPOSITORY = Path(clmot.__file__).parent / "project", Path(clmot.__file__).parents[1]
"""Where the pipeline's files are: in a wheel, and in a clone of the repository."""
FILES = ("dvc.yaml", "stages", "profiles", "weights", "detections", ".dvcignore", ".gitignore")
DVC_FILES = ("config", "plots.html")
"""Of DVC, in its folder."""
OWN = ("__pycache__", "*.pth", "*.pt", "*.bin", "*.safetensors", "*.txt", "*.npz")
"""What is in these folders of a repository that is used: weights and boxes of its own."""
VERSION_FILE = "clmot.version"
MAKEFILE = """\
# Needs the environment in which clmot is installed: activate it first.
repro: ## run the pipeline as far as it is out of date, then show the table
\tclmot profile >/dev/null
\tdvc repro
\t@cat metrics/table.md

.PHONY: repro
"""


def add_command(commands: Any) -> None:
    """Add `init` to the subcommands (argparse's) of `clmot`."""
    parser = commands.add_parser(
        "init",
        help="lay the pipeline into a new folder: a project of your own",
        description="Lay the pipeline into a new folder: dvc.yaml, params.yaml, stages, profiles and a Makefile, with "
        "Git and DVC initialised.",
        epilog="example: clmot init my_project",
    )
    parser.add_argument("folder", type=Path, help="that does not exist yet, or is empty")
    parser.set_defaults(action=lambda given: init_project(given.folder))


def init_project(folder: Path) -> None:
    """Make a project, whole or not at all.

    Raises:
        InputError: the folder has something in it, or git or dvc refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} has something in it already: name a new folder.")
    source = PACKAGED if PACKAGED.is_dir() else REPOSITORY
    with staged_directory(folder) as draft:
        for name in FILES:
            if (source / name).is_dir():
                shutil.copytree(source / name, draft / name, ignore=shutil.ignore_patterns(*OWN))
            else:
                shutil.copy(source / name, draft / name)
        shutil.copy(DEFAULT_FILE, draft / "params.yaml")
        pipeline = draft / "dvc.yaml"
        pipeline.write_text(with_package(pipeline.read_text(encoding="utf-8")), encoding="utf-8")
        (draft / VERSION_FILE).write_text(f"{clmot.__version__}\n", encoding="utf-8")
        (draft / "Makefile").write_text(MAKEFILE, encoding="utf-8")
        _call(["git", "init", "--quiet"], draft)
        _call([sys.executable, "-m", "dvc", "init", "--quiet"], draft)
        for name in DVC_FILES:
            shutil.copy(source / name if source == PACKAGED else source / ".dvc" / name, draft / ".dvc" / name)
        _call(["git", "add", "."], draft)
    print(f"{folder} is a project now: `cd {folder}`, `git commit -m begin`, `make repro`.")


def with_package(pipeline: str) -> str:
    """A dvc.yaml whose stages depend on the installed package's version, where the repository's depend on its code."""
    lines, told = [], False
    for line in pipeline.splitlines():
        if line.strip() == "deps:":
            told = False
        if not line.strip().startswith("- clmot/"):
            lines.append(line)
        elif not told:
            lines.append(line[: len(line) - len(line.lstrip())] + f"- {VERSION_FILE}")
            told = True
    return "\n".join(lines) + "\n"


def _call(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not installed, and a project needs it.") from None
    except subprocess.CalledProcessError as error:
        raise InputError(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from None
