"""Weights on disk: ours (safetensors with the network's config in json), and other people's."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from clmot import ranks
from clmot.errors import InputError
from clmot.files import staged_file, stand_in, write_json
from clmot.models.backbone import UnusedProjection
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.wording import listed, one_line

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights", "params", "ema")
"""Keys under which checkpoints keep the state dict, the usual ones first."""
_PREFIXES = ("_orig_mod.", "module.", "model.")
"""What compiling, parallel training and Lightning put before every name."""
_PADDLE = (".pdparams", ".pdopt", ".pdiparams", ".pdmodel")
_SAFETENSORS = "safetensors"


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor when weights were loaded; names sorted."""

    taken: tuple[str, ...]
    """In the weights and in the model, with one shape."""
    skipped: tuple[str, ...]
    """In the weights, but not in the model, or of another shape there."""
    missing: tuple[str, ...]
    """In the model, but not taken: these keep the values they had."""

    def __str__(self) -> str:
        parts = (f"{len(names)} {kind}{f' ({listed(names)})' if names else ''}" for kind, names in self._kinds())
        return ", ".join([f"{len(self.taken)} tensors taken", *parts])

    def _kinds(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("skipped", self.skipped), ("missing", self.missing)


def save_model(directory: str | os.PathLike[str], model: OneShotTracker, config: ModelConfig) -> None:
    """Write model.safetensors and config.json into `directory`, each whole or not at all.

    Equal weights give equal bytes, whatever device and memory format they are in.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with staged_file(Path(directory) / WEIGHTS_FILE) as aside:
        save_file(tensors, aside)
    write_json(Path(directory) / CONFIG_FILE, dataclasses.asdict(config))


def load_model(directory: str | os.PathLike[str]) -> OneShotTracker:
    """Build the network that `directory` describes and fill it with its weights; on the CPU, in eval mode.

    Raises:
        InputError: a file is missing or damaged, or the two do not fit together.
    """
    directory = Path(directory)
    config = read_config(directory / CONFIG_FILE)
    path = directory / WEIGHTS_FILE
    state = read_weights(path)
    own = shapes_of(lambda: OneShotTracker(config), directory / CONFIG_FILE)
    wrong = sorted(name for name in own.keys() | state.keys() if not _fits(name, state, own))
    if wrong:
        raise InputError(
            f"{path}: does not hold the network of {CONFIG_FILE} beside it ({len(wrong)} tensors are "
            f"missing, too many or of another shape: {listed(wrong)}); train again, or restore both files."
        )
    model = OneShotTracker(config)
    model.load_state_dict(state)
    return model.eval()


def shapes_of(build: Callable[[], nn.Module], source: Path) -> dict[str, Tensor]:
    """Tensors without content, by name, of a network that `source` describes. Files can ask for one of any size, and
    only the weights beside them show that it exists: so this takes no memory.

    Raises:
        InputError: there can be no such network.
    """
    try:
        with torch.device("meta"):
            return build().state_dict()
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{source}: describes a network that cannot be built ({one_line(str(error))}); restore the file, or train "
            "again."
        ) from None


def read_config(path: str | os.PathLike[str]) -> ModelConfig:
    """The network's config from a config.json.

    Raises:
        InputError: no such file, no json, or keys or values that no network of ours has.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a model is a {CONFIG_FILE} and a {WEIGHTS_FILE}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as json ({one_line(str(error))}).") from error
    hints = typing.get_type_hints(ModelConfig)
    if not isinstance(values, dict) or values.keys() != hints.keys():
        found = values.keys() if isinstance(values, dict) else set()
        raise InputError(
            f"{path}: should hold exactly the keys {', '.join(hints)}; "
            f"missing: {listed(sorted(hints.keys() - found))}, unknown: {listed(sorted(found - hints.keys()))}."
        )
    for name, hint in hints.items():
        if not _is_a(values[name], hint):
            raise InputError(f"{path}: '{name}' cannot be {one_line(json.dumps(values[name]))}.")
    if len(values["neck_channels"]) not in (0, 4):
        raise InputError(f"{path}: 'neck_channels' should be empty or four numbers.")
    return ModelConfig(**{**values, "neck_channels": tuple(values["neck_channels"])})


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors file, or from a .pth that holds nothing but data.

    A training checkpoint's state dict is unwrapped (see `_WRAPPERS`), and what others put before every name
    is taken away (see `_PREFIXES`).

    Raises:
        InputError: the file is missing or damaged, holds code, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected weights (.safetensors or .pth).")
    with path.open("rb") as stream:
        start = stream.read(512)
    kind, is_pickle = _kind_of_file(start), start.startswith((b"PK", b"\x80"))
    if kind not in ("", _SAFETENSORS):
        raise InputError(f"{path}: is {kind}, and no weight file; fetch the weights again (.safetensors or .pth).")
    if kind != _SAFETENSORS and path.suffix in _PADDLE:
        raise InputError(f"{path}: is PaddlePaddle's, whose weights PyTorch cannot read: take some made for PyTorch.")
    content: Any
    try:
        if kind == _SAFETENSORS or (path.suffix == ".safetensors" and not is_pickle):
            content = load_file(path)
        else:
            with warnings.catch_warnings(), path.open("rb") as stream:  # of a path torch would believe the ending
                warnings.simplefilter("ignore")  # about pickle dialects; what matters is refused below
                content = torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if not named and not is_pickle:
            raise InputError(f"{path}: is no weight file; expected .safetensors or .pth, fetch it again.") from error
        what = f"it would run {named[1].rstrip('.,')}" if named else "no pickle of tensors"
        raise InputError(
            f"{path}: refused, because it holds more than tensors ({what}); ask its author for the bare "
            f"state dict or a .safetensors file."
        ) from error
    except Exception as error:  # a damaged pickle can make torch stumble over anything
        if "TorchScript" in str(error):
            raise InputError(f"{path}: is a TorchScript program; ask its author for the bare state dict.") from error
        reason = one_line(str(error).splitlines()[0], 120) if str(error) else type(error).__name__
        raise InputError(f"{path}: damaged, or no weight file ({reason}); fetch it again.") from error
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name in what a weight file holds. Raises an InputError if there is none, or one not finite."""
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = content.items() if isinstance(content, Mapping) else ()
    state = {str(name): value for name, value in tensors if isinstance(value, Tensor)}
    if not state:
        keys = f", but {listed(sorted(map(str, content)))}" if isinstance(content, Mapping) and content else ""
        raise InputError(f"{path}: holds no named tensors{keys}; expected a state dict.")
    broken = sorted(name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all())
    if broken:
        raise InputError(
            f"{path}: holds numbers that are not finite (in {listed(broken)}), as a training that diverged leaves; "
            "take other weights."
        )
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _kind_of_file(start: bytes) -> str:
    """What a file that is no pickle is, by how it begins; empty where it may be one."""
    if len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        return _SAFETENSORS
    kind = stand_in(start)
    if kind:
        return kind
    if start.startswith(b"\x08") and (b"pytorch" in start or b"onnx" in start.lower()):
        return "an ONNX network (export the state dict instead)"
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file, as Keras writes"
    if start.lstrip().startswith((b"{", b"[")):
        return "a text of JSON"
    return ""


def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    expected: Callable[[str], bool] | Sequence[str] = ("",),
    source: str = "weights",
) -> LoadReport:
    """Copy into `model` what fits by name and shape, and say on stderr what was taken, skipped and missing.

    Args:
        model: gets the values; stays untouched when this fails.
        state: tensors by name.
        expected: which of the model's tensors must be found: a test of the name, or beginnings of names.
            All, unless told. Batch norm's counters and the projections that no DLA-34 uses are never
            insisted on, since weight files exist without them.
        source: what to call the weights in messages, best their path.

    Raises:
        InputError: an expected tensor is absent or has another shape; names them.
    """
    own = model.state_dict()
    taken = tuple(sorted(name for name in own if _fits(name, state, own)))
    report = LoadReport(
        taken=taken,
        skipped=tuple(sorted(state.keys() - set(taken))),
        missing=tuple(sorted(own.keys() - set(taken))),
    )
    is_expected = expected if callable(expected) else _begins_with(tuple(expected))
    optional = _optional_names(model)
    lacking = [name for name in report.missing if is_expected(name) and name not in optional]
    if lacking:
        described = [
            f"{name} ({list(state[name].shape)} instead of {list(own[name].shape)})" if name in state else name
            for name in lacking
        ]
        raise InputError(
            f"{source}: {len(lacking)} expected tensors are absent or of another shape: {listed(described)}; "
            f"use weights of this architecture, or set the model's params to theirs."
        )
    model.load_state_dict({name: state[name] for name in taken}, strict=False)
    ranks.tell(f"{source}: {report}")
    return report


def _fits(name: str, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return name in state and name in own and state[name].shape == own[name].shape


def _begins_with(prefixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefixes)


def _optional_names(model: nn.Module) -> set[str]:
    names = {name for name in model.state_dict() if name.endswith("num_batches_tracked")}
    for prefix, module in model.named_modules():
        if isinstance(module, UnusedProjection):
            names.update(f"{prefix}.{name}" for name in module.state_dict())
    return names


def _is_a(value: object, hint: Any) -> bool:
    """Whether a value read from json is a possible value of a ModelConfig field of type `hint`."""
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list) and all(_is_a(item, int) and item > 0 for item in value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, hint)
