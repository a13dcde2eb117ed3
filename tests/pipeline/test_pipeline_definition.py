"""dvc.yaml against the code: every stage depends on exactly the rooms and the params it uses.

A dependency too few gives stale results, one too many retrains for nothing. No stage depends on the ground floor
(errors, files, params, ...): what it decides is written down in the params and the data.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest
import yaml
from tiny_archive import sequence_files, write_zip

from clmot.evaluation.curves import curves
from clmot.models.pretrained import RANDOM
from clmot.params import load_params
from clmot.reporting import mlflow_run

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, dict[str, typing.Any]] = PIPELINE["stages"]
FLAT = load_params(ROOT / "params.yaml").flat()
CONDITIONAL = {name for name in FLAT if name.startswith(("track.", "crop."))}
"""The tracker takes its section whole, and looks at a threshold when the case for it arises; the crop encoder's is
read where `model.embedder` wants one."""
WATCHER = "clmot/reporting/"
"""A room that watches a run and can change no out, so a change to it must not run anything again."""
FRONT_DOOR = "clmot/__init__.py"
"""The package's own file imports what people ask it for, and nothing by itself."""
HARDWARE = {name for name in FLAT if name.startswith("hardware.")}
"""Where a stage runs, and how fast, decides nothing about its outs: a thread more must not train again."""
OWN_BOXES = "detections"
"""A folder in which users put boxes of detectors and embeddings of boxes."""
WEIGHTS = {"${model.weights}", "${crop.weights}"}
"""What a training may begin with comes from outside; random weights are a tracked file, and so are those that timm
fetches."""


def module_file(name: str) -> str | None:
    """The file of a dotted module of this project, relative to its root; None for other people's modules."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


def imported_files(file: str) -> set[str]:
    """Files of this project that one file imports, anywhere in it: lazy imports count."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively; this project names modules in full"
            assert node.module is not None
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}  # `from room import module`
    return {found for name in names if (found := module_file(name))}


def closure(file: str) -> set[str]:
    """`file` and all it imports, directly or not, without the watchers and the rooms' `__init__.py`."""
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in seen and not current.startswith(WATCHER) and current != FRONT_DOOR:
            seen.add(current)
            waiting += sorted(imported_files(current))
    return {found for found in seen if not found.endswith("__init__.py")}


def rooms(files: typing.Iterable[str]) -> set[str]:
    """The rooms (`clmot/tracking`) in which files of this project are; files on the ground floor are in none."""
    parts = (Path(file).parts for file in files)
    return {"/".join(part[:2]) for part in parts if part[0] == "clmot" and len(part) > 2}


def leaves(keys: typing.Iterable[str]) -> set[str]:
    """Params as a stage lists them, each section as the values in it."""
    found: set[str] = set()
    for key in keys:
        below = {name for name in FLAT if name == key or name.startswith(f"{key}.")}
        assert below, f"dvc.yaml lists '{key}', which params.yaml does not have"
        found |= below
    return found


def recorded(section: typing.Any, prefix: str, seen: set[str]) -> typing.Any:
    """A copy of a params section that adds the dotted name of every value read from it to `seen`."""
    names = {field.name for field in dataclasses.fields(section)}

    class Recorded(type(section)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> typing.Any:
            value = super().__getattribute__(name)
            if name not in names:
                return value
            if dataclasses.is_dataclass(value):
                return recorded(value, f"{prefix}{name}.", seen)
            seen.add(f"{prefix}{name}")
            return value

    copy = object.__new__(Recorded)
    for name in names:
        object.__setattr__(copy, name, getattr(section, name))
    return copy


def load_stage(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"recorded_{name}", ROOT / "stages" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_rooms_it_imports_from(stage: str) -> None:
    """Whole rooms: not one too few, which gives stale results, and not one too many, which retrains for nothing."""
    code = {dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] in ("clmot", "stages")}
    assert code == rooms(closure(f"stages/{stage}.py")) | {f"stages/{stage}.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_the_script_of_its_name(stage: str) -> None:
    """`-m` puts the current folder first: in an experiment's copy of the project, the copy's code runs."""
    argument = " ${item.benchmark}" if "matrix" in STAGES[stage] else ""
    assert STAGES[stage]["cmd"] == f"python -m stages.{stage}{argument}"


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def waiting_when_torch_is_loaded(stage: str, chosen: dict[str, str]) -> list[str | None]:
    """What OpenMP reads, of `WAITING`, of a stage's process whose user has `chosen`."""
    script = f"""
import importlib.abc, json, os, sys
def tell():
    print(json.dumps([os.environ.get(name) for name in {WAITING}]), flush=True)
    os._exit(0)  # before the seconds that torch takes
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            tell()
sys.meta_path.insert(0, Watch())
import stages.{stage}
tell()
"""
    environment = {key: value for key, value in os.environ.items() if key not in WAITING} | chosen
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    found: list[str | None] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_how_threads_wait_before_it_loads_torch(stage: str) -> None:
    """OpenMP reads it when torch loads it; set later, tracking on a busy machine took six times longer."""
    assert waiting_when_torch_is_loaded(stage, {}) == ["PASSIVE", "1000"]


@pytest.mark.parametrize(
    "chosen", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "20000"}, dict.fromkeys(WAITING, "0")]
)
def test_how_threads_wait_is_the_users_choice(chosen: dict[str, str]) -> None:
    """Where a user has set either, neither is set: the one would change what the other means."""
    assert waiting_when_torch_is_loaded("train", chosen) == [chosen.get(name) for name in WAITING]


def test_a_rooms_init_does_nothing() -> None:
    """No stage depends on these files, so they may hold docstrings and names from elsewhere only.

    The package's own holds its version and how threads wait, which changes no result.
    """
    for path in sorted((ROOT / "clmot").glob("*/**/__init__.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            harmless = isinstance(node, ast.Expr | ast.ImportFrom)
            assert harmless or ast.unparse(node).startswith("__all__ = "), path


def test_training_cannot_see_identities() -> None:
    """`data/identities` is how the supervised baseline alone sees any: it says "none" unless a param opens the wall."""
    frames = {"data/training", "data/extra"}
    begun = {"pretrain": {"${model.weights}"}, "train": {"${crop.weights}", "data/identities", "models/detector"}}
    allowed = {stage: frames | others for stage, others in begun.items()}
    for stage, wanted in allowed.items():
        data = {dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] not in ("clmot", "stages")}
        assert data == wanted


def test_tracking_cannot_see_identities() -> None:
    """The true boxes that `track.detections: truth` takes come from behind the wall as well. In `detections` are
    boxes of a user's detector; no identity is read from them."""
    data = {dep for dep in STAGES["track"]["deps"] if dep.split("/")[0] not in ("clmot", "stages")}
    folders = {f"data/{kind}/${{item.benchmark}}" for kind in ("frames", "detections", "held_out")}
    assert data == folders | {"models/tracker", OWN_BOXES}


def test_data_deps_are_outs_of_other_stages() -> None:
    outs = {o if isinstance(o, str) else next(iter(o)) for s in STAGES.values() for o in s["outs"]}
    for spec in STAGES.values():
        for dep in spec["deps"]:
            if dep.split("/")[0] not in ("clmot", "stages") and dep not in (*WEIGHTS, OWN_BOXES):
                # All of several outs, or a file in one.
                assert any(out == dep or out.startswith(f"{dep}/") or dep.startswith(f"{out}/") for out in outs), dep


@pytest.mark.parametrize("name", [RANDOM, f"{OWN_BOXES}/README.md"])
def test_deps_that_no_stage_makes_are_tracked(name: str) -> None:
    """DVC wants a dependency to exist, in a fresh clone too."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert name in tracked.stdout.split()


def test_metrics_and_plots_are_outs() -> None:
    plotted = ["metrics/sequences.csv", "models/detector/history.csv", "models/tracker/history.csv"]
    plotted += [f"metrics/plots/{name}.csv" for name in curves([], {})]
    text = (ROOT / "dvc.yaml").read_text()
    assert PIPELINE["metrics"] == ["metrics/summary.json"]
    assert all(f"{file}:" in text for file in plotted)


def test_small_results_belong_to_git() -> None:
    kept = {name for out in STAGES["evaluate"]["outs"] for name, how in out.items() if how == {"cache": False}}
    assert kept == {f"metrics/{name}" for name in ("summary.json", "sequences.csv", "table.md", "speed.json", "plots")}


def test_a_stage_lists_exactly_the_params_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all stages at the smallest size, and record what they take from params.yaml."""
    text = yaml.safe_load((ROOT / "params.yaml").read_text())
    text["data"] |= {"source": str(tmp_path), "benchmarks": ["MOT17"], "split": "half"}
    text["model"] |= {"input_size": [64, 64], "neck_channels": [8, 8, 8, 8], "head_channels": 8}
    for training in ("pretrain", "train"):
        text[training] |= {"epochs": 1, "batch_size": 2, "schedule": "cosine"}
    text["loss"]["embedding"] = "nt_xent"
    text["track"]["embedding"] = "network"
    text["evaluate"]["repeats"] = 1
    text["hardware"] |= {"device": "cpu", "workers": 0, "threads": 0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(text))
    write_zip(tmp_path / "MOT17.zip", sequence_files("MOT17/train/MOT17-02-SDP", 8))
    params = load_params(tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(mlflow_run, "training_run", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(mlflow_run, "log_evaluation", lambda *_: None)

    listed, read = {}, {}
    for stage, spec in STAGES.items():
        seen: set[str] = set()
        module = load_stage(stage)
        monkeypatch.setattr(module, "load_params", lambda seen=seen: recorded(params, "", seen))
        monkeypatch.setattr(sys, "argv", [stage, *(["MOT17"] if "matrix" in spec else [])])
        module.main()
        listed[stage], read[stage] = leaves(spec["params"]), seen - HARDWARE
    for stage in STAGES:
        assert not listed[stage] & HARDWARE, f"dvc.yaml would run {stage} again on other hardware"
        assert read[stage] - listed[stage] == set(), f"{stage} reads params that dvc.yaml does not list"
        assert listed[stage] - read[stage] <= CONDITIONAL, f"dvc.yaml lists params that {stage} does not read"
