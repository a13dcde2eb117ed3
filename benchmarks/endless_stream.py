"""What `clmot track` needs for a stream that never ends, and what it leaves where the connection is cut.

    python -m benchmarks.endless_stream --frames 20000 --output benchmarks/results/endless_stream.json

A loop of drawn people is sent over http on 127.0.0.1 for ever and tracked into a table and a video, as the command does
it; where the people are is known, so that no network takes time. After `--frames` frames the server cuts the
connection. Prints, and writes as json: resident memory after 1,000 frames and at the end, the exit code, and what the
files hold.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from clmot.errors import InputError, run_as_script
from clmot.inference.image_sources import ImageSource, SourceImage, open_images
from clmot.inference.model import Model
from clmot.inference.pipeline import Detections, DetectionSource, Image
from clmot.motchallenge.annotations import read_results
from clmot.params import DEFAULT_FILE, load_params
from clmot.reporting.track_film import track_film
from clmot.reporting.track_tables import TrackTable
from clmot.reporting.tracked_video import TrackedVideo
from clmot.videos import Video

SIZE, RATE, LOOP, PEOPLE = (128, 64), 25, 250, 6
"""Of the film: width and height, frames per second, frames, people."""
FIRST = 1000
"""Frames after which memory is what it should stay: everything has been loaded and recorded by then."""


def people(number: int) -> NDArray[np.int64]:
    """(PEOPLE, 4) x1 y1 x2 y2 in a frame of the loop; who leaves on one side comes in on the other."""
    step = np.array([2, -1, 1, -2, 1, -1])
    left, top = (20 * np.arange(PEOPLE) + step * number) % SIZE[0], 6 * np.arange(PEOPLE)
    return np.stack((left, top, left + 12, top + 30), axis=1)


def write_loop(path: Path) -> None:
    """The film, as a transport stream, which may be joined to itself."""
    colours = np.random.default_rng(0).integers(60, 256, (PEOPLE, 3)).tolist()
    with av.open(str(path), "w", format="mpegts") as container:
        stream: Any = container.add_stream("mpeg2video", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(LOOP):
            image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
            for (x1, y1, x2, y2), colour in zip(people(number).tolist(), colours, strict=True):
                cv2.rectangle(image, (x1, y1), (x2, y2), colour, -1)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Endless(http.server.BaseHTTPRequestHandler):
    """Sends `content` whenever it is `wanted`, until the connection is `cut`."""

    content = b""
    wanted: threading.Semaphore
    cut: threading.Event

    def do_GET(self) -> None:
        """Answer with more bytes than will ever come, so that an end is none."""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.send_header("Content-Length", str(1 << 50))
        self.end_headers()
        with contextlib.suppress(OSError):
            while self.wanted.acquire() and not self.cut.is_set():
                self.wfile.write(self.content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def sent(content: bytes, wanted: threading.Semaphore, cut: threading.Event) -> Iterator[str]:
    """The address of a stream on this machine."""
    handler = type("Loop", (Endless,), {"content": content, "wanted": wanted, "cut": cut})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/loop.ts"
        server.shutdown()


class Painted(Model):
    """Finds people where they are drawn, with looks: what a network would find, in no time."""

    def _detector(self) -> DetectionSource:
        looks = np.random.default_rng(1).normal(size=(PEOPLE, 16)).astype(np.float32)

        def found(number: int, _: Image) -> Detections:
            boxes = people((number - 1) % LOOP).astype(np.float64)
            return Detections(boxes, np.full(PEOPLE, 0.9), looks)

        return found


def measure(frames: int, folder: Path) -> dict[str, Any]:
    """Track a stream into `folder`, which is cut after so many frames."""
    write_loop(folder / "loop.ts")
    memory: dict[int, float] = {}
    wanted, cut = threading.Semaphore(2), threading.Event()

    def watched(_: ImageSource) -> Iterator[SourceImage]:
        for one in images:
            if one.number % FIRST == 0:
                memory[one.number] = round(psutil.Process().memory_info().rss / 2**20, 1)
            if one.number == frames:
                cut.set()
            if one.number % LOOP == 0:  # as a camera sends: no faster than it is watched
                wanted.release()
            yield one
        source.trouble, source.damaged = images.trouble, images.damaged

    table, video = TrackTable(folder / "out.txt", "mot"), TrackedVideo(folder / "out.mp4", RATE)
    began = time.perf_counter()
    with (
        sent((folder / "loop.ts").read_bytes(), wanted, cut) as address,
        contextlib.closing(open_images(address)) as images,
    ):
        source = ImageSource(images.name, images.frame_rate, watched, live=True)
        outcome = track_film(Painted(load_params(DEFAULT_FILE).track, torch.device("cpu")), source, None, table, video)
    seconds = time.perf_counter() - began
    rows = read_results(table.path)
    return {
        "frames": outcome.frames,
        "seconds": round(seconds, 1),
        "memory, MiB": {"first": memory[FIRST], "last": memory[frames], "highest": max(memory.values())},
        "exit code": outcome.exit_code,
        "said": str(outcome),
        "boxes": len(rows),
        "identities": int(rows.identity.max()),
        "frames of the video": sum(1 for _ in Video(str(video.path)).frames()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000, help="until the connection is cut (default: 20000)")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.frames < FIRST or chosen.frames % FIRST:
        raise InputError(f"--frames {chosen.frames}: expected a multiple of {FIRST}.")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.frames, Path(folder))
    command = " ".join(["python -m benchmarks.endless_stream", *(arguments or sys.argv[1:])])
    text = json.dumps({"command": command, **found}, indent=1)
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(text + "\n")


if __name__ == "__main__":
    run_as_script(main)
