"""Several processes train what one does: the same weights, however the frames are shared out."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import SMALL_NETWORK
from train_on_ranks import Launch, train

from clmot import ranks
from clmot.errors import InputError
from clmot.params import HardwareParams
from clmot.training import resume
from clmot.training.loop import shareable

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    **SMALL_NETWORK,
    "model.neck": "dla",
    "train.batch_size": 4,
    "train.epochs": 5,  # of two steps
    "train.learning_rate": 0.0001,
}
LONG = {
    "default": {"train.epochs": 10},
    "held_out": {"train.held_out": 0.25, "train.keep": "best", "train.weight_average": 0.5},
    "batch": {"loss.negatives": "batch", "train.previous_frame": True, "train.batch_size": 3, "train.accumulate": 2},
    "triplets": {"loss.embedding": "triplet_all", "loss.detection.average": "objects", "loss.average": "frames"},
}
SHORT, ONCE = {"train.epochs": 3}, {"train.epochs": 1}


def start(trainings: dict[Path, dict[str, Any]], **launch: int) -> subprocess.Popen[str]:
    """The process that trains, with others, all in a group of their own."""
    launchers = ("LOCAL_", "MASTER_", "NODE_", "WORLD_", "TORCHELASTIC_", "SLURM_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(launchers)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])
    given = Launch({str(folder): SMALL | changes for folder, changes in trainings.items()}, **launch)
    command = [sys.executable, "-m", "train_on_ranks", json.dumps(dataclasses.asdict(given))]
    to = subprocess.DEVNULL
    return subprocess.Popen(
        command, env=environment, stdout=to, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def run(trainings: dict[Path, dict[str, Any]], **launch: int) -> tuple[int, str]:
    """Its exit code, and what was told."""
    process = start(trainings, **launch)
    told = process.communicate()[1]
    return process.returncode, told


def learnt(folder: Path) -> dict[str, torch.Tensor]:
    """The loss weights included."""
    found = load_file(folder / "model/model.safetensors")
    return found | torch.load(folder / "criterion.pt", weights_only=True)


def alone(folder: Path, changes: dict[str, Any]) -> str:
    """Train in this process; what was told."""
    threads, told = torch.get_num_threads(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setenv("DVC_ROOT", str(folder))
        patch.setattr(resume, "CHECKPOINT_SECONDS", -1)
        train(folder, Launch({}).hardware(), SMALL | changes)
    torch.set_num_threads(threads)
    return told.getvalue()


class Trained:
    """Everything that two processes train in these tests, and what was told of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Killed twice, then gone on with by one process, which is another training, then by two.
        for steps in (1, 3):  # of those that each attempt makes
            assert run({folder / "cut": SHORT}, devices=2, die=steps)[0] != 0
        self.told_alone = alone(folder / "cut", SHORT)
        self.learnt_alone = learnt(folder / "cut")
        trainings = {folder / name: changes for name, changes in LONG.items()}
        trainings |= {
            folder / "apart": ONCE | {"train.sync_batch_norm": False},
            folder / "cut": SHORT,
            folder / "whole": SHORT,
        }
        code, told = run(trainings, devices=2)
        assert code == 0, told
        parts = re.split(f"^({re.escape(str(folder))}.*)$", told, flags=re.MULTILINE)
        self.told = {Path(name).name: told for name, told in zip(parts[1::2], parts[2::2], strict=True)}

    def learnt(self, name: str) -> dict[str, torch.Tensor]:
        return learnt(self.folder / name)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The trainings of two processes, in three launches of them."""
    return Trained(tmp_path_factory.mktemp("together"))


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_two_processes_learn_what_one_does(name: str, together: Trained, tmp_path: Path) -> None:
    """Weights, batch norm's statistics and the losses' weights, after ten steps of Adam, or twenty.

    A triplet at the edge of its hinge counts or does not by the last bit.
    """
    changes = LONG[name]
    close = 5e-5 if changes.get("loss.embedding") == "triplet_all" else 1e-5
    alone(tmp_path / "one", changes)
    one = learnt(tmp_path / "one")
    assert "2 ranks" in together.told[name]
    epochs = changes.get("train.epochs", SMALL["train.epochs"])
    assert together.told[name].count(f"train epoch {epochs}/{epochs}") == 1
    assert difference(one, together.learnt(name)) < close
    alone(tmp_path / "begun", changes | {"train.epochs": 0})
    begun = learnt(tmp_path / "begun")
    assert all(difference({"": one[key]}, {"": begun[key]}) > 1e-4 for key in ("hm.0.weight", "weighting.detection"))
    if name == "default":
        alone(tmp_path / "once", ONCE)
        apart = difference(learnt(tmp_path / "once"), together.learnt("apart"))
        assert apart > 1e-4, "with each rank's own batch norm"


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_killed_and_one_does_not(together: Trained) -> None:
    """Another number of ranks adds in another order: that is another training."""
    whole = together.learnt("whole")
    assert "belongs to another training and is not used (it differs in ranks)" in together.told_alone
    assert 0 < difference(whole, together.learnt_alone) < 1e-5
    assert "train: resumed from" in together.told["cut"]
    assert difference(whole, together.learnt("cut")) < 1e-5


@pytest.mark.slow
def test_two_processes_killed_at_ten_random_moments(tmp_path: Path) -> None:
    """Both at once, as when the power fails, while a checkpoint is written after every step."""
    chance, long, killed = random.Random(0), {"train.epochs": 40}, 0
    for _ in range(10):
        process = start({tmp_path / "cut": long}, devices=2)
        assert process.stderr is not None
        assert any(line.startswith(str(tmp_path)) for line in process.stderr)  # it begins
        time.sleep(chance.uniform(0, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed == 10, "they ended before"
    code, told = run({tmp_path / "cut": long, tmp_path / "whole": long}, devices=2)
    assert code == 0, told
    assert told.count("train: resumed from") == 1
    assert difference(learnt(tmp_path / "cut"), learnt(tmp_path / "whole")) < 1e-5


def test_one_process_needs_no_fabric():
    program = (
        "import sys; sys.modules['lightning_fabric'] = sys.modules['lightning'] = None\n"
        "import stages.train\n"
        "from clmot import ranks; from clmot.params import default_params\n"
        "ranks.launch(default_params().hardware); print(ranks.count())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_several_processes_and_one_named_gpu_contradict_each_other():
    with pytest.raises(InputError, match=r"'hardware\.device: cuda:1' names one GPU, but 2 x 1 processes"):
        ranks.launch(HardwareParams("cuda:1", 0, 0, devices=2))


def test_all_ranks_tell_once(monkeypatch, capsys):
    for rank in range(3):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        ranks.tell("train begins.")
    assert capsys.readouterr() == ("", "train begins.\n")


def test_every_rank_has_a_part_of_every_batch(monkeypatch):
    parts = []
    for rank in range(3):
        monkeypatch.setattr(ranks, "count", lambda: 3)
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        parts.append([batch[ranks.share(batch)] for batch in shareable([[5, 3, 1, 0], [2, 4]], "train")])
    assert parts == [[[5, 3]], [[1, 0]], [[2, 4]]]
    with pytest.raises(InputError, match=r"'train\.batch_size' should be at least the number of ranks, 3"):
        shareable([[1, 2], [3, 4], [5, 6]], "train")
