"""`clmot ablation` under DVC itself, at its smallest: what runs, what fails, what is shared, and what is said of it.

And that a pipeline which has run elsewhere, with a cache of its own, gave the same bytes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_project import BENCHMARKS, RUNNING, Project, finished_project

pytestmark = pytest.mark.slow

SET = """\
title: Three variants
variants:
  embedding: [track.embedding=network]
  broken: [data.source=nowhere]
  overlap: [track.embedding=none]
"""
COMMAND = ("python", "-m", "clmot", "ablation", "--set", "tiny", "--seeds", "0")


def logs(project: Project) -> Counter[str]:
    """How often each stage ran in queued experiments."""
    texts = [path.read_text() for path in (project.folder / ".dvc/tmp/exps/run").glob("*/*.out")]
    return Counter(stage for text in texts for stage in RUNNING.findall(text))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with another seed than the experiments', and a set of variants, one of which cannot run."""
    project = Project.cloned(tmp_path)
    params = project.folder / "params.yaml"
    params.write_text(re.sub(r"(?m)^seed: 0$", "seed: 7", params.read_text()))
    (project.folder / "experiments" / "tiny.yaml").write_text(SET)
    project.commit("a set")
    yield project
    project.call("dvc", "queue", "stop", "--kill", expect=None)  # nothing is left running where the test fails


def test_a_set_of_variants(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = project.call(*COMMAND, expect=2, timeout=7200)
    assert "1 of 3 experiments failed: tiny.broken.seed0." in done.stderr, f"{done.stderr}"
    assert len(re.findall(r"^tiny\.broken\.seed0\.\w+: FAILED$", done.stderr, re.MULTILINE)) == 1
    assert re.search(r"^    error: .*nowhere", done.stderr, re.MULTILINE), "its log's end says why"
    assert len(re.findall(r": done$", done.stderr, re.MULTILINE)) == 2

    ran = logs(project)
    assert (ran["strip@MOT17"], ran["pretrain"], ran["train"]) == (1, 1, 1), "once for all that share them"
    downloads = sum(ran[f"download@{name}"] for name in BENCHMARKS)
    assert downloads == len(BENCHMARKS) + 1, "and the first of the variant that fails there"
    changed = project.git("status", "--porcelain").splitlines()
    written = [f"?? experiments/results/tiny.{ending}" for ending in ("json", "md", "svg")]
    assert changed == written, "the folder's own files stay"
    assert not (project.folder / "models").exists()

    results = project.folder / "experiments" / "results"
    names = sorted(path.name for path in results.glob("tiny.*"))
    assert names == ["tiny.json", "tiny.md", "tiny.svg"]
    report = {name: (results / name).read_text() for name in names}
    assert "Without results: broken (seed 0)." in report["tiny.md"]
    assert f"2 experiments from commit {project.git('rev-parse', 'HEAD')[:10]}." in report["tiny.md"]
    told = json.loads(report["tiny.json"])
    assert [(run["variant"], run["seed"]) for run in told["results"]] == [
        (variant, 0) for variant in ("embedding", "overlap")
    ]
    for run in told["results"]:
        summary = json.loads(project.git("show", f"{run['commit']}:metrics/summary.json"))
        assert list(summary) == ["mean", *BENCHMARKS]
        assert run["summary"] == {name: summary[name] for name in BENCHMARKS}, "the mean is of all metrics there"

    # The first variant's params are those of a project that ran by itself: two runs from clean caches.
    finished = finished_project(tmp_path_factory).hashes("HEAD")
    assert len(finished) > 20
    assert project.hashes(told["results"][0]["commit"]) == finished

    runs = [run for run in project.runs() if run.info.status == "FINISHED"]
    tags = ("clmot.ablation", "clmot.variant", "clmot.seed")
    assert sorted(tuple(run.data.tags[tag] for tag in tags) for run in runs) == [
        ("tiny", variant, "0") for variant in ("embedding", "overlap")
    ]
    assert {run.data.params["track.embedding"] for run in runs} == {"network", "none"}

    # Once more, without the variant that cannot run: nothing is left to do, and nothing changes.
    again = project.call(*COMMAND, "--only", "embedding,overlap")
    assert "2 of 2 experiments have results." in again.stderr
    assert {name: (results / name).read_text() for name in names} == report
    assert logs(project) == ran
