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


FOREIGN_FILES = {
    "CreateML": ("a.json", '[{"image": "1.jpg", "annotations": [{"label": "person", "coordinates": {"x": 1}}]}]'),
    "MegaDetector": ("md.json", '{"detection_categories": {"2": "person"}, "images": [{"file": "a.jpg"}]}'),
    "Cityscapes": (
        "x/a_gtBboxCityPersons.json",
        '{"imgHeight": 9, "objects": [{"bbox": [1, 2, 3, 4]}]}',
    ),
    "JTA": ("annotations/seq_0.json", "[[1, 0, 0, 100, 50, 1.0, 2.0, 3.0, 0, 0]]"),
    "Label Studio": ("tasks.json", '[{"id": 1, "data": {}, "annotations": [{"result": []}]}]'),
    "a table of boxes with titles": (
        "labels.csv",
        "filename,class,xmin,ymin,xmax,ymax\na.jpg,p,1,1,2,2\n",
    ),
    "Pascal VOC": ("Annotations/a.xml", "<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>"),
    "CVAT": ("annotations.xml", '<annotations><meta></meta><track id="0" label="person"></track></annotations>'),
    "UA-DETRAC": ("MVI_20011.xml", '<sequence name="MVI_20011"><frame num="1"></frame></sequence>'),
    "WiderPerson": ("Annotations/0.jpg.txt", "2\n1 10 20 40 90\n1 50 20 80 90\n"),
    "WIDER FACE": ("wider_face_train_bbx_gt.txt", "0--Parade/a.jpg\n1\n20 40 30 70 0 0 0 0 0 0\n"),
    "VisDrone": ("annotations/0.txt", "10,20,30,40,1,4,0,0\n50,20,30,40,1,1,0,0\n"),
    "a spreadsheet": ("boxes.xlsx", "PK\x03\x04......xl/workbook.xml"),
    "MATLAB": ("anno_train.mat", "MATLAB 5.0 MAT-file, Platform: PCWIN"),
}


@pytest.mark.parametrize("whose", FOREIGN_FILES)
def test_files_of_other_programs_are_named_alike(whose: str, tmp_path: Path) -> None:
    """The file itself, the folder that it is in and a zip of that, to `clmot check` and to the stage."""
    name, text = FOREIGN_FILES[whose]
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    zipped = write_zip(tmp_path / "a.zip", {name: text.encode()})
    named = "records of other programs" if whose == "MATLAB" else whose
    itself = "cannot be used as it is" if whose == "VisDrone" else whose  # a table, with the fault above
    for data, expected in ((path, itself), (path.parent, itself if whose == "VisDrone" else named), (zipped, named)):
        with pytest.raises(InputError, match=expected):
            run(["check", str(data)])
    with pytest.raises(InputError, match=named):
        on_disk(tmp_path / "data", "data", "MOT17")
    with pytest.raises(InputError, match=named):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize("name", ["train/labels/a.txt", "obj_train_data/a.txt", "annotations/instances.json", "a.odgt"])
def test_a_packed_set_of_images_is_no_film(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = b'{"images": [], "annotations": [], "categories": []}'
    files = {name: coco if name.endswith("json") else b"0 0.5 0.5 0.1 0.2\n", "train/images/a.jpg": b""}
    zipped = write_zip(tmp_path / "a.zip", files)
    with pytest.raises(InputError, match=r"images with boxes .* unpack it .* prints the entry for 'data.extra'"):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")
    with pytest.raises(InputError, match="images with boxes"):
        run(["check", str(zipped)])


@pytest.mark.parametrize("name", ["img00001.jpg", "door/000001.png", "a/b/1.JPG"])
def test_images_alone_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "data" / name).parent.mkdir(parents=True)
    (tmp_path / "data" / name).write_bytes(b"")
    for ask in (lambda: run(["check", str(tmp_path / "data")]), lambda: on_disk(tmp_path / "data", "data", "MOT17")):
        with pytest.raises(InputError, match=r"holds 1 image .* and no boxes: .*`clmot track` takes them"):
            ask()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ["S01/c001/gt/gt.txt", "S01/c001/roi.jpg"],
            r"train/S01 holds sequences of its own \(c001",
        ),
        (["YFCC/v_1/frame0001.jpg"], "train/YFCC is no sequence .* expected img1/ and gt/gt.txt"),
        (["a/img1/000001.jpg"], "train/a has no gt/gt.txt, which train sequences need: add it"),
        (["a/gt/gt.txt", "a/vdo.avi"], "vdo.avi is here without frames: put gt/gt.txt beside it as vdo.txt"),
        (
            ["a/gt/gt.txt", "a/img1/000001.jpg", "a/seqinfo.ini"],
            "no frames in frames/.* write imDir=img1 into seqinfo.ini",
        ),
        (["a/gt/gt.txt", "a/img1/000001.jfif"], "img1/000001.jfif is of a kind that is not read"),
    ],
)
def test_what_a_folder_below_train_lacks(files: list[str], expected: str, tmp_path: Path) -> None:
    info = b"[Sequence]\nname=a\nimDir=frames\nframeRate=25\nseqLength=1\nimWidth=9\nimHeight=9\nimExt=.jpg\n"
    contents = {"txt": b"1,1,1,1,5,5,1,1,1\n", "ini": info}
    zipped = write_zip(tmp_path / "a.zip", {f"train/{name}": contents.get(name[-3:], b"") for name in files})
    with pytest.raises(InputError, match=expected):
        extract_benchmark(zipped, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize("below", ["a/dataset", "a/b/images", "films"])
def test_sequences_further_down_are_found(below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As SportsMOT comes unpacked, with val/ beside train/."""
    for subset in ("train", "val"):
        for file, data in sequence_files(f"data/top/{below}/{subset}/film", 4).items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(data)
    expected = f"holds no sequences directly: name {tmp_path}/data/top/{below} in 'data.source'"
    with pytest.raises(InputError, match=expected):
        on_disk(tmp_path / "data", "data", "MOT17")
    with pytest.raises(InputError, match="cannot be used as it is"):
        run(["check", str(tmp_path / "data")])
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["images", "rgb_frames", "img"])
def test_frames_in_another_folder_are_found(folder: str, tmp_path: Path) -> None:
    for file, data in sequence_files("film", 4).items():
        path = tmp_path / file.replace("img1", folder)
        if path.name != "seqinfo.ini":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    for source in (tmp_path, tmp_path / "film"):
        (archive,) = on_disk(source, "data", "MOT17")
        with pytest.raises(InputError, match=rf"{folder}/000001\.jpg is here: call the folder of frames img1"):
            extract_benchmark(archive, "MOT17", "half", tmp_path / "frames", tmp_path / "gt")


@pytest.mark.parametrize(
    ("name", "text", "whose"),
    [
        ("annotations.xml", "<annotations><meta></meta><track id='0'></track></annotations>", "CVAT"),
        ("annotations/seq_0.json", "[[1, 0, 0, 100]]", "JTA"),
        ("ann/door.mp4.json", '{"objects": [], "tags": []}', "Supervisely"),
    ],
)
def test_boxes_of_others_beside_a_film(
    name: str, text: str, whose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "door.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="2 errors"):
        run(["check", str(tmp_path)])
    assert whose in capsys.readouterr().out
