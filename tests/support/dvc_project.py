"""A copy of this project in a repository of its own, small enough to run under DVC in a test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
BENCHMARKS = ("MOT15", "MOT17")
MEASURED = re.compile(r"speed\.json$")
"""Outs that measure this machine, and so differ from run to run."""

TRACKING = {f"track@{name}" for name in BENCHMARKS} | {"evaluate"}
EVERYTHING = {f"{stage}@{name}" for stage in ("download", "strip") for name in BENCHMARKS} | TRACKING
EVERYTHING |= {"scenes", "index", "pretrain", "train"}
"""Names of the stages."""

RUNNING = re.compile(r"^Running stage '(.+)':$", re.MULTILINE)


class Project:
    """A Git repository with this project's files, small params, and a DVC cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "GIT_", "MLFLOW_", "PYTEST_", "PYTHONDONTWRITEBYTECODE"))
        }
        programs = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ.get("PATH", os.defpath)])
        self.environment |= {"PATH": programs, "MLFLOW_DISABLE_TELEMETRY": "true"}

    @classmethod
    def cloned(cls, folder: Path, **changes: Any) -> Project:
        """The files that Git knows or would take, committed again."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if name.split("/")[0] not in ("tests", "metrics", "dvc.lock") and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        project = cls(folder)
        project.make_small()
        project.git("init", "-q", "-b", "main")
        project.git("config", "user.name", "Somebody")
        project.git("config", "user.email", "somebody@example.org")
        project.commit("the project")
        return project

    def make_small(self) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["data"] |= {"source": "synthetic", "benchmarks": list(BENCHMARKS), "split": "half"}
        params["data"]["synthetic"]["frames"] = 8
        params["model"] |= {"input_size": [160, 96], "neck": "dla"}  # which finds something after one epoch
        params["hardware"] |= {"device": "cpu", "workers": 0}
        for training, rate in (("pretrain", 0.004), ("train", 0.002)):
            params[training] |= {"epochs": 1, "batch_size": 8, "frame_stride": 1, "learning_rate": rate}
        # After one epoch nothing is certain; the tracks shall not be empty.
        low = dict.fromkeys(("confidence", "new_track_confidence", "recorded_confidence"), 0.001)
        params["track"] |= {**low, "match_threshold": 0.4}
        params["loss"] |= {"embedding": "nt_xent", "temperature": 0.2}
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def change(self, section: str, **values: Any) -> None:
        """Set values of a section of params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params[section] |= values
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def call(self, *command: str, expect: int | None = 0, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,  # a bound for hangs, not for slow machines
        )
        assert expect is None or done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *arguments: str) -> str:
        return self.call("git", *arguments).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)

    def dvc(self, *arguments: str) -> set[str]:
        """Run DVC; the stages whose commands it ran."""
        done = self.call("dvc", *arguments)
        return set(RUNNING.findall(done.stdout + done.stderr))

    def would_run(self) -> set[str]:
        """The stages that `dvc repro` would run: those that changed, and all that come after them."""
        return self.dvc("repro", "--dry", "--force-downstream")

    def experiments(self) -> list[str]:
        """The names of DVC's experiments, which are Git's references; `dvc exp list` takes a hundred times as long."""
        kept = self.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
        # Below two digits and 38 more of the commit they started from; the queue keeps its own beside them.
        return [name.split("/")[-1] for name in kept if re.match(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/", name)]

    def outs(self, *folders: str) -> dict[str, bytes]:
        """Every file below the folders, by its name, without what measures speed."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for folder in folders
            for path in sorted((self.folder / folder).rglob("*"))
            if path.is_file() and path.name != ".gitignore" and not MEASURED.search(path.name)
        }

    def hashes(self, revision: str) -> dict[str, str]:
        """What DVC's lock has at a commit: every out and its MD5, without what measures speed."""
        locked = yaml.safe_load(self.git("show", f"{revision}:dvc.lock"))
        outs = [out for stage in locked["stages"].values() for out in stage["outs"]]
        return {out["path"]: out["md5"] for out in outs if not MEASURED.search(out["path"])}

    def runs(self) -> list[Any]:
        """MLflow's runs, the oldest first."""
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("clmot")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


def finished_project(factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline has run and whose results are committed: the same one in every process of a test run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            project = Project.cloned(folder)
            assert project.dvc("repro") == EVERYTHING
            project.commit("results")
            done.touch()
    return Project(folder)
