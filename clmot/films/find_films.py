"""Where one's own videos are, and where their boxes.

    films/train/door.mp4         a video, beside its boxes in one of three forms:
    films/train/door.txt         MOTChallenge's rows, the columns of a gt.txt (9 or 10)
    films/train/door.json        COCO's annotations
    films/train/door_labels/     (or door/) YOLO's label files, one for each frame that shows someone
    films/test/hall.mp4          a video without boxes: it is tracked only

A video may be wherever a folder with a sequence may: below `train/` or `test/`, side by side without these, or
alone. A video in a sequence's folder, or beside one of its own name, shows that sequence and is nothing of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clmot.archives.benchmark_layout import sequence_folders
from clmot.files import VIDEO_SUFFIXES, is_video
from clmot.labels.normalised import NAME_FILES
from clmot.motchallenge.sequence import SUBSETS, is_sequence_name
from clmot.problems import Problem, Report
from clmot.wording import joined

LABELS_SUFFIX = "_labels"
LISTS = (*NAME_FILES, "train.txt", "val.txt", "test.txt", "labels.txt")
"""Files that lie among YOLO's label files and hold no boxes: names of classes, lists of images."""


@dataclass(frozen=True)
class Film:
    """A video with its boxes."""

    video: Path
    place: str
    """The path that its sequence would have in the source, `train/door`."""
    subset: str
    """`train` or `test`."""
    boxes: Path | None
    """File or folder of its boxes; None: it can only be tracked."""

    @property
    def name(self) -> str:
        """The name of its sequence."""
        return self.video.stem


def film_of(video: Path, report: Report) -> Film | None:
    """A video that was named itself, with the boxes beside it; None where they are not as they should be.

    Args:
        video: the file.
        report: told of what is wrong.
    """
    return next(_films(video.parent, [video.name], False, report), None)


def find_films(folder: Path, names: Collection[str], subsets: Sequence[str], report: Report) -> list[Film]:
    """The videos below a folder that are films, sorted by place.

    Args:
        folder: the source.
        names: the paths of all files in it, with `/`.
        subsets: those that are needed; videos without `train/` or `test/` above them belong to `train`.
        report: told of what is wrong, and of videos that are left out.
    """
    folders = sequence_folders(names)
    below_subsets = any(part in SUBSETS for name in names for part in name.split("/")[:-1])
    found = []
    for name in sorted(filter(is_video, names)):
        above = {str(parent) if str(parent) != "." else "" for parent in PurePosixPath(name).parents}
        if above & folders or _subset(name) not in subsets:
            continue
        if below_subsets and not _directly_below_a_subset(name):
            text = "is left out: films belong directly in train/ or test/, where there are such folders; move it there"
            report(Problem("place of a video", str(folder / name), text, fatal=False))
        elif _place(name) in folders:
            text = f"shows the sequence in the folder {PurePosixPath(name).stem}/ beside it; the video is not read"
            report(Problem("video of a sequence", str(folder / name), text, fatal=False))
        else:
            found.append(name)
    return list(_films(folder, found, bool(folders), report))


def _films(folder: Path, names: Sequence[str], among_sequences: bool, report: Report) -> Iterator[Film]:
    """The films of these videos; `among_sequences`: others in the source are folders."""
    first: dict[str, str] = {}
    for name in names:
        video, place = folder / name, _place(name)
        if not is_sequence_name(video.stem):
            text = (
                "no sequence can be called so: rename it, with its boxes, to UTF-8 without : \\ and control characters"
            )
            report(Problem("name of a video", ascii(str(video)), text))
            continue
        if first.setdefault(place, name) != name:
            text = f"is called as {PurePosixPath(first[place]).name} beside it: rename one of the two, with its boxes"
            report(Problem("videos of one name", str(video), text))
            continue
        candidates = boxes_beside(video)
        if len(candidates) > 1:
            names_of_boxes = joined(path.name for path in candidates)
            report(Problem("boxes twice", str(video), f"has boxes in {names_of_boxes}: keep one of them beside it"))
        elif candidates or _subset(name) == "test":
            yield Film(video, place, _subset(name), candidates[0] if candidates else None)
        else:
            expected = (
                f"expected {video.stem}.txt (MOTChallenge), {video.stem}.json (COCO) or a folder "
                f"{video.stem}{LABELS_SUFFIX} (YOLO) beside it"
            )
            if among_sequences:
                text = f"has no boxes and is left out; {expected}"
            else:
                text = (
                    f"has no boxes, which every film to train on needs: {expected}; or put it below test/, where films "
                    "are only tracked; `clmot track` needs no boxes where there is a model"
                )
            report(Problem("no boxes", str(video), text, fatal=not among_sequences))


def boxes_beside(video: Path) -> list[Path]:
    """The files and folders beside a video that can hold its boxes, sorted."""
    files = [video.with_name(video.stem + suffix) for suffix in (".json", ".txt")]
    folders = [video.with_name(video.stem + suffix) for suffix in ("", LABELS_SUFFIX)]
    return sorted(
        [file for file in files if file.is_file()]
        + [folder for folder in folders if folder.is_dir() and label_files(folder)]
    )


def video_of(boxes: Path) -> Path | None:
    """The video beside a file or folder that is its boxes; None where there is none."""
    stem = boxes.name.removesuffix(LABELS_SUFFIX) if boxes.is_dir() else boxes.stem
    names = (stem + form for suffix in VIDEO_SUFFIXES for form in (suffix, suffix.upper()))
    videos = (boxes.with_name(name) for name in names)
    return next((video for video in videos if video.is_file() and boxes in boxes_beside(video)), None)


def label_files(folder: Path) -> list[Path]:
    """YOLO's label files in a folder, sorted."""
    return sorted(
        path
        for path in folder.glob("*.txt")
        if path.is_file() and path.name not in LISTS and not path.name.startswith(".")
    )


def _place(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _subset(name: str) -> str:
    return next((part for part in name.split("/")[:-1] if part in SUBSETS), "train")


def _directly_below_a_subset(name: str) -> bool:
    """As folders with sequences are."""
    folders = name.split("/")[:-1]
    return bool(folders) and folders[-1] in SUBSETS and not any(part in SUBSETS for part in folders[:-1])
