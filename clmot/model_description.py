"""What a model's folder says of itself: all that is needed to run it beside the networks' own configs, and how it came
to be. model.json is for programs; MODEL_CARD.md is made from it, for people.

Nothing here depends on the time, the machine or the commit: the same data, params and seed give the same bytes, and
DVC keeps one copy. The thresholds of tracking are no part of what training writes, or changing one would train again:
beside a project's models/tracker they are those of its params.yaml, and `clmot pack` writes them, with the commit and
the metrics, into a folder that goes elsewhere.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clmot.errors import InputError
from clmot.files import content_hash, write_json, write_text
from clmot.params import DEFAULT_FILE, PARAMS_FILE, Params, changed_params, read_text
from clmot.wording import joined, one_line

DESCRIPTION_FILE, CARD_FILE = "model.json", "MODEL_CARD.md"
NORMALISATION = "RGB in 0..1"
CLASSES = ("person",)


@dataclass(frozen=True)
class ModelDescription:
    """How a model came to be, and how it is fed."""

    input_size: tuple[int, int]
    """Of the one-shot network: width, height in pixels."""
    detector_from: str
    """What its training began with: `random`, or the name of a file of weights with the beginning of its SHA-256."""
    detector_epochs: int
    """How long the detector was trained alone."""
    embedder: str = ""
    """`head`, `crop`, or empty: it only detects."""
    embedder_epochs: int = 0
    """How long the embedding was trained."""
    embedder_from: str = ""
    """What the crop encoder began with, with its licence where it is known."""
    trained_on: Mapping[str, int] = field(default_factory=dict)
    """Film (or set of images) -> how many of its frames trained."""
    boxes: int = 0
    """People that were seen in them, counted in every frame."""
    seen_identities: tuple[str, ...] = ()
    """Why some part of it has seen identities; empty: none has."""
    params: str = ""
    """SHA-256 of the params that decided the training."""
    normalisation: str = NORMALISATION
    """Of the one-shot network's input; the crop encoder's is in crop.json."""
    classes: tuple[str, ...] = CLASSES
    """What is tracked."""
    track: Mapping[str, Any] = field(default_factory=dict)
    """Params of section `track` that go with it; only in a packed model."""
    packed: Mapping[str, Any] = field(default_factory=dict)
    """What `clmot pack` knew: data source, split, commit, licences, metrics."""

    @property
    def detects(self) -> bool:
        """Whether it has a detector that was trained, here or before."""
        return self.detector_epochs > 0 or self.detector_from != "random" or self.embedder == "head"


def params_hash(*sections: object) -> str:
    """SHA-256 of params, given as their dataclasses and values."""
    return content_hash(repr(sections))


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write model.json and MODEL_CARD.md into a folder."""
    write_json(folder / DESCRIPTION_FILE, dataclasses.asdict(description))
    write_text(folder / CARD_FILE, model_card(description))


def read_description(folder: Path) -> ModelDescription:
    """What a model's folder says of itself.

    Raises:
        InputError: it says nothing, or nothing that can be read.
    """
    path = folder / DESCRIPTION_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        hints = typing.get_type_hints(ModelDescription)
        listed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        description = ModelDescription(**listed)
        for name, hint in hints.items():
            kind = typing.get_origin(hint) or hint
            if not isinstance(
                getattr(description, name), dict if kind is not tuple and kind not in (int, str) else kind
            ):
                raise ValueError(f"'{name}' is {json.dumps(values.get(name))[:80]}")
        return description
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; a model's folder holds {DESCRIPTION_FILE}, config.json and model.safetensors: "
            "`dvc repro` writes models/tracker."
        ) from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: does not describe a model ({one_line(str(error))}); restore the file.") from None


def identities_seen(folder: Path) -> tuple[str, ...]:
    """Why the model in a folder has seen identities; empty where it has not, or says nothing."""
    return read_description(folder).seen_identities if (folder / DESCRIPTION_FILE).is_file() else ()


def model_params(folder: Path, description: ModelDescription, changes: Iterable[tuple[str, str]] = ()) -> Params:
    """The params that go with a model: those that it was packed with, or those of the project it lies in, or the
    default profile's.

    Args:
        folder: the model's.
        description: what it says of itself.
        changes: texts that change some, and what to call them.

    Raises:
        InputError: a param is wrong.
    """
    if description.track:
        packed = yaml.safe_dump({"track": dict(description.track)})
        return changed_params(read_text(DEFAULT_FILE), DEFAULT_FILE.name, (packed, str(folder)), *changes)
    beside = folder.resolve().parent.parent / PARAMS_FILE
    base = beside if beside.is_file() and (beside.parent / "dvc.yaml").is_file() else DEFAULT_FILE
    return changed_params(read_text(base), str(base), *changes)


def model_card(description: ModelDescription) -> str:
    """MODEL_CARD.md: what the model is, in words."""
    d, packed = description, description.packed
    finds = "finds people in images and " if d.detects else "has no detector of its own, "
    looks = {
        "head": "tells them apart by an embedding of the same network",
        "crop": "tells people in given boxes apart",
    }
    tells = looks.get(d.embedder, "does not tell them apart")
    lines = [
        "# Model card",
        "",
        f"A model of CL-MOT that {finds}{tells}.",
        "",
        "```python",
        "import clmot",
        "",
        'model = clmot.load("THIS FOLDER")',
        'for frame in model.track("door.mp4"):',
        "    print(frame.time, frame.identities, frame.boxes)",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| detector | from {_origin(d.detector_from)}, trained alone for {_epochs(d.detector_epochs)} |",
        f"| embedding | {_embedding(d)} |",
        f"| input | {d.input_size[0]}x{d.input_size[1]}, {d.normalisation} |",
        f"| classes | {', '.join(d.classes)} |",
        f"| trained on | {_films(d)} |",
        f"| identities | {_identities(d)} |",
        f"| params of training | SHA-256 {d.params[:16] or 'not recorded'} |",
    ]
    lines += [f"| {name} | {value} |" for name, value in packed.items() if not isinstance(value, Mapping)]
    lines += ["", "## Licences", "", *_licences(d), ""]
    metrics = packed.get("metrics")
    if isinstance(metrics, Mapping) and metrics:
        lines += ["## Measured", "", "By `dvc repro`, on frames that the split tracks:", ""]
        lines += [f"- {name}: {value}" for name, value in metrics.items()]
        lines.append("")
    return "\n".join(lines)


def _origin(text: str) -> str:
    return "random weights" if text in ("", "random") else text


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _embedding(d: ModelDescription) -> str:
    if not d.embedder:
        return "none"
    kind = (
        "head of the detector's network" if d.embedder == "head" else f"crop encoder, from {_origin(d.embedder_from)}"
    )
    return f"{kind}, trained for {_epochs(d.embedder_epochs)}"


def _films(d: ModelDescription) -> str:
    if not d.trained_on:
        return "nothing"
    names = sorted(d.trained_on)
    shown = joined(names) if len(names) <= 6 else f"{len(names)} films"
    return f"{sum(d.trained_on.values())} frames with {d.boxes} boxes, of {shown}"


def _identities(d: ModelDescription) -> str:
    return f"**seen**: {'; '.join(d.seen_identities)}" if d.seen_identities else "no part has seen any"


def _licences(d: ModelDescription) -> list[str]:
    begun = [text for text in (d.detector_from, d.embedder_from) if text not in ("", "random")]
    lines = [
        "- code and what training added: MIT, as CL-MOT's; the data may bind more",
        f"- weights it began with: {joined(begun) if begun else 'none, they were random'}",
    ]
    data = d.packed.get("licence of the data")
    lines.append(f"- data: {data or 'not recorded here; ask for that of the films named above'}")
    return lines
