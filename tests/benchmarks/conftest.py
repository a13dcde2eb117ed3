"""Two tiny films for the benchmarks that track several."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from tiny_films import picture, walkers

FRAMES = 12


@pytest.fixture(scope="module")
def two_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films with truth, and a detector's boxes: the true ones, scored .9."""
    root = tmp_path_factory.mktemp("films")
    (root / "boxes").mkdir()
    for number, name in enumerate(("door", "yard")):
        folder = root / "films/MOT17" / name
        (folder / "img1").mkdir(parents=True)
        (folder / "gt").mkdir()
        rows = walkers(FRAMES)
        for frame in range(1, FRAMES + 1):
            cv2.imwrite(str(folder / f"img1/{frame:06d}.jpg"), picture(rows, frame) // (number + 1))
        height, width = picture(rows, 1).shape[:2]
        (folder / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nimDir=img1\nframeRate=10\nseqLength={FRAMES}\nimWidth={width}\n"
            f"imHeight={height}\nimExt=.jpg\n"
        )
        truth = [f"{r[0]},{r[1]},{r[2]},{r[3]},{r[4]},{r[5]},1,1,1" for r in rows]
        (folder / "gt/gt.txt").write_text("\n".join(truth) + "\n")
        found = [f"{r[0]},-1,{r[2]},{r[3]},{r[4]},{r[5]},0.9,-1,-1,-1" for r in rows]
        (root / f"boxes/{name}.txt").write_text("\n".join(found) + "\n")
    return root
