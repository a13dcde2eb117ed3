"""A model as a folder of MLflow's: what `mlflow models serve` starts, and what the page of a run has under Models."""

from __future__ import annotations

import base64
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import clmot
from clmot.files import staged_directory
from clmot.inference.image_sources import DEFAULT_RATE
from clmot.models.pack import pack_model

LOADER = "clmot.export.served_model"
NEEDED = (
    *("torch", "torchvision", "timm", "safetensors", "numpy", "scipy", "pandas", "opencv-python", "pillow"),
    *("lap", "pyyaml", "tqdm"),
)
"""Packages that tracking needs. The code of clmot itself goes along: a service has the code that trained."""


def write_mlflow_model(model: Path, out: Path, *, measured: bool = True, written_as: Any = None) -> None:
    """Write the model in a folder as MLflow's, whole or not at all: packed as by `clmot pack`, with signature, an
    example of a request, requirements, and the code of clmot.

    Args:
        model: a folder as the stage `train` or `clmot pack` writes it.
        out: the folder to write.
        measured: whether the metrics in the project are of this model.
        written_as: an `mlflow.models.Model` with the ids of a store's.

    Raises:
        InputError: there is no model, or its project's params are wrong.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as folder, staged_directory(out) as aside:
        packed, code = Path(folder, "model"), Path(folder, "clmot")
        pack_model(model, packed, measured=measured)
        shutil.copytree(Path(clmot.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            aside,
            loader_module=LOADER,
            data_path=str(packed),
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in NEEDED],
            signature=signature(),
            input_example=(example(), {"fps": DEFAULT_RATE}),
            mlflow_model=written_as,
        )


def signature() -> Any:
    """What is asked and answered, see `clmot.export.served_model.ServedModel.predict`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    numbers = Array(DataType.double)
    asked = [
        ColSpec("string", "image"),
        ColSpec(Array(numbers), "boxes", required=False),
        ColSpec(numbers, "scores", required=False),
        ColSpec("string", "session", required=False),
        ColSpec("double", "time", required=False),
    ]
    answered = [
        ColSpec("long", "number"),
        ColSpec("double", "time"),
        ColSpec(Array(numbers), "boxes"),
        ColSpec(numbers, "scores"),
        ColSpec(Array(numbers), "embeddings"),
        ColSpec(Array(DataType.long), "identities", required=False),
    ]
    return ModelSignature(Schema(asked), Schema(answered), ParamSchema([ParamSpec("fps", "double", DEFAULT_RATE)]))


def example() -> Any:
    """A request with one drawn image, as a DataFrame."""
    import pandas as pd

    image = np.full((90, 160, 3), 96, np.uint8)
    cv2.rectangle(image, (60, 20), (84, 80), (40, 60, 200), -1)
    text = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return pd.DataFrame(
        {"image": [text], "boxes": [[[60.0, 20.0, 84.0, 80.0]]], "scores": [[0.9]], "session": ["door"], "time": [0.0]}
    )
