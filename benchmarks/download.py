"""What thousands of frames cost under DVC: the time of the first run and of a run without changes, and the disk.

    python -m benchmarks.download --folder /somewhere/with/5/GB [--frames 20000] [--bytes 50000] [--results FILE]

makes an archive of MOT20's layout whose frames are noise (a small JPEG followed by random bytes, which do not
shrink): a project with this repository's stages, params and DVC settings takes it from a folder.
`dvc repro strip@MOT20` (scenes, download, strip) runs once, and then again with nothing changed. Prints json: sizes,
seconds, the peak of the disk as a multiple of archive, frames and DVC's cache together against the archive
alone (2.0 is one archive and one copy of the frames), and how many of the frames that training sees are other names
(hard links) of the files in DVC's cache. Processor time leaves out the waiting for a busy machine. The folder is
removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
SEQUENCES = 4
"""As many films as MOT20 trains on."""
STAGE = "strip@MOT20"


def make_archive(path: Path, frames: int, size: int) -> None:
    """A MOT20.zip of `frames` frames of `size` bytes each."""
    noise = random.Random(0)
    _, picture = cv2.imencode(".jpg", np.full((24, 32, 3), 100, np.uint8))
    head, end = picture.tobytes(), b"\xff\xd9"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(1, SEQUENCES + 1):
            length = frames // SEQUENCES
            folder = f"MOT20/train/MOT20-{number:02d}"
            archive.writestr(
                f"{folder}/seqinfo.ini",
                f"[Sequence]\nname=MOT20-{number:02d}\nimDir=img1\nframeRate=25\nseqLength={length}\nimWidth=32\n"
                "imHeight=24\nimExt=.jpg\n",
            )
            archive.writestr(f"{folder}/gt/gt.txt", "1,1,5,4,6,12,1,1,1\n")
            archive.writestr(f"{folder}/det/det.txt", "1,-1,5,4,6,12,0.9\n")
            for frame in range(1, length + 1):
                archive.writestr(f"{folder}/img1/{frame:06d}.jpg", head + noise.randbytes(size - len(head + end)) + end)


def make_project(folder: Path, archives: Path) -> None:
    """A Git repository with the files of this one that the stages need, and DVC's settings."""
    settings = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
    for name in ("clmot", "stages", "detections", "weights", *settings):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  source: \S+", f"  source: {archives}", text)
    text = re.sub(r"(?m)^  benchmarks:(\n  - \w+)+", "  benchmarks: [MOT20]", text)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def used(folder: Path) -> int:
    """Bytes on the disk of everything below `folder`; a file with several names counts once."""
    done = subprocess.run(["du", "-s", "-B1", str(folder)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def linked_frames(project: Path) -> dict[str, int]:
    """How many frames training sees, and how many of these are no second copy but a name of a file in DVC's cache."""
    cached = {path.stat().st_ino for path in (project / ".dvc" / "cache").rglob("*") if path.is_file()}
    frames = list((project / "data" / "training").rglob("*.jpg"))
    return {"frames": len(frames), "linked_to_the_cache": sum(frame.stat().st_ino in cached for frame in frames)}


class Watch:
    """Looks at the disk that a folder takes, and remembers the most."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most = folder, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(1):
            self.most = max(self.most, used(self.folder))


def repro(project: Path, *arguments: str) -> dict[str, float]:
    """Seconds, by the clock and of the processor, of one `dvc repro` with these arguments."""
    programs = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ.get("PATH", os.defpath)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    # A shell of its own: only what it started counts.
    command = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); " + (
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", command, "dvc", "repro", "-q", *arguments],
        cwd=project,
        env=environment | {"PATH": programs},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "cpu_seconds": round(float(done.stdout.split()[-1]), 1)}


def measure(folder: Path, frames: int, size: int) -> dict[str, Any]:
    """Everything that is reported; `folder` is empty and stays full."""
    archives, project = folder / "archives", folder / "project"
    archives.mkdir()
    project.mkdir()
    make_archive(archives / "MOT20.zip", frames, size)
    make_project(project, archives)
    os.sync()
    archive = (archives / "MOT20.zip").stat().st_size
    small = used(project)
    load = os.getloadavg()[0]
    with Watch(project) as watch:
        first = repro(project, STAGE)
    again = [repro(project, STAGE) for _ in range(3)]
    after = used(project) - small
    start = time.perf_counter()
    subprocess.run(["cp", "-r", "data/frames", "plain-copy"], cwd=project, check=True)
    copy = time.perf_counter() - start
    return {
        "frames": frames,
        "archive_bytes": archive,
        "first_run": first,
        "plain_copy_of_the_frames_seconds": round(copy, 1),
        "unchanged_runs": again,
        "training": linked_frames(project),
        "disk_at_the_end": round((archive + after) / archive, 2),
        "disk_at_its_fullest": round((archive + max(watch.most - small, after)) / archive, 2),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }


def report(where: Path, measure: Callable[[Path], dict[str, Any]], results: Path | None) -> None:
    """Measure in a new folder in `where`, which is removed; print what was found as json, and write it to `results`."""
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where) as folder:
        text = json.dumps(measure(Path(folder)), indent=2)
    print(text)
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Make, run, report, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where there is room for three archives")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=50_000, help="of a frame")
    parser.add_argument("--results", type=Path, help="a json file to write as well")
    options = parser.parse_args()
    report(options.folder, lambda folder: measure(folder, options.frames, options.bytes), options.results)


if __name__ == "__main__":
    main()
