"""Data sets for tracking that are laid out otherwise: the download stage names them as `clmot check` does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_archive import sequence_files, write_zip

from clmot.archives.extract import extract_benchmark
from clmot.errors import InputError
from clmot.sources.fetch import on_disk

FILES = {
    "KITTI": ["training/label_02/0000.txt", "training/image_02/0000/000000.png"],
    "VisDrone": ["annotations/uav0000013_00000_v.txt", "sequences/uav0000013_00000_v/0000001.jpg"],
    "BDD100K": ["labels/box_track_20/train/0000f77c.json", "images/track/train/0000f77c/0000f77c-0000001.jpg"],
    "MOTSynth": ["frames/000/rgb/0001.jpg", "mot_annotations/000/gt/gt_.txt"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_layout_is_named(name: str, tmp_path: Path) -> None:
    contents = {f"set/{file}" if name != "MOTSynth" else file: b"1,2,3\n" for file in FILES[name]}
    folder = tmp_path / "data"
    for file, data in contents.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    with pytest.raises(InputError, match=f"data is laid out as {name}'s"):
        on_disk(folder, str(folder), "MOT17")
    zipped = write_zip(tmp_path / "MOT17.zip", contents)
    with pytest.raises(InputError, match=f"MOT17.zip is laid out as {name}'s"):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize("name", ["dancetrack0001", "v_-6Os86HzwCs_c001"], ids=["DanceTrack", "SportsMOT"])
def test_sets_in_the_format_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    for subset in ("train", "val"):
        for file, data in sequence_files(f"{subset}/{name}", 4).items():
            (tmp_path / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / file).write_bytes(data)
    (archive,) = on_disk(tmp_path / "data", "data", "MOT17")
    found = extract_benchmark(archive, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")
    assert [(entry.name, entry.frames) for entry in found] == [(name, 4)]
