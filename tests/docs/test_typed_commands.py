"""Commands of docs/track.md and docs/weights.md that need no pipeline, word for word, in one folder and one process."""

from __future__ import annotations

import csv
import functools
import http.server
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, blocks
from short_films import write_short_films
from small_encoder import QUICK_LEARNING, save_small_encoder
from small_network import save_small_network
from tiny_films import encode, write_boxes, write_video

from clmot.cli.main import run
from clmot.motchallenge.annotations import read_results

PAGES = ("docs/track.md", "docs/weights.md")
HERE = "run by tests/docs/test_typed_commands.py"
COMMANDS = [
    line for page in PAGES for block in blocks(ROOT / page, "sh") if block.mark == HERE for line in block.commands
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages speak of: a model, videos, boxes, a film of images."""
    folder = tmp_path_factory.mktemp("typed")
    save_small_network(folder / "models/tracker")
    save_small_encoder(folder / "models/tracker")
    for name in ("phone", "door", "hall", "yard"):
        write_video(folder / f"{name}.mp4")
    write_boxes(folder / "phone.mp4", "yolo", identities=False).rename(folder / "yolo_labels")
    write_boxes(folder / "door.mp4", "coco", identities=False)
    encode(folder / "stream.mkv")
    shutil.copy(ROOT / "params.yaml", folder)
    (images,) = write_short_films(folder, 1)
    film = images.parent / "door"
    film.mkdir()
    images.rename(film / "img1")
    (film / "seqinfo.ini").write_text(
        "[Sequence]\nname=door\nimDir=img1\nframeRate=10\nseqLength=6\nimWidth=96\nimHeight=64\nimExt=.png\n"
    )
    (folder / "detections").mkdir()
    (folder / "detections/door.txt").write_text("1,-1,5,5,30,60,0.5,-1,-1,-1\n")
    return folder


@pytest.fixture(scope="module")
def camera(folder: Path) -> Iterator[str]:
    """The address of a stream that ends."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stream.mkv"
        server.shutdown()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works(command: str, folder: Path, camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    program, *words = shlex.split(command)
    assert program == ".venv/bin/clmot"
    words = [camera if word == "rtsp://camera/stream" else word for word in words]
    run([*words, *(QUICK_LEARNING if "--learn" in words else ())])


def test_what_they_left(folder: Path) -> None:
    """After the commands above."""
    assert sorted(set(read_results(folder / "tracked/phone.txt").identity.tolist())) == [1, 2]
    with (folder / "tracked/door.csv").open() as rows:
        assert len(list(csv.DictReader(rows))) > 12
    for name in ("tracked/phone.mp4", "out/door.mp4", "out/hall.mp4", "tracked/yard.mp4", "door-model/MODEL_CARD.md"):
        assert (folder / name).stat().st_size > 0, name
    assert (folder / "tracked/stream.txt").is_file()
    assert not (folder / "tracked/stream.mp4").exists()
    for name in ("tracker.onnx", "crops.onnx", "door.npz"):
        assert (folder / name).stat().st_size > 0, name
