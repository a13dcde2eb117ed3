"""Short films, each a folder of images with boxes that move."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (96, 64)


def write_short_films(folder: Path, count: int, frames: int = 6) -> list[Path]:
    """Films `film-00`, ... of noise with a coloured person, and `boxes/film-00.txt`, ... of it."""
    films = []
    (folder / "boxes").mkdir(parents=True)
    for number in range(count):
        noise = np.random.default_rng(number)
        film = folder / "films" / f"film-{number:02d}"
        film.mkdir(parents=True)
        rows = []
        for frame in range(1, frames + 1):
            image = noise.integers(0, 90, (SIZE[1], SIZE[0], 3), np.uint8)
            left = 5 + number % 7 + 4 * frame
            image[10:50, left : left + 16] = (40, 200, 220)
            cv2.imwrite(str(film / f"{frame:06d}.png"), image)
            rows.append(f"{frame},-1,{left},10,16,40,0.9\n{frame},-1,70,{5 + frame},15,38,0.8\n")
        (folder / "boxes" / f"{film.name}.txt").write_text("".join(rows))
        films.append(film)
    return films
