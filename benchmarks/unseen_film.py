"""What an embedding is worth on film that no one trained on: every kind beside its controls, several seeds, some boxes
left out at random.

    python -m benchmarks.unseen_film FILMS --detections BOXES --weights mobilenetv2.pt --rival osnet=EMBEDDINGS \\
        --output benchmarks/results/unseen_film.json

FILMS holds two or more sequences as MOTChallenge lays them out, `<benchmark>/<film>/{img1,gt/gt.txt,seqinfo.ini}`;
BOXES a detector's boxes of them, `<film>.txt` in MOTChallenge rows. Each film is tracked whole, in two arenas: by the
detector's boxes, and by the true boxes of visibility .25 and more, where detection decides nothing. The configuration
is the profile `film`'s, one for all films. Kinds of embedding:

- `none`, `constant`, `colour`: the controls; `oracle`: the true identity, a bound. `perfect` is no tracker at all: a
  box that is used gets the identity of the true box that it is on, and a box on no one is a track of its own.
- a rival's: stored embeddings of these boxes, `<film>.detections.npz` and `<film>.truth.npz`.
- `supervised`: the crop encoder taught by identity labels on the other films; `other films`: by their boxes alone, the
  same boxes.
- `paper's head`: the one-shot network of --head PROFILE, detector and embedding, taught by the boxes of the other films
  as the paper teaches it (two views of a frame); read at the centres of the boxes that are tracked.
- `film itself`: taught by the boxes that are tracked, of that film alone: the detector's in the one arena, the visible
  ones in the other. No identity, of no film, is read. What its embedding can do is measured on the visible boxes, as
  every kind's is, but with the encoder that the detector's boxes taught.

With --projected every kind that has looks is tracked once more, as `KIND, projected`, with its embeddings projected by
what the film's own boxes show (`track.projection: film`), in either arena by that arena's boxes.

Prints and writes json: mean and standard deviation over seeds and runs, then every single one. Runs on what
`hardware.device` finds; without dvc, mlflow, motmetrics and trackeval.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from scipy.stats import spearmanr

from clmot.data.crops import FilmBoxes, TrainingCrops
from clmot.data.frames import TrainingFrame
from clmot.errors import InputError, run_as_script
from clmot.evaluation.exam import Exam, sit_exam
from clmot.evaluation.observations import score_observations
from clmot.evaluation.preprocessing import JudgedTruth, judge_truth
from clmot.evaluation.repeats import Repeats, score_again
from clmot.evaluation.score import score_sequence
from clmot.files import content_hash, staged_directory
from clmot.hardware import set_up
from clmot.images import read_image
from clmot.inference.crop_embeddings import CropEmbeddings
from clmot.inference.embeddings import (
    COLOUR,
    CONSTANT,
    NONE,
    ORACLE,
    Embedded,
    StoredEmbeddings,
    TrueIdentities,
    colour_histograms,
)
from clmot.inference.film_projection import film_projection
from clmot.inference.given_detections import HeadEmbeddings, Recorder
from clmot.inference.pipeline import Detections, DetectionSource, Image
from clmot.inference.recording import read_embeddings, read_recording, write_recording
from clmot.models.crop_encoder import CropEncoder
from clmot.models.crop_weights import create_crop_encoder
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.models.pretrained import create_detector, create_tracker
from clmot.motchallenge.annotations import AnnotationTable, read_detections, read_ground_truth
from clmot.motchallenge.sequence import SEQINFO_FILE, SequenceInfo, image_path, read_seqinfo
from clmot.motchallenge.splits import FrameRange
from clmot.params import Params
from clmot.profiles import DEFAULT, FILM, make_profile, read_profiles
from clmot.training.criteria import DetectorCriterion, TrackerCriterion
from clmot.training.crop_training import train_crop_encoder
from clmot.training.loop import fit
from clmot.training.recipe import Recipe, TrainingFrames

PERFECT, SUPERVISED, OTHER_FILMS, FILM_ITSELF = "perfect", "supervised", "other films", "film itself"
PAPERS_HEAD = "paper's head"
PROJECTED = ", projected"
ALIKE = (PERFECT, ORACLE, CONSTANT, NONE)
"""Whom no projection tells apart better."""
TAUGHT = (PAPERS_HEAD, SUPERVISED, OTHER_FILMS, FILM_ITSELF)
VISIBLE_FROM = 0.25
ARENAS = ("detected", "visible")
EMBEDDED = "embedded.safetensors"
"""The visible boxes as the encoder sees them that the detector's boxes of the film taught."""
EMBEDDING_METRICS = ("ReID_mAP", "ReID_mAP_cross", "Link_1s", "Link_3s", "Link_10s", "AUC_place")


@dataclass(frozen=True)
class Film:
    """A sequence with its truth, and a detector's boxes of it."""

    folder: Path
    benchmark: str
    detections: Path

    @property
    def name(self) -> str:
        """Of the sequence."""
        return self.folder.name

    @cached_property
    def info(self) -> SequenceInfo:
        """What its seqinfo.ini says."""
        return read_seqinfo(self.folder / SEQINFO_FILE)

    @cached_property
    def truth(self) -> JudgedTruth:
        """What its tracks are held to."""
        table = read_ground_truth(self.folder / "gt/gt.txt", length=self.info.length)
        judged = judge_truth(table, self.info.length, self.benchmark, self.name)
        return dataclasses.replace(judged, frame_rate=self.info.frame_rate)

    def boxes(self, arena: str) -> AnnotationTable:
        """The boxes of an arena, by frame; true ones score 1 and have their identities."""
        if arena == "detected":
            table = read_detections(self.detections)
        else:
            table = self.truth.table.select(self.truth.counted & (self.truth.table.visibility >= VISIBLE_FROM))
            table = dataclasses.replace(table, confidence=np.ones(len(table)))
        return table.select(np.argsort(table.frame, kind="stable"))

    def images(self) -> list[Path]:
        """All frames."""
        return [image_path(self.folder, self.info, frame) for frame in range(1, self.info.length + 1)]


class Given:
    """A table's boxes as a source of detections."""

    def __init__(self, table: AnnotationTable) -> None:
        """`table` is ordered by frame."""
        self.frame, self.corners, self.scores = table.frame, table.corners(), table.confidence

    def __call__(self, frame: int, image: Image) -> Detections:
        """Those of one frame, without embeddings."""
        rows = slice(*np.searchsorted(self.frame, (frame, frame + 1)))
        return Detections(self.corners[rows], self.scores[rows], None)


@dataclass(frozen=True)
class Case:
    """One kind of embedding on one film, with one seed."""

    kind: str
    film: Film
    others: tuple[Film, ...]
    seed: int
    rival: Path | None
    """Folder of stored embeddings."""
    params: Params
    head: Params
    """Of the one-shot network."""
    drops: int
    share: float
    projected: bool = False
    """Whether embeddings are projected before they are tracked."""
    keep: Path | None = None
    """Folder in which the embedded boxes stay, to be tracked again without being taught again."""

    def run(self) -> dict[str, Any]:
        """Teach what is to be taught, embed the boxes of each arena, track and score."""
        torch.set_num_threads(self.params.hardware.threads or 1)
        name = f"{self.kind}{PROJECTED if self.projected else ''}"
        result: dict[str, Any] = {"kind": name, "film": self.film.name, "seed": self.seed}
        with contextlib.ExitStack() as stack:
            if self.keep is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            else:
                folder = self.keep / f"{self.kind}-{self.film.name}-{self.seed}"
            record = folder / "record.json"
            if not record.exists():
                with staged_directory(folder) as draft:
                    (draft / record.name).write_text(json.dumps({"taught": self._teaching, "cost": self._embed(draft)}))
            made = json.loads(record.read_text())
            if made["taught"] != self._teaching:
                raise InputError(
                    f"{folder} was embedded with other settings of `crop`, `train`, `loss` or `strip.min_score`: name "
                    "another folder with --keep, or remove it."
                )
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory())) if self.projected else None
            for arena in ARENAS:
                result[arena] = self._tracks(self._looked_at(folder / f"{arena}.safetensors", aside))
                if arena == "visible" and self.kind not in (NONE, PERFECT):
                    file = folder / (EMBEDDED if self.kind == FILM_ITSELF else f"{arena}.safetensors")
                    file = self._looked_at(file, aside)
                    found = score_observations(self.film.truth, file, self.params.track.confidence).metrics()
                    result["embedding"] = {name: 100 * found[name] for name in EMBEDDING_METRICS if name in found}
            return result | made["cost"]

    @property
    def _teaching(self) -> str:
        """The settings that decide what embedded boxes look like, as one hash."""
        params = self.params
        parts: list[Any] = [params.crop, params.train, params.loss]
        if self.kind == PAPERS_HEAD:
            params = self.head
            parts = [params.model, params.views, params.pretrain, params.train, params.loss]
        settings = [*map(dataclasses.asdict, parts), params.strip.min_score]
        return content_hash(json.dumps(settings, sort_keys=True, default=str))

    def _embed(self, folder: Path) -> dict[str, float]:
        """Write the boxes of each arena with their embeddings; what it took, of an encoder that was taught for it."""
        if self.kind not in TAUGHT:
            for arena in ARENAS:
                self._record(folder / f"{arena}.safetensors", arena, None)
            return {}
        begin = time.perf_counter()
        encoder = (
            self.taught_head()
            if self.kind == PAPERS_HEAD
            else self.taught("detected" if self.kind == FILM_ITSELF else "visible")
        )
        taught = time.perf_counter()
        seconds, boxes = self._record(folder / "detected.safetensors", "detected", encoder)
        self._record(folder / (EMBEDDED if self.kind == FILM_ITSELF else "visible.safetensors"), "visible", encoder)
        if self.kind == FILM_ITSELF:
            self._record(folder / "visible.safetensors", "visible", self.taught("visible"))
        return {"training_seconds": taught - begin, "ms_a_box": 1000 * seconds / boxes}

    def taught_head(self) -> OneShotTracker:
        """The one-shot network, detector first, then with its embedding, taught by the visible boxes of other films."""
        params = self.head
        frames, _, _ = self._frames("visible")
        seeds = Recipe("pretrain", self.seed, params.pretrain, TrainingFrames(frames, params.model.input_size))
        with seeds.seeded("weights"):
            model = create_detector(params.model)
        criteria = (
            ("pretrain", params.pretrain, DetectorCriterion(params.views, params.loss.detection)),
            ("train", params.train, TrackerCriterion(params.views, params.loss, params.train)),
        )
        for stage, section, criterion in criteria:
            recipe = dataclasses.replace(seeds, stage=stage, params=section)
            if stage == "train":
                with recipe.seeded("weights"):
                    model = create_tracker(
                        model, ModelConfig.from_params(params.model, embedding=True), source="pretrain"
                    )
            with tempfile.TemporaryDirectory() as folder:
                fit(model, criterion, recipe, params.hardware, Path(folder))
        return model

    def _frames(self, arena: str) -> tuple[list[TrainingFrame], dict[str, AnnotationTable], dict[str, float]]:
        """What teaches: frames with an arena's boxes; those, and the frame rate, by film."""
        films = [self.film] if self.kind == FILM_ITSELF else list(self.others)
        least = self.params.strip.min_score if arena == "detected" else 0.0
        tables = {f"{film.benchmark}/{film.name}": film.boxes(arena) for film in films}
        frames = [
            TrainingFrame(path, name, number, _rows(tables[name], number, least).astype(np.float32))
            for film, name in zip(films, tables, strict=True)
            for number, path in enumerate(film.images(), start=1)
        ]
        return frames, tables, {n: film.info.frame_rate for film, n in zip(films, tables, strict=True)}

    def taught(self, arena: str) -> CropEncoder:
        """The crop encoder, taught as `kind` says by the boxes of an arena."""
        params = self.params
        frames, tables, rates = self._frames(arena)
        crops = TrainingCrops(frames, params.crop, rates)
        if self.kind == SUPERVISED:
            crops.films = [_labelled(one, tables[one.name]) for one in crops.films]
        torch.manual_seed(self.seed)
        encoder = create_crop_encoder(params.crop)
        recipe = Recipe("train", self.seed, params.train, crops)
        with tempfile.TemporaryDirectory() as folder:
            train_crop_encoder(
                encoder, crops, params.crop, params.loss.temperature, recipe, params.hardware, Path(folder)
            )
        return encoder

    def _record(self, file: Path, arena: str, encoder: CropEncoder | OneShotTracker | None) -> tuple[float, int]:
        """Write the boxes with their embeddings; seconds that embedding them took, and how many there are."""
        table = self.film.boxes(arena)
        source: DetectionSource = Given(table)
        device = set_up(self.params.hardware).device
        if isinstance(encoder, OneShotTracker):
            head = HeadEmbeddings(encoder, self.head.model.input_size, device)
            source = Embedded(source, lambda _frame, image, boxes: head(image, boxes))
        elif encoder is not None:
            source = CropEmbeddings(source, encoder, device, 0.0)
        elif self.kind == CONSTANT:
            source = Embedded(source, lambda _frame, _image, boxes: np.ones((len(boxes), 1), np.float32))
        elif self.kind == COLOUR:
            source = Embedded(source, lambda _frame, image, boxes: colour_histograms(image, boxes))
        elif self.kind == ORACLE:
            truth = self.film.truth
            source = Embedded(source, TrueIdentities(truth.table.select(truth.counted)))
        elif self.rival is not None:
            stored = {"detected": "detections", "visible": "truth"}[arena]
            path = self.rival / f"{self.film.name}.{stored}.npz"
            source = Embedded(source, StoredEmbeddings(path, FrameRange(1, self.film.info.length)))
        recorder = Recorder(0.0)
        looks = encoder is not None or self.kind == COLOUR
        seconds = 0.0
        for number, path in enumerate(self.film.images(), start=1):
            image = read_image(path) if looks else np.zeros((1, 1, 3), np.uint8)
            begin = time.perf_counter()
            recorder(number, source(number, image))
            seconds += time.perf_counter() - begin
        write_recording(file, recorder.recorded())
        return seconds, len(table)

    def _looked_at(self, file: Path, aside: Path | None) -> Path:
        """Recorded boxes as the tracker sees them: as they are, or with projected embeddings, in the folder `aside`."""
        return file if aside is None else projected(file, aside / file.name, self.params.track.confidence)

    def _tracks(self, file: Path) -> dict[str, Any]:
        """`dropped`: the scores of each run, in per cent (TracksPerPerson: a number); `exam`: that of the tracker,
        with one choice of whom to hide when (see evaluation/exam.py)."""
        repeats = Repeats(self.drops, self.share, 0, self.params.track)
        if self.kind == PERFECT:
            runs = [
                score_sequence(self.film.truth, _perfect(self.film, file, repeats, run)) for run in range(self.drops)
            ]
        else:
            runs = score_again(self.film.truth, file, repeats)
        found = []
        for one in runs:
            purity = one.purity.metrics()
            found.append(
                {
                    "IDF1": 100 * one.IDF1,
                    "HOTA": 100 * one.HOTA,
                    "Purity": 100 * purity.get("Purity", 0.0),
                    "TracksPerPerson": purity.get("TracksPerPerson", 0.0),
                }
            )
        result: dict[str, Any] = {"dropped": found}
        if self.kind != PERFECT:
            info = self.film.info
            sat = sit_exam(file, Exam(0, self.params.track), info.length, info.frame_rate)
            result["exam"] = {name: 100 * value for name, value in sat.metrics().items()}
        return result


def projected(file: Path, target: Path, confidence: float) -> Path:
    """Write recorded boxes with projected embeddings to `target`; boxes of this confidence show how to."""
    found = read_recording(file)
    sure = found.scores >= confidence
    project = film_projection(
        found.frame, found.boxes, sure, lambda rows: _known(read_embeddings(file, rows), len(rows))
    )
    looks = _known(read_embeddings(file, np.arange(len(found))), len(found))
    looks = looks if project is None else project(looks)
    write_recording(target, dataclasses.replace(found, embeddings=looks.astype(np.float16)))
    return target


def _known(looks: NDArray[np.float32] | None, rows: int) -> NDArray[np.float32]:
    return np.zeros((rows, 1), np.float32) if looks is None else looks


def _rows(table: AnnotationTable, frame: int, least: float) -> NDArray[np.float64]:
    """Corners (N, 4) of the boxes of a frame that score `least` or more."""
    rows = slice(*np.searchsorted(table.frame, (frame, frame + 1)))
    return table.corners()[rows][table.confidence[rows] >= least]


def _labelled(film: FilmBoxes, table: AnnotationTable) -> FilmBoxes:
    """The film's boxes with true identities instead of tracklets: two boxes of a person are always positives."""

    def keys(frame: NDArray[np.int64], boxes: NDArray[np.floating]) -> list[tuple[float, ...]]:
        return [(number, *box) for number, box in zip(frame.tolist(), np.float32(boxes).tolist(), strict=True)]

    where = dict(zip(keys(table.frame, table.corners()), table.identity.tolist(), strict=True))
    identity = [where[key] for key in keys(film.frame, film.boxes)]
    tracklet = np.unique(identity, return_inverse=True)[1].astype(np.int64)
    count = int(tracklet.max(initial=-1)) + 1
    return dataclasses.replace(
        film, tracklet=tracklet, together=~np.eye(count, dtype=bool), group=np.arange(count), reach=np.inf
    )


def _perfect(film: Film, file: Path, repeats: Repeats, run: int) -> AnnotationTable:
    """The boxes that a tracker uses, each with the identity of the true box that it is on."""
    recorded = read_recording(file)
    kept = np.random.default_rng([repeats.seed, run]).random(len(recorded)) >= repeats.drop
    rows = np.nonzero(kept & (recorded.scores >= repeats.track.confidence))[0]
    corners = recorded.boxes[rows].astype(np.float64)
    truth = film.truth.table.select(film.truth.counted)
    identity = -np.ones(len(rows), np.int64)
    names = TrueIdentities(truth)
    distinct = np.unique(truth.identity)
    for frame in range(1, film.info.length + 1):
        there = np.nonzero(recorded.frame[rows] == frame)[0]
        one_hot = names(frame, np.zeros((1, 1, 3), np.uint8), corners[there])[:, : names.people]
        on = one_hot.any(axis=1)
        identity[there[on]] = distinct[one_hot[on].argmax(axis=1)]
    unmatched = identity < 0
    identity[unmatched] = distinct.max() + 1 + np.arange(unmatched.sum())
    return AnnotationTable(
        frame=recorded.frame[rows].astype(np.int64),
        identity=identity,
        box=np.concatenate([corners[:, :2] + 1, corners[:, 2:] - corners[:, :2]], axis=1),
        confidence=recorded.scores[rows].astype(np.float64),
        category=np.ones(len(rows), np.int64),
        visibility=np.ones(len(rows)),
    )


def summary(results: Sequence[dict[str, Any]], films: Sequence[str]) -> dict[str, Any]:
    """By kind: means over seeds and runs, film by film and of the films' mean; with standard deviations (of n - 1)."""
    found: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in results):
        rows = [row for row in results if row["kind"] == kind]
        seeds = sorted({row["seed"] for row in rows})
        found[kind] = {"seeds": len(seeds)}
        for arena in ARENAS:
            for metric in ("IDF1", "HOTA", "Purity", "TracksPerPerson"):
                by_film = {f: [[r[metric] for r in x[arena]["dropped"]] for x in rows if x["film"] == f] for f in films}
                found[kind][f"{arena} {metric}"] = _spread(by_film, len(seeds))
            by_film = {
                f: [[x[arena]["exam"]["Exam"]] for x in rows if x["film"] == f and "Exam" in x[arena].get("exam", {})]
                for f in films
            }
            if kind != PERFECT:
                found[kind][f"{arena} Exam"] = _spread(
                    {f: values for f, values in by_film.items() if values}, len(seeds)
                )
        for metric in EMBEDDING_METRICS:
            known = [row for row in rows if metric in row.get("embedding", {})]
            by_film = {film: [[row["embedding"][metric]] for row in known if row["film"] == film] for film in films}
            by_film = {film: values for film, values in by_film.items() if values}
            if by_film:
                found[kind][metric] = _spread(by_film, len(seeds))
        times = [row["training_seconds"] for row in rows if "training_seconds" in row]
        if times:
            found[kind]["training seconds"] = statistics.median(times)
            found[kind]["ms a box"] = statistics.median(row["ms_a_box"] for row in rows if "ms_a_box" in row)
    return found


def judged(found: dict[str, Any]) -> dict[str, float]:
    """By arena: Spearman's correlation, over kinds, of the exam without labels with the true IDF1, both over all films.

    The bounds are left out: what reads the truth is judged by no film.

    Args:
        found: `summary`'s.
    """
    kinds = [kind for kind in found if kind not in (PERFECT, ORACLE)]
    result = {}
    for arena in ARENAS:
        pairs = [[found[kind][f"{arena} {metric}"].get("mean") for metric in ("Exam", "IDF1")] for kind in kinds]
        values = [[exam[0], idf1[0]] for exam, idf1 in pairs if exam and idf1]
        if len(values) > 2:
            result[arena] = round(float(spearmanr(*zip(*values, strict=True)).statistic), 2)
    return result


def _spread(by_film: dict[str, list[list[float]]], seeds: int) -> dict[str, Any]:
    """Mean and deviation of all runs of a film; of the mean over films, that of one seed and run after another."""
    values: dict[str, Any] = {}
    for film, runs in by_film.items():
        every = [value for run in runs for value in run]
        values[film] = [round(statistics.mean(every), 2), round(statistics.stdev(every) if len(every) > 1 else 0.0, 2)]
    whole = [runs for runs in by_film.values() if len(runs) == seeds]
    if whole:
        means = [
            statistics.mean(runs[seed][run] for runs in whole)
            for seed in range(seeds)
            for run in range(len(whole[0][0]))
        ]
        values["mean"] = [
            round(statistics.mean(means), 2),
            round(statistics.stdev(means) if len(means) > 1 else 0.0, 2),
        ]
    return values


def _run(cases: Sequence[Case], processes: int) -> Iterable[tuple[Case, dict[str, Any]]]:
    """Cases with their results, as they come; one process: in this one."""
    if processes == 1:
        yield from ((case, case.run()) for case in cases)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(case.run): case for case in cases}
        yield from ((waiting[done], done.result()) for done in as_completed(waiting))


def film_params(changes: Sequence[str] = (), profile: str = FILM, option: str = "--set") -> Params:
    """The one configuration of all films: a profile's, with `changes` such as `crop.parts=6`.

    Raises:
        InputError: a change is none, params.yaml would refuse it, or there is no such profile.
    """
    profiles = read_profiles()
    if profile not in profiles:
        raise InputError(f"there is no profile '{profile}': expected one of {', '.join(profiles)}.")
    tree: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"{option} {change}: expected KEY=VALUE, as in crop.parts=6.")
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = yaml.safe_load(value)
    return make_profile(profile, profiles[profile].text, yaml.safe_dump(tree), option).params


def find_films(folder: Path, detections: Path) -> list[Film]:
    """The sequences of `folder`, by name.

    Raises:
        InputError: there are fewer than two, or one has no boxes.
    """
    films = [
        Film(path.parent, path.parent.parent.name, detections / f"{path.parent.name}.txt")
        for path in sorted(folder.glob(f"*/*/{SEQINFO_FILE}"))
    ]
    if len(films) < 2:
        raise InputError(f"{folder} has {len(films)} films: expected two or more, <benchmark>/<film>/{SEQINFO_FILE}.")
    missing = [str(film.detections) for film in films if not film.detections.is_file()]
    if missing:
        raise InputError(f"{missing[0]} does not exist: expected the boxes of every film.")
    return films


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--detections", type=Path, required=True)
    parser.add_argument("--weights", required=True, help="where the crop encoder starts: crop.weights")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=FOLDER", help="stored embeddings")
    parser.add_argument("-S", "--set", action="append", default=[], metavar="KEY=VALUE", help="a param of its own")
    parser.add_argument("--head", default=DEFAULT, metavar="PROFILE", help="the network of the paper's head")
    parser.add_argument("--head-set", action="append", default=[], metavar="KEY=VALUE", help="a param of that profile")
    parser.add_argument("--kinds", nargs="*", help="some of the kinds alone")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of training")
    parser.add_argument("--drops", type=int, default=5, help="runs that each leave out some boxes")
    parser.add_argument("--share", type=float, default=0.03, help="of the boxes that each leaves out")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", default="as they are", help="a word on how the images were made, for the record")
    parser.add_argument("--projected", action="store_true", help="track every kind with projected embeddings as well")
    parser.add_argument("--keep", type=Path, help="folder in which embedded boxes stay: the next run tracks them alone")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(arguments)
    params = film_params(chosen.set)
    hardware = dataclasses.replace(params.hardware, device=chosen.device, threads=1, workers=0)
    params = dataclasses.replace(
        params, crop=dataclasses.replace(params.crop, weights=chosen.weights), hardware=hardware
    )
    head = film_params(chosen.head_set, chosen.head, "--head-set")
    head = dataclasses.replace(head, hardware=dataclasses.replace(hardware, workers=head.hardware.workers))
    films = find_films(chosen.films, chosen.detections)
    rivals = {name: Path(folder) for name, _, folder in (rival.partition("=") for rival in chosen.rival)}
    kinds = chosen.kinds or [*TAUGHT, COLOUR, *rivals, ORACLE, PERFECT, CONSTANT, NONE]
    cases = [
        Case(kind, film, tuple(f for f in films if f is not film), seed, rivals.get(kind), params, head,
             chosen.drops, chosen.share, projected, chosen.keep)
        for seed in chosen.seeds
        for kind in kinds
        if kind in TAUGHT or seed == chosen.seeds[0]
        for projected in ((False, True) if chosen.projected and kind not in ALIKE else (False,))
        for film in sorted(films, key=lambda film: -film.info.length)
    ]  # fmt: skip
    results = []
    for number, (case, result) in enumerate(_run(cases, chosen.processes), start=1):
        results.append(result)
        mean = statistics.mean(run["IDF1"] for run in result["detected"]["dropped"])
        print(
            f"{number}/{len(cases)} {case.kind}, {case.film.name}, seed {case.seed}: IDF1 {mean:.1f}", file=sys.stderr
        )
    order = {name: place for place, kind in enumerate(kinds) for name in (kind, kind + PROJECTED)}
    results.sort(key=lambda row: (order[row["kind"]], row["kind"], row["film"], row["seed"]))
    found = summary(results, [film.name for film in films])
    report = {
        "command": " ".join(["python -m benchmarks.unseen_film", *(sys.argv[1:] if arguments is None else arguments)]),
        "frames": chosen.frames,
        "head": " ".join([chosen.head, *chosen.head_set]),
        "device": torch.cuda.get_device_name()
        if set_up(params.hardware).device.type == "cuda"
        else platform.processor(),
        "torch": torch.__version__,
        "processes": chosen.processes,
        "cores": os.cpu_count(),
        "exam and IDF1, rank correlation over kinds": judged(found),
        "summary": found,
        "results": results,
    }
    text = json.dumps(report, indent=1)
    if chosen.output:
        chosen.output.write_text(text + "\n")
    print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    run_as_script(main)
