"""Synthetic benchmarks as zips in MOTChallenge's own layout."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator

import cv2
import numpy as np

from clmot.errors import InputError
from clmot.files import staged_file
from clmot.motchallenge.sequence import SequenceInfo, format_seqinfo
from clmot.progress import progress
from clmot.synthetic.film import PEDESTRIAN, Film
from clmot.synthetic.render import Annotation, Key
from clmot.synthetic.scenes import DETECTORS, SCENES, SHORTEST, Scene

JPEG_QUALITY = 85
INSIDE = 0.2
"""Share of a box that lies in the image while annotators still draw it."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The format's earliest: archives must not tell when they were made."""


def write_archive(path: str | os.PathLike[str], benchmark: str, seed: int, frames: int) -> None:
    """Draw a benchmark and write it to `path`, whole or not at all.

    MOT15 has train/ and test/ at the archive's root, MOT17 and MOT20 have them below a folder of their name.
    MOT17 stores every sequence three times (-DPM, -FRCNN, -SDP), images included, as the official archive
    does; the copies differ in their public detections only. The bytes follow from benchmark, seed and frames
    alone.

    Args:
        path: the zip to write.
        benchmark: "MOT15", "MOT17" or "MOT20".
        seed: any non-negative number.
        frames: frames of each training sequence, at least 8; test sequences have a quarter of it.

    Raises:
        InputError: there is no such benchmark, or too few frames are asked for.
    """
    if benchmark not in SCENES:
        raise InputError(f"no synthetic benchmark is called {benchmark!r}; there are {', '.join(SCENES)}.")
    if frames < SHORTEST:
        raise InputError(f"a synthetic sequence needs at least {SHORTEST} frames, got {frames}.")
    scenes = SCENES[benchmark]
    total = sum(scene.length(frames) for scene in scenes)
    with (
        _one_opencv_thread(),
        staged_file(path) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive,
    ):
        bar = progress(range(total), f"drawing {benchmark}", unit="frame", total=total)
        for scene in scenes:
            _write_sequence(archive, benchmark, scene, seed, frames, bar)
        next(bar, None)  # lets the bar finish


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Pictures this small gain nothing from several threads, and on a busy machine wait long for them."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _write_sequence(
    archive: zipfile.ZipFile, benchmark: str, scene: Scene, seed: int, frames: int, bar: Iterator[int]
) -> None:
    """Shoot one scene into the archive, in as many copies as the benchmark has detectors."""
    root = "" if benchmark == "MOT15" else f"{benchmark}/"
    length = scene.length(frames)
    names = [f"{scene.name}-{detector}" for detector in DETECTORS[benchmark]] or [scene.name]
    folders = [f"{root}{scene.subset}/{name}" for name in names]
    rows: list[list[Annotation]] = []
    film = Film(scene, seed)
    for number, frame in enumerate(film.frames(length), start=1):
        _, data = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        for folder in folders:
            _add(archive, f"{folder}/img1/{number:06d}.jpg", data.tobytes())
        rows.append([one for one in frame.annotations if _is_annotated(one, scene)])
        next(bar, None)
    for place, (name, folder) in enumerate(zip(names, folders, strict=True)):
        rng = np.random.default_rng([seed, place, len(scene.name), *scene.name.encode()])
        _add(archive, f"{folder}/det/det.txt", _detections(rows, scene, rng).encode())
        if scene.subset == "train":
            _add(archive, f"{folder}/gt/gt.txt", _ground_truth(rows, scene, benchmark).encode())
        info = SequenceInfo(name, "img1", scene.frame_rate, length, scene.lens.width, scene.lens.height, ".jpg")
        _add(archive, f"{folder}/seqinfo.ini", format_seqinfo(info).encode())


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.external_attr = 0o644 << 16
    # JPEGs do not shrink further; text does.
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def _is_annotated(one: Annotation, scene: Scene) -> bool:
    """Annotators follow a box to the edge, and give up when hardly anything of it is left."""
    left, top, width, height = one.box
    inside_x = min(left + width, scene.lens.width) - max(left, 0)
    inside_y = min(top + height, scene.lens.height) - max(top, 0)
    if inside_x <= 0 or inside_y <= 0 or inside_x * inside_y < INSIDE * width * height:
        return False
    # A reflection is there only where the glass is.
    return one.key.kind != "reflection" or one.visibility > 0


def _ground_truth(rows: list[list[Annotation]], scene: Scene, benchmark: str) -> str:
    """gt.txt: 10 columns without class for MOT15, else 9; sorted by identity, then frame."""
    identities: dict[Key, int] = {}
    lines: list[tuple[int, int, str]] = []
    for frame, shown in enumerate(rows, start=1):
        for one in shown:
            if benchmark == "MOT15" and one.category != PEDESTRIAN:
                continue
            identity = identities.setdefault(one.key, len(identities) + 1)
            left, top, width, height = one.box
            if benchmark == "MOT20":
                right, bottom = min(left + width, scene.lens.width), min(top + height, scene.lens.height)
                left, top = max(left, 0.0), max(top, 0.0)
                width, height = right - left, bottom - top
            flag = int(one.category == PEDESTRIAN and one.box[3] >= scene.ignore_below)
            # Files count pixels from 1.
            start = f"{frame},{identity},{left + 1:.2f},{top + 1:.2f},{width:.2f},{height:.2f},{flag}"
            if benchmark == "MOT15":
                lines.append((identity, frame, f"{start},-1,-1,-1\n"))
            else:
                lines.append((identity, frame, f"{start},{one.category},{one.visibility:.4f}\n"))
    return "".join(line for _, _, line in sorted(lines))


def _detections(rows: list[list[Annotation]], scene: Scene, rng: np.random.Generator) -> str:
    """det.txt as a public detector would write it: misses, inaccurate boxes, false alarms, scores."""
    lines = []
    for frame, shown in enumerate(rows, start=1):
        found = []
        for one in shown:
            left, top, width, height = one.box
            if one.category == PEDESTRIAN:
                chance = min(0.95, 1.2 * one.visibility) * min(1.0, height / 35)
                score = 0.25 + 0.7 * one.visibility * rng.uniform(0.75, 1.0)
            elif one.key.kind in ("sitter", "rider", "reflection", "poster"):
                chance, score = 0.5 * one.visibility, rng.uniform(0.2, 0.7)
            else:
                continue
            if rng.random() >= chance:
                continue
            shift = rng.normal(0, 0.04, 4)
            found.append(
                (
                    left + shift[0] * width,
                    top + shift[1] * height,
                    width * np.exp(2 * shift[2]),
                    height * np.exp(shift[3]),
                    score,
                )
            )
        for _ in range(int(rng.poisson(0.6))):
            height = rng.uniform(0.12, 0.4) * scene.lens.height
            width = 0.4 * height
            found.append(
                (
                    rng.uniform(0, scene.lens.width - width),
                    rng.uniform(0, scene.lens.height - height),
                    width,
                    height,
                    rng.uniform(0.1, 0.45),
                )
            )
        lines += [
            f"{frame},-1,{left + 1:.2f},{top + 1:.2f},{width:.2f},{height:.2f},{score:.4f},-1,-1,-1\n"
            for left, top, width, height, score in found
        ]
    return "".join(lines)
