"""Small inputs that went wrong in other people's hands, each with a script that tries it and what was wanted of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.shared_data, pytest.mark.slow]

WANTED: dict[str, list[str]] = {
    "01-cvat-labels-txt": ["pedestrian: 24, car: 12", "strip rc=0"],
    "03-yolo6-told-to-use-jde": ["`class cx cy w h identity`: remove the last column", "column 2 is 0.1", "!rc=0"],
    "04-frames-from-zero": ["000000.jpg is frame 1", "download rc=0", "strip rc=0"],
    "05-normalised-coco": ["all boxes are smaller than a pixel", "rc=2"],
    "07-check-passes-what-strip-refuses": ["cannot be used as it is", "strip rc=2", "!can be used."],
    "09-dancetrack-8-digits": ["download rc=0", "val/dancetrack0004: is left out"],
    "11-cvat-mot-zip": ["download rc=0", "strip rc=0"],
    "12-cvat-yolo-1.1": ["format: yolo", "classes: [person]", "--images"],
    "14-classes-all": ["which classes are people?", "head: 12 boxes, human: 12 boxes", "!{name:"],
    "15-av1": ["can be used", "rc=0"],
    "17-broken-frame-passes-download": ["download rc=2", "000010.jpg", "!download rc=0"],
    "19-eval-all-ignored": ["has no box to score"],
    "21-html-as-pth": ["is a web page"],
    "24-model-state-dict-key": ["['hm.2.weight']"],
    "26-submit-box-of-no-size": ["has no width or no height", "rc=2"],
    "28-cvat-gt-beside-video": ["put gt/gt.txt beside it as door.txt"],
    "30-coco-float-ids": ["can be used", "rc=0"],
}
"""Case -> what its script prints; behind `!`, what it does not."""


@pytest.mark.parametrize("case", WANTED)
def test_a_case_gives_what_was_wanted(case: str, shared: Path) -> None:
    script = shared / "cases" / case / "run.sh"
    assert script.is_file(), f"{script} is not there: take the case out of WANTED"
    environment = os.environ | {"REPO": str(ROOT), "PY": sys.executable}
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout + done.stderr
    for words in WANTED[case]:
        assert (words.removeprefix("!") in said) != words.startswith("!"), said
    assert "Traceback" not in said
