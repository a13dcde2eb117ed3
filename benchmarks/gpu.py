"""How much of a GPU training and tracking use, part by part, beside a plain loop of the original's kind.

    python -m benchmarks.gpu --output benchmarks/results/gpu.json

In one run, on drawn frames of 30 and of 150 people (MOT20's crowds): first the card's ceilings (a bf16 matrix product,
a copy within its memory, one from page-locked memory), a detector's first epochs, tracking with it, then training, by
ours and by the plain loop. The network is the profile mot17-half's: dla34 with deformable convolutions at 1088x608.

- The *plain training loop* is written as the original's: float32 as PyTorch sets it up (TF32 in convolutions),
  torchvision's deformable convolution, heads everywhere, channels first, every loss read as soon as it is known. It has
  the same views, losses, batch and reading processes.
- The *plain tracking loop* takes a frame at a time: resizes it, copies it as floats, runs the network in float32 and
  all heads everywhere, and associates object by object (`benchmarks.fairmot`).

Ours is what the stages run: `clmot.training.loop.fit`, `clmot.inference.found_ahead` and a `Session`, bf16. Tracking is
timed from decoded frames, from the first to the last track; what each part takes alone, after the other, is beside it.
Medians of several rounds. `--device cpu` (and a machine without a GPU) runs a smaller network on fewer, smaller frames:
there the figures say only that the program works. Needs no dvc, mlflow, motmetrics and trackeval.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.crowds import SCENE, Frame, generated_crowd
from benchmarks.fairmot import FairMOT
from benchmarks.unseen_film import film_params
from clmot.data.frames import TrainingFrame, single_threaded
from clmot.errors import run_as_script
from clmot.hardware import set_up
from clmot.images import STRIDE, letterbox, read_image
from clmot.inference.found_ahead import found_ahead
from clmot.inference.image_sources import SourceImage
from clmot.inference.pipeline import NetworkDetections, Runner, network_input
from clmot.inference.session import Session
from clmot.models.decode import boxes_at, find_peaks, gather_cells
from clmot.models.network import ModelConfig, OneShotTracker
from clmot.params import Params, TrackParams
from clmot.training.criteria import Criterion, DetectorCriterion, TrackerCriterion
from clmot.training.loop import fit
from clmot.training.recipe import Recipe, TrainingFrames

CROWDS = {"street": 30, "crowd": 150}
"""People in each frame of a film, by its name."""
MATRIX = 8192
"""Side of the matrices whose product is the card's ceiling."""
COPIED = 2**30
"""Bytes of the copies that are its other ceilings."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    params: Params
    frames: int
    """Of each film."""
    plain_steps: int
    """Of the plain training loop, those of warming up included."""
    plain_frames: int
    """That the plain tracking loop takes."""
    rounds: int
    """Of tracking each film."""
    passes: int
    """Of all frames, in an epoch of the whole training."""


def size_for(device: torch.device, changes: Sequence[str]) -> Size:
    """A GPU has the real network, a CPU a small one."""
    if device.type == "cuda":
        params = film_params(["track.max_objects=256", "train.epochs=2", "pretrain.epochs=3", *changes], "mot17-half")
        return Size(params, frames=96, plain_steps=12, plain_frames=48, rounds=4, passes=3)
    small = ["model.input_size=[192, 96]", "train.epochs=2", "pretrain.epochs=2", "train.batch_size=4"]
    params = film_params([*small, "track.association=fairmot", *changes], "mini")
    return Size(params, frames=8, plain_steps=3, plain_frames=8, rounds=2, passes=1)


def draw(frame: Frame, size: tuple[int, int], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """People as two-coloured ellipses on a textured ground, far ones first; (H, W, 3)."""
    image = ground.copy()
    scale = np.array([size[0] / SCENE[0], size[1] / SCENE[1]] * 2)
    order = np.argsort(frame.true_boxes[:, 3])
    for x1, y1, x2, y2, identity in np.column_stack((frame.true_boxes * scale, frame.true_identities))[order]:
        colours = np.random.default_rng(int(identity)).integers(0, 256, (2, 3)).tolist()
        middle, half = (int((x1 + x2) / 2), int((y1 + y2) / 2)), (int((x2 - x1) / 2), int((y2 - y1) / 2))
        cv2.ellipse(image, middle, half, 0, 0, 360, colours[0], -1)
        cv2.ellipse(
            image, (middle[0], middle[1] + half[1] // 2), (half[0] * 3 // 4, half[1] // 2), 0, 0, 360, colours[1], -1
        )
    return image


def draw_film(folder: Path, name: str, people: int, frames: int, size: tuple[int, int]) -> list[TrainingFrame]:
    """Frames with the boxes of all who are there, as JPEG files."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (size[1] // 16, size[0] // 16, 3)).astype(np.uint8)
    ground = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    scale = np.array([size[0] / SCENE[0], size[1] / SCENE[1]] * 2)
    found = []
    for number, frame in enumerate(generated_crowd(people, 8, frames, seed=0), start=1):
        path = folder / f"{name}-{number:06d}.jpg"
        cv2.imwrite(str(path), draw(frame, size, ground))
        corners = (frame.true_boxes * scale).clip(0, [*size, *size])
        seen = ((corners[:, 2:] - corners[:, :2]) > 2).all(axis=1)
        found.append(TrainingFrame(path, f"drawn/{name}", number, corners[seen].astype(np.float32)))
    return found


class PlainNetwork(OneShotTracker):
    """Reads its heads everywhere, whatever is asked for."""

    def read_at(self, features: torch.Tensor, cells: torch.Tensor, heads: Sequence[str]) -> dict[str, torch.Tensor]:
        """As the network's own, computed as the original does."""
        return {name: gather_cells(output, cells) for name, output in self.read(features, heads).items()}


def plain_training(frames: Sequence[TrainingFrame], size: Size, device: torch.device) -> dict[str, Any]:
    """Frames per second of the plain loop, over all steps but the first third."""
    params = size.params
    config = replace(ModelConfig.from_params(params.model, embedding=True), dcn_implementation="torchvision")
    torch.manual_seed(0)
    model = PlainNetwork(config).to(device).train()
    criterion: Criterion = TrackerCriterion(params.views, params.loss, params.train)
    criterion.to(device)
    optimizer = torch.optim.Adam([*model.parameters(), *criterion.parameters()], lr=params.train.learning_rate)
    data = TrainingFrames(frames, params.model.input_size)
    order = [np.random.default_rng(step).permutation(len(frames))[: params.train.batch_size].tolist()
             for step in range(size.plain_steps)]  # fmt: skip
    loader: DataLoader[Any] = DataLoader(
        data, batch_sampler=order, collate_fn=data.collate, num_workers=params.hardware.workers,
        worker_init_fn=single_threaded,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    times = []
    begin = time.perf_counter()
    for batch in loader:
        losses = criterion(model, batch.to(device), generator)
        for name in criterion.names:
            losses[name].item()
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        synchronise(device)
        times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    counted = times[len(times) // 3 :]
    return {"frames/s": params.train.batch_size / statistics.median(counted), "seconds a step": spread(counted)}


def our_training(
    model: OneShotTracker, stage: str, frames: Sequence[TrainingFrame], size: Size, device: str
) -> dict[str, Any]:
    """Frames per second of the epochs after the first, in which the stage's own loop trains the network."""
    params = size.params
    hardware = replace(params.hardware, device=device)
    detector = DetectorCriterion(params.views, params.loss.detection)
    tracker = TrackerCriterion(params.views, params.loss, params.train)
    section, criterion = (params.pretrain, detector) if stage == "pretrain" else (params.train, tracker)
    ends: list[float] = []
    recipe = Recipe(stage, 0, section, TrainingFrames(frames, params.model.input_size))
    with tempfile.TemporaryDirectory() as folder:
        fit(model, criterion, recipe, hardware, Path(folder), lambda _epoch, _row: ends.append(time.perf_counter()))
    seconds = np.diff(ends).tolist()
    return {"frames/s": len(frames) / statistics.median(seconds), "seconds an epoch": spread(seconds)}


def step_on_one_batch(
    model: OneShotTracker, frames: Sequence[TrainingFrame], size: Size, device: torch.device
) -> dict[str, float]:
    """Milliseconds of forward and of backward of a step, its batch on the device already; frames per second of both."""
    params = size.params
    data = TrainingFrames(frames, params.model.input_size)
    batch = data.collate([data[index] for index in range(params.train.batch_size)]).to(device)
    criterion = TrackerCriterion(params.views, params.loss, params.train).to(device)
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    setup = set_up(replace(params.hardware, device=str(device)), params.train.precision)
    parts: dict[str, list[float]] = {"forward": [], "backward": []}
    for repeat in range(2 + size.rounds):
        with timed(parts["forward"], device, repeat >= 2), setup.autocast():
            loss = criterion(model, batch, torch.Generator().manual_seed(repeat))["loss"]
        with timed(parts["backward"], device, repeat >= 2):
            loss.backward()
        model.zero_grad(set_to_none=True)
    told = {f"{name}, ms": 1000 * statistics.median(times) for name, times in parts.items()}
    return {**told, "frames/s of both": 1000 * params.train.batch_size / sum(told.values())}


def with_so_many_boxes(
    model: OneShotTracker,
    images: Sequence[NDArray[np.uint8]],
    track: TrackParams,
    people: int,
    size: Size,
    device: torch.device,
) -> TrackParams:
    """The params with the score from which a frame has as many boxes as people on average: however well a few minutes
    taught the network, there is as much to associate."""
    source = NetworkDetections(model, size.params.model.input_size, track.max_objects, device)
    scores = np.concatenate([source(0, image).scores for image in images[::8]])
    share = min(1.0, people / track.max_objects)
    limit = float(np.quantile(scores, 1 - share))
    return replace(track, confidence=limit, new_track_confidence=limit, recorded_confidence=limit)


def plain_tracking(
    model: OneShotTracker, images: Sequence[NDArray[np.uint8]], size: Size, track: TrackParams, device: torch.device
) -> dict[str, Any]:
    """Frames per second and milliseconds a frame of each part of the plain loop."""
    params = size.params
    plain = OneShotTracker(replace(model.config, dcn_implementation="torchvision")).to(device).eval()
    plain.load_state_dict(model.state_dict())
    tracker = FairMOT(track, 30)
    parts: dict[str, list[float]] = {"resize": [], "copy": [], "network": [], "decode": [], "association": []}
    times, boxes_a_frame = [], []
    for number, image in enumerate(images[: size.plain_frames]):
        begin, counted = time.perf_counter(), number >= min(8, len(images) // 2)
        with timed(parts["resize"], device, counted):
            canvas, fit = letterbox(image, params.model.input_size)
            pixels = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)).astype(np.float32) / 255
        with timed(parts["copy"], device, counted):
            tensor = torch.from_numpy(pixels)[None].to(device)
        with torch.no_grad(), timed(parts["network"], device, counted):
            outputs = plain(tensor)
        with torch.no_grad(), timed(parts["decode"], device, counted):
            heat = outputs["hm"].sigmoid()
            heat = heat * (F.max_pool2d(heat, 3, 1, 1) == heat)
            scores, cells = heat.flatten(1).topk(track.max_objects)
            looks = gather_cells(F.normalize(outputs["id"]), cells)[0].cpu().numpy()
            sizes, offsets = (gather_cells(outputs[name], cells) for name in ("wh", "reg"))
            boxes = fit.to_image(boxes_at(cells, heat.shape[-1], sizes, offsets)[0].cpu().numpy() * STRIDE)
            found = scores[0].cpu().numpy()
        with timed(parts["association"], device, counted):
            tracker.update(boxes, found, looks)
        if counted:
            times.append(time.perf_counter() - begin)
            boxes_a_frame.append(int((found >= track.confidence).sum()))
    told = {f"{name}, ms": 1000 * statistics.median(seconds) for name, seconds in parts.items()}
    return {
        "frames/s": 1 / statistics.median(times),
        "boxes a frame": statistics.median(boxes_a_frame),
        **told,
    }


def our_tracking(
    model: OneShotTracker, images: Sequence[NDArray[np.uint8]], size: Size, track: TrackParams, device: torch.device
) -> dict[str, Any]:
    """Frames per second from decoded frames to tracks, of each round but the first; parts alone; both of one frame."""
    params = size.params
    runner = Runner(device, track.precision)
    source = NetworkDetections(
        model, params.model.input_size, track.max_objects, runner, embeddings=True, batch_size=track.batch_size
    )

    def film(repeats: int = 1) -> Iterator[SourceImage]:
        for number in range(repeats * len(images)):
            yield SourceImage(number + 1, number / 30, images[number % len(images)])

    def track_film(repeats: int) -> tuple[float, int]:
        session, boxes = Session(track, 30), 0
        begin = time.perf_counter()
        with closing(found_ahead(source, film(repeats))) as coming:
            for found in coming:
                session.follow(found.source.image, found.detections)
                boxes += int((found.detections.scores >= track.confidence).sum())
        return repeats * len(images) / (time.perf_counter() - begin), boxes // (repeats * len(images))

    track_film(1)
    repeats = max(1, 384 // len(images)) if device.type == "cuda" else 1
    rates, boxes = zip(*(track_film(repeats) for _ in range(size.rounds)), strict=True)
    live = Session(track, 30, source)
    latency: list[float] = []
    for number, image in enumerate(images):
        with timed(latency, device, number >= 4):
            live.update(image)
    return {
        "frames/s": statistics.median(rates),
        "frames/s of each round": [round(rate, 1) for rate in rates],
        "boxes a frame": statistics.median(boxes),
        "live, ms a frame": 1000 * statistics.median(latency),
        **parts_of_tracking(source, images, track),
    }


def parts_of_tracking(
    source: NetworkDetections, images: Sequence[NDArray[np.uint8]], track: TrackParams
) -> dict[str, float]:
    """Milliseconds a frame of each part alone, nothing beside it, and the network's arithmetic."""
    device, batch = source.runner.device, source.batch_size
    parts: dict[str, list[float]] = {
        "resize": [],
        "copies, network, decode": [],
        "network kernel by kernel": [],
        "decode kernel by kernel": [],
        "association": [],
    }
    session = Session(track, 30)
    operations = 0
    groups = [images[start : start + batch] for start in range(0, len(images) - batch + 1, batch)]
    for number, group in enumerate(groups):
        counted = number >= min(2, len(groups) - 1)
        with timed(parts["resize"], device, counted, batch):
            frames = [source.prepare(0, image) for image in group]
        with timed(parts["copies, network, decode"], device, counted, batch):
            detections = source.detect(frames)
        pixels = network_input(frames, device)
        with torch.inference_mode():
            with timed(parts["network kernel by kernel"], device, counted, batch), source.runner.lowered():
                features = source.model.features(pixels)
            with timed(parts["decode kernel by kernel"], device, counted, batch):
                cells, _ = find_peaks(source.model.read(features.float(), ["hm"])["hm"], track.max_objects)
                source.model.read_at(features.float(), cells, source.heads)
        with timed(parts["association"], device, counted, batch):
            for image, one in zip(group, detections, strict=True):
                session.follow(image, one)
        if not operations:
            # In float32: in 16 bits the first convolution has more channels, of zeros, which would count as well.
            with torch.inference_mode(), FlopCounterMode(display=False) as counter:
                source.model.read(source.model.features(pixels), ["hm"])
            operations = counter.get_total_flops() // batch
    told = {f"{name} alone, ms": 1000 * statistics.median(times) for name, times in parts.items()}
    return {**told, "network, GFLOP a frame": operations / 1e9}


def ceilings(device: torch.device) -> dict[str, float]:
    """What the card can do: a bf16 product, a copy in its memory (read and written), one from page-locked memory."""
    one = torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    there = torch.empty(COPIED, dtype=torch.uint8, device=device)
    back, pinned = torch.empty_like(there), torch.empty(COPIED, dtype=torch.uint8, pin_memory=True)
    seconds = {
        "product": median_time(lambda: one @ one, device),
        "copy": median_time(lambda: back.copy_(there), device),
        "upload": median_time(lambda: there.copy_(pinned, non_blocking=True), device),
    }
    return {
        "bf16 product, TFLOP/s": 2 * MATRIX**3 / seconds["product"] / 1e12,
        "copy in memory, GB/s": 2 * COPIED / seconds["copy"] / 1e9,
        "copy from page-locked memory, GB/s": COPIED / seconds["upload"] / 1e9,
    }


def median_time(work: Callable[[], Any], device: torch.device, repeats: int = 9) -> float:
    """Seconds of `work`, of the last two thirds of the repeats."""
    times: list[float] = []
    for repeat in range(repeats):
        with timed(times, device, repeat >= repeats // 3):
            work()
    return statistics.median(times)


@contextmanager
def timed(times: list[float], device: torch.device, counted: bool = True, share: int = 1) -> Iterator[None]:
    """Append the seconds of a block, the device's work included, divided by `share`, where it is `counted`."""
    synchronise(device)
    begin = time.perf_counter()
    yield
    synchronise(device)
    if counted:
        times.append((time.perf_counter() - begin) / share)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: Sequence[float]) -> list[float]:
    """Lowest, median and highest."""
    return [round(value, 4) for value in (min(values), statistics.median(values), max(values))]


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("-S", "--set", action="append", default=[], metavar="KEY=VALUE", help="a param of the profile")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(arguments)
    hardware = replace(film_params().hardware, device=chosen.device)
    device = set_up(hardware).device
    size = size_for(device, chosen.set)
    params = size.params
    track = replace(params.track, precision="bfloat16") if device.type == "cuda" else params.track
    report: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.gpu", *(sys.argv[1:] if arguments is None else arguments)]),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.processor()}: no GPU figures",
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "network": f"{params.model.backbone}, {params.model.operator}, {params.model.input_size}",
        "batch": {"training": params.train.batch_size, "tracking": track.batch_size},
    }

    def note(name: str, value: Any) -> None:
        report[name] = value
        print(f"{name}: {json.dumps(value)}", file=sys.stderr, flush=True)
        if chosen.output:
            chosen.output.write_text(json.dumps(report, indent=1) + "\n")

    if device.type == "cuda":
        note("ceilings", ceilings(device))
    with tempfile.TemporaryDirectory() as folder:
        films = {
            name: draw_film(Path(folder), name, people, size.frames, params.model.input_size)
            for name, people in CROWDS.items()
        }
        every = [frame for film in films.values() for frame in film]
        torch.manual_seed(0)
        model = OneShotTracker(ModelConfig.from_params(params.model, embedding=True))
        note("training the detector, ours", our_training(model, "pretrain", every, size, str(device)))
        times = [
            median_time(functools.partial(read_image, frame.image), torch.device("cpu"), 3) for frame in every[:20]
        ]
        note("decoding a JPEG, ms of a core", 1000 * statistics.median(times))
        model.to("cpu").eval()
        for name, film in films.items():
            images = [read_image(frame.image) for frame in film]
            used = with_so_many_boxes(model, images, track, CROWDS[name], size, device)
            torch.set_float32_matmul_precision("highest")
            note(f"tracking, plain, {name}", plain_tracking(model, images, size, used, device))
            set_up(hardware)
            note(f"tracking, ours, {name}", our_tracking(model, images, size, used, device))
        used = replace(used, association="calibrated")
        note("tracking, ours, crowd, calibrated", our_tracking(model, images, size, used, device))
        model.to("cpu").train()
        repeated = every * size.passes  # so that what an epoch's end costs counts as little as in a long one
        trained = our_training(model, "train", repeated, size, str(device))
        note("training, ours", {**trained, "a step alone": step_on_one_batch(model, every, size, device)})
        torch.set_float32_matmul_precision("highest")  # PyTorch's own setting
        note("training, plain", plain_training(every, size, device))
    ours, plain = report["training, ours"], report["training, plain"]
    ratios = {"training": ours["frames/s"] / plain["frames/s"]}
    for name in CROWDS:
        ratios[f"tracking, {name}"] = (
            report[f"tracking, ours, {name}"]["frames/s"] / report[f"tracking, plain, {name}"]["frames/s"]
        )
    note("times as fast as the plain loop", {name: round(ratio, 2) for name, ratio in ratios.items()})
    if device.type == "cuda":
        street = report["tracking, ours, street"]
        reached = street["frames/s"] * street["network, GFLOP a frame"] / 1000
        note("share of the bf16 ceiling, tracking", reached / report["ceilings"]["bf16 product, TFLOP/s"])


if __name__ == "__main__":
    run_as_script(main)
