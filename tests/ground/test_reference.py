"""That every number of the original code in tests/reference is held against ours, or stands here with the reason why
not.

The comparisons themselves are with the tests of each module; all are named after the reference: `pytest -k reference`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
REFERENCE = TESTS / "reference"
FILES = sorted(path.name for path in REFERENCE.iterdir())

NO_IMAGE = "the mean colour of an image that is not part of the repository"
UNREAD = {
    "augment_labels_576x320.npz": {".*/.*_img_mean_rgb": NO_IMAGE},
    "contrastive_losses.npz": {".*/ntxent_dot_T0.5/no_graph": "the same as for cosines, where it is read"},
    "geometry.npz": {
        ".*/out_mean_bgr": NO_IMAGE,
        "affine/note": "a sentence about how the other arrays were drawn",
    },
    "kalman.npz": {"gate_gauss4": "the unweighted distance: the original never uses it, we do not offer it"},
    "targets_noaug_576x320.npz": {".*/.*img_channel_mean_rgb": NO_IMAGE},
}
"""File -> pattern of arrays -> why no test reads them."""


def texts_of(source: Path) -> set[str]:
    """Regular expressions for the texts in a test file; what an f-string fills in may be anything without a slash."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(re.escape(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values]
            if re.search(r"\w", "".join(parts)):
                found.add("".join(re.escape(part) or "[^/]+" for part in parts))
    return found


def modules_of(source: Path) -> list[Path]:
    """A test file and the modules beside it from which it imports."""
    imported = (
        n.module for n in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)
    )
    beside = (TESTS / "support" / f"{name}.py" for name in imported if name)
    return [source, *(path for path in beside if path.is_file())]


TEXTS = {
    source: set().union(*map(texts_of, modules_of(source)))
    for source in sorted(TESTS.rglob("test_*.py"))
    if source != Path(__file__) and re.search(r"def test_\w*reference", source.read_text(encoding="utf-8"))
}
"""Test files with a test named after the reference, and what they say."""


def arrays_of(file: str) -> list[str]:
    """The names of the arrays of a reference file; a json is a single one, without a name."""
    if not file.endswith(".npz"):
        return []
    with np.load(REFERENCE / file) as arrays:
        return list(arrays)


def test_there_is_a_reference():
    assert len(FILES) >= 14


@pytest.mark.parametrize("file", FILES)
def test_every_array_of_the_reference_is_read_by_a_test(file):
    readers = [texts for texts in TEXTS.values() if re.escape(file) in texts]
    assert readers, f"no test named after the reference opens {file}"
    texts = set().union(*readers)
    excused = UNREAD.get(file, {})
    forgotten = []
    for array in arrays_of(file):
        # A test may take the first part of a name off when it picks a case.
        read = any(re.fullmatch(f"(.*/)?{text}", array) for text in texts)
        if not read and not any(re.fullmatch(pattern, array) for pattern in excused):
            forgotten.append(array)
    assert not forgotten


@pytest.mark.parametrize("file", UNREAD)
def test_every_excuse_is_for_an_array_of_the_reference(file):
    for pattern in UNREAD[file]:
        assert any(re.fullmatch(pattern, array) for array in arrays_of(file)), pattern
