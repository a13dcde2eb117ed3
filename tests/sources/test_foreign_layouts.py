"""Data sets for tracking that are laid out otherwise: the download stage names them as `clmot check` does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_archive import sequence_files, write_zip

from clmot.archives.extract import extract_benchmark
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.sources.fetch import fetch_archives, on_disk

FILES = {
    "KITTI": ["training/label_02/0000.txt", "training/image_02/0000/000000.png"],
    "VisDrone": ["annotations/uav0000013_00000_v.txt", "sequences/uav0000013_00000_v/0000001.jpg"],
    "BDD100K": ["labels/box_track_20/train/0000f77c.json", "images/track/train/0000f77c/0000f77c-0000001.jpg"],
    "BDD100K's: take": ["labels/det_20/det_train.json", "images/100k/train/0000f77c.jpg"],
    "Supervisely": ["ds0/ann/a.jpg.json", "ds0/img/a.jpg"],
    "MOTSynth": ["frames/000/rgb/0001.jpg", "mot_annotations/000/gt/gt_.txt"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_layout_is_named(name: str, tmp_path: Path) -> None:
    contents = {f"set/{file}" if name != "MOTSynth" else file: b"1,2,3\n" for file in FILES[name]}
    folder = tmp_path / "data"
    for file, data in contents.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    with pytest.raises(InputError, match=f"data is laid out as {name}"):
        on_disk(folder, str(folder), "MOT17")
    zipped = write_zip(tmp_path / "MOT17.zip", contents)
    with pytest.raises(InputError, match=f"MOT17.zip is laid out as {name}"):
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


@pytest.mark.parametrize("ending", ["tif", "GIF", "heic"])
def test_frames_of_a_kind_that_is_not_read(ending: str, tmp_path: Path) -> None:
    files = {name.replace(".jpg", f".{ending}"): data for name, data in sequence_files("train/film", 4).items()}
    zipped = write_zip(tmp_path / "films.zip", files)
    with pytest.raises(InputError, match=rf"img1/000001\.{ending} is of a kind that is not read; convert"):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize("numbers", [range(100, 104), range(1, 13, 3), range(2, 6)])
def test_frames_that_are_numbered_otherwise(numbers: range, tmp_path: Path) -> None:
    files = sequence_files("train/film", 4)
    frames = [files.pop(f"train/film/img1/{n:06d}.jpg") for n in range(1, 5)]
    files |= {f"train/film/img1/{n:06d}.jpg": data for n, data in zip(numbers, frames, strict=True)}
    zipped = write_zip(tmp_path / "films.zip", files)
    with pytest.raises(InputError, match=f"numbered from {numbers[0]} to {numbers[-1]}; number them from 1"):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("films.rar", b"Rar!\x1a\x07\x01\x00", "RAR"),
        ("MOT17.zip", b"7z\xbc\xaf\x27\x1c", "7z"),
        ("films.tar.gz", b"\x1f\x8b\x08\x00", "gzip"),
        ("films.tar", b"film/".ljust(257, b"\0") + b"ustar\x0000", "tar"),
    ],
)
def test_what_is_packed_otherwise_is_to_be_unpacked(name: str, start: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(start + bytes(600))
    with pytest.raises(InputError, match=rf"is a compressed file \({kind}; unpack it\)"):
        run(["check", str(path)])
    with pytest.raises(InputError, match=rf"is a compressed file \({kind}; unpack it\)"):
        archives = fetch_archives(str(path), "MOT17", tmp_path / "archives", 0, 0)
        extract_benchmark(archives, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")
