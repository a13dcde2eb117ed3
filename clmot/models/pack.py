"""A model's folder as it goes elsewhere: what training wrote, and what only its project knows."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from clmot.files import staged_directory
from clmot.model_description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    ModelDescription,
    model_params,
    read_description,
    write_description,
)
from clmot.models.checkpoint import load_model
from clmot.params import PARAMS_FILE, Params

LICENCES = {
    "official": "MOTChallenge's films: CC BY-NC-SA 3.0, not for commercial use",
    "synthetic": "drawn by CL-MOT: MIT",
}
SUMMARY = Path("metrics/summary.json")
SHOWN = ("IDF1", "HOTA", "MOTA", "AssA", "ReID_mAP")
"""Of a benchmark's metrics, those that a card shows."""


def pack_model(model: Path, out: Path, *, measured: bool = True) -> ModelDescription:
    """Copy the model in a folder to `out`, whole or not at all, and add what its project knows: the thresholds of
    tracking, the source of the data, the commit, and, where they are `measured` with this model, the metrics. What the
    project does not know is left out.

    Raises:
        InputError: there is no model, or its project's params are wrong.
    """
    load_model(model)  # whole and of one piece, or an error
    found = read_description(model)
    params = model_params(model, found)
    project = model.resolve().parent.parent
    packed = found.packed or (_known(project, params, measured) if (project / PARAMS_FILE).is_file() else {})
    description = dataclasses.replace(found, track=packed_track(params), packed=packed)
    with staged_directory(out) as aside:
        for path in sorted(model.iterdir()):
            if path.is_file() and path.name not in (DESCRIPTION_FILE, CARD_FILE):
                shutil.copyfile(path, aside / path.name)
        write_description(aside, description)
    return description


def packed_track(params: Params) -> dict[str, Any]:
    """Section `track` of the params as it goes with a model: without files of the project's own."""
    track: dict[str, Any] = params.as_dict()["track"]
    return track | {"detections": "network", "embedding": "none" if track["embedding"] == "none" else "network"}


def _known(project: Path, params: Params, measured: bool) -> dict[str, Any]:
    source = params.data.source
    known: dict[str, Any] = {"data": source if source in LICENCES else "the user's own", "split": params.data.split}
    known["licence of the data"] = LICENCES.get(source, "as its owner says")
    commit = _commit(project)
    if commit:
        known["commit"] = commit
    if not measured:
        return known
    try:
        summary = json.loads((project / SUMMARY).read_text(encoding="utf-8"))
        known["metrics"] = {
            f"{benchmark}/{name}": scores[name]
            for benchmark, scores in summary.items()
            for name in SHOWN
            if name in scores
        }
    except (OSError, ValueError, AttributeError, TypeError):
        pass  # nothing was measured yet
    return known


def _commit(project: Path) -> str:
    """The commit of the project's code, `+` where files differ from it; empty where there is none."""
    try:
        run = ["git", "-C", str(project), "describe", "--always", "--abbrev=40", "--dirty=+"]
        return subprocess.run(run, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
