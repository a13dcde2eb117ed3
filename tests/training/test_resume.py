"""A training that was cut off goes on if nothing that decides its result has changed, and only then."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import INPUT_SIZE, TinyTracker, film_of

from clmot.cli.clean import clean
from clmot.errors import InputError
from clmot.params import load_params
from clmot.training import resume
from clmot.training.criteria import TrackerCriterion
from clmot.training.loop import fit_and_save
from clmot.training.recipe import Recipe, TrainingFrames
from clmot.training.resume import checkpoint_folder, decisions

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")


class PowerCutError(Exception):
    """The end of a process."""


@dataclasses.dataclass(frozen=True)
class TinyConfig:
    """What the tiny network's weights fit."""

    embedding_dim: int = 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, with a copy of the package whose files may be changed; the code that runs is the real one."""
    shutil.copytree(ROOT / "clmot", tmp_path / "clmot", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(resume, "PACKAGE", tmp_path / "clmot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.bin").write_bytes(b"one")
    return tmp_path


def frames_in(project, step=1.0, identities=False):
    return film_of(project, [3, 4, 0, 2, 5], step=step, identities=identities)


def recipe_of(frames, loss=PARAMS.loss, seed=0, min_iou=None, size=INPUT_SIZE, **changes):
    params = dataclasses.replace(PARAMS.train, **{"epochs": 3, "batch_size": 2, **changes})
    decided_by = {"views": PARAMS.views, "loss": loss, "models/detector": Path("weights")}
    return Recipe("train", seed, params, TrainingFrames(frames, size, min_iou), decided_by)


def train(recipe, out, cut_after=None, **hardware):
    """Train a tiny network and return the bytes of the result; the process dies after so many epochs."""
    torch.manual_seed(0)
    model = TinyTracker()
    model.config = TinyConfig()

    def log(epoch, row):
        if epoch == cut_after:
            raise PowerCutError

    where = dataclasses.replace(PARAMS.hardware, **{"device": "cpu", "threads": 1, "workers": 0, **hardware})
    criterion = TrackerCriterion(PARAMS.views, PARAMS.loss, PARAMS.train)
    threads = torch.get_num_threads()
    try:
        fit_and_save(model, criterion, recipe, where, out, log)
    finally:
        torch.set_num_threads(threads)
    return {path.name: path.read_bytes() for path in sorted(Path(out).iterdir())}


def cut_off(project, **given):
    with pytest.raises(PowerCutError):
        train(recipe_of(frames_in(project), **given), "models/cut", cut_after=1)
    (folder,) = (project / ".checkpoints").iterdir()
    return folder


def add_comment(file):
    file.write_text(file.read_text() + "# A remark.\n")


@pytest.mark.parametrize(
    ("changed", "hardware"),
    [
        (None, {}),
        (None, {"workers": 1}),
        ("cli/main.py", {}),
        ("errors.py", {}),
        ("tracking/tracker.py", {}),
    ],
)
def test_what_decides_nothing_throws_no_training_away(project, capsys, changed, hardware):
    whole = train(recipe_of(frames_in(project)), "models/whole")
    folder = cut_off(project)
    if changed:
        add_comment(project / "clmot" / changed)
    assert train(recipe_of(frames_in(project)), "models/cut", **hardware) == whole
    assert f"train: resumed from {folder / 'checkpoint.pt'} after epoch 1, step 0." in capsys.readouterr().err
    assert not (project / ".checkpoints").exists()


def test_another_number_of_threads_throws_no_training_away(project, capsys):
    """It goes on, and differs by rounding alone: torch adds in another order."""
    whole = train(recipe_of(frames_in(project)), "models/whole")["history.csv"].decode().splitlines()
    cut_off(project)
    found = train(recipe_of(frames_in(project)), "models/cut", threads=2)["history.csv"].decode().splitlines()
    assert "train: resumed from" in capsys.readouterr().err
    assert found[:2] == whole[:2]  # the first epoch was not trained again
    np.testing.assert_allclose(*(np.loadtxt(lines[1:], delimiter=",") for lines in (found, whole)), rtol=1e-3)


@pytest.mark.parametrize(
    ("changed", "given", "name"),
    [
        ("training/loop.py", {}, "code"),
        ("losses/contrastive.py", {}, "code"),
        (None, {"learning_rate": 0.5}, "train"),
        (None, {"seed": 1, "epochs": 2}, "seed, train"),
    ],
)
def test_a_checkpoint_that_fits_no_more_is_named(project, capsys, changed, given, name):
    folder = cut_off(project)
    capsys.readouterr()
    if changed:
        add_comment(project / "clmot" / changed)
    train(recipe_of(frames_in(project), **given), "models/cut")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "checkpoint" in line]
    assert line == (
        f"train: the checkpoint in {folder} belongs to another training and is not used (it differs in {name}); "
        f"`clmot clean {folder.name}` removes it."
    )
    assert [path.name for path in (project / ".checkpoints").iterdir()] == [folder.name]


def test_a_checkpoint_of_an_earlier_version_is_named(project, capsys):
    """It does not say what decided it."""
    (cut_off(project) / "decided_by.json").unlink()
    train(recipe_of(frames_in(project), seed=1), "models/cut")
    assert "(it differs in the version of clmot)" in capsys.readouterr().err


def different(one, other):
    return sorted(name for name in one | other if one.get(name) != other.get(name))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 4}, "train"),
        ({"precision": "bfloat16"}, "train"),
        ({"weight_decay": 0.1}, "train"),
        ({"loss": dataclasses.replace(PARAMS.loss, temperature=0.7)}, "loss"),
        ({"loss": dataclasses.replace(PARAMS.loss, margin=0.7)}, "loss"),
        ({"size": (128, 64)}, "data"),
        ({"min_iou": 0.5}, "data"),
    ],
)
def test_params_decide(project, changes, name):
    frames = frames_in(project)
    first = decisions(recipe_of(frames), TinyConfig())
    assert decisions(recipe_of(frames), TinyConfig()) == first
    assert different(first, decisions(recipe_of(frames, **changes), TinyConfig())) == [name]


def test_the_network_decides(project):
    recipe = recipe_of(frames_in(project))
    assert different(decisions(recipe, TinyConfig()), decisions(recipe, TinyConfig(16))) == ["model"]


def test_data_decide(project):
    """Boxes, identities, which frames there are, images of another size, how often they are drawn."""
    frames = frames_in(project)
    first = decisions(recipe_of(frames), TinyConfig())
    moved = dataclasses.replace(frames[1], boxes=frames[1].boxes + 1)
    known = dataclasses.replace(frames[1], identities=np.arange(len(frames[1].boxes)))
    weighed = dataclasses.replace(frames[1], weight=2.0)
    others = [[frames[0], frame, *frames[2:]] for frame in (moved, known, weighed)] + [frames[1:]]
    for other in others:
        assert different(first, decisions(recipe_of(other), TinyConfig())) == ["data"]
    frames[2].image.write_bytes(b"another")
    assert different(first, decisions(recipe_of(frames), TinyConfig())) == ["data"]


def test_weights_to_begin_with_decide(project):
    recipe = recipe_of(frames_in(project))
    first = decisions(recipe, TinyConfig())
    Path("weights/model.bin").write_bytes(b"other")
    assert different(first, decisions(recipe, TinyConfig())) == ["models/detector"]
    Path("weights/model.bin").write_bytes(b"one")
    assert decisions(recipe, TinyConfig()) == first


@pytest.mark.parametrize("room", ["data", "losses", "models", "training"])
def test_code_of_trainings_own_rooms_decides(project, room):
    recipe = recipe_of(frames_in(project))
    found = [decisions(recipe, TinyConfig())]
    new = project / "clmot" / room / "new.py"
    for text in ("one = 1\n", "one = 2\n"):
        new.write_text(text)
        found.append(decisions(recipe, TinyConfig()))
    assert len({value["code"] for value in found}) == 3
    assert different(found[0], found[2]) == ["code"]
    new.rename(new.with_suffix(".txt"))
    assert decisions(recipe, TinyConfig()) == found[0]


def test_a_training_that_fails_at_once_leaves_nothing(project):
    frames = frames_in(project)
    for frame in frames:
        frame.image.unlink()
    with pytest.raises(InputError, match="is missing"):
        train(recipe_of(frames), "models/cut")
    assert not (project / ".checkpoints").exists()


def test_clean_removes_checkpoints_and_says_their_size(project, capsys):
    folder = cut_off(project)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    clean(dry_run=True)
    assert capsys.readouterr().out == f"{folder}: {size:.1f} MB would be removed\n"
    assert (folder / "checkpoint.pt").exists()
    clean()
    assert capsys.readouterr().out == f"{folder}: {size:.1f} MB removed\n"
    assert not (project / ".checkpoints").exists()
    clean()
    assert re.search(r"\.checkpoints: no checkpoints\.$", capsys.readouterr().out)


def test_clean_removes_only_what_is_named(project):
    first = cut_off(project)
    second = first.with_name("pretrain-b")
    second.mkdir()
    with pytest.raises(InputError, match=rf"holds no 'train-x': it holds pretrain-b, {first.name}\.$"):
        clean(["pretrain-b", "train-x"])
    assert second.exists()
    clean(["pretrain-b"])
    assert first.exists()
    assert not second.exists()


def test_clean_leaves_a_training_that_runs(project, capsys):
    with checkpoint_folder("train", {"seed": "0"}) as folder:
        clean()
        assert folder.exists()
        assert capsys.readouterr().out == f"{folder}: in use by a training that runs now, kept\n"
    assert not folder.exists()
