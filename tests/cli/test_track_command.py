"""`clmot track` from one end to the other, as docs/track.md has it: files are whole, whatever ends it."""

from __future__ import annotations

import csv
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from small_encoder import QUICK_LEARNING
from tiny_films import FRAMES, encode, write_boxes, write_video

import clmot
from clmot.cli import track
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.films.detections import read_film_detections
from clmot.inference.image_sources import ImageSource, SourceImage, open_images
from clmot.inference.model import Model
from clmot.model_description import read_description
from clmot.motchallenge.annotations import read_results
from clmot.params import TrackParams
from clmot.reporting.track_film import track_film
from clmot.reporting.track_tables import TrackTable
from clmot.reporting.tracked_video import TrackedVideo

ROOT = Path(__file__).parents[2]
SIZE = (96, 64)
LEARN = ("--learn", *QUICK_LEARNING)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_a_video_and_its_boxes_are_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No model, no project, another folder: boxes of a detector, learnt and tracked in one command."""
    video = write_video(tmp_path / "phone.mp4")
    write_boxes(video, "yolo", identities=False)
    out = tmp_path / "out"
    run(["track", str(video), "--boxes", str(tmp_path / "phone_labels"), *LEARN, "-o", str(out)])
    found = read_results(out / "phone.txt")
    assert sorted(set(found.identity.tolist())) == [1, 2]
    assert sorted(set(found.frame.tolist())) == list(range(1, FRAMES + 1))
    pictures = decoded(out / "phone.mp4")
    assert len(pictures) == FRAMES
    # What was grey has colour now: the boxes are drawn.
    assert np.ptp(pictures[-1].astype(int), axis=2).max() > 60
    assert "12 frames" in capsys.readouterr().out


def test_what_was_learnt_can_be_kept(tmp_path: Path) -> None:
    """A model's folder: by `--model` the same tracks, in Python a session that is given boxes."""
    video = write_video(tmp_path / "phone.mp4")
    boxes = write_boxes(video, "mot", identities=False)
    kept, given = tmp_path / "kept", ["--boxes", str(boxes), "--no-video"]
    run(["track", str(video), *given, *LEARN, "--keep", str(kept), "-o", str(tmp_path / "learnt")])
    run(["track", str(video), *given, "--model", str(kept), "-o", str(tmp_path / "again")])
    assert (tmp_path / "again" / "phone.txt").read_bytes() == (tmp_path / "learnt" / "phone.txt").read_bytes()
    description = read_description(kept)
    assert (description.detects, description.embedder, description.seen_identities) == (False, "crop", ())
    table = read_film_detections(boxes, "phone", SIZE)
    session = clmot.load(kept).session(fps=10)
    for number, picture in enumerate(decoded(video), start=1):
        rows = table.frame == number
        frame = session.update(picture, table.corners()[rows].astype(np.float32), table.confidence[rows])
    assert sorted(frame.identities.tolist()) == [1, 2]


@pytest.mark.parametrize("kind", ["mot", "coco", "yolo"])
def test_boxes_of_every_format_say_the_same(tmp_path: Path, kind: str) -> None:
    video = write_video(tmp_path / "door.mp4")
    path = write_boxes(video, kind, identities=False)
    table = read_film_detections(path, "door", SIZE)
    expected = read_film_detections(write_boxes(write_video(tmp_path / "x" / "door.mp4"), "mot"), "door", SIZE)
    np.testing.assert_allclose(table.corners(), expected.corners(), atol=0.01)
    assert read_film_detections(tmp_path, "door", SIZE).frame.tolist() == table.frame.tolist()


def test_confidences_of_yolos_labels_are_scores(tmp_path: Path) -> None:
    labels = tmp_path / "run" / "labels"
    labels.mkdir(parents=True)
    (labels / "door_1.txt").write_text("0 0.5 0.5 0.2 0.4 0.91\n0 0.2 0.5 0.2 0.4 0.33\n")
    (labels / "door_2.txt").write_text("0 0.5 0.5 0.2 0.4 0.875\n")
    assert read_film_detections(tmp_path / "run", "door", SIZE).confidence.tolist() == [0.33, 0.91, 0.875]


@pytest.mark.parametrize("kind", ["mot", "coco", "yolo"])
@pytest.mark.parametrize("unit", ["corners", "fractions or pixels"])
def test_boxes_in_another_unit_are_refused(kind: str, unit: str, tmp_path: Path) -> None:
    """The same as of boxes that train, whatever the format."""
    people = [(10, 20, 30, 60), (100, 40, 130, 90), (150, 30, 190, 110), (60, 50, 90, 95)]  # corners in 200x120
    size, rows = np.array([200, 120] * 2), []
    for x1, y1, x2, y2 in people:
        box = np.array([x1, y1, x2, y2] if unit == "corners" else [x1, y1, x2 - x1, y2 - y1], float)
        rows.append(box / size if (kind == "yolo") == (unit == "corners") else box)
    if kind == "mot":
        text = "".join(f"{n},-1,{','.join(map(str, row))},1,-1,-1,-1\n" for n, row in enumerate(rows, 1))
    elif kind == "yolo":
        text = "".join(f"0 {' '.join(map(str, row))}\n" for row in rows)
    else:
        boxes = [{"id": n, "image_id": 1, "category_id": 1, "bbox": list(row)} for n, row in enumerate(rows)]
        images = [{"id": 1, "file_name": "door_1.jpg"}]
        text = json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]})
    path = tmp_path / {"mot": "door.txt", "coco": "door.json", "yolo": "door_labels/door_1.txt"}[kind]
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(InputError, match=r"are they the corners|fractions? of the image"):
        read_film_detections(path if kind != "yolo" else path.parent, "door", (200, 120))


@pytest.mark.parametrize("place", ["a.txt/out", "a.txt/x/y", "door.mp4/x"])
def test_a_place_without_room_is_told_before_anything_is_learnt(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "door.mp4")
    boxes = write_boxes(video, "mot")
    (tmp_path / "a.txt").write_text("")
    monkeypatch.setattr(track, "_learnt", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match="is no folder that can be written to"):
        run(["track", str(video), "--boxes", str(boxes), "--learn", "-o", str(tmp_path / place)])


def test_no_boxes_are_a_sentence(tmp_path: Path) -> None:
    for path, sentence in ((tmp_path / "none.txt", "does not exist"), (tmp_path, "has no boxes of door")):
        with pytest.raises(InputError, match=sentence):
            read_film_detections(path, "door", SIZE)


def moving(count: int, ends: BaseException | str | None = None) -> ImageSource:
    """Images with a person each, ended by an error or a trouble."""

    def read(source: ImageSource) -> Iterator[SourceImage]:
        for number in range(1, count + 1):
            yield SourceImage(number, (number - 1) / 25, np.full((64, 96, 3), 30, np.uint8))
        if isinstance(ends, BaseException):
            raise ends
        source.trouble = ends or ""

    return ImageSource("door", 25, read)


def boxes_of(tmp_path: Path) -> Path:
    return write_boxes(write_video(tmp_path / "door.mp4", 40), "mot", frames=40)


@pytest.mark.parametrize("kind", ["mot", "csv", "json", "coco"])
@pytest.mark.parametrize(("ends", "code"), [(None, 0), (KeyboardInterrupt(), 130), ("cut off", 3)])
def test_files_are_whole_whatever_ends_the_film(
    tmp_path: Path, kind: str, ends: BaseException | str | None, code: int
) -> None:
    table = read_film_detections(boxes_of(tmp_path), "door", SIZE)
    model = Model(TrackParams(embedding="none"), torch.device("cpu"))
    path, video = tmp_path / "out" / "door.tracks", tmp_path / "out" / "door.mp4"
    found = track_film(model, moving(30, ends), table, TrackTable(path, kind), TrackedVideo(video, 25))
    assert found.exit_code == code
    assert len(decoded(video)) == 30
    text = path.read_text()
    if kind == "mot":
        assert len(read_results(path)) == 60
    elif kind == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert len(rows) == 60
        assert rows[-1]["time"] == "1.160"
    elif kind == "json":
        frames = json.loads(text)["frames"]
        assert [len(frame["tracks"]) for frame in frames] == [2] * 30
    else:
        content = json.loads(text)
        assert len(content["images"]) == 30
        assert [row["track_id"] for row in content["annotations"]] == [1, 2] * 30
        assert [row["id"] for row in content["annotations"]] == list(range(1, 61))


def test_frames_last_as_long_as_they_did(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.54, 2.0]
    with TrackedVideo(tmp_path / "out.mp4", 25) as video:
        for time in times:
            video.add(np.zeros((31, 47, 3), np.uint8), time)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=1e-3)


def test_a_killed_writing_leaves_a_video_that_plays(tmp_path: Path) -> None:
    """Of what no program can end well, all is there but the last seconds."""
    code = f"""
import os, signal
import numpy as np
from pathlib import Path
from clmot.reporting.tracked_video import TrackedVideo
video = TrackedVideo(Path({str(tmp_path / "out.mp4")!r}), 25)
video.__enter__()
noise = np.random.default_rng(0)
for number in range(400):
    video.add(noise.integers(0, 255, (64, 96, 3), np.uint8), number / 25)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert len(list(open_images(tmp_path / "out.mp4"))) >= 100


class _Endless(http.server.BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(self.content)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[str]:
    """A transport stream in a loop, as cameras send."""
    content = encode(tmp_path / "loop.ts", 12, codec="mpeg2video").read_bytes()
    handler = type("Endless", (_Endless,), {"content": content})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/loop.ts"
        served.shutdown()


def test_memory_of_a_stream_that_never_ends_is_bounded(tmp_path: Path, endless: str) -> None:
    """A loop whose clock is set back again and again: what 1,500 frames need is what 200 need, within 5 %."""
    script = f"""
import sys
import numpy as np, psutil, torch
from pathlib import Path
from clmot.inference.image_sources import ImageSource, SourceImage, open_images
from clmot.inference.model import Model
from clmot.params import TrackParams
from clmot.reporting.track_film import track_film
from clmot.reporting.track_tables import TrackTable
from clmot.reporting.tracked_video import TrackedVideo

def resident():
    return psutil.Process().memory_info().rss

def found(frame, image):
    from clmot.inference.pipeline import Detections
    number.append(frame)
    number[:-1] = []
    if frame in (200, 1500):
        sizes.append(resident())
    if frame == 1500:
        raise KeyboardInterrupt
    return Detections(np.array([[10.0, 10, 30, 60]]), np.ones(1), None)

number, sizes = [], []
model = Model(TrackParams(embedding="none"), torch.device("cpu"))
object.__setattr__(model, "_detector", lambda: found)
out = Path({str(tmp_path)!r})
table, video = TrackTable(out / "t.txt", "mot"), TrackedVideo(out / "v.mp4", 25)
ended = track_film(model, open_images({endless!r}), None, table, video)
assert ended.exit_code == 130 and ended.frames == 1499, ended
assert sizes[1] <= 1.05 * sizes[0], sizes
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    assert read_results(tmp_path / "t.txt").frame[-1] == 1499


def test_a_stop_is_taken_as_ctrl_c(tmp_path: Path, endless: str) -> None:
    """A real process, a stream without an end, and the signal with which containers stop."""
    boxes = tmp_path / "tracked"
    script = f"""
import os, signal, threading, time
from pathlib import Path
from clmot.cli import main, track
import clmot.inference.model as m, torch, numpy as np
from clmot.inference.pipeline import Detections
from clmot.params import TrackParams

def found(frame, image):
    if frame == 50:
        os.kill(os.getpid(), signal.SIGTERM)
    return Detections(np.array([[10.0, 10, 30, 60]]), np.ones(1), None)

model = m.Model(TrackParams(embedding="none"), torch.device("cpu"))
object.__setattr__(model, "_detector", lambda: found)
track._loaded = lambda *_: model
main.run(["track", {endless!r}, "-o", {str(boxes)!r}])
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 130, ended.stderr
    assert "interrupted" in ended.stdout
    assert 45 <= read_results(boxes / "loop.txt").frame[-1] <= 50
    assert len(decoded(boxes / "loop.mp4")) >= 45


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.mp4"], r"models/tracker is no model's folder.*--learn"),
        (["door.mp4", "--learn"], "--learn learns from boxes"),
        (["door.mp4", "--learn", "--boxes", "x", "--model", "m"], "leave --model away"),
        (["door.mp4", "--keep", "k"], "give --learn too"),
        (["door.mp4", "hall.mp4", "--learn", "--boxes", "x", "--keep", "k"], "each learns a model"),
        (["door.mp4", "--learn", "--boxes", "x", "--keep", "."], "no model's folder"),
        (["a.mp4", "b.mp4", "-o", "c.mp4"], "these are 2 films"),
        (["x/door.mp4", "y/door.mp4"], "two films have the name door: .*its own --out"),
        (["door.mp4", "door.avi"], "two films have the name door"),
        (["rtsp://a/live?channel=1", "rtsp://a/live?channel=2"], "two films have the name live"),
        (["a.mp4", "-o", "c.avi"], "should be a folder, or end in .mp4"),
        (["a.mp4", "--set", "track.confidence"], "expected KEY=VALUE"),
        (["a.mp4", "b.jpg"], "not both"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        run(["track", *arguments])


def test_a_wrong_param_is_named(tmp_path: Path) -> None:
    video = write_video(tmp_path / "door.mp4")
    write_boxes(video, "mot")
    with pytest.raises(InputError, match=r"--set track.confidenc=1.*did you mean 'track.confidence'"):
        run(["track", str(video), "--boxes", str(tmp_path / "door.txt"), "--learn", "--set", "track.confidenc=1"])


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    video = write_video(tmp_path / "door.mp4")
    write_boxes(video, "mot")
    before = video.read_bytes()
    with pytest.raises(InputError, match="what is to be read"):
        run(["track", str(video), "--boxes", str(tmp_path / "door.txt"), *LEARN, "-o", str(tmp_path)])
    assert video.read_bytes() == before


def test_a_terminal_is_not_needed_for_help() -> None:
    environment = {**os.environ, "COLUMNS": "100"}
    shown = subprocess.run(
        [sys.executable, "-m", "clmot.cli.main", "track", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "--learn" in shown.stdout
