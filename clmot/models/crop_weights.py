"""The crop encoder's weights: where its training begins, and the files of a trained one."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save_file

from clmot import ranks
from clmot.errors import InputError
from clmot.files import staged_file, write_json
from clmot.models.backbone import in_timms_names
from clmot.models.checkpoint import read_weights, shapes_of
from clmot.models.crop_encoder import CropConfig, CropEncoder, create_crop_backbone
from clmot.params import CropParams
from clmot.wording import one_line

RANDOM, TIMM = "weights/none", "weights/timm"
"""Words of `crop.weights`. Tracked files, so that DVC finds the dependency; anything else is a file of weights."""
CROP_WEIGHTS_FILE, CROP_CONFIG_FILE = "crop.safetensors", "crop.json"


def create_crop_encoder(params: CropParams) -> CropEncoder:
    """The encoder that training begins with. Random weights are drawn from torch's global generator.

    Raises:
        InputError: there is no such backbone, or its weights cannot be had or are of another.
    """
    strides = tuple(sorted(params.strides))
    backbone = create_crop_backbone(params.backbone, strides, pretrained=params.weights == TIMM)
    settings = timm.get_pretrained_cfg(params.backbone, allow_unregistered=True)
    origin = ""
    if params.weights == RANDOM:
        ranks.tell("crop.weights: none, so the encoder begins at random, and a film alone teaches little.")
    elif params.weights == TIMM:
        origin = f"timm {settings.architecture}.{settings.tag}, licence {settings.license or 'not stated'}"
    else:
        state = in_timms_names(read_weights(params.weights), params.backbone, params.weights, "crop.backbone")
        own = backbone.state_dict()
        names = {name.replace(".", "_"): name for name in own}
        found = {names[flat]: tensor for name, tensor in state.items() if (flat := name.replace(".", "_")) in names}
        missing = [name for name in own if name not in found or found[name].shape != own[name].shape]
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing:
            raise InputError(
                f"{params.weights}: is not of '{params.backbone}' ({len(missing)} tensors are missing or of another "
                f"shape, {missing[0]} is one): set 'crop.backbone' to what it is of."
            )
        backbone.load_state_dict({**own, **found})
        origin = Path(params.weights).name
        ranks.tell(f"{params.weights}: {len(found)} tensors taken, {len(state) - len(found)} skipped.")
    config = CropConfig(
        backbone=params.backbone,
        input_size=params.input_size,
        strides=strides,
        parts=params.parts,
        dimension=params.dimension,
        mean=tuple(settings.mean),
        std=tuple(settings.std),
        pretrained=origin,
    )
    return CropEncoder(config, backbone)


def save_crop_encoder(directory: str | os.PathLike[str], encoder: CropEncoder) -> None:
    """Write crop.safetensors and crop.json into `directory`, each whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    with staged_file(Path(directory) / CROP_WEIGHTS_FILE) as aside:
        save_file(tensors, aside)
    write_json(Path(directory) / CROP_CONFIG_FILE, dataclasses.asdict(encoder.config))


def load_crop_encoder(directory: str | os.PathLike[str]) -> CropEncoder | None:
    """The encoder in `directory`, on the CPU, in eval mode; None: the model there has none.

    Raises:
        InputError: a file is damaged, or the two do not fit together.
    """
    path = Path(directory) / CROP_CONFIG_FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        listed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        config = CropConfig(**listed)
        state = read_weights(Path(directory) / CROP_WEIGHTS_FILE)
        own = shapes_of(lambda: CropEncoder(config), path)
        if {name: tensor.shape for name, tensor in own.items()} != {n: tensor.shape for n, tensor in state.items()}:
            raise ValueError("other tensors, or of other shapes")
        encoder = CropEncoder(config)
        encoder.load_state_dict(state)
    except InputError:
        raise
    except Exception as error:  # a config of someone else's can make timm stumble over anything
        raise InputError(
            f"{path}: does not describe the encoder of {CROP_WEIGHTS_FILE} beside it ({one_line(str(error))}); train "
            "again, or restore both files."
        ) from None
    return encoder.eval()
