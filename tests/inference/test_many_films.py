"""Many films at once, as docs/scale.md has it: in processes, over machines, after a machine is lost, and those that
were finished before."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from short_films import write_short_films
from small_network import save_small_network
from spread_work import make_die, make_double, make_nothing, make_slow

from clmot.cli.main import run
from clmot.cli.track import films_of
from clmot.errors import InputError
from clmot.spread import is_cluster, spread

RAY = importlib.util.find_spec("ray") is not None
EASY = ("track.confidence=0.05", "track.new_track_confidence=0.05", "track.min_box_area=0", "track.max_aspect=9")
SET = [word for change in EASY for word in ("--set", change)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_small_network(tmp_path / "model")
    return tmp_path / "model"


def track(films: Path, model: Path, out: Path, *options: str) -> None:
    run(["track", str(films), "--model", str(model), "--device", "cpu", "-o", str(out), "--no-video", *SET, *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_item_is_done_once(workers: int) -> None:
    assert sorted(spread(partial(make_double, 1), range(7), "none", workers)) == [(n, 2 * n + 1) for n in range(7)]


def test_nothing_makes_no_worker() -> None:
    assert list(spread(partial(make_double, 1), [], "none", 4)) == []


@pytest.mark.parametrize(("make", "words"), [(make_die, "a worker process died"), (make_nothing, "no such weights")])
def test_a_pool_that_cannot_work_is_a_sentence(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(spread(make, range(5), "none", 2))


@pytest.mark.parametrize("text", ["none", "auto", "ray://head:10001", "10.0.0.1:6379"])
def test_a_cluster(text: str) -> None:
    assert is_cluster(text)


@pytest.mark.parametrize("text", ["", "yes", "ray://", "ray://head", "ray://head:port", ":10001"])
def test_what_is_no_cluster(text: str) -> None:
    assert not is_cluster(text)


def test_films_in_a_folder_and_in_processes(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes as one after the other; a second call does what is new, and no more."""
    films = write_short_films(tmp_path, 3)[0].parent
    assert films_of([str(films)]) == [str(films / f"film-{n:02d}") for n in range(3)]
    track(films, model, tmp_path / "one")
    capsys.readouterr()
    track(films, model, tmp_path / "two", "--workers", "2")
    expected = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == expected
    assert all(expected.values())
    assert "3 of 3: film-0" in capsys.readouterr().out
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "two").glob("*.txt")}
    films.joinpath("film-02").rename(films / "film-07")
    track(films, model, tmp_path / "two", "--workers", "2")
    said = capsys.readouterr().out
    assert "2 films finished before" in said
    assert "1 of 1: film-07" in said
    assert {name: (tmp_path / "two" / name).stat().st_mtime_ns for name in made} == made
    assert (tmp_path / "two" / "film-07.txt").read_bytes() == expected["film-02.txt"]
    track(films, model, tmp_path / "two", "--workers", "2", "--set", "track.lost_seconds=2")
    assert "finished before" not in capsys.readouterr().out


def test_a_film_that_cannot_be_read_stops_no_other(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = write_short_films(tmp_path, 2)[0].parent
    (films / "film-00" / "000003.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match="2"):
        track(films, model, tmp_path / "out", "--workers", "2")
    assert "error: " in capsys.readouterr().out
    assert (tmp_path / "out" / "film-01.txt").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cluster", "everything"], "ray://HOST:PORT"),
        (["--workers", "-1"], "number of processes"),
        (["--workers", "2", "--show"], "show nothing"),
    ],
)
def test_what_cannot_be_is_a_sentence(tmp_path: Path, model: Path, options: list[str], words: str) -> None:
    films = write_short_films(tmp_path, 2)[0].parent
    with pytest.raises(InputError, match=words):
        track(films, model, tmp_path / "out", *options)


def test_films_of_one_name_are_refused(tmp_path: Path, model: Path) -> None:
    one, two = write_short_films(tmp_path / "a", 1)[0], write_short_films(tmp_path / "b", 1)[0]
    with pytest.raises(InputError, match="two films have the name film-00"):
        run(["track", str(one), str(two), "--model", str(model), "-o", str(tmp_path / "out"), "--workers", "2"])


if RAY:

    @pytest.fixture(scope="module")
    def cluster() -> Iterator[object]:
        """Nodes of one core on this machine, where a lost one is noticed in seconds."""
        import ray
        from ray.cluster_utils import Cluster

        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180"}
        watch = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 1000,
            "health_check_failure_threshold": 5,
        }
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": watch})
        path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")])
        ray.init(address=made.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
        yield made
        ray.shutdown()
        made.shutdown()

    @pytest.mark.slow
    def test_forty_films_and_a_lost_machine(tmp_path: Path, model: Path, cluster, capsys, monkeypatch) -> None:
        """Every film's tracks are there, the same bytes as a pool's, and no finished film is done again."""
        from clmot.cli import track as command

        films = write_short_films(tmp_path, 40)[0].parent
        track(films, model, tmp_path / "pool", "--workers", "2")
        expected = contents(tmp_path / "pool")
        assert len(expected) == 40
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        noted: list[str] = []
        note = command.note_finished

        def note_and_kill(out: Path, name: str, *rest: object) -> None:
            note(out, name, *rest)
            noted.append(name)
            if len(noted) == 10:
                cluster.remove_node(lost)

        monkeypatch.setattr(command, "note_finished", note_and_kill)
        capsys.readouterr()
        track(films, model, tmp_path / "ray", "--cluster", "auto")
        assert contents(tmp_path / "ray") == expected
        assert sorted(noted) == sorted(path.stem for path in (tmp_path / "ray").glob("*.txt"))
        assert "40 of 40" in capsys.readouterr().out
        track(films, model, tmp_path / "ray", "--cluster", "auto")
        assert "40 films finished before" in capsys.readouterr().out

    @pytest.mark.slow
    def test_a_film_that_kills_its_workers_is_told(tmp_path: Path, cluster) -> None:
        with pytest.raises(InputError, match="3: 3 workers died"):
            list(spread(make_die, range(5), "auto", 0))

    @pytest.mark.slow
    def test_what_was_at_work_on_a_lost_machine_is_done_again(tmp_path: Path, cluster) -> None:
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        done: dict[int, str] = {}
        removed = False
        for index, (number, machine) in spread(partial(make_slow, tmp_path), range(20), "auto", 0):
            assert index == number not in done
            done[number] = machine
            if lost.node_id in done.values() and machine != lost.node_id and not removed:
                cluster.remove_node(lost)  # which has been at work on another since its last
                removed = True
        assert removed, "both machines worked"
        assert sorted(done) == list(range(20))
        begun = (tmp_path / "begun").read_text().split()
        assert len(begun) > 20, "one was begun again"
