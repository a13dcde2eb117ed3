"""Files of boxes in other programs' formats, told by what they begin with."""

from __future__ import annotations

import re

START = 1 << 16
"""Bytes of a file that are looked at."""

_EXPORT = "export COCO or YOLO instead, or convert it"

_JSON = (
    (("image", "coordinates"), f"CreateML's boxes; {_EXPORT}"),
    (("labels", "name"), "BDD100K's boxes (Scalabel); convert them to COCO"),
    (("detection_categories",), "MegaDetector's results, with fractions; convert them to COCO"),
    (("imgHeight", "objects"), f"Cityscapes' boxes; {_EXPORT}"),
    (("metadata", "entities"), "GluonCV's tracks (PersonPath22's, for instance); write rows frame,id,x,y,w,h,1,1,1"),
    (("schema_ref", "item"), f"V7 Darwin's boxes; {_EXPORT}"),
    (("data_row",), f"Labelbox's boxes; {_EXPORT}"),
    (("metadata", "instances"), f"SuperAnnotate's boxes; {_EXPORT}"),
    (("asset", "regions"), f"VoTT's boxes; {_EXPORT}"),
    (("openlabel",), f"OpenLABEL's boxes; {_EXPORT}"),
    (("source-ref",), f"SageMaker's boxes; {_EXPORT}"),
    (("left", "top", "uuid"), f"Scale's boxes; {_EXPORT}"),
    (("image_id", "bbox", "score"), "the results of a detector; join them with the images they are of"),
    (("annotations", "data"), "Label Studio's boxes; export COCO or YOLO instead"),
    (("shapes", "imagePath"), "LabelMe's boxes; export COCO or YOLO instead"),
    (("objects", "tags"), "Supervisely's boxes; export COCO or YOLO instead"),
    (("items", "categories"), "Datumaro's boxes; export COCO or YOLO instead"),
    (("_via_img_metadata",), "VIA's boxes; export COCO instead"),
    (("shape_attributes",), "VIA's boxes; export COCO instead"),
)
"""Keys that JSON has -> whose it is, and what to do."""

_XML = (
    (("<sequence ",), "UA-DETRAC's boxes; write rows frame,id,x,y,w,h,1,1,1 of a film"),
    (("<track ", "<meta>"), "CVAT's XML; export COCO, YOLO or MOT instead"),
    (("<image ", "<meta>"), "CVAT's XML; export COCO or YOLO instead"),
    (("<object>", "<bndbox>"), f"Pascal VOC's boxes; {_EXPORT}"),
    (("<annotation",), f"XML of Pascal VOC's or CVAT's kind; {_EXPORT}"),
)
"""Tags that XML has -> whose it is, and what to do."""

_BINARY = (
    (b"MATLAB", "a file of MATLAB; write its boxes as COCO or YOLO"),
    (b"\x89HDF", "an HDF5 file; write its boxes as COCO or YOLO"),
    (b"PAR1", "a Parquet file; write its boxes as COCO or YOLO"),
    (b"SQLite format 3", "a SQLite database; write its boxes as COCO or YOLO"),
    (b"\x93NUMPY", "a NumPy array; write its boxes as COCO or YOLO"),
    (b"\xd0\xcf\x11\xe0", "a document of Office; save its table as CSV with commas"),
    (b"%PDF", "a PDF; get the boxes themselves"),
)

_WORDS_OF_BOXES = {
    "xmin",
    "ymin",
    "x1",
    "y1",
    "x2",
    "bbox",
    "width",
    "height",
    "class",
    "label",
    "filename",
    "image_id",
    "region_id",
}
_FEWEST_WORDS = 2


def foreign_file(start: bytes) -> str | None:
    """Whose boxes a file has, and what to do; None: no one's that is known.

    Args:
        start: its first `START` bytes.
    """
    for magic, told in _BINARY:
        if start.startswith(magic):
            return told
    if start.startswith(b"PK") and b"xl/" in start:
        return "a spreadsheet (.xlsx); save its table as CSV with commas"
    text = start.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith(("{", "[")):
        return _of_json(text)
    if text.startswith("<"):
        return next((told for tags, told in _XML if all(tag in text for tag in tags)), None)
    return _of_lines([line.strip() for line in text.splitlines()[:4] if line.strip()])


def _of_json(text: str) -> str | None:
    keys = set(re.findall(r'"([\w-]+)"\s*:', text))
    if {"images", "annotations", "categories"} <= keys:
        return None  # COCO's
    if re.match(r"\[\s*\[", text):
        return "JSON of lists without names (JTA's, for instance); write rows frame,id,x,y,w,h,1,1,1"
    return next((told for wanted, told in _JSON if keys.issuperset(wanted)), None)


def _of_lines(lines: list[str]) -> str | None:
    """As `foreign_file`, of the first lines that are not empty."""
    if not lines:
        return None
    words = {word.strip(" \"'").lower() for word in re.split(r"[,;\t]", lines[0])}
    if len(words & _WORDS_OF_BOXES) >= _FEWEST_WORDS:
        shown = lines[0][:60]
        return f"a table of boxes with titles ({shown}); write them as COCO or YOLO, or a film's as gt.txt"
    cells = [line.split() for line in lines]
    if len(lines) > 1 and re.fullmatch(r"\d+", lines[0]) and len(cells[1]) == 5 and _whole(cells[1]):
        return "boxes behind their number, as WiderPerson writes them (class x1 y1 x2 y2); write YOLO's"
    if len(lines) > 2 and re.search(r"\.(jpe?g|png)$", lines[0], re.I) and lines[1].isdigit():
        return "names of images, each with the number and rows of its boxes, as WIDER FACE has them; write YOLO's"
    if len(cells[0]) >= 15 and (cells[0][0].isalpha() or cells[0][2].isalpha()):
        return "KITTI's rows (type, truncation, occlusion, ...); write YOLO's, or a film's as gt.txt"
    if len(lines[0].rstrip(",").split(",")) == 8 and _whole(lines[0].rstrip(",").split(",")):
        return "rows of 8 columns, as VisDrone's of images (x,y,w,h,score,category,...); write YOLO's"
    return None


def _whole(cells: list[str]) -> bool:
    return all(re.fullmatch(r"-?\d+", cell.strip()) for cell in cells)
