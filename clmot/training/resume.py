"""Checkpoints: an interrupted training resumes where it stopped if nothing that decides its result has changed.

A folder of `$DVC_ROOT/.checkpoints` is one training; its name ends in the hash of all that decides it (`decisions`).
Device, threads and workers are not among that, nor is code outside of training's own rooms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from clmot import ranks
from clmot.errors import InputError, sentence
from clmot.files import content_hash, dvc_root, lock_directory, staged_file, write_json
from clmot.training.criteria import Criterion
from clmot.training.kept_weights import KeptWeights
from clmot.training.recipe import Recipe

CHECKPOINT_SECONDS = 300
"""How much work a crash may cost. It decides nothing about the result, so it is no parameter."""
PACKAGE = Path(__file__).parents[1]
ROOMS = ("data", "losses", "models", "training")
"""The rooms whose code decides what a training does with its data; what others make of the data is in the data."""
CHECKPOINT_FILE, DECISIONS_FILE = "checkpoint.pt", "decided_by.json"


@dataclass
class TrainingState:
    """All that changes while a training runs, which is what a checkpoint holds."""

    model: torch.nn.Module
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    kept: KeptWeights
    history: list[dict[str, float]] = field(default_factory=list)
    """A row of means for every finished epoch."""
    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Finished steps of the epoch that runs."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of that epoch's losses so far."""


class Checkpoint:
    """The file that a training is saved in, every epoch and every few minutes."""

    LEARNT = ("model", "criterion", "optimizer", "kept")
    COUNTED = ("history", "epoch", "step", "sums")

    def __init__(self, folder: Path) -> None:
        """Of the training that `folder` belongs to."""
        self.path = folder / CHECKPOINT_FILE
        self.saved_at = time.monotonic()

    def save(self, state: TrainingState) -> None:
        """Write it, whole or not at all; the first of several ranks does. Where the disk is full the last one stays,
        and the training goes on."""
        if not ranks.is_first():
            return
        learnt = {name: getattr(state, name).state_dict() for name in self.LEARNT}
        content = io.BytesIO()  # torch's own writer does not tell why a disk refuses
        torch.save(learnt | {name: getattr(state, name) for name in self.COUNTED}, content)
        self.saved_at = time.monotonic()
        try:
            with staged_file(self.path) as aside:
                aside.write_bytes(content.getbuffer())
        except OSError as error:
            warn_of_no_checkpoint(error)

    def is_due(self) -> bool:
        """Whether the last one is some minutes old."""
        return time.monotonic() - self.saved_at > CHECKPOINT_SECONDS

    def restore(self, state: TrainingState) -> bool:
        """Bring `state` to where it was saved; False: there is nothing saved.

        Raises:
            InputError: the file is damaged.
        """
        if not self.path.exists():
            return False
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds for a damaged file, none of which tells a user more
            raise InputError(
                f"{self.path} is damaged: delete {self.path.parent} to start that training afresh."
            ) from None
        for name in self.LEARNT:
            getattr(state, name).load_state_dict(saved[name])
        for name in self.COUNTED:
            setattr(state, name, saved[name])
        return True


def warn_of_no_checkpoint(error: OSError) -> None:
    """Say that a training that breaks off now costs more than it could, which is worth no end of the training."""
    ranks.tell(f"warning: no checkpoint could be written, training goes on ({sentence(error)})")


def decisions(recipe: Recipe, config: Any) -> dict[str, str]:
    """All that decides a training's result, each part as a hash under a name for people.

    Args:
        recipe: of the training.
        config: the network's (a dataclass).
    """
    parts = {"seed": recipe.seed, "model": config, recipe.stage: recipe.params, **recipe.decided_by}
    code = [text for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py")) for text in _source(path)]
    return {name: _hash(part) for name, part in parts.items()} | {
        "data": recipe.data.fingerprint(),
        **({"data held out": recipe.held_out.fingerprint()} if recipe.held_out else {}),
        "code": content_hash(*code),
        # Other ranks would add in another order, and share out the last frames of an epoch otherwise.
        **({"ranks": str(ranks.count())} if ranks.count() > 1 else {}),
    }


def _source(path: Path) -> tuple[str, bytes]:
    return path.relative_to(PACKAGE).as_posix(), path.read_bytes()


def _hash(part: Any) -> str:
    if isinstance(part, Path):
        return content_hash(part)
    plain = dataclasses.asdict(part) if dataclasses.is_dataclass(part) and not isinstance(part, type) else part
    return content_hash(json.dumps(plain, sort_keys=True))


def checkpoints_root() -> Path:
    """The folder of all checkpoints. Outside of a stage's out, which DVC empties before the stage runs."""
    return dvc_root() / ".checkpoints"


@contextlib.contextmanager
def checkpoint_folder(stage: str, decided: Mapping[str, str]) -> Iterator[Path]:
    """The folder of one training's checkpoints, for a block at whose end the result is safe: it is removed then.

    Names what is there of other trainings of this stage. In the block the folder is locked: `clmot clean` leaves it.

    Args:
        stage: whose training it is.
        decided: see `decisions`.
    """
    key = content_hash(json.dumps(decided, sort_keys=True))[:32]
    folder = checkpoints_root() / f"{stage}-{key}"
    if not ranks.is_first():
        yield folder
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / DECISIONS_FILE, dict(decided))
    except OSError as error:
        warn_of_no_checkpoint(error)
    handle = lock_directory(folder)
    try:
        name_others(folder, stage, decided)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if handle is not None:
            os.close(handle)
        if not (folder / CHECKPOINT_FILE).exists():  # nothing to go on from
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other trainings may have theirs here
            folder.parent.rmdir()


def name_others(folder: Path, stage: str, decided: Mapping[str, str]) -> None:
    """Say on stderr which checkpoints of a stage belong to other trainings, and in what those differ."""
    for other in sorted(folder.parent.glob(f"{stage}-*/{CHECKPOINT_FILE}")):
        if other.parent != folder:
            try:
                theirs = json.loads((other.parent / DECISIONS_FILE).read_text(encoding="utf-8"))
                different = [name for name in {**decided, **theirs} if decided.get(name) != theirs.get(name)]
            except (OSError, ValueError, TypeError):
                different = []
            ranks.tell(
                f"{stage}: the checkpoint in {other.parent} belongs to another training and is not used (it differs in "
                f"{', '.join(different) or 'the version of clmot'}); `clmot clean {other.parent.name}` removes it."
            )
