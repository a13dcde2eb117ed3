"""What the project's params say of data that are judged: which boxes count, and how films are split."""

from __future__ import annotations

from clmot.data.strip import TRUTH, tracked_kind
from clmot.files import dvc_root
from clmot.motchallenge.classes import PEDESTRIANS, TrackedKind
from clmot.motchallenge.splits import ITSELF
from clmot.params import PARAMS_FILE, Params, load_params


def project_params() -> Params | None:
    """What params.yaml says; None where there is none.

    Raises:
        InputError: it cannot be used.
    """
    file = dvc_root() / PARAMS_FILE
    return load_params(file) if file.is_file() else None


def project_kind() -> TrackedKind:
    """The boxes that would train and be scored."""
    params = project_params()
    return PEDESTRIANS if params is None else tracked_kind(params.strip)


def film_classes() -> tuple[int | str, ...]:
    """The classes of films with their own that are tracked; empty: those of people."""
    params = project_params()
    return () if params is None else params.data.classes


def boxes_are_given() -> bool:
    """Whether every film is taken as it is, and its boxes from elsewhere: ground truth may be absent."""
    params = project_params()
    return params is not None and params.data.split == ITSELF and params.strip.boxes != TRUTH
