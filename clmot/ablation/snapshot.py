"""What an experiment takes along of the project as it lies in the folder, and what that decides.

DVC queues an experiment as a Git stash: the commit with all changes to files that Git tracks, and without those that it
does not track. It runs in a copy made from that stash, so a change after queueing does not reach it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from clmot.errors import InputError
from clmot.files import content_hash
from clmot.params import PARAMS_FILE, Params, parse_params
from clmot.wording import listed

PIPELINE_FILE = "dvc.yaml"


def git(*arguments: str) -> str:
    """The output of a Git command in the current folder.

    Raises:
        InputError: Git is absent or refuses.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
        )
    except OSError as error:
        raise InputError(f"git cannot be started ({error}): install it, experiments are Git commits.") from None
    if done.returncode:
        said = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise InputError(f"`git {' '.join(arguments[:2])}` failed ({said}): experiments are made from a Git commit.")
    return done.stdout


def changed_files(paths: Iterable[str], *revisions: str) -> list[str]:
    """Tracked files at or below the paths that differ between two commits, or between one and the folder."""
    return git("diff", "--name-only", "--relative", "-z", *revisions, "--", *paths).split("\0")[:-1]


@dataclass(frozen=True)
class Snapshot:
    """The project as a queued experiment would take it along."""

    base: str
    """The text of params.yaml."""
    digest: str
    """Of the pipeline's definition and of everything that Git tracks of what its stages depend on."""
    code: tuple[str, ...]
    """Those paths."""
    brought: tuple[str, ...] = ()
    """Dependencies that params name, as `${model.weights}`: files that people bring."""

    def key(self, params: Params) -> str:
        """Eight hexadecimal digits for `params` and all that the pipeline reads: equal ones give equal results."""
        files = {path: content_hash(Path(path)) for path in self._files(params) if os.path.exists(path)}
        return content_hash(json.dumps([self.digest, params.flat(), files], sort_keys=True))[:8]

    def copies(self, params: Params) -> tuple[str, ...]:
        """Files that stages need and that neither Git nor DVC tracks: a copy of the project lacks them unless DVC is
        told to copy them too."""
        return tuple(
            path
            for path in self._files(params)
            if os.path.exists(path)
            and not os.path.isabs(path)
            and not os.path.exists(f"{path}.dvc")
            and not git("ls-files", "--", path)
        )

    def uncommitted(self) -> list[str]:
        """Files of the pipeline that differ from the commit; experiments take the changes along."""
        return changed_files([PIPELINE_FILE, *self.code], "HEAD")

    def _files(self, params: Params) -> list[str]:
        values = params.flat()
        return sorted({re.sub(r"\$\{([\w.]+)\}", lambda name: str(values[name[1]]), path) for path in self.brought})


def _holds(folder: str, path: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return f"{path}/".startswith(f"{folder}/")


def take_snapshot() -> Snapshot:
    """Look at the project in the current folder.

    Raises:
        InputError: it is no Git repository with a commit; part of its pipeline is unknown to Git, so that experiments
            would run without it; or params.yaml is not valid.
    """
    try:
        stages = yaml.safe_load(Path(PIPELINE_FILE).read_text(encoding="utf-8"))["stages"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise InputError(
            f"there is no pipeline in {Path.cwd() / PIPELINE_FILE}: run clmot from the project's folder."
        ) from None
    git("rev-parse", "--verify", "HEAD")
    outs = [out if isinstance(out, str) else next(iter(out)) for stage in stages.values() for out in stage["outs"]]
    deps = {dep for stage in stages.values() for dep in stage.get("deps", [])}
    read = sorted(dep for dep in deps if not any(_holds(dep, out) or _holds(out, dep) for out in outs))
    code = [path for path in read if "$" not in path]
    unknown = git("ls-files", "-z", "--others", "--exclude-standard", "--", PIPELINE_FILE, PARAMS_FILE, *code)
    if unknown:
        names = sorted(unknown.split("\0")[:-1])
        raise InputError(
            f"Git does not know {listed(names)}, and experiments run in copies of what Git knows: `git add` what "
            "belongs to them first, or remove it."
        )
    try:
        base = Path(PARAMS_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{PARAMS_FILE} cannot be read: `clmot profile NAME` writes it.") from None
    parse_params(base)  # so that no variant is blamed for what is wrong without it
    defined = [{key: value for key, value in stage.items() if key != "desc"} for stage in stages.values()]
    parts: list[str | Path] = [json.dumps(defined, sort_keys=True)]
    for name in sorted(set(git("ls-files", "-z", "--", *code).split("\0")[:-1])):
        if os.path.isfile(name):  # a file deleted in the folder is deleted in the copies too
            parts += [name, Path(name)]
    return Snapshot(base, content_hash(*parts), tuple(code), tuple(path for path in read if "$" in path))
