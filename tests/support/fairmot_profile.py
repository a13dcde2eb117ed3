"""The association of FairMOT, from the profile of the paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clmot.params import DEFAULT_FILE
from clmot.profiles import make_profile

ROOT = Path(__file__).parents[2]


def paper_profile():
    file = ROOT / "profiles" / "paper.yaml"
    return make_profile("paper", DEFAULT_FILE.read_text(), file.read_text(), str(file))


def fairmot_params(**others):
    """FairMOT's defaults: the paper profile, with what its comments say."""
    track = paper_profile().params.track
    defaults = {"confidence": 0.4, "new_track_confidence": 0.4, "match_threshold": 0.4, "min_box_area": 100.0}
    return dataclasses.replace(track, **{**defaults, **others})
