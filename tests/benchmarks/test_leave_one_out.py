"""Choosing the tracker's settings without a film, and what that film then scores."""

from __future__ import annotations

import json

import pytest

from benchmarks.leave_one_out import chosen_without, main, settings_to_try, summary
from benchmarks.unseen_film import find_films
from clmot.errors import InputError
from clmot.inference.given_detections import Recorder
from clmot.inference.pipeline import Detections
from clmot.inference.recording import write_recording


def rows(scores):
    """A row per settings, film and arena: (settings, film) -> IDF1 by the detector's boxes and by the true ones."""
    return [
        {"settings": dict(settings), "kind": "colour", "seed": 0, "film": film, "arena": arena, "IDF1": [value],
         "HOTA": [value / 2]}
        for (settings, film), values in scores.items()
        for arena, value in zip(("detected", "visible"), values, strict=True)
    ]  # fmt: skip


PLAIN, STRICT = (), (("look_veto", 1.0),)


def test_a_film_has_no_say_in_its_own_settings():
    """Strict is best for b and c; that it ruins a is seen only when a is tracked."""
    told = rows(
        {(PLAIN, "a"): (90, 90), (PLAIN, "b"): (50, 90), (PLAIN, "c"): (50, 90),
         (STRICT, "a"): (10, 90), (STRICT, "b"): (60, 90), (STRICT, "c"): (60, 90)}
    )  # fmt: skip
    found = summary(told)["colour"]
    assert found["settings tried"] == 2
    assert found["detected"]["chosen"] == {"a": {"look_veto": 1.0}, "b": {}, "c": {}}
    assert found["detected"]["detected IDF1"]["left out"] == {"a": 10, "b": 50, "c": 50}
    assert found["detected"]["detected IDF1"]["mean of the profile"] == pytest.approx(63.33)
    assert found["detected"]["detected HOTA"]["mean"] == pytest.approx(18.33)


def test_both_arenas_can_decide():
    told = rows(
        {(PLAIN, "a"): (50, 90), (PLAIN, "b"): (50, 90), (STRICT, "a"): (60, 70), (STRICT, "b"): (60, 70)}
    )  # fmt: skip
    found = summary(told)["colour"]
    assert found["detected"]["chosen"]["a"] == {"look_veto": 1.0}
    assert found["both"]["chosen"]["a"] == {}


def test_of_equal_settings_the_first_is_taken():
    scores = {
        "{}": {("a", "detected"): 1.0, ("b", "detected"): 5.0},
        "x": {("a", "detected"): 2.0, ("b", "detected"): 5.0},
    }
    assert chosen_without(scores, "a", ["detected"]) == "{}"
    assert chosen_without(scores, "b", ["detected"]) == "x"


def test_settings_are_those_of_params():
    assert settings_to_try(["look_veto=1,2", "reentry=same"]) == [
        {}, {"look_veto": 1.0}, {"look_veto": 2.0}, {"reentry": "same"}
    ]  # fmt: skip
    for wrong, told in (
        ("look_veto", "expected KEY=VALUE"),
        ("look_vetto=1", "look_veto"),
        ("look_veto=high", "number"),
    ):
        with pytest.raises(InputError, match=told):
            settings_to_try([wrong])


@pytest.mark.parametrize("kind", ["none", "none, projected"])
def test_kept_boxes_are_tracked_once(two_films, tmp_path, capsys, kind):
    """A second call tracks what is new alone."""
    for film in find_films(two_films / "films", two_films / "boxes"):
        for arena in ("detected", "visible"):
            boxes, recorder = film.boxes(arena), Recorder(0.0)
            for frame in range(1, film.info.length + 1):
                here = boxes.select(boxes.frame == frame)
                recorder(frame, Detections(here.corners(), here.confidence, None))
            folder = tmp_path / f"none-{film.name}-0"
            folder.mkdir(exist_ok=True)
            write_recording(folder / f"{arena}.safetensors", recorder.recorded())
    call = [str(two_films / "films"), "--detections", str(two_films / "boxes"), "--keep", str(tmp_path),
            "--rows", str(tmp_path / "rows.jsonl"), "--kinds", kind, "--drops", "1", "--try"]  # fmt: skip
    main([*call, "second_pass=false"])
    assert json.loads(capsys.readouterr().out)[kind]["settings tried"] == 2
    first = (tmp_path / "rows.jsonl").read_text()
    main([*call, "second_pass=false", "lost_seconds=1"])
    assert json.loads(capsys.readouterr().out)[kind]["settings tried"] == 3
    assert (tmp_path / "rows.jsonl").read_text().startswith(first)
    assert len(first.splitlines()) == 8
    with pytest.raises(InputError, match="with --keep"):
        main([*call, "lost_seconds=1", "--kinds", "colour"])
