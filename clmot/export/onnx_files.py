"""ONNX files of our networks: written only once onnxruntime has given torch's numbers."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from clmot import __version__
from clmot.errors import InputError
from clmot.export.graphs import Crops, FrameAndBoxes, Frames
from clmot.files import staged_file
from clmot.models.checkpoint import load_model
from clmot.models.crop_weights import load_crop_encoder
from clmot.wording import one_line

OPSET = 17
"""Of ONNX's operators: the first with all that these graphs need; every runtime of the last years has it."""
TOLERANCE = 1e-4
"""Highest difference from torch that is accepted: in components of unit vectors, scores, and pixels / 1000."""
BATCHES = (1, 3, 8)
"""With which the file is compared, beside the one that it is traced with."""
TRACED = 2
SAME_PEAK = 1.0
"""Pixels by which the boxes of one peak may differ; neighbouring peaks are some cells apart."""
FOUND_AGAIN = 0.9
"""Share of the peaks that both must have: of two cells that differ in the last bits alone, either may be the peak."""
TIE = 1e-6
"""Peaks this little above the last of the best K may be left out by either."""
FORMS = ("onnx", "boxmot", "ultralytics")
"""What the file takes: see `export_onnx`."""


class Graph(Protocol):
    """A network with the names and free sizes of its inputs and outputs."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    dynamic: Mapping[str, Mapping[int, str]]

    def __call__(self, *inputs: Tensor) -> Any: ...

    def examples(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]: ...


def export_onnx(
    directory: str | os.PathLike[str],
    out: str | os.PathLike[str],
    form: str,
    input_size: tuple[int, int],
    max_objects: int,
) -> list[str]:
    """Write the model in `directory` as an ONNX file, whole or not at all.

    Args:
        directory: of the model; its crop encoder is written where it has one, else the network.
        out: the file.
        form: `onnx`: of a crop encoder a frame and its boxes, of a network letterboxed frames (see graphs.py); crops
            for `boxmot` (normalised by ImageNet's mean and deviation, as BoxMOT does) or `ultralytics` (RGB in 0..1).
        input_size: of the network, width and height; a crop encoder knows its own.
        max_objects: peaks of the network's heatmap that are read.

    Returns:
        What its inputs and outputs are, a line each.

    Raises:
        InputError: there is no such model, it has no crops to take, onnx or onnxruntime is missing, or torch, onnx and
            onnxruntime do not agree on the numbers.
    """
    graph = build_graph(directory, form, input_size, max_objects)
    data, difference = checked_onnx(graph, str(directory))
    with staged_file(out) as aside:
        aside.write_bytes(data)
    return [
        *_signature(data, graph),
        f"at most {difference:.1e} from torch, with {', '.join(map(str, BATCHES))} at once",
    ]


def build_graph(
    directory: str | os.PathLike[str], form: str, input_size: tuple[int, int], max_objects: int
) -> FrameAndBoxes | Crops | Frames:
    """The network of a folder as a graph of `form`; see `export_onnx`."""
    directory = Path(directory)
    encoder = load_crop_encoder(directory)
    if encoder is not None:
        if form == "onnx":
            return FrameAndBoxes(encoder).eval()
        return Crops(encoder, imagenet=form == "boxmot").eval()
    if form != "onnx":
        raise InputError(
            f"{directory}: has no crop encoder, and {form} gives crops to a re-ID model: train with 'model.embedder: "
            "crop', or take --to onnx, which looks at whole frames."
        )
    return Frames(load_model(directory), input_size, max_objects).eval()


def checked_onnx(graph: FrameAndBoxes | Crops | Frames, source: str) -> tuple[bytes, float]:
    """The graph as an ONNX file's bytes, and its largest difference from torch.

    Raises:
        InputError: packages are missing, an operator cannot be written, or the numbers differ.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f"ONNX files need the package {error.name}: install this project's extra, `pip install 'clmot[export]'`."
        ) from None
    generator = torch.Generator().manual_seed(0)
    try:
        data = _traced(graph, graph.examples(TRACED, generator))
        model = onnx.load_from_string(data)
        model.producer_name, model.producer_version = "clmot", __version__
        onnx.checker.check_model(model)
        data = model.SerializeToString(deterministic=True)
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # torch, onnx and onnxruntime each refuse in ways of their own
        raise InputError(f"{source}: this network cannot be written as ONNX ({one_line(str(error))}).") from error
    difference = float(np.max([_difference(graph, session, graph.examples(count, generator)) for count in BATCHES]))
    if not difference <= TOLERANCE:
        raise InputError(
            f"{source}: onnxruntime {onnxruntime.__version__} differs from torch by {difference:.1e}, more than "
            f"{TOLERANCE:g}, so nothing was written: train the network first if it is untrained, as scores that are "
            "all alike cannot be compared; else try other versions of onnx and onnxruntime."
        )
    return data, difference


@torch.no_grad()
def _traced(graph: FrameAndBoxes | Crops | Frames, examples: tuple[Tensor, ...]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: what it takes for constant is, or `checked_onnx` finds it
        torch.onnx.export(
            graph,
            examples,
            stream,  # type: ignore[arg-type]  # this exporter takes one, unlike the newer
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: dict(axes) for name, axes in graph.dynamic.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    return stream.getvalue()


@torch.no_grad()
def _difference(graph: FrameAndBoxes | Crops | Frames, session: Any, examples: tuple[Tensor, ...]) -> float:
    """Between torch and onnxruntime, with boxes in thousandths of pixels."""
    wanted = graph(*examples)
    ours = [one.numpy() for one in (wanted if isinstance(wanted, tuple) else (wanted,))]
    theirs = session.run(None, {name: one.numpy() for name, one in zip(graph.inputs, examples, strict=True)})
    if isinstance(graph, Frames):
        theirs = _in_order(ours, theirs)
    scales = [1000 if name == "boxes" else 1 for name in graph.outputs]
    return float(np.max([np.abs(a - b).max(initial=0) / c for a, b, c in zip(ours, theirs, scales, strict=True)]))


def _in_order(ours: Sequence[Any], theirs: Sequence[Any]) -> list[Any]:
    """Their rows (B, K, ...) in the order of ours, as equal scores may come in any. A peak that they have not got is
    taken from ours; where those are many, the boxes are nan."""
    ordered = [one.copy() for one in ours]
    for image, (boxes, scores) in enumerate(zip(ours[0], ours[1], strict=True)):
        apart = np.abs(boxes[:, None] - theirs[0][image][None]).max(axis=2)
        there = apart.min(axis=1) < SAME_PEAK
        sure = scores > scores[-1] + TIE
        if sure.any() and there[sure].mean() < FOUND_AGAIN:
            ordered[0][image] = np.nan
            continue
        for one, other in zip(ordered, theirs, strict=True):
            one[image][there] = other[image][apart.argmin(axis=1)[there]]
    return ordered


def _signature(data: bytes, graph: FrameAndBoxes | Crops | Frames) -> list[str]:
    """Inputs and outputs of the file, a line each; sizes that only running it tells are stars."""
    import onnx

    written = onnx.load_from_string(data).graph
    free = {name for axes in graph.dynamic.values() for name in axes.values()}
    lines = []
    for kind, values in (("input", written.input), ("output", written.output)):
        for value in values:
            tensor = value.type.tensor_type
            sizes = ", ".join(
                (axis.dim_param if axis.dim_param in free else "*") if axis.dim_param else str(axis.dim_value)
                for axis in tensor.shape.dim
            )
            lines.append(f"{kind} {value.name}: {onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} ({sizes})")
    return lines
