"""What a project of many films costs: its first run, runs that find nothing to do, and one more film.

    python -m benchmarks.many_films --folder /somewhere/with/1/GB [--films 200] [--frames 12] [--results FILE]

draws short films and a detector's boxes of them, and one film with ground truth that trains (`data.split: full`), in a
project with this repository's stages and the profile `film`, two training steps, random weights. Then `dvc repro` as a
user runs it: once, three times with nothing changed, and once more after a film has come (`dvc repro -f -s
download@MOT17` before it, as DVC does not watch the folder). Prints json: seconds, by the clock and of the processor,
which films were tracked for the last, and whether the model stayed. The folder is removed at the end.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks.download import make_project, report, repro
from clmot.files import content_hash
from clmot.profiles import FILM, make_profile, read_profiles

SETTINGS = {
    "data": {"split": "full"},
    "crop": {"weights": "weights/none", "steps": 2},
    "train": {"epochs": 1},
}
DOWNLOAD = "download@MOT17"


def draw_film(project: Path, name: str, seed: int, frames: int, *, trains: bool = False) -> None:
    """Three plain people who walk past each other, and their boxes in `detections`; ground truth where it trains."""
    rng = np.random.default_rng(seed)
    folder = project / "my_films" / ("train" if trains else "test") / name
    (folder / "img1").mkdir(parents=True)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (120, 160, 3), np.uint8), (0, 0), 5)
    colours, starts = rng.integers(0, 255, (3, 3)).tolist(), rng.uniform(10, 110, 3)
    boxes, truth = [], []
    for frame in range(1, frames + 1):
        image = ground.copy()
        for person in range(3):
            x, y = int(starts[person] + 1.5 * frame * (person - 1)), 30 + 5 * person
            cv2.rectangle(image, (x, y), (x + 20, y + 60), colours[person], -1)
            boxes.append(f"{frame},-1,{x + 1},{y + 1},20,60,0.9,-1,-1,-1")
            truth.append(f"{frame},{person + 1},{x + 1},{y + 1},20,60,1,1,1")
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), image)
    (project / "detections" / f"{name}.txt").write_text("\n".join(boxes) + "\n", encoding="utf-8")
    if trains:
        (folder / "gt").mkdir()
        (folder / "gt" / "gt.txt").write_text("\n".join(truth) + "\n", encoding="utf-8")


def measure(project: Path, films: int, frames: int) -> dict[str, Any]:
    """Everything that is reported; `project` is empty and stays full."""
    make_project(project, project / "my_films")
    text = make_profile(FILM, read_profiles()[FILM].text, yaml.safe_dump(SETTINGS), "SETTINGS").text
    (project / "params.yaml").write_text(text, encoding="utf-8")
    draw_film(project, "taught", films + 1, frames, trains=True)
    for film in range(films):
        draw_film(project, f"film{film:04d}", film, frames)
    load = os.getloadavg()[0]
    first = repro(project)
    again = [repro(project) for _ in range(3)]
    kept, tracker = project / ".checkpoints" / "tracks", project / "models" / "tracker"
    model = content_hash(tracker)
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.txt")}
    draw_film(project, "more", films, frames)
    more = [repro(project, "-f", "-s", DOWNLOAD), repro(project)]
    tracked = [path.stem for path in kept.rglob("*.txt") if before.get(path) != path.stat().st_mtime_ns]
    return {
        "films": films,
        "frames_of_each": frames,
        "first_run": first,
        "unchanged_runs": again,
        "one_more_film": more,
        "tracked_for_it": sorted(tracked),
        "trained_again": content_hash(tracker) != model,
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }


def main() -> None:
    """Draw, run, report, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where there is room for the project")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12, help="of each film")
    parser.add_argument("--results", type=Path, help="a json file to write as well")
    options = parser.parse_args()
    report(options.folder, lambda folder: measure(folder, options.films, options.frames), options.results)


if __name__ == "__main__":
    main()
