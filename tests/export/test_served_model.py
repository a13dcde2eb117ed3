"""A model as MLflow serves it: the same answers as in Python, per session, by its own loader and over HTTP, as
docs/track.md has it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from small_network import save_small_network

import clmot
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.export import served_model
from clmot.export.served_model import ServedModel, decoded

BOXES = [[10.0, 20.0, 30.0, 70.0], [80.0, 30.0, 100.0, 80.0]]
SCORES = [0.9, 0.8]
EASY = (("track: {confidence: 0.05, new_track_confidence: 0.05, min_box_area: 0, max_aspect: 9}", "the test"),)
"""A network of random weights is sure of nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "tracker"
    save_small_network(out)
    return out


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    """The model as `clmot export` writes it for MLflow."""
    out = folder.parent / "served"
    run(["export", str(folder), str(out), "--to", "mlflow"])
    return out


def frame(number: int) -> NDArray[np.uint8]:
    image = np.random.default_rng(number).integers(0, 90, (96, 128, 3), np.uint8)
    image[20:70, 10 + 3 * number : 30 + 3 * number] = (40, 200, 220)
    return image


def encoded(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()


def moved(number: int) -> list[list[float]]:
    return np.add(BOXES, [3 * number, 0, 3 * number, 0]).tolist()


def asked(number: int, **columns: Any) -> dict[str, Any]:
    return {"image": encoded(frame(number)), **columns}


def test_a_session_answers_as_in_python(folder: Path) -> None:
    model = clmot.load(folder, changes=EASY)
    served, session = ServedModel(model), model.session(25)
    for number in range(4):
        (answer,) = served.predict(pd.DataFrame([asked(number, session="door", time=number / 25)]), {"fps": 25.0})
        expected = session.update(frame(number), time=number / 25)
        assert (answer["number"], answer["time"]) == (expected.number, expected.time)
        assert answer["identities"] == expected.identities.tolist()
        assert answer["boxes"] == expected.boxes.tolist()
        assert answer["scores"] == expected.scores.tolist()
        assert np.shape(answer["embeddings"]) == (len(expected), 64)
    assert expected.identities.size


def test_sessions_know_nothing_of_each_other(folder: Path) -> None:
    served = ServedModel(clmot.load(folder))
    rows = [asked(n, session=name, boxes=moved(n), scores=SCORES) for n in range(3) for name in ("a", "b")]
    answers = served.predict(pd.DataFrame(rows))
    assert [answer["number"] for answer in answers] == [1, 1, 2, 2, 3, 3]
    assert all(answer["identities"] == [1, 2] for answer in answers)
    (again,) = served.predict(pd.DataFrame([asked(3, session="c", boxes=moved(3), scores=SCORES)]))
    assert again["number"] == 1


def test_embeddings_are_in_the_order_of_the_boxes(folder: Path) -> None:
    served = ServedModel(clmot.load(folder))
    (both,) = served.predict(pd.DataFrame([asked(0, boxes=BOXES, scores=SCORES)]))
    for at in range(2):
        (one,) = served.predict(pd.DataFrame([asked(0, boxes=[BOXES[at]], scores=[SCORES[at]])]))
        np.testing.assert_allclose(both["embeddings"][at], one["embeddings"][0], atol=1e-6)
    assert both["embeddings"][0] != both["embeddings"][1]


def test_without_a_session_no_one_is_known(folder: Path) -> None:
    served = ServedModel(clmot.load(folder, changes=EASY))
    rows = [asked(0, boxes=BOXES, scores=SCORES), asked(0, session="a", boxes=[], scores=[]), asked(1)]
    alone, empty, own = served.predict(pd.DataFrame(rows))
    assert (alone["identities"], alone["scores"]) == (None, SCORES)
    assert (empty["boxes"], empty["identities"]) == ([], [])
    assert own["number"] == 1
    assert own["boxes"]


def test_the_session_that_was_not_used_for_longest_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_model, "SESSIONS", 3)
    served = ServedModel(clmot.load(folder))
    image = encoded(np.zeros((32, 32, 3), np.uint8))

    def number(name: str) -> int:
        return int(served.predict(pd.DataFrame([{"image": image, "session": name, "boxes": []}]))[0]["number"])

    for name in range(3):
        number(str(name))
    assert number("0") == 2
    number("one more")
    assert (number("0"), number("1")) == (3, 1)


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"no image").decode(), None])
def test_what_is_no_image_is_said(text: Any) -> None:
    with pytest.raises(ValueError, match="'image' is "):
        decoded(text)


def test_a_data_address_is_an_image_too() -> None:
    assert (decoded(f"data:image/png;base64,{encoded(frame(1))}") == frame(1)).all()


def test_mlflow_loads_it_with_its_signature_and_example(written: Path) -> None:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(str(written))
    assert [column.name for column in model.metadata.signature.inputs] == [
        *("image", "boxes", "scores", "session", "time"),
    ]
    example = model.input_example
    (answer,) = model.predict(example)
    assert {column.name for column in model.metadata.signature.outputs} == set(answer)
    assert answer["identities"] == [1]
    (alone,) = model.predict(example[["image"]])
    assert alone["identities"] is None
    needed = (written / "requirements.txt").read_text()
    assert "torch==" in needed
    assert "/" not in needed


def test_the_folder_has_the_code_and_no_more(written: Path, folder: Path) -> None:
    files = [path for path in written.rglob("*") if path.is_file()]
    assert (written / "code/clmot/inference/session.py").is_file()
    assert not [path for path in files if "__pycache__" in path.parts]
    weights = sum(path.stat().st_size for path in folder.iterdir())
    assert sum(path.stat().st_size for path in files) < weights + 3_000_000


def test_a_name_with_an_ending_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        run(["export", str(folder), str(folder.parent / "served.zip"), "--to", "mlflow"])


@contextlib.contextmanager
def serving(model: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [*command, "-p", str(port)],
        cwd=model.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if server.poll() is not None:
                break
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/ping", timeout=5):
                break
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def post(address: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_over_http(written: Path, folder: Path) -> None:
    local = clmot.load(folder).session()
    with serving(written) as address:
        for number in range(3):
            row = asked(number, session="door", boxes=moved(number), scores=SCORES)
            (answer,) = post(address, {"dataframe_records": [row]})
            expected = local.update(frame(number), moved(number), SCORES)
            assert answer["identities"] == expected.identities.tolist() == [1, 2]
            np.testing.assert_array_equal(answer["boxes"], expected.boxes)
        columns = {"columns": ["image"], "data": [[encoded(frame(0))]]}
        (alone,) = post(address, {"dataframe_split": columns, "params": {"fps": 10.0}})
        assert alone["identities"] is None
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(address, {"dataframe_records": [{"image": "!"}]})
        assert refused.value.code == 400
        assert "'image' is not base64" in refused.value.read().decode()
