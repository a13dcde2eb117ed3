"""Several processes train what one does: the same weights, however the frames are shared out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clmot import ranks
from clmot.errors import InputError
from clmot.params import HardwareParams
from clmot.training.loop import shareable

ROOT = Path(__file__).parents[2]
SMALL = {
    "model.backbone": "lcnet_050",
    "model.neck": "dla",
    "model.neck_channels": "[8, 8, 8, 8]",
    "model.head_channels": "8",
    "model.embedding_dim": "8",
    "model.input_size": "[96, 64]",
    "train.batch_size": "4",
    "train.epochs": "10",  # of two steps
    "train.learning_rate": "0.0001",
}


def run(folder, **given):
    """The finished process that trained."""
    launchers = ("LOCAL_", "MASTER_", "NODE_", "WORLD_", "TORCHELASTIC_", "SLURM_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(launchers)}
    environment |= {"DVC_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])
    values = SMALL | {name.replace("__", "."): str(value) for name, value in given.items()}
    folder.mkdir(exist_ok=True)
    pairs = [f"{key}={value}" for key, value in values.items()]
    command = [sys.executable, "-m", "train_on_ranks", str(folder), *pairs]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def train(folder, **given):
    """What was learnt, the loss weights included, and what was told."""
    done = run(folder, **given)
    assert done.returncode == 0, done.stderr
    learnt = load_file(folder / "model/model.safetensors")
    return learnt | torch.load(folder / "criterion.pt", weights_only=True), done.stderr


def difference(first, second):
    assert first.keys() == second.keys()
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss__negatives": "batch", "train__previous_frame": "true", "train__batch_size": "3", "train__accumulate": 2},
        {"loss__embedding": "triplet_all", "loss__detection__average": "objects", "loss__average": "frames"},
    ],
    ids=["default", "batch", "triplets"],
)
def test_two_processes_learn_what_one_does(tmp_path, changes):
    """Weights, batch norm's statistics and the losses' weights, after twenty steps of Adam.

    A triplet at the edge of its hinge counts or does not by the last bit.
    """
    close = 5e-5 if changes.get("loss__embedding") == "triplet_all" else 1e-5
    alone, _ = train(tmp_path / "one", **changes)
    together, told = train(tmp_path / "two", devices=2, **changes)
    assert "2 ranks" in told
    assert told.count("train epoch 10/10") == 1
    assert difference(alone, together) < close
    begun, _ = train(tmp_path / "begun", train__epochs=0, **changes)
    assert all(difference({"": alone[key]}, {"": begun[key]}) > 1e-4 for key in ("hm.0.weight", "weighting.detection"))
    apart, _ = train(tmp_path / "apart", devices=2, train__sync_batch_norm="false", **changes)
    assert difference(alone, apart) > 1e-4


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_killed_and_one_does_not(tmp_path):
    """Another number of ranks adds in another order: that is another training."""
    whole, _ = train(tmp_path / "whole", devices=2, train__epochs=3)
    for steps in (1, 3):  # of those that each attempt makes
        assert run(tmp_path / "cut", devices=2, die=steps, train__epochs=3).returncode != 0
    alone, told = train(tmp_path / "cut", train__epochs=3)
    assert "belongs to another training and is not used (it differs in ranks)" in told
    assert 0 < difference(whole, alone) < 1e-5
    found, told = train(tmp_path / "cut", devices=2, train__epochs=3)
    assert "train: resumed from" in told
    assert difference(whole, found) < 1e-5


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


def test_every_rank_has_a_part_of_every_batch(monkeypatch):
    parts = []
    for rank in range(3):
        monkeypatch.setattr(ranks, "count", lambda: 3)
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        parts.append([batch[ranks.share(batch)] for batch in shareable([[5, 3, 1, 0], [2, 4]], "train")])
    assert parts == [[[5, 3]], [[1, 0]], [[2, 4]]]
    with pytest.raises(InputError, match=r"'train\.batch_size' should be at least the number of ranks, 3"):
        shareable([[1, 2], [3, 4], [5, 6]], "train")
