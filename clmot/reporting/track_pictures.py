"""Tracks to look at: a video of every sequence, or one picture of the fullest frames."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clmot.data.images import read_image
from clmot.errors import InputError
from clmot.files import staged_file
from clmot.motchallenge.annotations import AnnotationTable, read_results
from clmot.params import load_params
from clmot.progress import progress
from clmot.reporting.drawing import draw_tracks
from clmot.tracking.parts import TrackedPart, find_tracked_parts

PICTURES = (".jpg", ".jpeg", ".png")
VIDEO = ".mp4"
CODEC = "mp4v"
"""MPEG-4 part 2: every build of OpenCV writes it, and every player reads it."""
COLUMNS = 3
"""Of a picture of several sequences."""


@dataclass(frozen=True)
class TrackedSequence:
    """A sequence with its tracks."""

    benchmark: str
    name: str
    part: TrackedPart
    tracks: AnnotationTable
    """Frames count from the first that was tracked."""

    def drawn(self, frame: int) -> NDArray[np.uint8]:
        """Frame `frame` (from 1) as (H, W, 3) BGR, with boxes and identities."""
        found = self.tracks.in_frames(frame, frame)
        return draw_tracks(read_image(self.part.images[frame - 1]), found.corners(), found.identity)

    def fullest_frame(self) -> int:
        """The first of the frames with the most tracks, from 1."""
        counts = np.bincount(self.tracks.frame, minlength=2)
        return max(1, int(counts.argmax()))


def show_tracks(names: Sequence[str], out: str | os.PathLike[str]) -> None:
    """Draw what `track` found.

    Args:
        names: of benchmarks or sequences; none: all that params.yaml wants tracked.
        out: a folder, which gets `<benchmark>-<sequence>.mp4`, or a file .jpg or .png.

    Raises:
        InputError: nothing was tracked yet, a name is unknown, or `out` cannot be written.
    """
    out = Path(out)
    if out.suffix and out.suffix.lower() not in PICTURES:
        raise InputError(f"--out {out} should be a folder, for videos, or a file that ends in .jpg or .png.")
    chosen = find_tracked_sequences(names)
    if out.suffix:
        sheet = fullest_frames(chosen)
        _, data = cv2.imencode(out.suffix.lower(), sheet)
        with staged_file(out) as aside:
            aside.write_bytes(data.tobytes())
        print(f"{out}: {sheet.shape[1]} x {sheet.shape[0]} pixels, {len(chosen)} sequences.")
        return
    for sequence in chosen:
        video = out / f"{sequence.benchmark}-{sequence.name}{VIDEO}"
        frames = progress(
            range(1, len(sequence.part.images) + 1),
            sequence.name,
            total=len(sequence.part.images),
            unit="frame",
        )
        write_video(video, (sequence.drawn(frame) for frame in frames), sequence.part.frame_rate)
        print(
            f"{video}: {len(sequence.part.images)} frames, {len(set(sequence.tracks.identity))} identities."
        )


def find_tracked_sequences(names: Sequence[str]) -> list[TrackedSequence]:
    """The sequences of these names, or of the benchmarks of these names, with the tracks in `tracks/`.

    Raises:
        InputError: a name is of neither; frames or tracks are absent or faulty.
    """
    data = load_params().data
    parts = {
        (benchmark, name): part
        for benchmark in sorted(data.benchmarks)
        for name, part in find_tracked_parts(
            Path("data/frames") / benchmark, data.split, data.validation_sequences
        ).items()
    }
    known = {name for key in parts for name in key}
    for name in names:
        if name not in known:
            raise InputError(f"'{name}' is not tracked here; there are {', '.join(sorted(known))}.")
    wanted = {key: part for key, part in parts.items() if not names or set(names) & set(key)}
    found = []
    for (benchmark, name), part in wanted.items():
        results = Path("tracks") / benchmark / f"{name}.txt"
        if not results.is_file():
            raise InputError(f"{results} is missing: run `dvc repro` first.")
        found.append(TrackedSequence(benchmark, name, part, read_results(results)))
    return found


def fullest_frames(sequences: Sequence[TrackedSequence]) -> NDArray[np.uint8]:
    """The fullest frame of each sequence, of one width, in rows of three: (height, width, 3) BGR."""
    pictures = [sequence.drawn(sequence.fullest_frame()) for sequence in sequences]
    width = max(picture.shape[1] for picture in pictures)
    sized = [_of_width(picture, width) for picture in pictures]
    columns = min(COLUMNS, len(sized))
    rows = []
    for start in range(0, len(sized), columns):
        row = sized[start : start + columns]
        height = max(picture.shape[0] for picture in row)
        canvas = np.full((height, width * columns, 3), 255, np.uint8)
        for column, picture in enumerate(row):
            canvas[: picture.shape[0], column * width : (column + 1) * width] = picture
        rows.append(canvas)
    return np.concatenate(rows)


def _of_width(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    height = round(picture.shape[0] * width / picture.shape[1])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def write_video(path: Path, images: Iterator[NDArray[np.uint8]], frame_rate: float) -> None:
    """Write images (H, W, 3) BGR of one size as a video of that size, whole or not at all.

    The codec halves the colours' resolution and so takes even sides only: an odd image loses its last row or column.

    Raises:
        InputError: OpenCV cannot write such a video here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer: cv2.VideoWriter | None = None
    # OpenCV chooses the container by the ending, so the draft has the video's name, in a folder aside.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".video-") as folder:
        draft = Path(folder) / path.name
        try:
            for image in images:
                height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
                if writer is None:
                    code = cv2.VideoWriter.fourcc(*CODEC)
                    writer = cv2.VideoWriter(str(draft), code, frame_rate, (width, height))
                    if not writer.isOpened():
                        raise InputError(
                            f"{path} cannot be written: this OpenCV has no {CODEC} encoder; "
                            "give --out a .jpg or .png for pictures."
                        )
                writer.write(np.ascontiguousarray(image[:height, :width]))
        finally:
            if writer is not None:
                writer.release()
        os.replace(draft, path)
