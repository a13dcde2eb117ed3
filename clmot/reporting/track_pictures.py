"""Tracks to look at: a video of every sequence, or one picture of the fullest frames."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import staged_file
from clmot.images import read_image
from clmot.inference.tracked_frames import TrackedPart, find_tracked_parts
from clmot.motchallenge.annotations import AnnotationTable, read_results
from clmot.motchallenge.splits import Split
from clmot.params import load_params
from clmot.progress import progress
from clmot.reporting.drawing import draw_tracks, fullest_frame
from clmot.reporting.picture_file import ENDINGS, write_picture

TRACKS = Path("tracks")
VIDEO = ".mp4"
CODEC = "libx264"
"""H.264, which every browser and player shows."""
QUALITY = "20"
"""x264's `crf`, 0 (lossless) to 51: thin lines and digits stay sharp, at some tenth of the JPEGs' bytes."""
FINEST_RATE = 1001
"""The largest denominator of a rate in frames per second: that of 30000/1001, which television has."""
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
        return fullest_frame(self.tracks.frame)


def show_tracks(names: Sequence[str], out: str | os.PathLike[str]) -> None:
    """Draw what `track` found.

    Args:
        names: of benchmarks or sequences; none: all that params.yaml wants tracked.
        out: a folder, which gets `<benchmark>-<sequence>.mp4`, or a file .jpg or .png.

    Raises:
        InputError: nothing was tracked yet, or other frames were; a name is unknown, or `out` cannot be written.
    """
    out = Path(out)
    if out.suffix and out.suffix.lower() not in ENDINGS:
        raise InputError(f"--out {out} should be a folder, for videos, or a file that ends in .jpg or .png.")
    chosen = find_tracked_sequences(names)
    if out.suffix:
        sheet = fullest_frames(chosen)
        write_picture(out, sheet)
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
        print(f"{video}: {len(sequence.part.images)} frames, {len(set(sequence.tracks.identity))} identities.")


def find_tracked_sequences(names: Sequence[str]) -> list[TrackedSequence]:
    """The sequences of these names, or of the benchmarks of these names, with the tracks in `tracks/`.

    Raises:
        InputError: a name is of neither; frames or tracks are absent or faulty, or do not belong together.
    """
    data = load_params().data
    split = Split.from_params(data)
    parts = {
        (benchmark, name): part
        for benchmark in sorted(data.benchmarks)
        for name, part in find_tracked_parts(Path("data/frames") / benchmark, split).items()
    }
    known = {name for key in parts for name in key}
    for name in names:
        if name not in known:
            raise InputError(f"'{name}' is not tracked here; there are {', '.join(sorted(known))}.")
    wanted = {key: part for key, part in parts.items() if not names or set(names) & set(key)}
    tracked = {benchmark: tracked_lengths(benchmark) for benchmark, _ in wanted}
    found = []
    for (benchmark, name), part in wanted.items():
        results = TRACKS / benchmark / f"{name}.txt"
        if not results.is_file():
            raise InputError(f"{results} is missing: run `dvc repro` first.")
        tracks = read_results(results)
        length = len(part.images)
        # Two splits never track equally many frames of a film: other numbers are tracks of other frames.
        last, recorded = int(tracks.frame.max(initial=0)), tracked[benchmark].get(name, length)
        if last > length or recorded != length:
            raise InputError(
                f"{results} holds tracks of {max(last, recorded)} frames, but 'data.split: {data.split}' tracks "
                f"{length} of {name}: they were made with other params or data; run `dvc repro` first."
            )
        found.append(TrackedSequence(benchmark, name, part, tracks))
    return found


def tracked_lengths(benchmark: str) -> Mapping[str, int]:
    """How many frames of each sequence `track` has seen, as `tracks/<benchmark>.speed.json` says; empty without it.

    Raises:
        InputError: the file is not one that `track` wrote.
    """
    path = TRACKS / f"{benchmark}.speed.json"
    try:
        sequences = json.loads(path.read_bytes())["sequences"]
        return {str(name): int(row["frames"]) for name, row in sequences.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{path} is not what the track stage writes: run it again (`dvc repro track`).") from None


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


def write_video(path: Path, images: Iterator[NDArray[np.uint8]], frame_rate: float, preset: str = "medium") -> None:
    """Write images (H, W, 3) BGR as an H.264 video of the first one's size, whole or not at all.

    The codec halves the colours' resolution and so takes even sides only: an odd image loses its last row or column.
    Images of another size are scaled into the first one's, with black bars where their shape differs. `preset` is
    x264's word for how long it seeks to save bytes.

    Raises:
        InputError: x264 takes no video of that size or rate.
    """
    rate = max(Fraction(frame_rate).limit_denominator(FINEST_RATE), Fraction(1, FINEST_RATE))
    stream = None
    with staged_file(path) as aside:
        try:
            # The index in front: a browser plays before all is there. The draft's name does not tell the format.
            with av.open(str(aside), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                for image in images:
                    if stream is None:
                        stream = container.add_stream(CODEC, rate=rate, options={"crf": QUALITY, "preset": preset})
                        stream.height, stream.width = (max(2, side // 2 * 2) for side in image.shape[:2])
                        stream.pix_fmt = "yuv420p"
                    sized = fitted(image, stream.width, stream.height)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(sized, format="bgr24")))
                if stream is not None:
                    container.mux(stream.encode(None))
        except (av.error.ExternalError, av.error.ArgumentError, OverflowError) as error:
            size = "" if stream is None else f" of {stream.width} x {stream.height} pixels"
            raise InputError(
                f"{path} cannot be written: x264 takes no video{size} at {frame_rate:g} frames per second ({error}); "
                "give --out a .jpg or .png for pictures."
            ) from None


def fitted(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The image cut by the last row or column where these are too many, or scaled into the middle of black."""
    high, wide = image.shape[:2]
    if high - height in (0, 1) and wide - width in (0, 1):
        return np.ascontiguousarray(image[:height, :width])
    scale = min(width / wide, height / high)
    inner_width, inner_height = max(1, round(wide * scale)), max(1, round(high * scale))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = cv2.resize(
        image, (inner_width, inner_height), interpolation=cv2.INTER_AREA
    )
    return canvas
