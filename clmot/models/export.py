"""Our networks in the files of the original: what CL-MOT's and FairMOT's own tools read."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from pathlib import Path

import torch
from torch import Tensor

from clmot.errors import InputError
from clmot.files import staged_file
from clmot.models.checkpoint import load_model
from clmot.models.network import OneShotTracker
from clmot.models.pretrained import HEADS, NECK_LAYERS

ARCHITECTURES = {
    ("dla34", "dla"): "dla_34",
    **{(f"resnet{depth}", "deconv"): f"resdcn_{depth}" for depth in (18, 34, 50, 101, 152)},
    **{(f"resnet{depth}", "fpn"): f"resfpndcn_{depth}" for depth in (18, 34, 50, 101, 152)},
    **{(f"hrnet_w{width}", neck): f"hrnet_{width}" for width in (18, 32) for neck in ("squeeze", "concat")},
}
"""(backbone, neck) -> the original's name of the network (its option --arch)."""

WITHOUT_NODES = ("concat", "squeeze")
"""Necks whose `operator` decides nothing; the original's networks with them have heads of one width alone."""


def export_pth(directory: str | os.PathLike[str], out: str | os.PathLike[str]) -> dict[str, str]:
    """Write the model in `directory` as a .pth of the original, whole or not at all, and say how it is to be read.

    The file holds `epoch` (how many the model was trained for, as far as the history beside it says) and
    `state_dict`. Layers that only our losses use (projection, classifier) are left out, as the original does.

    Returns:
        `{tool: options}`: which of CL-MOT and FairMOT can build this network, and with which options.

    Raises:
        InputError: there is no such model, or neither has a network like it.
    """
    directory = Path(directory)
    model = load_model(directory)
    options = original_options(model, str(directory))
    content = {"epoch": _epochs(directory / "history.csv"), "state_dict": original_state(model)}
    # Not by name: that would be in the archive, and the same model gives the same bytes. Nor straight into the file:
    # torch does not tell why a disk refuses.
    archive = io.BytesIO()
    torch.save(content, archive)
    with staged_file(out) as aside:
        aside.write_bytes(archive.getbuffer())
    return options


def original_options(model: OneShotTracker, source: str) -> dict[str, str]:
    """`{tool: options}` with which CL-MOT and FairMOT build this network, those of them that can.

    Their weights are loaded by name and shape, and what does not fit is left random with a line of output: options that
    build another network would give a tracker that sees nothing.

    Raises:
        InputError: neither can; the message says why, and calls the model `source`.
    """
    config = model.config
    architecture = ARCHITECTURES.get((config.backbone, config.neck))
    if architecture is None:
        known = ", ".join(f"{backbone} with {neck}" for backbone, neck in ARCHITECTURES)
        raise InputError(f"{source}: the original has no {config.backbone} with a {config.neck} neck; it has {known}.")
    if config.neck not in WITHOUT_NODES and config.operator != "dcn":
        raise InputError(
            f"{source}: its neck has plain convolutions ('model.operator: {config.operator}'), where the original's "
            f"{architecture} has deformable ones."
        )
    if _shapes(model) != _shapes(OneShotTracker(dataclasses.replace(config, neck_channels=()))):
        raise InputError(
            f"{source}: its neck has other channels ('model.neck_channels: {list(config.neck_channels)}') than the "
            f"original's {architecture}, which has those of an empty list."
        )
    if config.neck in WITHOUT_NODES and config.head_channels != 256:
        raise InputError(
            f"{source}: its heads have {config.head_channels} hidden channels, those of the original's {architecture} "
            f"always 256."
        )
    embedding = f" --reid_dim {config.embedding_dim}" if config.embedding_dim else ""
    options = f"--arch {architecture} --head_conv {config.head_channels}{embedding}"
    readers = {}
    if config.box_channels == 2 and config.neck != "concat":  # CL-MOT's HRNet squeezes, and its boxes are width, height
        readers["CL-MOT"] = options
    if config.neck != "squeeze":
        # FairMOT's boxes are four distances, unless its option is empty: one that is absent means yes.
        readers["FairMOT"] = options if config.box_channels == 4 else f"{options} --ltrb ''"
    if not readers:
        raise InputError(
            f"{source}: CL-MOT's {architecture} has boxes of width and height, and FairMOT's no layer that squeezes "
            "its channels: with a box head of four distances and 'model.neck: squeeze' the network is neither's."
        )
    return readers


def original_state(model: OneShotTracker) -> dict[str, Tensor]:
    """The state dict under the original's names: only DLA has its backbone under `base`."""
    prefix = "" if model.config.neck == "dla" else "base."
    kept = ("base", *NECK_LAYERS[model.config.neck], *HEADS)
    return {
        name.removeprefix(prefix): tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if name.partition(".")[0] in kept
    }


def _shapes(model: OneShotTracker) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _epochs(history: Path) -> int:
    """Rows of a history.csv; 0 where there is none."""
    if not history.is_file():
        return 0
    with history.open(newline="", encoding="utf-8") as stream:
        return sum(1 for _ in csv.DictReader(stream))
