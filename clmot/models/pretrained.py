"""Where trainings begin: random weights, or a file of weights of ours or of others, recognised by its tensors'
names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor

from clmot import ranks
from clmot.errors import InputError
from clmot.models.backbone import in_timms_names
from clmot.models.checkpoint import WEIGHTS_FILE, load_model, load_weights, read_weights
from clmot.models.necks.interface import NeckName
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import ModelParams
from clmot.wording import joined

RANDOM = "weights/none"
"""The value of `model.weights` that stands for random weights. A tracked file, so that DVC finds the dependency."""

NECK_LAYERS: dict[NeckName, tuple[str, ...]] = {
    "dla": ("dla_up", "ida_up"),
    "deconv": ("deconv_layers",),
    "fpn": tuple(f"{kind}_layer{step}" for step in (1, 2, 3) for kind in ("deconv", "smooth", "project")),
    "concat": (),
    "squeeze": ("last_layer",),
}
"""What the published networks call the layers of each neck, and so do we."""

HEADS = ("hm", "wh", "reg", "id")

OURS = {
    "base",
    "lateral",
    *HEADS,
    "projection",
    "classifier",
    *(n for layers in NECK_LAYERS.values() for n in layers),
}
"""How names of this network's tensors begin. In others' files whatever begins otherwise belongs to the backbone: there
ResNets, HRNets and bare backbones stand at the top, and only DLA stands under `base`."""

COCO_CLASSES, COCO_PERSON = 80, 0
"""Channels of the heatmap of CenterNet's detectors, and the one that shows people."""

ARCHITECTURE = ("backbone", "neck", "operator", "neck_channels", "head_channels")
"""Params of section `model` that must be those of the weights."""


@dataclass(frozen=True)
class Pretrained:
    """A file of weights, understood."""

    source: str
    """Its path, for messages."""
    state: dict[str, Tensor]
    """Tensors by this network's names, those of the backbone by timm's after `base.`."""
    expected: tuple[str, ...]
    """Beginnings of the names that must be found, because the file holds this part of a network."""
    architecture: dict[str, Any]
    """Params of section `model` that the file's network has, as far as its tensors tell."""
    box_channels: Literal[2, 4]
    """Of its `wh` head."""
    embedding_dim: int
    """Of its `id` head; 0: there is none that fits."""
    remarks: tuple[str, ...]
    """What was recognised, in words."""


def create_detector(params: ModelParams) -> OneShotTracker:
    """The detector that `pretrain` begins with: random, or filled from the file that `params.weights` names.

    Everything that the file holds must fit and be complete; what it does not hold stays random: a bare backbone
    leaves neck and heads so. A box head of four distances (newer FairMOT) makes a detector with one. The head of an
    embedding is kept, whatever its length, for `create_tracker`; training the detector does not change it.

    Random weights are drawn from torch's global generator. What was recognised, taken, skipped and missing goes to
    stderr.

    Raises:
        InputError: the file is absent, damaged, holds code, or is not of the network that `params` describe.
    """
    if params.weights == RANDOM:
        return OneShotTracker(ModelConfig.from_params(params, embedding=False))
    found = read_pretrained(params.weights)
    ranks.tell(f"{found.source}: {'; '.join(found.remarks)}")
    _check_architecture(found, params)
    config = ModelConfig.from_params(params, embedding=False, box_channels=found.box_channels)
    model = OneShotTracker(dataclasses.replace(config, embedding_dim=found.embedding_dim))
    state = as_timm_names(found.state, model, found.source)
    _check_backbone(state, model, found.source)
    load_weights(model, state, expected=found.expected, source=found.source)
    return model


def create_tracker(detector: OneShotTracker, config: ModelConfig, source: str) -> OneShotTracker:
    """The tracker that `train` begins with: the detector, and layers of the embedding that are random.

    Where the detector brought the head of an embedding of the wanted length along, that is taken as well.

    Args:
        detector: what `pretrain` made.
        config: the tracker's.
        source: what to call the detector in messages.

    Raises:
        InputError: the detector is not of that config's network.
    """
    model = OneShotTracker(config)
    state = detector.state_dict()
    found, wanted = detector.config.embedding_dim, config.embedding_dim
    if found and wanted and found != wanted:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("id.")}
        ranks.tell(
            f"{source}: its embedding of {found} numbers is left out, because 'model.embedding_dim' is {wanted}; "
            f"that one begins at random."
        )
    load_weights(
        model,
        state,
        expected=lambda name: not name.startswith(("id.", "projection.", "classifier.")),
        source=source,
    )
    return model


def check_embedding(found: int, wanted: int) -> None:
    """Refuse to pass on an embedding that nobody trained, which would look like a tracker.

    Args:
        found: length of the embedding in the detector's weights, 0 where there is none.
        wanted: length of the tracker's, 0 where it is to have none.

    Raises:
        InputError: it is wanted, and the detector does not bring it.
    """
    if wanted and found != wanted:
        brings = f"an embedding of {found} numbers" if found else "no embedding"
        advice = f"'model.embedding_dim: {found}'" if found else "'train.epochs', or 'loss.embedding: none'"
        raise InputError(
            f"params.yaml: 'train.epochs: 0' trains no embedding of {wanted} numbers, and the weights that 'pretrain' "
            f"began with bring {brings}: set {advice}."
        )


def read_pretrained(path: str | Path) -> Pretrained:
    """Recognise weights by the names and shapes of their tensors.

    Known are, as .pth or .safetensors: detectors of CenterNet (of COCO's 80 classes only people are taken) and trackers
    of FairMOT and CL-MOT, on DLA, ResNet or HRNet; timm's own files, and others with the same names, of any backbone
    alone; and ours, as a file or as a model's folder.

    Raises:
        InputError: no such file, damaged, with code in it, or heads that no detector of people has.
    """
    path = Path(path)
    if path.is_dir():
        model = load_model(path)  # whole and of one piece, or an error
        found = recognise(read_weights(path / WEIGHTS_FILE), str(path))
        return dataclasses.replace(found, architecture={key: getattr(model.config, key) for key in ARCHITECTURE})
    return recognise(read_weights(path), str(path))


def recognise(state: Mapping[str, Tensor], source: str) -> Pretrained:
    """What a state dict of others (or ours) holds, under our names; see `read_pretrained`."""
    known = {name if _top(name) in OURS else f"base.{name}": tensor for name, tensor in state.items()}
    tops = {_top(name) for name in known}
    neck: NeckName = next((n for n, layers in NECK_LAYERS.items() if tops.intersection(layers)), "concat")
    expected: list[str] = ["base."]
    parts: list[str] = ["a backbone"]
    if tops.intersection(NECK_LAYERS[neck]) or "lateral" in tops:
        expected += [f"{name}." for name in (*NECK_LAYERS[neck], "lateral")]
        parts.append(f"a {neck} neck")
    if not tops.intersection(HEADS):
        return Pretrained(source, known, tuple(expected), {}, 2, 0, (f"recognised {joined(parts)} without heads",))

    heads = [name for name in HEADS if name in tops]
    remarks = [f"recognised {joined([*parts, 'heads ' + ', '.join(heads)])}"]
    known, remark = _people_only(known, source)
    remarks += remark
    box_channels = _channels(known, "wh") or 2
    if box_channels not in (2, 4):
        raise InputError(
            f"{source}: its box head has {box_channels} channels; expected 2 (width, height) or 4 (left, top, right, "
            f"bottom)."
        )
    if box_channels == 4:
        remarks.append("boxes are four distances from the centre (newer FairMOT)")
    embedding_dim = 0
    if "id" in tops:
        known, embedding_dim, remark = _embedding(known)
        remarks += remark
    expected += [f"{name}." for name in ("hm", "wh", "reg", *(["id"] if embedding_dim else []))]
    architecture: dict[str, Any] = {"neck": neck}
    if neck not in ("concat", "squeeze"):
        architecture["operator"] = "dcn" if any(".conv_offset_mask." in name for name in known) else "conv"
    hidden = _channels(known, "hm", layer=0)
    if hidden is not None:
        architecture["head_channels"] = hidden
    return Pretrained(
        source,
        known,
        tuple(expected),
        architecture,
        4 if box_channels == 4 else 2,
        embedding_dim,
        tuple(remarks),
    )


def as_timm_names(state: Mapping[str, Tensor], model: OneShotTracker, source: str = "") -> dict[str, Tensor]:
    """Give the backbone's tensors the names they have in `model`.

    timm's weight files are of whole classifiers. As a pyramid of features the same tensors may be called otherwise:
    `stages.0.blocks...` becomes `stages_0.blocks...`, or all stand below `model.` or `body.`. Up to that the names are
    unique. Where no name fits, as in torchvision's MobileNetV2, the order of the tensors may, see `in_timms_names`.
    """

    def joined(name: str) -> str:
        return name.removeprefix("base.").removeprefix("model.").removeprefix("body.").replace(".", "_")

    own = [name for name in model.state_dict() if name.startswith("base.")]
    places = {joined(name): name for name in own}
    exact = set(own)
    bare = {name.removeprefix("base."): tensor for name, tensor in state.items() if name.startswith("base.")}
    if not any(joined(name) in places for name in bare):
        with contextlib.suppress(InputError):  # of another backbone: `_check_backbone` says so
            named = in_timms_names(bare, model.config.backbone, source, "model.backbone")
            state = {f"base.{name}": tensor for name, tensor in named.items()}
    return {
        name if not name.startswith("base.") or name in exact else places.get(joined(name), name): tensor
        for name, tensor in state.items()
    }


def _people_only(state: dict[str, Tensor], source: str) -> tuple[dict[str, Tensor], list[str]]:
    """The state with a heatmap of one class, and what was done to it."""
    classes = _channels(state, "hm")
    if classes in (None, 1):
        return state, []
    if classes != COCO_CLASSES:
        raise InputError(
            f"{source}: its heatmap has {classes} classes; which of them are people is only known of COCO's "
            f"{COCO_CLASSES}: use a detector of people or of COCO."
        )
    person = slice(COCO_PERSON, COCO_PERSON + 1)
    kept = {n: t[person] if n in ("hm.2.weight", "hm.2.bias") else t for n, t in state.items()}
    return kept, [f"of the {classes} classes of COCO in its heatmap, class {COCO_PERSON} (person) is taken"]


def _embedding(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], int, list[str]]:
    """The state with the embedding's head or, where that is built in another way than the heatmap's, without it."""
    first, like = (state.get(name) for name in ("id.0.weight", "hm.0.weight"))
    length = _channels(state, "id")
    if first is not None and length is not None and like is not None and first.shape == like.shape:
        origin = "if others trained it, it may have seen identities"
        return state, length, [f"its embedding has {length} numbers ({origin})"]
    rest = {name: tensor for name, tensor in state.items() if _top(name) != "id"}
    return rest, 0, ["the head of its embedding has other layers than ours and is left out"]


def _check_architecture(found: Pretrained, params: ModelParams) -> None:
    """Compare what the weights tell of their network with the params, which is clearer than a list of tensors."""
    differing = {
        f"model.{key}": (value, getattr(params, key))
        for key, value in found.architecture.items()
        if value != getattr(params, key)
    }
    if differing:
        theirs = ", ".join(f"'{key}: {_shown(value)}'" for key, (value, _) in differing.items())
        ours = ", ".join(_shown(value) for _, value in differing.values())
        raise InputError(f"{found.source}: is a network of {theirs}, where params.yaml has {ours}; set these to it.")


def _check_backbone(state: Mapping[str, Tensor], model: OneShotTracker, source: str) -> None:
    """Tell the weights of another backbone, before a list of absent tensors has to.

    A deeper ResNet holds everything that a shallower one asks for, and more; so blocks that timm's whole classifier
    of this name has not are a mistake as well.
    """
    backbone = model.config.backbone
    own = {name for name in model.state_dict() if name.startswith("base.")}
    if not own & state.keys():
        raise InputError(
            f"{source}: holds no tensor of {backbone} (its first is '{min(state).removeprefix('base.')}'); expected a "
            f"tracker or detector of CL-MOT, FairMOT or CenterNet built on it, or weights of timm's {backbone}."
        )
    with torch.random.fork_rng(devices=[]):  # what is drawn here is thrown away
        whole = {f"base.{name}" for name in timm.create_model(backbone, pretrained=False).state_dict()}
    blocks = {name.split(".")[1] for name in whole}
    alien = sorted(
        name for name in state.keys() - own - whole if name.startswith("base.") and name.split(".")[1] in blocks
    )
    if alien:
        raise InputError(
            f"{source}: holds {len(alien)} tensors that {backbone} does not have ({alien[0].removeprefix('base.')} is "
            f"one), so it is of another backbone: set 'model.backbone' to it."
        )


def _channels(state: Mapping[str, Tensor], head: str, layer: int = 2) -> int | None:
    """Output channels of a head's layer, its last if not told; None: it is absent, or no convolution."""
    weight = state.get(f"{head}.{layer}.weight")
    return None if weight is None or weight.ndim != 4 else weight.shape[0]


def _top(name: str) -> str:
    return name.partition(".")[0]


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
