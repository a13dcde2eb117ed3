"""Tracks as files, written while they are found: nothing is kept, so that a stream may go on for ever."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO

from clmot.files import staged_file
from clmot.inference.collect import mot_rows
from clmot.inference.session import TrackedFrame

FORMATS = {"mot": ".txt", "csv": ".csv", "json": ".json", "coco": ".coco.json"}
"""Of tables, and how their files end."""
CSV_HEADER = "frame,time,identity,x1,y1,x2,y2,score\n"


class TrackTable:
    """A file of tracks, in one of `FORMATS`. It takes its place when it is left, with an error too, and whole then."""

    def __init__(self, path: Path, kind: str) -> None:
        """Open a table.

        Args:
            path: of the file.
            kind: `mot`: rows of MOTChallenge's results; `csv`: with a header, corners in pixels and times; `json`: a
                list of frames; `coco`: images and annotations with `track_id`.
        """
        self.path, self.kind = path, kind
        self.boxes = 0
        """How many were written."""
        self._outs = contextlib.ExitStack()
        self._first = True

    def __enter__(self) -> TrackTable:
        aside = self._outs.enter_context(staged_file(self.path))
        self._stream: IO[str] = aside.open("w", encoding="utf-8", newline="\n")
        self._images = aside.with_name("images")  # COCO's lists come one after the other
        if self.kind == "csv":
            self._stream.write(CSV_HEADER)
        elif self.kind == "json":
            self._stream.write('{"frames": [')
        elif self.kind == "coco":
            self._listed: IO[str] = self._images.open("w", encoding="utf-8", newline="\n")
            self._stream.write('{"categories": [{"id": 1, "name": "person"}], "annotations": [')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.kind == "json":
            self._stream.write("\n]}\n")
        elif self.kind == "coco":
            self._listed.close()
            self._stream.write('\n], "images": [')
            with self._images.open(encoding="utf-8") as listed:
                shutil.copyfileobj(listed, self._stream)
            self._images.unlink()
            self._stream.write("\n]}\n")
        self._stream.close()
        self._outs.close()

    def add(self, frame: TrackedFrame) -> None:
        """Write the people of one frame."""
        {"mot": self._mot, "csv": self._csv, "json": self._json, "coco": self._coco}[self.kind](frame)
        self.boxes += len(frame)
        self._first = False

    def _mot(self, frame: TrackedFrame) -> None:
        self._stream.write(mot_rows(frame))

    def _csv(self, frame: TrackedFrame) -> None:
        for identity, (x1, y1, x2, y2), score in _rows(frame):
            self._stream.write(
                f"{frame.number},{frame.time:.3f},{identity},{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f},{score:.4f}\n"
            )

    def _json(self, frame: TrackedFrame) -> None:
        tracks = [
            {"identity": identity, "box": [round(side, 2) for side in box], "score": round(score, 4)}
            for identity, box, score in _rows(frame)
        ]
        row = {"frame": frame.number, "time": round(frame.time, 3), "tracks": tracks}
        self._stream.write(("\n" if self._first else ",\n") + json.dumps(row))

    def _coco(self, frame: TrackedFrame) -> None:
        height, width = frame.image.shape[:2]
        image = {
            "id": frame.number,
            "frame_id": frame.number,
            "file_name": f"{frame.number:06d}.jpg",
            "width": width,
            "height": height,
        }
        self._listed.write(("\n" if self._first else ",\n") + json.dumps(image))
        for count, (identity, (x1, y1, x2, y2), score) in enumerate(_rows(frame), self.boxes + 1):
            box = [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)]
            row = {
                "id": count,
                "image_id": frame.number,
                "category_id": 1,
                "track_id": identity,
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "score": round(score, 4),
            }
            self._stream.write(("\n" if count == 1 else ",\n") + json.dumps(row))


def _rows(frame: TrackedFrame) -> list[tuple[int, list[float], float]]:
    return list(zip(frame.identities.tolist(), frame.boxes.tolist(), frame.scores.tolist(), strict=True))
