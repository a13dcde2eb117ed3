"""A model as MLflow serves it: images in, people out, and who they are within a session."""

from __future__ import annotations

import base64
import binascii
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clmot.inference.image_sources import DEFAULT_RATE
from clmot.inference.model import Model, load
from clmot.inference.pipeline import Image
from clmot.inference.session import Session
from clmot.tracking.tracks import Tracks

SESSIONS = 256
"""That are kept; a further one ends the one that was used least recently."""


def _load_pyfunc(folder: str) -> ServedModel:
    """What MLflow calls to load the model in `folder`."""
    return ServedModel(load(folder))


class ServedModel:
    """Answers MLflow's requests. One process holds the sessions, so a server with several workers needs requests of a
    session to reach the same one."""

    def __init__(self, model: Model) -> None:
        """Serve a model whose networks all sessions share."""
        self.model = model
        self._sessions: OrderedDict[str, _ServedSession] = OrderedDict()
        self._turn = threading.Lock()  # a server answers in threads; frames of a session have an order

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What is seen in images, in the order of the rows.

        Args:
            model_input: a row for each image, with the columns

                - `image`: base64 of an encoded image (JPEG, PNG, ...);
                - `boxes`, optional: [[x1, y1, x2, y2], ...] in pixels, somebody's, instead of the model's own;
                - `scores`, optional: of those, in 0..1;
                - `session`, optional: any name; images with the same one are frames of one video;
                - `time`, optional: seconds since that began, where frames come irregularly.
            params: `fps`, frames per second of a session that begins.

        Returns:
            For each image `number` (of the frame in its session, from 1), `time`, and for everyone in it `boxes`,
            `scores`, `embeddings` (empty where the model has none) and `identities`. Without a session no one is known
            from before, and `identities` is None.

        Raises:
            ValueError: an image cannot be read, or boxes and scores do not fit.
        """
        fps = float((params or {}).get("fps", DEFAULT_RATE))
        with self._turn:
            return [self._answer(row, fps) for row in model_input.to_dict("records")]

    def _answer(self, row: Mapping[Any, Any], fps: float) -> dict[str, Any]:
        name, boxes, scores, time = (_given(row, key) for key in ("session", "boxes", "scores", "time"))
        if boxes is not None:
            boxes = np.array([np.asarray(box, float) for box in boxes], float).reshape(-1, 4)
        session = _ServedSession(self.model, fps) if name is None else self._session(str(name), fps)
        answer = session.update(decoded(row["image"]), boxes, scores, None if time is None else float(time))
        return answer if name is not None else answer | {"identities": None}

    def _session(self, name: str, fps: float) -> _ServedSession:
        session = self._sessions.pop(name, None) or _ServedSession(self.model, fps)
        self._sessions[name] = session
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session


class _ServedSession:
    """One video, and what its people look like."""

    def __init__(self, model: Model, fps: float) -> None:
        self._session: Session = model.session(fps)
        self._session.watch = self._see
        self._looks: list[list[float]] = []

    def update(self, image: Image, boxes: Any, scores: Any, time: float | None) -> dict[str, Any]:
        frame = self._session.update(image, boxes, scores, time=time)
        return {
            "number": frame.number,
            "time": frame.time,
            "boxes": frame.boxes.tolist(),
            "scores": frame.scores.tolist(),
            "embeddings": self._looks,
            "identities": frame.identities.tolist(),
        }

    def _see(self, _: int, tracks: Tracks, embeddings: NDArray[np.float32] | None) -> None:
        self._looks = [] if embeddings is None else embeddings[tracks.detections].tolist()


def decoded(text: str) -> Image:
    """The image (H, W, 3) BGR of an encoded one in base64, with or without `data:image/...;base64,` before it.

    Raises:
        ValueError: it is none.
    """
    try:
        data = base64.b64decode(text.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError, AttributeError):
        raise ValueError("'image' is not base64 of an encoded image (JPEG, PNG)") from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ValueError("'image' is base64, but of no image that can be read (JPEG, PNG)")
    return np.asarray(image, np.uint8)


def _given(row: Mapping[Any, Any], key: str) -> Any:
    """A value of a row; None where the column is absent or, in this row, empty."""
    value = row.get(key)
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value
