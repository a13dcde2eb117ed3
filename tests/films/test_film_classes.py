"""Films whose boxes have classes of their own: those that are asked for are tracked, together as one kind of object."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from tiny_archive import sequence_files
from tiny_films import HEIGHT, WIDTH, measured, write_film

from clmot.archives.extract import Reading, extract_benchmark
from clmot.cli.main import run
from clmot.errors import InputError
from clmot.films.boxes import read_truth
from clmot.films.find_films import Film
from clmot.films.open_films import open_with_films
from clmot.motchallenge.annotations import AnnotationTable, read_ground_truth
from clmot.problems import Problem, refuse

NAMES = ("car", "van", "person")
BOXES = {name: (4 + 20 * number, 5, 8 + number, 10) for number, name in enumerate(NAMES)}  # x, y, w, h; from 0
WIDTHS = {name: box[2] for name, box in BOXES.items()}
CHOICES = [
    (("car",), {"car"}),
    (("car", "van"), {"car", "van"}),
    ((), {"person"}),
    (("VAN", "person"), {"van", "person"}),
]


def coco(video: Path) -> Path:
    images = [{"id": n, "file_name": f"door_{n:04d}.jpg", "width": WIDTH, "height": HEIGHT} for n in range(1, 13)]
    annotations = [
        {"id": 1 + n * 3 + c, "image_id": n, "category_id": c + 1, "bbox": BOXES[name], "track_id": c + 1}
        for n in range(1, 13)
        for c, name in enumerate(NAMES)
    ]
    categories = [{"id": c, "name": name} for c, name in enumerate(NAMES, 1)]
    path = video.with_suffix(".json")
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def yolo(video: Path) -> Path:
    folder = video.with_name(f"{video.stem}_labels")
    folder.mkdir()
    (folder / "classes.txt").write_text("\n".join(NAMES))
    rows = [
        f"{c} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT} {c + 1}"
        for c, (x, y, w, h) in enumerate(BOXES.values())
    ]
    for number in range(1, 13):
        (folder / f"door_{number:04d}.txt").write_text("\n".join(rows) + "\n")
    return folder


def table(path: Path) -> Path:
    """CVAT's MOT 1.1, with a labels.txt."""
    rows = [
        f"{n},{c},{x + 1},{y + 1},{w},{h},1,{c},1\n"
        for n in range(1, 13)
        for c, (x, y, w, h) in enumerate(BOXES.values(), 1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(rows))
    (path.parent / "labels.txt").write_text("\n".join(NAMES) + "\n")
    return path


FORMATS = {"coco": coco, "yolo": yolo, "mot": lambda video: table(video.with_suffix(".txt"))}


def tracked(found: AnnotationTable) -> set[str]:
    """Names of the objects that are of class 1, by their widths."""
    widths = {round(width) for width in found.select(found.tracked()).box[:, 2].tolist()}
    return {name for name, width in WIDTHS.items() if width in widths}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("asked", "expected"), CHOICES)
def test_the_classes_that_are_asked_for(kind: str, asked: tuple[str, ...], expected: set[str], tmp_path: Path) -> None:
    video = tmp_path / "door.avi"
    film = Film(video, "train/door", "train", FORMATS[kind](video))
    found = read_truth(film, measured(), refuse, asked)
    assert found is not None
    assert tracked(found.table) == expected
    assert len(found.table.select(found.table.tracked())) == 12 * len(expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_class_that_is_not_there(kind: str, tmp_path: Path) -> None:
    video = tmp_path / "door.avi"
    told: list[Problem] = []
    read_truth(Film(video, "train/door", "train", FORMATS[kind](video)), measured(), told.append, ("bus",))
    assert [problem.kind for problem in told if problem.fatal][:1] == ["classes"]
    assert "has no class 'bus': name some of car" in told[0].text


def test_the_pipeline_and_check_take_the_same_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_film(tmp_path / "films" / "train" / "door.avi", "mot")
    video.with_suffix(".txt").unlink()
    coco(video)
    outs = [tmp_path / kind for kind in ("frames", "gt")]
    asked = ("car", "van")
    reading = Reading(functools.partial(open_with_films, classes=asked), asked)
    extract_benchmark(tmp_path / "films", "MOT17", "half", *outs, reading=reading)
    assert tracked(read_ground_truth(outs[1] / "door" / "gt.txt")) == set(asked)
    run(["check", str(tmp_path / "films"), "--classes", *asked])
    assert "pedestrian: 24" in capsys.readouterr().out
    with pytest.raises(InputError, match="cannot be used as it is"):
        run(["check", str(tmp_path / "films"), "--classes", "bus"])
    assert "has no class 'bus'" in capsys.readouterr().out


def test_a_folder_of_frames_with_a_labels_txt(tmp_path: Path) -> None:
    """A sequence as CVAT exports it, its classes named beside its table."""
    folder = tmp_path / "films" / "train" / "door"
    for name, content in sequence_files(folder.name, 12).items():
        target = tmp_path / "films" / "train" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    table(folder / "gt" / "gt.txt")
    outs = [tmp_path / kind for kind in ("frames", "gt")]
    extract_benchmark(tmp_path / "films", "MOT17", "half", *outs, reading=Reading(classes=("van", 1)))
    assert tracked(read_ground_truth(outs[1] / "door" / "gt.txt")) == {"car", "van"}


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_of_every_third_frame_do_not_teach_that_the_rest_is_empty(kind: str, tmp_path: Path) -> None:
    video = write_film(tmp_path / "films" / "train" / "door.avi", "mot")
    video.with_suffix(".txt").unlink()
    boxes = FORMATS[kind](video)
    keep = {1, 4, 7, 10}
    if kind == "mot":
        rows = [row for row in boxes.read_text().splitlines() if int(row.split(",")[0]) in keep]
        boxes.write_text("\n".join(rows) + "\n")
    elif kind == "yolo":
        for path in boxes.glob("door_*.txt"):
            if int(path.stem[-4:]) not in keep:
                path.unlink()
    else:
        content = json.loads(boxes.read_text())
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in keep]
        boxes.write_text(json.dumps(content))
    outs = [tmp_path / folder for folder in ("frames", "gt")]
    with pytest.raises(InputError, match=r"boxes in every 3\. frame alone \(1, 4, 7, \.\.\.\)"):
        extract_benchmark(tmp_path / "films", "MOT17", "half", *outs, reading=Reading(open_with_films))
    with pytest.raises(InputError, match="cannot be used as it is"):
        run(["check", str(tmp_path / "films")])


@pytest.mark.parametrize("kind", FORMATS)
def test_boxes_of_one_identity_have_none(kind: str, tmp_path: Path) -> None:
    video = tmp_path / "door.avi"
    boxes = FORMATS[kind](video)
    if kind == "mot":
        rows = [row.split(",") for row in boxes.read_text().splitlines()]
        boxes.write_text("".join(",".join([row[0], "1", *row[2:]]) + "\n" for row in rows))
    elif kind == "yolo":
        for path in boxes.glob("door_*.txt"):
            path.write_text("".join(f"{row.rsplit(' ', 1)[0]} 0\n" for row in path.read_text().splitlines()))
    else:
        content = json.loads(boxes.read_text())
        boxes.write_text(json.dumps(content | {"annotations": [a | {"track_id": 0} for a in content["annotations"]]}))
    found = read_truth(Film(video, "train/door", "train", boxes), measured(), refuse, NAMES)
    assert found is not None
    assert set(found.table.identity.tolist()) == {-1}
