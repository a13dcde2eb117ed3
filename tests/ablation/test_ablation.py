"""`clmot ablation` except for DVC itself: sets of variants, names, plans, waiting, tables, pictures."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from clmot.ablation import dvc_queue
from clmot.ablation.dvc_queue import finished_experiments, last_lines, parse_status, run_experiments
from clmot.ablation.experiment_name import VARIANT_NAME, ExperimentName
from clmot.ablation.experiments import Experiment, expand, waves
from clmot.ablation.picture import svg
from clmot.ablation.report import MEAN, METRICS, Comparison, Result, as_json, markdown, metric_table
from clmot.ablation.snapshot import Snapshot, take_snapshot
from clmot.ablation.variants import VariantSet, read_set, sweep
from clmot.cli import main as cli
from clmot.cli.ablation import seed_list, set_path
from clmot.errors import InputError
from clmot.params import load_params

ROOT = Path(__file__).parents[2]
BASE = (ROOT / "params.yaml").read_text(encoding="utf-8")
PARAMS = ROOT / "params.yaml"
SETS = sorted((ROOT / "experiments").glob("*.yaml"))
SET = """\
title: Temperatures
seeds: [0, 1]
variants:
  base: []
  cold: [loss.temperature=0.1]
  guided: [loss.embedding=supervised, strip.keep_identities=true]
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], VariantSet]:
    """Read a set from its text."""

    def read(text: str) -> VariantSet:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return read_set(path)

    return read


SNAPSHOT = Snapshot(BASE, "content", ("clmot/losses",))
"""Without Git: a word stands for what is there."""


class TestSets:
    @pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
    def test_the_shipped_ones_are_valid(self, path: Path) -> None:
        chosen = read_set(path)
        experiments = expand(chosen, chosen.seeds, SNAPSHOT)
        assert len({item.name.key for item in experiments}) == len(experiments), "two variants are the same"

    def test_the_ablation_holds_what_the_method_is_compared_with(self) -> None:
        chosen = read_set(ROOT / "experiments" / "ablation.yaml")
        losses = {chosen.params(variant, 0, BASE).loss.embedding for variant in chosen.variants}
        assert losses == {"nt_xent", "triplet_hard", "triplet_all", "supervised", "none"}
        assert [v.name for v in chosen.variants if chosen.params(v, 0, BASE).strip.keep_identities] == ["supervised"]

    @pytest.mark.parametrize("path", [p for p in SETS if p.stem.startswith("association")], ids=lambda p: p.stem)
    def test_association_trains_nothing(self, path: Path) -> None:
        """Its variants differ in `track` alone."""
        first, *others = expand(read_set(path), [0], SNAPSHOT)
        for other in others:
            differing = {key for key, value in other.params.flat().items() if first.params.flat()[key] != value}
            assert differing
            assert all(key.startswith("track.") for key in differing)

    def test_overrides_become_params(self, written: Callable[[str], VariantSet]) -> None:
        chosen = written(
            "common: [track.second_pass=true]\nvariants:\n"
            "  one: ['views.scale=[0.5, 1.2]', train.learning_rate=1e-4, data.source=/data/mot]\n"
        )
        params = chosen.params(chosen.variants[0], 7, BASE)
        assert (params.seed, params.views.scale, params.train.learning_rate) == (7, (0.5, 1.2), 1e-4)
        assert (params.data.source, params.track.second_pass) == ("/data/mot", True)
        before = load_params(ROOT / "params.yaml").flat()
        changed = {key for key, value in params.flat().items() if before[key] != value}
        assert changed == {
            "seed",
            "views.scale",
            "train.learning_rate",
            "data.source",
            "track.second_pass",
        }
        assert chosen.overrides(chosen.variants[0])[0] == "track.second_pass=true"

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("- a\n", r"mine.yaml:1: the file should be `key: value` lines"),
            ("variants: {}\n", r"'variants' is empty"),
            ("title: x\n", r"'variants' is missing"),
            ("variants: [a]\n", r"mine.yaml:1: 'variants' should be `key: value` lines"),
            ("seed: [0]\nvariants: {a: []}\n", r"mine.yaml:1: unknown key 'seed'; known are title, seeds"),
            ("variants:\n  a: []\n  a: []\n", r"mine.yaml:3: 'a' is there twice"),
            ("variants:\n  a:\n", r"mine.yaml:2: 'a' should be a list like"),
            ("variants:\n  a: [3]\n", r"mine.yaml:2: 'a' should be a list like"),
            ("variants:\n  a..b: []\n", r"mine.yaml:2: 'a..b' should be letters"),
            ("variants:\n  a/b: []\n", r"mine.yaml:2: 'a/b' should be letters"),
            ("seeds: []\nvariants: {a: []}\n", r"mine.yaml:1: 'seeds' should be a list of different whole"),
            ("seeds: [0, 0]\nvariants: {a: []}\n", r"'seeds' should be a list of different whole"),
            ("seeds: [true]\nvariants: {a: []}\n", r"'seeds' should be a list of different whole"),
            ("title: [1]\nvariants: {a: []}\n", r"mine.yaml:1: 'title' should be text"),
            ("variants: {a: [\n", r"mine.yaml:2 is not valid YAML"),
            ("variants:\n  a: [!mine x]\n", r"mine.yaml:2 is not valid YAML .*'!mine'"),
            ("title: 2025-02-30\nvariants: {a: []}\n", r"mine.yaml is not valid YAML"),
        ],
    )
    def test_a_file_that_is_no_set(self, written: Callable[[str], VariantSet], text: str, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            written(text)

    @pytest.mark.parametrize(
        ("override", "sentence"),
        [
            (
                "loss.temprature=1",
                r"mine.yaml:2: variant 'a': unknown key 'loss.temprature'; did you mean 'loss.temp",
            ),
            ("los.temperature=1", r"mine.yaml:2: variant 'a': unknown key 'los'"),
            ("loss.temperature=-1", r"variant 'a': 'loss.temperature' should be above 0, got -1"),
            ("loss.temperature.x=1", r"variant 'a': unknown key 'loss.temperature.x'"),
            ("loss.temperature", r"variant 'a': 'loss.temperature' should be like"),
            ("+loss.temperature=1", r"should be like loss.temperature=0.1"),
            ("seed=3", r"variant 'a' sets the seed"),
            ("loss.temperature=0.1,0.2", r"names several values"),
            (
                "loss.embedding=supervised",
                r"variant 'a': 'loss.embedding' is supervised, which learns from identities",
            ),
        ],
    )
    def test_an_override_that_cannot_be(
        self, written: Callable[[str], VariantSet], override: str, sentence: str
    ) -> None:
        chosen = written(f"variants:\n  a: ['{override}']\n")
        with pytest.raises(InputError, match=sentence):
            chosen.params(chosen.variants[0], 0, BASE)

    def test_an_absent_file_names_those_there_are(self, written: Callable[[str], VariantSet]) -> None:
        folder = written(SET).path.parent
        with pytest.raises(InputError, match=r"yours.yaml does not exist; there are .*mine.yaml"):
            read_set(folder / "yours.yaml")
        with pytest.raises(InputError, match="name the file with small letters"):
            read_set(folder / "My set.yaml")

    def test_an_unknown_variant_names_the_nearest(self, written: Callable[[str], VariantSet]) -> None:
        with pytest.raises(InputError, match="no variant 'colt': did you mean 'cold'"):
            written(SET).variant("colt")


class TestSweeps:
    def test_values_of_a_param_are_variants(self) -> None:
        chosen = sweep("loss.temperature=0.07,0.1,0.5")
        assert chosen.name == "sweep-loss-temperature"
        assert [variant.name for variant in chosen.variants] == [
            "temperature-0.07",
            "temperature-0.1",
            "temperature-0.5",
        ]
        params = [chosen.params(variant, 3, BASE) for variant in chosen.variants]
        assert [(one.loss.temperature, one.seed) for one in params] == [(0.07, 3), (0.1, 3), (0.5, 3)]
        assert sweep(chosen.option[1]) == chosen, "what the report says is the command that made it"

    def test_lists_words_and_odd_names(self) -> None:
        chosen = sweep("crop.strides=[8, 16],[8,16,32]")
        assert [variant.overrides for variant in chosen.variants] == [
            ("crop.strides=[8, 16]",),
            ("crop.strides=[8,16,32]",),
        ]
        odd = sweep("track.embedding=some/where..,some where,-1.")
        assert all(re.fullmatch(VARIANT_NAME, variant.name) for variant in odd.variants)
        assert len({variant.name for variant in odd.variants}) == 3

    @pytest.mark.parametrize(
        "text", ["", "loss.temperature", "loss.temperature=", "a=1", "a=1,1", "a=1,,2", "a b=1,2", "a=[1,2", "=1,2"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(InputError, match=re.escape(f"--sweep '{text}' should")):
            sweep(text)

    def test_a_value_that_cannot_be_is_named(self) -> None:
        for text, said in (
            ("loss.temperature=0.1,warm", "--sweep loss.temperature=warm: "),
            ("loss.heat=1,2", "--sweep loss.heat=1: "),
            ("seed=1,2", "--sweep seed=1 sets the seed: name seeds with --seeds"),
        ):
            with pytest.raises(InputError, match=re.escape(said)):
                expand(sweep(text), (0,), SNAPSHOT)


class TestNames:
    @pytest.mark.parametrize("variant", ["nt_xent", "temperature-0.07", "x.seed1", "A+b"])
    def test_a_name_says_what_it_was_made_of(self, variant: str) -> None:
        name = ExperimentName("ablation", variant, 12, "0123abcd")
        assert ExperimentName.parse(str(name)) == name
        assert name.tags() == {
            "clmot.ablation": "ablation",
            "clmot.variant": variant,
            "clmot.seed": "12",
        }

    @pytest.mark.parametrize(
        "text", ["", "jolly-nail", "a.b.seed0", "a.b.seedX.0123abcd", "a.b.seed0.0123ABCD", "a..b"]
    )
    def test_other_experiments_are_of_no_set(self, text: str) -> None:
        assert ExperimentName.parse(text) is None

    def test_git_takes_them(self) -> None:
        for path in SETS:
            longest = max((str(item.name) for item in expand(read_set(path), [0], SNAPSHOT)), key=len)
            reference = f"refs/exps/{'0' * 2}/{'0' * 38}/{longest}"
            assert subprocess.run(["git", "check-ref-format", reference], check=False).returncode == 0


class TestPlans:
    def test_every_variant_for_every_seed_seed_by_seed(self, written: Callable[[str], VariantSet]) -> None:
        experiments = expand(written(SET), (0, 1), SNAPSHOT)
        assert [(item.name.variant, item.name.seed) for item in experiments] == [
            ("base", 0), ("cold", 0), ("guided", 0), ("base", 1), ("cold", 1), ("guided", 1)
        ]  # fmt: skip
        assert [item.params.seed for item in experiments] == [0, 0, 0, 1, 1, 1]
        assert len({str(item.name) for item in experiments}) == 6
        cold = experiments[1]
        assert cold.command()[:5] == ["exp", "run", "--queue", "--name", str(cold.name)]
        assert cold.command()[5:] == ["-S", "loss.temperature=0.1", "-S", "seed=0"]

    def test_a_name_changes_with_params_and_code_and_nothing_else(self, written: Callable[[str], VariantSet]) -> None:
        def names(snapshot: Snapshot, text: str = SET) -> list[str]:
            return [str(item.name) for item in expand(written(text), (0, 1), snapshot)]

        before = names(SNAPSHOT)
        assert names(dataclasses.replace(SNAPSHOT, base="# a remark\n" + BASE)) == before
        assert names(SNAPSHOT, SET.replace("base: []", "base: [loss.temperature=0.2]")) == before, "as in params.yaml"
        code = dataclasses.replace(SNAPSHOT, digest="other")
        assert not set(names(code)) & set(before)
        params = dataclasses.replace(SNAPSHOT, base=BASE.replace("margin: 0.5", "margin: 0.6"))
        assert not set(names(params)) & set(before)

    def test_a_file_git_does_not_know_travels_along(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        subprocess.run(["git", "init", "-q"], check=True)
        Path("own.pth").write_text("weights")
        snapshot = dataclasses.replace(SNAPSHOT, brought=("${model.weights}",))
        params = dataclasses.replace(
            load_params(ROOT / "params.yaml"),
            model=dataclasses.replace(load_params(ROOT / "params.yaml").model, weights="own.pth"),
        )
        assert snapshot.copies(params) == ("own.pth",)
        before = snapshot.key(params)
        Path("own.pth").write_text("other weights")
        assert snapshot.key(params) != before
        Path("own.pth.dvc").write_text("outs: []")
        assert snapshot.copies(params) == (), "DVC brings what it tracks"


def experiment(variant: str, seed: int = 0) -> Experiment:
    """One of a plan."""
    return Experiment(ExperimentName("mine", variant, seed, "0123abcd"), (f"seed={seed}",), load_params(PARAMS))


PLAN = [experiment(variant, seed) for seed in (0, 1, 2) for variant in ("a", "b")]


def places(groups: Sequence[Sequence[Experiment]]) -> list[list[str]]:
    return [[f"{item.name.variant}{item.name.seed}" for item in group] for group in groups]


class TestWaves:
    def test_one_after_the_other_all_may_run(self) -> None:
        assert places(waves(PLAN, (), jobs=1)) == [["a0", "b0", "a1", "b1", "a2", "b2"]]

    def test_side_by_side_the_data_come_first_then_each_seeds_detector(self) -> None:
        assert places(waves(PLAN, (), jobs=2)) == [["a0"], ["a1", "a2"], ["b0", "b1", "b2"]]

    def test_what_has_results_is_left_out(self) -> None:
        done = {str(PLAN[0].name), str(PLAN[3].name)}
        assert places(waves(PLAN, done, jobs=2)) == [["a1", "a2"], ["b0", "b2"]]
        assert waves(PLAN, {str(item.name) for item in PLAN}, jobs=2) == []


class FakeQueue:
    """A queue whose single worker finishes one experiment at every look, as `script` says (default: with results)."""

    def __init__(self, script: Mapping[str, str] | None = None) -> None:
        self.script = dict(script or {})
        self.table: dict[str, str] = {}
        self.results: set[str] = set()
        self.calls: list[str] = []
        self.alive_now = False

    def add(self, experiment: Experiment) -> None:
        assert str(experiment.name) not in self.table, "queued twice"
        self.calls.append(f"add {experiment.name.variant}{experiment.name.seed}")
        self.table[str(experiment.name)] = "Queued"

    def start(self, jobs: int) -> None:
        self.calls.append(f"start {jobs}")
        self.alive_now = True

    def states(self) -> Mapping[str, str]:
        return dict(self.table)

    def finished(self) -> set[str]:
        if self.alive_now:
            self.work()
        return set(self.results)

    def alive(self) -> bool:
        return self.alive_now and "Queued" in self.table.values()

    def log(self, name: str) -> str:
        return f"the log of {name}"

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            parsed = ExperimentName.parse(name)
            assert parsed is not None
            self.calls.append(f"remove {parsed.variant}{parsed.seed}")
            self.table.pop(name, None)

    def work(self) -> None:
        for name, state in self.table.items():
            parsed = ExperimentName.parse(name)
            if state in ("Queued", "Running") and parsed is not None:
                end = self.table[name] = self.script.get(parsed.variant, "Success")
                if end == "Success":
                    self.results.add(name)
                return


def run(queue: Any, groups: Sequence[Sequence[Experiment]], jobs: int = 1, check: Any = lambda: None) -> dict[str, str]:
    """`{variant and seed: why it failed, or ""}`, in the order in which they ended."""
    outcomes = run_experiments(groups, queue, jobs, check, sleep=lambda _: None)
    return {f"{item.name.variant}{item.name.seed}": failure for item, failure in outcomes}


class TestRunning:
    def test_all_of_a_group_are_queued_before_the_first_runs(self) -> None:
        queue = FakeQueue()
        assert run(queue, [PLAN[:2]]) == {"a0": "", "b0": ""}
        assert queue.calls == ["add a0", "add b0", "start 1"]

    def test_a_failure_is_told_with_its_log_and_the_others_go_on(self) -> None:
        ended = run(FakeQueue({"a": "Failed"}), waves(PLAN, (), 2), jobs=2)
        assert {name for name, failure in ended.items() if not failure} == {"b0", "b1", "b2"}
        assert ended["a0"] == "the log of mine.a.seed0.0123abcd"

    def test_an_earlier_failure_is_tried_again_and_what_still_waits_is_not_queued_twice(self) -> None:
        queue = FakeQueue()
        queue.table = {str(PLAN[0].name): "Failed", str(PLAN[1].name): "Queued"}
        assert run(queue, [PLAN[:2]]) == {"a0": "", "b0": ""}
        assert queue.calls == ["remove a0", "add a0", "start 1"]

    def test_what_a_killed_worker_left_behind_starts_again(self) -> None:
        queue = FakeQueue()
        queue.table = {str(PLAN[0].name): "Running"}
        assert run(queue, [PLAN[:1]]) == {"a0": ""}
        assert queue.calls[:2] == ["remove a0", "add a0"]

    def test_a_worker_that_dies_on_the_way(self) -> None:
        class Dying(FakeQueue):
            def work(self) -> None:
                self.table = dict.fromkeys(self.table, "Running")
                self.alive_now = False

        (failure,) = run(Dying(), [PLAN[:1]]).values()
        assert failure.startswith("its worker is gone")

    def test_workers_that_ended_too_early_are_started_again(self) -> None:
        class Late(FakeQueue):
            def work(self) -> None:
                if self.calls.count("start 1") > 1:
                    super().work()

        queue = Late()
        assert run(queue, [PLAN[:2]]) == {"a0": "", "b0": ""}
        assert queue.calls == ["add a0", "add b0", "start 1", "start 1"]

    @pytest.mark.parametrize(("end", "words"), [("Success!", "has no results"), ("Unknown", "has no results")])
    def test_an_end_without_results_is_a_failure(self, end: str, words: str) -> None:
        (failure,) = run(FakeQueue({"a": end}), [PLAN[:1]]).values()
        assert words in failure

    def test_dvc_may_fail_to_answer_now_and_then(self, capsys: pytest.CaptureFixture[str]) -> None:
        class Mute(FakeQueue):
            asked = 0

            def states(self) -> Mapping[str, str]:
                self.asked += 1
                if 1 < self.asked < 5:
                    raise InputError("no answer")
                return super().states()

            def work(self) -> None:
                if self.asked > 4:
                    super().work()

        assert run(Mute(), [PLAN[:1]]) == {"a0": ""}
        assert "no answer" in capsys.readouterr().err

    def test_what_cannot_be_queued_leaves_nothing_in_the_queue(self) -> None:
        class Refusing(FakeQueue):
            def add(self, experiment: Experiment) -> None:
                if self.calls:
                    raise InputError("no more")
                super().add(experiment)

        queue = Refusing()
        with pytest.raises(InputError, match="no more"):
            run(queue, [PLAN[:2]])
        assert queue.calls == ["add a0", "remove a0", "remove b0"]

    def test_leaving_early_and_ctrl_c_take_out_what_is_left(self) -> None:
        queue = FakeQueue()
        outcomes = run_experiments([PLAN[:3]], queue, 1, lambda: None, sleep=lambda _: None)  # type: ignore[arg-type]
        assert next(outcomes)[0] is PLAN[0]
        outcomes.close()
        assert queue.calls[-2:] == ["remove b0", "remove a1"]

        def interrupted(seconds: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(run_experiments([PLAN[:1]], queue, 1, lambda: None, sleep=interrupted))  # type: ignore[arg-type]
        assert queue.calls[-1] == "remove a0"

    def test_a_later_group_is_queued_only_if_nothing_changed(self) -> None:
        def changed() -> None:
            raise InputError("changed")

        queue = FakeQueue()
        outcomes = run_experiments(waves(PLAN, (), 2), queue, 2, changed, sleep=lambda _: None)  # type: ignore[arg-type]
        assert next(outcomes)[0] is PLAN[0], "what ran, ran"
        with pytest.raises(InputError, match="changed"):
            next(outcomes)
        assert "add a1" not in queue.calls


class TestWhatDvcPrints:
    def test_status(self) -> None:
        text = """\
Task     Name                          Created       Status
9f5ca23  mine.a.seed0.11111111         05:22 PM      Running
1f5ca23  mine.b.seed0.11111111         Nov 03, 2025  Queued
af602d9  mine.b.seed0.11111111         05:28 PM      Failed
b32fe55                                05:22 PM      Success
b32fe56  jolly-nail                    05:22 PM      Success

Worker status: 0 active, 0 idle
"""
        states = parse_status(text)
        assert states["mine.a.seed0.11111111"] == "Running"
        assert states["mine.b.seed0.11111111"] == "Queued", "what is to come counts more than what was"
        assert states["jolly-nail"] == "Success"
        assert parse_status("No experiment tasks in the queue.\n\nWorker status: 0 active, 0 idle\n") == {}

    def test_the_end_of_a_log_is_what_went_wrong(self) -> None:
        log = "Reproducing\nWARNING: No file hash info found for 'x'. It won't be created.\n\nerror: no such folder\n"
        assert last_lines(log) == "Reproducing\nerror: no such folder"
        assert last_lines("\n".join(map(str, range(100))), 2) == "98\n99"
        assert last_lines("") == "(it wrote nothing)"


def summary(**idf1: float) -> dict[str, dict[str, float]]:
    return {
        name: {"IDF1": value, "AssA": value / 2, "HOTA": 0.5, "MOTA": -0.25, "IDSW": round(100 * value)}
        for name, value in idf1.items()
    }


MEASURED = {
    ("base", 0): summary(MOT15=0.50, MOT17=0.60),
    ("base", 1): summary(MOT15=0.60, MOT17=0.80),
    ("cold", 0): summary(MOT15=0.52, MOT17=0.62),
    ("cold", 1): summary(MOT15=0.63, MOT17=0.83),
    ("guided", 0): summary(MOT15=0.90, MOT17=0.90),
}


def comparison(chosen: VariantSet, seeds: Sequence[int] = (0, 1), measured: Any = MEASURED) -> Comparison:
    experiments = expand(chosen, seeds, SNAPSHOT)
    results = [
        Result(item, "c" * 40, "b" * 40, measured[item.name.variant, item.name.seed])
        for item in experiments
        if (item.name.variant, item.name.seed) in measured
    ]
    return Comparison(chosen, tuple(seeds), tuple(results), frozenset({"guided"}))


class TestComparison:
    def test_values_and_differences(self, written: Callable[[str], VariantSet]) -> None:
        compared = comparison(written(SET))
        assert compared.benchmarks == ["MOT15", "MOT17"]
        values, differences = compared.values("IDF1"), compared.differences("IDF1")[MEAN]
        assert values.loc["base", "MOT15"].tolist() == [0.5, 0.6]
        assert values.loc["base", MEAN].mean() == pytest.approx(0.625)
        assert differences["base"].tolist() == [0, 0]
        assert differences["cold"].tolist() == pytest.approx([0.02, 0.03]), "what a seed does to both drops out"
        assert differences["guided"].tolist() == pytest.approx([0.35])

    def test_a_benchmark_that_one_seed_lacks_has_no_mean(self, written: Callable[[str], VariantSet]) -> None:
        measured = {("base", 0): summary(MOT15=0.5), ("cold", 0): summary(MOT15=0.5, MOT17=0.7)}
        compared = comparison(written(SET), (0,), measured)
        assert metric_table(compared, "IDF1")[1] == ["base", "1", "50.0", "-", "-", "-"]
        assert metric_table(compared, "IDF1")[2] == ["cold", "1", "50.0", "70.0", "60.0", "-"]


class TestReports:
    def test_cells(self, written: Callable[[str], VariantSet]) -> None:
        compared = comparison(written(SET))
        assert metric_table(compared, "IDF1") == [
            ["IDF1", "n", "MOT15", "MOT17", "mean", "vs base"],
            ["base", "2", "55.0 ± 7.1", "70.0 ± 14.1", "62.5 ± 10.6", "-"],
            ["cold", "2", "57.5 ± 7.8", "72.5 ± 14.8", "65.0 ± 11.3", "+2.5 ± 0.7"],
            ["**guided (HAS SEEN IDENTITIES)**", "1", "90.0", "90.0", "90.0", "+35.0"],
        ]
        assert metric_table(compared, "IDSW")[1:] == [
            ["base", "2", "55.0 ± 7.1", "70.0 ± 14.1", "62.5 ± 10.6", "-"],
            ["cold", "2", "57.5 ± 7.8", "72.5 ± 14.8", "65.0 ± 11.3", "+2.5 ± 0.7"],
            ["**guided (HAS SEEN IDENTITIES)**", "1", "90", "90", "90", "+35"],
        ]
        assert metric_table(compared, "MOTA")[1][2] == "-25.0 ± 0.0"

    def test_what_did_not_run_has_no_row(self, written: Callable[[str], VariantSet]) -> None:
        chosen, ran = written(SET), {("cold", 0): summary(MOT15=0.5)}
        for measured, names in ((ran, ["base", "cold"]), ({("base", 0): summary(MOT15=0.5)}, ["base"])):
            compared = comparison(chosen, (0,), measured)
            assert [row[0] for row in metric_table(compared, "IDF1")[1:]] == names, "the first is always there"
            assert re.findall(r">(base|cold|guided)[< ]", svg(compared)) == names
        text = markdown(comparison(chosen, (0,), ran), "clmot ablation", [])
        assert "Without results: base (seed 0), guided (seed 0)." in text

    def test_one_seed_has_no_spread(self, written: Callable[[str], VariantSet]) -> None:
        text = markdown(comparison(written(SET), (0,)), "clmot ablation", [])
        assert "±" not in text
        assert "Seed 0 alone" in text

    def test_the_embedding_alone_has_a_table_where_it_was_judged(self, written: Callable[[str], VariantSet]) -> None:
        judged = {"MOT15": {"IDF1": 0.5, "ReID_mAP": 0.4, "AP": 0.7}}
        measured = {("base", 0): judged, ("cold", 0): {"MOT15": {"IDF1": 0.5, "AP": 0.75}}}
        compared = comparison(written(SET), (0,), measured)
        text = markdown(compared, "clmot ablation", [])
        assert [metric for metric in METRICS if f"\n| {metric} " in text] == ["IDF1", "ReID_mAP", "AP"]
        assert "ReID_mAP judges the embedding alone" in text
        assert metric_table(compared, "ReID_mAP")[1:3] == [
            ["base", "1", "40.0", "40.0", "-"],
            ["cold", "1", "-", "-", "-"],
        ], "a variant without an embedding has none"

    def test_the_report_says_everything(self, written: Callable[[str], VariantSet]) -> None:
        text = markdown(comparison(written(SET)), "clmot ablation --seeds 0,1", ["5 experiments from commit bbb."])
        lines = text.splitlines()
        assert lines[0] == "# Temperatures"
        assert lines[2].startswith("**guided: SUPERVISED BASELINE, which has seen the identity labels.**")
        headers = [line.split("|")[1].strip() for line in lines if line.startswith("|") and " n |" in line]
        assert headers == ["IDF1", "AssA", "HOTA", "MOTA", "IDSW"], "what nobody measured has no table"
        assert "ReID_mAP" not in text
        assert "Without results: guided (seed 1)." in lines
        assert "- cold: `loss.temperature=0.1`" in lines
        assert "- base: nothing" in lines
        assert "Made by `clmot ablation --seeds 0,1`." in lines
        assert "5 experiments from commit bbb." in lines
        assert "`clmot.ablation = mine`" in text
        for block in re.split(r"\n\n", text):
            rows = [line for line in block.splitlines() if line.startswith("|")]
            assert len({len(row) for row in rows}) <= 1, "columns line up"

    def test_json_has_a_line_for_each_result(self, written: Callable[[str], VariantSet]) -> None:
        text = as_json(comparison(written(SET)), "clmot ablation", ["x"])
        told = json.loads(text)
        assert len(told["results"]) == len(MEASURED) == sum('"summary"' in line for line in text.splitlines())
        found = {(result["variant"], result["seed"]): result for result in told["results"]}
        assert found["base", 1]["summary"] == MEASURED["base", 1]
        assert ExperimentName.parse(found["cold", 0]["experiment"]) is not None
        assert [item["has_seen_identities"] for item in told["variants"]] == [False, False, True]
        assert told["variants"][2]["overrides"] == ["loss.embedding=supervised", "strip.keep_identities=true"]

    def test_a_picture_is_the_same_bytes_until_a_number_changes(self, written: Callable[[str], VariantSet]) -> None:
        chosen = written(SET)
        picture = svg(comparison(chosen))
        assert svg(comparison(chosen)) == picture
        other = {**MEASURED, ("base", 0): summary(MOT15=0.51, MOT17=0.6)}
        assert svg(comparison(chosen, measured=other)) != picture
        assert len(picture.encode()) < 60_000
        assert not re.search(r"20\d\d-\d\d-\d\d", picture), "no date"
        for text in ("cold", "guided (has seen identities)", "MOT15", "mean", "Temperatures"):
            assert f">{text}" in picture

    def test_a_picture_with_a_variant_without_results(self, written: Callable[[str], VariantSet]) -> None:
        measured = {("cold", 0): summary(MOT17=0.5)}
        assert ">base<" in svg(comparison(written(SET), (0,), measured))

    def test_a_sweep_is_drawn_over_its_param(self) -> None:
        chosen = sweep("loss.temperature=0.05,0.1,0.5")
        judged = {
            (variant.name, seed): {"MOT17": {"IDF1": 0.5 + 0.01 * seed, "ReID_mAP": 0.4, "HOTA": 0.3}}
            for variant in chosen.variants
            for seed in (0, 1)
        }
        picture = svg(comparison(chosen, measured=judged))
        assert svg(comparison(chosen, measured=judged)) == picture
        for text in ("0.05", "0.1", "0.5", "loss.temperature", "IDF1", "ReID mAP"):
            assert f">{text}<" in picture
        assert ">AP<" not in picture, "it was not measured"
        del judged["temperature-0.5", 0], judged["temperature-0.5", 1]
        assert svg(comparison(chosen, measured=judged)) != picture
        words = sweep("loss.embedding=nt_xent,none")
        measured = {(variant.name, 0): {"MOT17": {"IDF1": 0.5}} for variant in words.variants}
        assert ">nt_xent<" in svg(comparison(words, (0,), measured))


class Project:
    """A Git repository with dvc.yaml, its code and sets, and experiments that someone has made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dvc.yaml", "params.yaml", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("clmot", "stages", "profiles", "weights"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pth"))
        (folder / "experiments").mkdir()
        (folder / "experiments" / "ablation.yaml").write_text(SET)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Somebody")
        self.git("config", "user.email", "somebody@example.org")
        self.commit("the project")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)

    def finish(self, variant: str, seed: int, **params: Any) -> None:
        """What DVC leaves of a finished experiment: a commit with its params and metrics under refs/exps."""
        chosen = read_set("experiments/ablation.yaml")
        item = next(item for item in expand(chosen, (seed,), take_snapshot()) if item.name.variant == variant)
        baseline = self.git("rev-parse", "HEAD")
        values = item.params.as_dict()
        for section, changes in params.items():
            values[section] |= changes
        (self.folder / "params.yaml").write_text(yaml.safe_dump(values))
        (self.folder / "metrics").mkdir(exist_ok=True)
        found: Any = MEASURED[variant, seed]
        if found is not None:
            written = found if isinstance(found, str) else json.dumps({"mean": {"IDF1": 0.123}, **found})
            (self.folder / "metrics" / "summary.json").write_text(written)
        self.commit("an experiment")
        self.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{item.name}", "HEAD")
        self.git("reset", "-q", "--hard", baseline)

    def report(self) -> dict[str, str]:
        return {
            ending: (self.folder / "experiments" / "results" / f"ablation.{ending}").read_text()
            for ending in ("md", "json", "svg")
        }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


class TestCommand:
    def test_a_dry_run_shows_what_would_run(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        project.finish("cold", 0)
        cli.run(["ablation", "--dry-run", "--only", "cold,guided"])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(".")[1] for line in lines] == ["cold", "guided", "cold", "guided"]
        assert lines[0].startswith("# has results: ablation.cold.seed0.")
        assert lines[3].startswith("dvc exp run --queue --name ablation.guided.seed1.")
        assert lines[3].endswith("-S loss.embedding=supervised -S strip.keep_identities=true -S seed=1")
        assert not (project.folder / ".dvc").exists()

    def test_the_table_of_what_there_is(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        for variant, seed in MEASURED:
            project.finish(variant, seed)
        cli.run(["ablation", "--table-only"])
        first = project.report()
        said = capsys.readouterr().out
        assert "+2.5 ± 0.7" in said
        assert "experiments/results/ablation.md" in said
        assert f"5 experiments from commit {project.git('rev-parse', 'HEAD')[:10]}." in first["md"]
        assert "Without results: guided (seed 1)." in first["md"]
        assert json.loads(first["json"])["results"][1]["summary"] == MEASURED["cold", 0]

        project.commit("the table, which changes nothing that an experiment rests on")
        cli.run(["ablation", "--table-only"])
        assert project.report() == first, "nothing in it depends on when it is made"

    def test_a_sweep_needs_no_file(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        cli.run(["ablation", "--sweep", "loss.temperature=0.1,0.5", "--seeds", "0,2", "--dry-run"])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 4
        assert "sweep-loss-temperature.temperature-0.5.seed2." in lines[3]
        assert lines[3].endswith("-S loss.temperature=0.5 -S seed=2")
        with pytest.raises(InputError, match=r"no experiment of --sweep loss\.temperature=0\.1,0\.5 has results"):
            cli.run(["ablation", "--sweep", "loss.temperature=0.1,0.5", "--table-only"])

    def test_other_code_or_params_are_other_experiments(self, project: Project) -> None:
        project.finish("cold", 0)
        (project.folder / "README.md").write_text("not code\n")
        project.commit("a text")
        cli.run(["ablation", "--table-only"])
        before = project.report()
        path = project.folder / "clmot" / "tracking" / "tracker.py"
        path.write_text(path.read_text() + "# changed\n")
        with pytest.raises(InputError, match=r"no experiment of --set .*ablation.yaml has results for"):
            cli.run(["ablation", "--table-only"])
        assert project.report() == before

    def test_the_table_names_changes_beyond_the_commit(self, project: Project) -> None:
        path = project.folder / "params.yaml"
        text = path.read_text()
        path.write_text(text.replace("margin: 0.5", "margin: 0.6"))
        changed = path.read_text()
        project.finish("cold", 0)
        path.write_text(changed)
        cli.run(["ablation", "--table-only"])
        assert "with loss.margin=0.6." in project.report()["md"]

    def test_an_experiment_with_other_params_than_planned_is_refused(self, project: Project) -> None:
        project.finish("cold", 0, loss={"margin": 0.7})
        with pytest.raises(InputError, match=r"ran with loss.margin=0.7 where 0.5 was meant"):
            cli.run(["ablation", "--table-only"])
        assert not (project.folder / "experiments" / "results" / "ablation.md").exists()

    def test_experiments_that_score_nothing_are_no_comparison(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(MEASURED, ("cold", 0), {})
        project.finish("cold", 0)
        with pytest.raises(InputError, match="nothing in them is scored"):
            cli.run(["ablation", "--table-only"])
        assert not (project.folder / "experiments" / "results" / "ablation.md").exists()

    def test_a_module_git_does_not_know_is_refused(self, project: Project) -> None:
        (project.folder / "clmot" / "losses" / "fresh.py").write_text("X = 1\n")
        with pytest.raises(InputError, match=r"Git does not know clmot/losses/fresh.py.*`git add` what"):
            cli.run(["ablation", "--dry-run"])
        project.git("add", "clmot/losses/fresh.py")
        cli.run(["ablation", "--dry-run"])

    @pytest.mark.parametrize("text", [None, "", "[1]", '{"MOT17": 3}', '{"MOT17": {"IDF1": "much"}}'])
    def test_a_damaged_summary_names_its_experiment(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, text: str | None
    ) -> None:
        monkeypatch.setitem(MEASURED, ("cold", 0), text)
        project.finish("cold", 0)
        with pytest.raises(InputError, match=r"experiment ablation\.cold\.seed0.* `dvc exp remove ablation\.cold"):
            cli.run(["ablation", "--table-only"])

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("seed: [", r"params.yaml:\d+ is not valid YAML"),
            ("", "params.yaml is empty"),
            (BASE.replace("temperature: 0.2", "temperature: -1"), "'loss.temperature' should be above 0"),
        ],
    )
    def test_params_that_are_none(self, project: Project, text: str, sentence: str) -> None:
        (project.folder / "params.yaml").write_text(text)
        with pytest.raises(InputError, match=sentence):
            cli.run(["ablation", "--dry-run"])

    def test_what_an_earlier_command_made_is_not_waited_for(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`cold` and `guided` share the download, which `base` has made: they may run side by side."""
        project.finish("base", 0)
        queue = FakeQueue()
        queue.results = set(finished_experiments())
        monkeypatch.setattr(dvc_queue, "DvcQueue", lambda: queue)
        monkeypatch.setattr(dvc_queue, "TICK", 0.0)
        cli.run(["ablation", "--seeds", "0", "--jobs", "2"])
        assert queue.calls == ["add cold0", "add guided0", "start 2"]

    def test_code_that_changes_before_more_is_queued_ends_the_command(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = project.folder / "clmot" / "tracking" / "tracker.py"

        class Meddled(FakeQueue):
            def start(self, jobs: int) -> None:
                super().start(jobs)
                path.write_text(path.read_text() + "# changed\n")

        queue = Meddled()
        monkeypatch.setattr(dvc_queue, "DvcQueue", lambda: queue)
        monkeypatch.setattr(dvc_queue, "TICK", 0.0)
        with pytest.raises(InputError, match=r"code or params.yaml changed while experiments ran"):
            cli.run(["ablation", "--seeds", "0", "--jobs", "2"])
        assert queue.calls == ["add base0", "start 2", "remove cold0", "remove guided0"]

    def test_only_one_command_runs_experiments(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project.folder / ".dvc").mkdir()
        project.finish("base", 0)
        queue = FakeQueue()
        queue.results = set(finished_experiments())
        monkeypatch.setattr(dvc_queue, "DvcQueue", lambda: queue)
        monkeypatch.setattr(dvc_queue, "TICK", 0.0)
        with dvc_queue.sole_runner():
            with pytest.raises(InputError, match="another `clmot ablation` is running experiments here"):
                cli.run(["ablation"])
            assert queue.calls == []
            for harmless in (["--dry-run"], ["--table-only"], ["--seeds", "0", "--only", "base"]):
                cli.run(["ablation", *harmless])
        cli.run(["ablation", "--seeds", "0"])
        assert queue.calls == ["add cold0", "add guided0", "start 1"]
        assert "1 of 3 experiments have results." in capsys.readouterr().err

    def test_a_command_that_was_killed_locks_nobody_out(self, project: Project) -> None:
        (project.folder / ".dvc").mkdir()
        program = (
            "import os; from clmot.ablation.dvc_queue import sole_runner\nwith sole_runner(): os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([sys.executable, "-c", program], check=False)
        assert done.returncode == -9
        with dvc_queue.sole_runner():
            pass

    def test_outside_of_a_project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "mine.yaml").write_text(SET)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="run clmot from the project's folder"):
            cli.run(["ablation", "--set", "mine.yaml"])
        shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        with pytest.raises(InputError, match="experiments are made from a Git commit"):
            cli.run(["ablation", "--set", "mine.yaml"])

    def test_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert seed_list("0,1, 2") == (0, 1, 2)
        assert set_path("association") == "experiments/association.yaml"
        assert set_path("mine/set.yaml") == "mine/set.yaml"
        for wrong in (
            ["--seeds", "0,0"],
            ["--seeds", "a"],
            ["--seeds", ""],
            ["--only", ""],
            ["--jobs", "0"],
            ["--jobs", "x"],
        ):
            with pytest.raises(SystemExit):
                cli.run(["ablation", *wrong])
            assert "should be" in capsys.readouterr().err
