"""Our crop encoder inside other people's trackers, beside no re-ID, controls and their own re-ID: `make test-peers`.

    python -m benchmarks.peers FILMS --detections BOXES --weights mobilenetv2.pt --rival EMBEDDINGS --page docs/peers.md

FILMS, BOXES and the rival's EMBEDDINGS are as benchmarks/unseen_film.py takes them. BoxMOT and ultralytics (AGPL) are
installed into an environment of their own and are no dependency. Each tracker has its own default settings and the same
boxes, of which every run leaves out another few. `ours` is a crop encoder that learns from the film's boxes alone, no
identity; ultralytics gets it as the ONNX file of `clmot export`, BoxMOT as `clmot.reid`. A peer's own re-ID comes from
stored embeddings, as no weights can be fetched where there is no network.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.unseen_film import FILM_ITSELF, Case, Film, film_params, find_films
from clmot.errors import InputError, run_as_script
from clmot.evaluation.score import score_sequence
from clmot.export.onnx_files import export_onnx
from clmot.files import staged_directory, staged_file
from clmot.models.crop_weights import save_crop_encoder
from clmot.motchallenge.annotations import read_results
from clmot.params import Params
from clmot.tables import markdown_rows

ROOT = Path(__file__).parents[1]
PACKAGES = ("boxmot==25.0.0", "ultralytics==8.4.190", "onnxruntime==1.24.3", "safetensors", "timm")
TRACKERS = (
    "BoxMOT BotSort",
    "BoxMOT DeepOcSort",
    "BoxMOT StrongSort",
    "ultralytics botsort",
)
LOOKS = {
    "none": "no re-ID",
    "constant": "one constant vector",
    "colour": "colour histogram",
    "rival": "its own",
    "ours": "ours",
}
METRICS = ("IDF1", "HOTA")


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--detections", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="where the crop encoder starts: crop.weights")
    parser.add_argument("--rival", type=Path, help="stored embeddings of the peers' own re-ID, <film>.detections.npz")
    parser.add_argument("--environment", type=Path, default=Path(".peers"), help="of the peers (default: %(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path(".peers/work"), help="models and tracks (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="FILM", help="some of the films alone")
    parser.add_argument("--trackers", nargs="*", default=list(TRACKERS))
    parser.add_argument("--drops", type=int, default=3, help="runs that each leave out some boxes")
    parser.add_argument("--share", type=float, default=0.03, help="of the boxes that each leaves out")
    parser.add_argument("--output", type=Path, help="json to write")
    parser.add_argument("--page", type=Path, help="Markdown page to write")
    chosen = parser.parse_args(arguments)
    params = film_params()
    params = dataclasses.replace(
        params,
        crop=dataclasses.replace(params.crop, weights=chosen.weights),
        hardware=dataclasses.replace(params.hardware, device="auto", threads=1, workers=0),
    )
    films = [film for film in find_films(chosen.films, chosen.detections) if film.name in (chosen.only or [film.name])]
    python = install(chosen.environment)
    results = {}
    for film in films:
        folder = (chosen.work / film.name).resolve()
        job = prepare(film, params, folder, chosen)
        subprocess.run(
            [python, "-m", "benchmarks.peer_trackers", str(job)], check=True, cwd=ROOT, env=peer_environment()
        )
        results[film.name] = scores(film, folder / "tracks", chosen.trackers, chosen.drops)
    report = {
        "command": " ".join(["python -m benchmarks.peers", *(sys.argv[1:] if arguments is None else arguments)]),
        "packages": list(PACKAGES),
        "drops": chosen.drops,
        "share": chosen.share,
        "results": results,
    }
    text = json.dumps(report, indent=1)
    for path, content in ((chosen.output, text + "\n"), (chosen.page, page(report))):
        if path is not None:
            with staged_file(path) as aside:
                aside.write_text(content, encoding="utf-8")
    print(table(results, chosen.trackers))


def install(environment: Path) -> str:
    """The Python of an environment with the peers, made where it is not there.

    Raises:
        InputError: uv is not there, or it cannot install them.
    """
    python = environment / "bin/python"
    mark = environment / "peers.txt"
    wanted = "\n".join(PACKAGES)
    if mark.is_file() and mark.read_text() == wanted:
        return str(python.absolute())
    places = (shutil.which("uv"), ROOT / ".tools/bin/uv", ROOT / ".tools/uv/bin/uv")
    uv = next((str(place) for place in places if place and Path(place).is_file()), None)
    if uv is None:
        raise InputError("uv is not there: run `make setup`, which gets it.")
    for command in (
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES],
    ):
        if subprocess.run(command).returncode:
            raise InputError(f"the peers cannot be installed ({' '.join(command[1:3])} failed): are you online?")
    mark.write_text(wanted)
    return str(python.absolute())


def peer_environment() -> dict[str, str]:
    """Variables under which the peers fetch nothing and install nothing by themselves."""
    return os.environ | {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "PYTHONPATH": str(ROOT)}


def prepare(film: Film, params: Params, folder: Path, chosen: argparse.Namespace) -> Path:
    """Teach a model, and write what the peers' side needs; the path of the job."""
    model = folder / "model"
    if not model.exists():
        case = Case(FILM_ITSELF, film, (), 0, None, params, params, chosen.drops, chosen.share)
        with staged_directory(model) as draft:
            save_crop_encoder(draft, case.taught("detected"))
    onnx = folder / "crops.onnx"
    if not onnx.exists():
        export_onnx(model, onnx, "ultralytics", params.model.input_size, params.track.max_objects)
    boxes = film.boxes("detected")
    np.save(folder / "boxes.npy", np.column_stack([boxes.frame, boxes.corners(), boxes.confidence]))
    (folder / "tracks").mkdir(exist_ok=True)
    job = {
        "frames": [str(path.resolve()) for path in film.images()],
        "frame_rate": film.info.frame_rate,
        "boxes": str(folder / "boxes.npy"),
        "drops": chosen.drops,
        "share": chosen.share,
        "model": str(model),
        "onnx": str(onnx),
        "rival": str((chosen.rival / f"{film.name}.detections.npz").resolve()) if chosen.rival else None,
        "looks": list(LOOKS),
        "trackers": chosen.trackers,
        "out": str(folder / "tracks"),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return path


def scores(
    film: Film, tracks: Path, trackers: Iterable[str], drops: int
) -> dict[str, dict[str, list[dict[str, float]]]]:
    """By tracker and look the metrics of every run, in per cent; looks that a tracker cannot do are left out."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for tracker in trackers:
        found[tracker] = {}
        for look in LOOKS:
            files = [tracks / f"{tracker}-{look}-{run}.txt" for run in range(drops)]
            if all(file.is_file() for file in files):
                runs = [score_sequence(film.truth, read_results(file)) for file in files]
                found[tracker][look] = [{name: 100 * getattr(run, name) for name in METRICS} for run in runs]
    return found


def table(results: Mapping[str, Any], trackers: Iterable[str]) -> str:
    """Markdown: a row a tracker, a column a look; IDF1 with its deviation over runs, and HOTA, means of the films."""
    rows = [
        [tracker, *(_cell([film[tracker].get(look) for film in results.values()]) for look in LOOKS)]
        for tracker in trackers
    ]
    rows = [["tracker", *LOOKS.values()], *rows]
    return "\n".join(markdown_rows(rows))


def _cell(films: Sequence[list[dict[str, float]] | None]) -> str:
    known = [runs for runs in films if runs is not None]
    if len(known) < len(films) or not known:
        return "-"
    means = {
        name: [statistics.mean(film[run][name] for film in known) for run in range(len(known[0]))] for name in METRICS
    }
    spread = f" ± {statistics.stdev(means['IDF1']):.1f}" if len(means["IDF1"]) > 1 else ""
    return f"{statistics.mean(means['IDF1']):.1f}{spread} / {statistics.mean(means['HOTA']):.1f}"


def page(report: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    results = report["results"]
    trackers = list(next(iter(results.values())))
    parts = [INTRODUCTION]
    if len(results) > 1:
        parts += [f"Mean of {len(results)} films:\n", table(results, trackers), ""]
    for film in results:
        parts += [f"{film}:\n", table({film: results[film]}, trackers), ""]
    versions = ", ".join(package.replace("==", " ") for package in report["packages"] if "==" in package)
    parts += [READING.format(drops=report["drops"], share=100 * report["share"], versions=versions)]
    return "\n".join(parts).rstrip() + "\n"


INTRODUCTION = """# Our embedding in other people's trackers

A crop encoder that learnt from a film's own boxes, no identity, in the place of the re-ID model of BoxMOT's and
ultralytics' trackers. Written by `make test-peers`.

BoxMOT's trackers take it as `BotSort(reid_model=clmot.reid("models/tracker"))`.

ultralytics takes the file of `clmot export models/tracker crops.onnx --to ultralytics` as `model:` of a tracker's
YAML, with `with_reid: True`; roboflow's `extract_embeddings(detections, frame)` is answered by the same `clmot.reid`
object. Its `reid` builds networks that read timm's last map alone, so a folder of ours cannot be given to it, and its
trackers 2.6 look at no embeddings.

## What it is worth there

IDF1 with its standard deviation over runs, and HOTA, in percent. The boxes are a detector's (YOLOX-nano), the same
for all.
"""
READING = """
{versions}; {drops} runs, each without another {share:g} % of the boxes.

Every tracker has its own default settings; DeepOcSort runs without its estimate of the camera's motion, as the
cameras stand still. *Its own* is OSNet x0.25 of MSMT17, BoxMOT's default, a network that learnt from identities, from
stored embeddings: no weights can be fetched where the page was made. *Constant* and *colour* are controls: what a
tracker's looser first matching alone gives, and what needs no learning. StrongSort has no way without embeddings.
*Ours* saw the film's boxes, not its truth; its training has one seed.

Measure *no re-ID* on film like yours before you turn re-ID on. ultralytics' botsort takes the smaller of two costs, of
overlap or of looks, so that a look can overrule a position that was sure: on TUD-Stadtmitte, 25 frames a second, every
look costs it IDF1, its own less than ours. There leave `with_reid: False`.
"""

if __name__ == "__main__":
    run_as_script(main)
