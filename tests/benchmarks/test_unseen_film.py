"""The benchmark of unseen film, on two tiny ones: every kind is there, and the bounds are bounds."""

from __future__ import annotations

import json

import pytest

from benchmarks import unseen_film
from clmot.errors import InputError


@pytest.fixture(scope="module")
def films(two_films):
    """Where this file's runs write as well."""
    return two_films


def run(films, *more):
    output = films / "out.json"
    unseen_film.main(
        [str(films / "films"), "--detections", str(films / "boxes"), "--weights", "weights/none", "--device", "cpu",
         "--output", str(output), "--drops", "2", *more]
    )  # fmt: skip
    return json.loads(output.read_text())


def test_controls_and_bounds(films):
    report = run(films, "--kinds", "oracle", "perfect", "constant", "none", "colour")
    found = report["summary"]
    assert found["constant"]["detected IDF1"] == found["none"]["detected IDF1"]
    assert found["perfect"]["detected Purity"]["mean"][0] == 100
    assert found["oracle"]["ReID_mAP"]["mean"][0] == pytest.approx(100)
    assert found["perfect"]["visible IDF1"]["mean"][0] >= found["oracle"]["visible IDF1"]["mean"][0] - 1
    assert {row["film"] for row in report["results"]} == {"door", "yard"}


def test_what_is_taught(films):
    kinds = ("paper's head", "supervised", "other films", "film itself")
    head = ("pretrain.epochs=1", "train.epochs=1", "model.input_size=[64, 32]", "pretrain.frame_stride=4")
    head += ("model.neck_channels=[8, 8, 8, 8]", "model.head_channels=8")
    small = ("-S", "crop.input_size=[32, 64]", "-S", "crop.steps=2", "-S", "train.epochs=1")
    small += tuple(word for change in head for word in ("--head-set", change))
    report = run(films, "--kinds", *kinds, "--seeds", "0", *small)
    assert report["head"] == " ".join(["mini", *head])
    for kind in kinds:
        rows = [row for row in report["results"] if row["kind"] == kind]
        assert len(rows) == 2
        assert all(row["training_seconds"] > 0 and row["embedding"] for row in rows)
        assert report["summary"][kind]["seeds"] == 1


def test_what_is_kept_is_tracked_again_to_the_same_numbers(films, tmp_path, monkeypatch):
    options = ("--kinds", "film itself", "colour", "--seeds", "0", "1", "--keep", str(tmp_path / "kept"))
    options += ("-S", "crop.input_size=[32, 64]", "-S", "crop.steps=2", "-S", "train.epochs=1")
    first = run(films, *options)
    assert first["summary"]["film itself"]["seeds"] == 2
    monkeypatch.setattr(unseen_film.Case, "_embed", lambda *_: pytest.fail("embedded again"))
    assert run(films, *options)["results"] == first["results"]
    looks = []
    real = unseen_film.film_projection
    monkeypatch.setattr(unseen_film, "film_projection", lambda *given: looks.append(given) or real(*given))
    both = run(films, *options, "--projected")
    assert [row for row in both["results"] if "projected" not in row["kind"]] == first["results"]
    projected = [row for row in both["results"] if "projected" in row["kind"]]
    assert {row["kind"] for row in projected} == {"film itself, projected", "colour, projected"}
    # What is tracked in each of two arenas, and what is judged alone.
    assert len(looks) == 3 * len(projected)
    with pytest.raises(InputError, match="was embedded with other settings"):
        run(films, *options, "-S", "loss.temperature=0.3")


def test_one_film_is_refused(tmp_path, films):
    with pytest.raises(InputError, match="has 0 films"):
        unseen_film.main([str(tmp_path), "--detections", str(films / "boxes"), "--weights", "weights/none"])


def test_a_film_without_boxes_is_named(tmp_path, films):
    with pytest.raises(InputError, match=r"door\.txt does not exist"):
        unseen_film.main([str(films / "films"), "--detections", str(tmp_path), "--weights", "weights/none"])


def test_changes_are_judged_as_params_are():
    assert unseen_film.film_params(["crop.views.background=1", "crop.parts=6"]).crop.parts == 6
    with pytest.raises(InputError, match=r"'crop\.partz'"):
        unseen_film.film_params(["crop.partz=6"])
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        unseen_film.film_params(["crop.parts"])
    with pytest.raises(InputError, match="there is no profile 'papers'"):
        unseen_film.film_params(profile="papers")
