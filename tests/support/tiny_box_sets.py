"""Little sets of labelled images in every format, showing the same people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from clmot.params import ExtraSetParams

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """One image."""

    size: tuple[int, int]
    """Width, height."""
    people: Sequence[Box]
    """x, y, width, height in pixels."""


SCENES: Mapping[str, Scene] = {
    "many": Scene((64, 48), [(30, 8, 12, 24), (4, 4, 10, 20), (50, 20, 20, 40)]),  # the last reaches outside
    "größe": Scene((40, 60), [(-5, 10, 20, 30)]),
    "nobody": Scene((50, 50), []),
}
"""By the name of the image, without its extension."""

FORMATS = ("jde", "crowdhuman", "coco", "yolo")


def write_image(path: Path, size: tuple[int, int], shade: int = 90) -> None:
    """A grey image with a white corner, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0], 3), shade, np.uint8)
    image[:4, :4] = 255
    ok, data = cv2.imencode(path.suffix, image)
    assert ok
    path.write_bytes(data.tobytes())


def expected_corners(scene: Scene) -> np.ndarray:
    """(N, 4) in the order of a manifest."""
    boxes = sorted((x, y, x + w, y + h) for x, y, w, h in scene.people)
    return np.array(boxes, np.float32).reshape(-1, 4)


def write_set(folder: Path, kind: str, identity: Callable[[int], int] = lambda n: n) -> ExtraSetParams:
    """The scenes as a set of this format; `identity` numbers the people of the whole set, in formats that do."""
    return {"jde": _jde, "yolo": _yolo, "crowdhuman": _crowdhuman, "coco": _coco}[kind](folder, identity)


def fractions(scene: Scene, box: Box) -> str:
    """`cx cy w h` of a box as fractions of the image."""
    (width, height), (x, y, w, h) = scene.size, box
    return f"{(x + w / 2) / width:.9f} {(y + h / 2) / height:.9f} {w / width:.9f} {h / height:.9f}"


def _jde(folder: Path, identity: Callable[[int], int]) -> ExtraSetParams:
    people = iter(range(1000))
    for name, scene in SCENES.items():
        write_image(folder / "images" / "part" / f"{name}.jpg", scene.size)
        rows = [f"0 {identity(next(people))} {fractions(scene, box)}\n" for box in scene.people]
        if rows:  # an image without a label file shows no one
            label = folder / "labels_with_ids" / "part" / f"{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("".join(rows))
    return entry("jde", folder / "images", folder / "labels_with_ids", (0,))


def _yolo(folder: Path, identity: Callable[[int], int]) -> ExtraSetParams:
    for name, scene in SCENES.items():
        write_image(folder / "images" / "train" / f"{name}.png", scene.size)
        label = folder / "labels" / "train" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("".join(f"1 {fractions(scene, box)}\n" for box in scene.people))
    (folder / "data.yaml").write_text("names:\n  0: dog\n  1: person\n")
    return entry("yolo", folder / "images" / "train", folder / "labels" / "train", ("person",))


def _crowdhuman(folder: Path, identity: Callable[[int], int]) -> ExtraSetParams:
    people = iter(range(1000))
    lines = []
    for name, scene in SCENES.items():
        write_image(folder / "Images" / f"{name}.jpg", scene.size)
        boxes = [
            {"tag": "person", "fbox": list(box), "extra": {"box_id": identity(next(people)), "ignore": 0}}
            for box in scene.people
        ]
        lines.append(json.dumps({"ID": name, "gtboxes": boxes}, ensure_ascii=False))
    (folder / "annotation.odgt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return entry("crowdhuman", folder / "Images", folder / "annotation.odgt", ("person",))


def _coco(folder: Path, identity: Callable[[int], int]) -> ExtraSetParams:
    people = iter(range(1000))
    images, annotations = [], []
    for number, (name, scene) in enumerate(SCENES.items(), 10):
        file = f"{name}.jpg"
        write_image(folder / "images" / file, scene.size)
        images.append({"id": number, "file_name": file, "width": scene.size[0], "height": scene.size[1]})
        for box in scene.people:
            who = identity(next(people))
            annotations.append(
                {
                    "id": 500 + who,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": list(box),
                    "iscrowd": 0,
                    "attributes": {"track_id": who},
                    "segmentation": [[1, 2, 3, 4]],
                }
            )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "instances.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return entry("coco", folder / "images", folder / "instances.json", ("person",))


def entry(kind: str, images: Path, labels: Path, classes: tuple[int | str, ...]) -> ExtraSetParams:
    """An entry of `data.extra`."""
    return ExtraSetParams(kind, kind, str(images), str(labels), 1.0, classes)  # type: ignore[arg-type]


def text_files(entry: ExtraSetParams) -> list[Path]:
    """The files with labels of a set."""
    labels = Path(entry.labels)
    return sorted(labels.rglob("*.txt")) if labels.is_dir() else [labels]


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


Change = Callable[[ExtraSetParams], None]


def swap(old: str, new: str) -> Change:
    """A fault in the labels of the image `many`."""

    def change(given: ExtraSetParams) -> None:
        files = text_files(given)
        replace_text(next(file for file in files if file.stem == "many" or len(files) == 1), old, new)

    return change


def image_of(content: bytes | None) -> Change:
    """A fault in the image `many`: this content, or none at all."""

    def change(given: ExtraSetParams) -> None:
        path = next(Path(given.images).rglob("many.*"))
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    return change


def cut(given: ExtraSetParams) -> None:
    """The image `many` loses its end."""
    path = next(Path(given.images).rglob("many.*"))
    path.write_bytes(path.read_bytes()[:-40])


FAULTS: list[tuple[str, Change, list[str]]] = [
    ("jde", swap("0 0 ", "0 "), ["many.txt:1", "has 5 columns, expected 6 columns `class identity cx cy w h`"]),
    ("jde", swap("0 1 ", "0 nan "), ["many.txt:2", "column 2 is 'nan', expected a finite number"]),
    ("jde", swap("0 1 ", "0 1_0 "), ["many.txt:2", "'1_0'"]),
    ("jde", swap("0 0 0.5", "0 0 inf"), ["many.txt:1", "column 3"]),
    ("jde", swap("0 0 0.5", "0.5 0 0.5"), ["many.txt:1", "class 0.5 is not a whole number"]),
    ("jde", swap("0 0 0.5", "0 0 320.5"), ["many.txt:1", "is no fraction", "not pixels"]),
    ("jde", swap("0 0 ", "person 0 "), ["many.txt:1", "column 1 is 'person'"]),
    ("jde", image_of(b""), ["many.jpg: is empty"]),
    ("jde", image_of(b"<html>"), ["many.jpg: is not a readable image"]),
    ("jde", cut, ["many.jpg: is cut off"]),
    ("yolo", swap("1 0.5", "1 0 0.5"), ["many.txt:1", "has 6 columns", "format: jde"]),
    ("yolo", swap("1 0.5", "2 0.5"), ["many.txt:1", "class 2 has no name, there are 2 names"]),
    ("yolo", cut, ["many.png: is cut off"]),
    ("crowdhuman", swap('{"ID": "many"', '{"ID": "many'), ["odgt:1", "expected a JSON object"]),
    ("crowdhuman", swap('"ID": "many"', '"id": "many"'), ["odgt:1", '"ID" and "gtboxes"']),
    ("crowdhuman", swap('"gtboxes": [{', '"boxes": [{'), ["odgt:1", 'expected "gtboxes"']),
    ("crowdhuman", swap("[30, 8, 12, 24]", "[30, 8, 12]"), ["odgt:1", "box 1", "four finite numbers"]),
    ("crowdhuman", swap("[30, 8, 12, 24]", "[30, 8, 12, NaN]"), ["odgt:1", "box 1", "four finite numbers"]),
    ("crowdhuman", swap("[4, 4, 10, 20]", '[4, 4, 10, "20"]'), ["odgt:1", "box 2"]),
    ("crowdhuman", swap("[4, 4, 10, 20]", "[4, 4, 10, 1e300]"), ["odgt:1", "box 2"]),
    ("crowdhuman", swap('"tag": "person"', '"tag": 3'), ["odgt:1", 'a "tag"']),
    ("crowdhuman", swap('"ID": "nobody"', '"ID": "many"'), ["odgt:3", "is already on an earlier line"]),
    ("crowdhuman", image_of(None), ["odgt:1", "many.jpg does not exist"]),
    ("crowdhuman", swap('"ID": "many"', f'"ID": "{"f" * 300}"'), ["odgt:1", "does not exist"]),
    ("coco", swap("many.jpg", f"many.jpg?{'f' * 300}"), ["images[0]", "does not exist"]),
    ("coco", swap('"categories"', '"categorys"'), ["has no list 'categories'"]),
    ("coco", swap('"file_name"', "file_name"), [".json:5", "is not valid JSON"]),
    ("coco", swap('"id": 10', '"id": 1.5'), ["images[0]", 'a whole "id"']),
    ("coco", swap('"id": 11', '"id": 10'), ["images[1]", "id 10", "earlier entry"]),
    ("coco", swap('"image_id": 10', '"image_id": 99'), ["annotations[0]", "image_id 99 is none"]),
    ("coco", swap('"category_id": 1', '"category_id": 2'), ["annotations[0]", "category_id 2 is none"]),
    ("coco", swap('"id": 500', '"id": ' + "9" * 5000), ["holds no annotations"]),
    ("coco", swap('"bbox": [', '"bbox": [' + "[" * 99999), ["holds no annotations"]),
    ("coco", swap('"bbox"', '"box"'), ["annotations[0]", '"bbox" should be four finite numbers']),
    ("coco", swap('"width": 64', '"width": 65'), ["is 64x48", "says 65x48", "boxes lie elsewhere"]),
    ("coco", image_of(None), ["images[0]", "many.jpg does not exist"]),
]  # fmt: skip
"""Format, what spoils a set, and the words that say so."""
