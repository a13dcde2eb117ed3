"""What an experiment takes along of the project as it lies in the folder, and what that decides.

DVC queues an experiment as a Git stash: the commit, with all changes to files that Git tracks, committed or not, and
without the files that it does not track. The experiment runs in a copy made from that stash. So a change after
queueing does not reach it, and neither does a new module that nobody has added to Git.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clmot.ablation.git import git, modified, tracked, untracked
from clmot.errors import InputError
from clmot.files import content_hash
from clmot.params import PARAMS_FILE, Params, parse_params

PIPELINE_FILE = "dvc.yaml"

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Stage:
    """A stage as dvc.yaml defines it, in the order of the pipeline."""

    name: str
    definition: str
    """Command, deps, params and outs as JSON; `${...}` is not yet filled in."""
    params: tuple[str, ...]
    """Dotted names of the params and sections that it depends on."""
    files: tuple[str, ...]
    """What it depends on and no stage makes: code, and data that people bring."""
    outs: tuple[str, ...]
    """What it makes."""


def read_pipeline(path: str | os.PathLike[str] = PIPELINE_FILE) -> tuple[Stage, ...]:
    """The stages of a dvc.yaml.

    Raises:
        InputError: there is no pipeline here.
    """
    try:
        stages = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["stages"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise InputError(f"there is no pipeline in {Path.cwd() / path}: run clmot from the project's folder.") from None
    made = {
        name: tuple(out if isinstance(out, str) else next(iter(out)) for out in stage.get("outs", []))
        for name, stage in stages.items()
    }
    outs = [out for several in made.values() for out in several]
    return tuple(
        Stage(
            name,
            json.dumps({key: value for key, value in stage.items() if key != "desc"}),
            tuple(item for item in stage.get("params", []) if isinstance(item, str)),
            tuple(dep for dep in stage.get("deps", []) if not any(_made(dep, out) for out in outs)),
            made[name],
        )
        for name, stage in stages.items()
    )


def _made(dep: str, out: str) -> bool:
    """Whether a dependency is an out of a stage, lies in one or holds one."""
    return dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")


@dataclass(frozen=True)
class Snapshot:
    """The project as a queued experiment would take it along."""

    pipeline: tuple[Stage, ...]
    base: str
    """The text of params.yaml."""
    digests: Mapping[str, str]
    """Hashes of the tracked files behind every dependency of the pipeline, by its path."""
    uncommitted: tuple[str, ...]
    """Files of the pipeline that differ from the commit; experiments take the changes along."""

    def stage_keys(self, params: Params) -> tuple[str, ...]:
        """A hash per stage of all that decides its outs: its own code and params, and those of all stages before it.

        Experiments that share a stage's key share its outs: DVC runs it once and takes them from its cache after that.
        """
        values = params.flat()
        keys: list[str] = []
        for stage in self.pipeline:
            read = {
                name: value
                for name, value in values.items()
                if any(name == item or name.startswith(f"{item}.") for item in stage.params)
            }
            files = {path: self._digest(path) for path in self._files(stage, values)}
            parts = [keys[-1] if keys else "", _filled(stage.definition, values), read, files]
            keys.append(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())
        return tuple(keys)

    def key(self, params: Params) -> str:
        """Eight hexadecimal digits for `params` and the pipeline's code: equal ones give equal results."""
        parts = [self.stage_keys(params)[-1:], params.flat()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]

    def unknown_to_git(self, params: Params) -> tuple[str, ...]:
        """Files of the project that stages need and Git does not track, weights for example.

        A copy of the project lacks them unless DVC is told to copy them too. Those that DVC tracks it brings itself.
        """
        values = params.flat()
        needed = {path for stage in self.pipeline for path in self._files(stage, values)}
        return tuple(
            path
            for path in sorted(needed)
            if path not in self.digests
            and not os.path.isabs(path)
            and os.path.exists(path)
            and not os.path.exists(f"{path}.dvc")
            and not tracked([path])
        )

    def _files(self, stage: Stage, values: Mapping[str, Any]) -> list[str]:
        return [_filled(path, values) for path in stage.files]

    def _digest(self, path: str) -> str:
        if path in self.digests:
            return self.digests[path]
        return content_hash(Path(path)) if os.path.exists(path) else ""


def take_snapshot() -> Snapshot:
    """Look at the project in the current folder.

    Raises:
        InputError: it is no Git repository with a commit; part of its pipeline is unknown to Git, so that experiments
            would run without it; or params.yaml is not valid.
    """
    pipeline = read_pipeline()
    git("rev-parse", "--verify", "HEAD")
    fixed = sorted({path for stage in pipeline for path in stage.files if "${" not in path})
    missing = untracked([PIPELINE_FILE, PARAMS_FILE, *fixed])
    if missing:
        raise InputError(
            f"Git does not know {_listed(missing)}, and experiments run in copies of what Git knows: `git add` "
            f"{'it' if len(missing) == 1 else 'them'} first, or remove {'it' if len(missing) == 1 else 'them'}."
        )
    try:
        base = Path(PARAMS_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{PARAMS_FILE} cannot be read: `clmot use PROFILE` writes it.") from None
    parse_params(base)  # so that no variant is blamed for what is wrong without it
    digests = {path: _tracked_content(files) for path in fixed if (files := tracked([path]))}
    changed = modified([PIPELINE_FILE, *fixed])
    return Snapshot(pipeline, base, digests, tuple(changed))


def pipeline_paths(pipeline: tuple[Stage, ...]) -> list[str]:
    """dvc.yaml and the code that its stages depend on."""
    return sorted({PIPELINE_FILE, *(path for stage in pipeline for path in stage.files if "${" not in path)})


def _tracked_content(files: list[str]) -> str:
    digest = hashlib.sha256()
    for name in files:
        if os.path.isfile(name):  # a file deleted in the folder is deleted in the copies too
            digest.update(f"{name}\0{content_hash(Path(name))}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _filled(text: str, values: Mapping[str, Any]) -> str:
    """`${dotted.name}` of params replaced by their values; others (`${item.x}`) are left."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in values:
            return found.group(0)
        return values[name] if isinstance(values[name], str) else json.dumps(values[name])

    return _REFERENCE.sub(value, text)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
