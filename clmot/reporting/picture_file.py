"""Pictures written to files whose endings say the format."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clmot.errors import InputError
from clmot.files import staged_file

ENDINGS = (".jpg", ".jpeg", ".png")

LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".png": 1_000_000}
"""Pixels: what the libraries write, and read again."""


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) BGR in the format of the path's ending, one of `ENDINGS`, whole or not at all.

    Raises:
        InputError: the format holds no picture of that size.
    """
    ending = path.suffix.lower()
    height, width = picture.shape[:2]
    if max(height, width) > LONGEST_SIDE[ending]:
        advice = "show less" if ending == ".png" else "show less, or end the name in .png"
        raise InputError(
            f"{path} cannot be written: a picture of {width} x {height} pixels is more than a {ending} holds "
            f"({LONGEST_SIDE[ending]} a side); {advice}."
        )
    _, data = cv2.imencode(ending, picture)
    with staged_file(path) as aside:
        aside.write_bytes(data.tobytes())
