"""How many frames a core makes ready for training, beside a plain loader that does all on the CPU.

    python -m benchmarks.loader [--images FOLDER] [--frames 96] [--objects 40] [--size 1088 608] [--rounds 5]
                                [--workers 2] [--batch 12] [--device auto] [--results FILE]

Two loaders read the same frames (drawn here at MOT17's size, or the images of a folder) with random boxes, in turns,
so that a busy machine troubles both alike:

- `plain`: an item a time with OpenCV and NumPy, as FairMOT's family does it: decode, letterbox, then for each of two
  views mirror, HSV jitter, affine warp, boxes, floats, and the detector's targets drawn box by box;
- `ours`: `FrameDataset`, which decodes and letterboxes once; views and targets of a whole batch are made on the
  device of the model (`make_views`, `make_targets`).

Prints one JSON object. `per_core` is frames per second of one core's processor time, all of OpenCV in one thread:
`ours` is a loader's worker, which is all that a CPU does when the model is on a GPU; `ours_with_views_on_cpu` adds
views and targets on one core as well, which is what it costs without a GPU. `device` says what they cost where the
model is. `in_all` is frames per second by the clock of the whole `DataLoader` with its workers. `memory_mib` is what
all processes hold, batches on their way included, after each quarter of an epoch but the last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import clmot  # Before torch: it says how OpenMP's threads wait.

# isort: split
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from clmot.data.frames import Batch, FrameDataset, TrainingFrame, collate, single_threaded
from clmot.data.views import make_views
from clmot.files import write_json
from clmot.hardware import pick_device
from clmot.images import STRIDE, read_image
from clmot.models.targets import make_targets
from clmot.params import Params, load_params
from clmot.progress import progress

WIDTH, HEIGHT = 1920, 1080
EPOCH_REPEATS = 4
Size = tuple[int, int]


def draw_frames(folder: Path, count: int) -> list[Path]:
    """JPEG frames of MOT17's size and about its bytes: soft shapes, hard edges and grain."""
    noise = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = cv2.resize(noise.integers(0, 255, (18, 32, 3), np.uint8), (WIDTH, HEIGHT))
        for _ in range(60):
            x, y, w, h = noise.integers(0, [WIDTH, HEIGHT, 120, 300])
            colour = noise.integers(0, 255, 3).tolist()
            cv2.rectangle(coarse, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
        grain = noise.normal(0, 4, (HEIGHT, WIDTH, 1))
        path = folder / f"{number:06d}.jpg"
        cv2.imwrite(str(path), np.clip(coarse + grain, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])
        paths.append(path)
    return paths


def random_boxes(size: Size, count: int, noise: np.random.Generator) -> NDArray[np.float32]:
    """(N, 4) corners in pixels, of people's proportions."""
    height = noise.uniform(40, size[1] * 0.4, count)
    width = height * 0.4
    x, y = noise.uniform(0, size[0] - width), noise.uniform(0, size[1] - height)
    return np.stack([x, y, x + width, y + height], 1).astype(np.float32)


class PlainDataset(Dataset[list[dict[str, NDArray[np.float32]]]]):
    """Two finished views of a frame, item by item, on the CPU."""

    def __init__(self, frames: Sequence[TrainingFrame], size: Size) -> None:
        self.frames, self.size = frames, size

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[dict[str, NDArray[np.float32]]]:
        frame, noise = self.frames[index], np.random.default_rng(index)
        canvas, boxes = plain_letterbox(cv2.imread(str(frame.image)), frame.boxes, self.size)
        mirrored = noise.random() < 0.5
        return [plain_view(canvas, boxes, mirrored ^ bool(view), noise) for view in range(2)]


def plain_letterbox(image: Any, boxes: NDArray[np.float32], size: Size) -> tuple[Any, NDArray[np.float32]]:
    """The image between grey bars, and its boxes there."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = min(size[0], round(width * scale)), min(size[1], round(height * scale))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    right, bottom = size[0] - inner[0] - left, size[1] - inner[1] - top
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    grey = (127.5, 127.5, 127.5)
    canvas = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey)
    return canvas, boxes * scale + np.array([left, top, left, top], np.float32)


def plain_view(
    canvas: Any, boxes: NDArray[np.float32], mirrored: bool, noise: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Mirror, HSV jitter of +-50 %, affine warp, floats and targets of one view."""
    height, width = canvas.shape[:2]
    if mirrored:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    hsv = cv2.cvtColor(canvas, cv2.COLOR_BGR2HSV)
    for channel, gain in zip((1, 2), noise.uniform(0.5, 1.5, 2), strict=True):
        hsv[:, :, channel] = np.clip(hsv[:, :, channel].astype(np.float32) * gain, 0, 255).astype(np.uint8)
    canvas = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)

    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), noise.uniform(-5, 5), noise.uniform(0.5, 1.2))
    move, slant = np.eye(3), np.eye(3)
    move[:2, 2] = noise.uniform(-0.1, 0.1, 2) * (width, height)
    slant[0, 1], slant[1, 0] = np.tan(np.radians(noise.uniform(-2, 2, 2)))
    matrix = slant @ move @ turn
    warped = cv2.warpPerspective(canvas, matrix, (width, height), borderValue=(127.5, 127.5, 127.5))
    corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2) @ matrix[:2, :2].T + matrix[:2, 2]
    low, high = corners.min(1).clip(0, (width, height)), corners.max(1).clip(0, (width, height))
    kept = ((high - low) > 4).all(1)
    seen: NDArray[np.float32] = np.concatenate([low, high], 1)[kept].astype(np.float32)

    pixels: NDArray[np.float32] = np.ascontiguousarray(warped[:, :, ::-1].transpose(2, 0, 1), np.float32) / np.float32(
        255
    )
    heatmap = plain_heatmap(seen / np.float32(STRIDE), (width, height))
    return {"image": pixels, "boxes": seen, "heatmap": heatmap}


def plain_heatmap(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Gaussians at the centres of `boxes` (in cells), drawn one after the other."""
    width, height = size[0] // STRIDE, size[1] // STRIDE
    heatmap = np.zeros((height, width), np.float32)
    for x1, y1, x2, y2 in boxes:
        # The radius matters little for the time: a third of the shorter side is near what the overlap rule gives.
        radius = max(1, int(min(x2 - x1, y2 - y1) / 3))
        x, y = int((x1 + x2) / 2), int((y1 + y2) / 2)
        reach = np.arange(-radius, radius + 1)
        spot = np.exp(-(reach[:, None] ** 2 + reach[None] ** 2) / (2 * ((2 * radius + 1) / 6) ** 2))
        left, right, top, bottom = (
            max(0, x - radius),
            min(width, x + radius + 1),
            max(0, y - radius),
            y + radius + 1,
        )
        part = heatmap[top : min(height, bottom), left:right]
        cut = spot[top - y + radius :, left - x + radius :][: part.shape[0], : part.shape[1]]
        np.maximum(part, cut, out=part)
    return heatmap


def processor_seconds(work: Callable[[], Any]) -> float:
    """Of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def clock_seconds(work: Callable[[], Any], device: torch.device) -> float:
    """By the clock, the device's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def make_ready(batch: Batch, device: torch.device, params: Params) -> None:
    """Two views of a batch and their targets, on the device."""
    views = make_views(batch.to(device), params.views, 2, torch.Generator().manual_seed(0))
    height, width = batch.images.shape[-2:]
    overlap = params.loss.detection.min_overlap
    make_targets(views.boxes.flatten(0, 1), views.present.flatten(0, 1), (width, height), overlap)


def resident_mib() -> float:
    """What this process and its children hold, pages they share counted once, in MiB (Linux)."""
    total = 0
    for process in [os.getpid(), *children()]:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return round(total / 1024, 1)


def children() -> Iterator[int]:
    """Process numbers of this process's direct children."""
    for task in Path("/proc/self/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def epoch(dataset: Dataset[Any], batch: int, workers: int, ours: bool) -> tuple[float, list[float]]:
    """Frames per second of a whole `DataLoader`, and memory after each quarter."""
    loader = DataLoader(
        dataset,
        batch_size=batch,
        num_workers=workers,
        collate_fn=collate if ours else list,
        worker_init_fn=single_threaded,
        prefetch_factor=4,
    )
    memory, started = [], time.perf_counter()
    marks = {len(loader) * quarter // 4 for quarter in range(1, 5)}
    seen = 0
    for number, loaded in enumerate(loader, 1):
        seen += len(loaded.indices) if ours else len(loaded)
        if number in marks and number < len(loader):  # at the very end the workers are gone
            memory.append(resident_mib())
    return seen / (time.perf_counter() - started), memory


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        name: float(f"{value:.4g}")
        for name, value in (
            ("median", statistics.median(values)),
            ("least", min(values)),
            ("greatest", max(values)),
        )
    }


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of images; default: drawn ones")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--objects", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(1088, 608))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = sorted(options.images.iterdir()) if options.images else draw_frames(Path(folder), options.frames)
        report = measure(images[: options.frames], options)
    print(json.dumps(report, indent=2))
    if options.results:
        write_json(options.results, report)


def measure(images: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """All figures, see the head of this file."""
    size: Size = (options.size[0], options.size[1])
    height, width = read_image(images[0]).shape[:2]
    noise = np.random.default_rng(1)
    frames = [
        TrainingFrame(path, "film", number, random_boxes((width, height), options.objects, noise))
        for number, path in enumerate(images, 1)
    ]
    ours, plain = FrameDataset(frames, size), PlainDataset(frames, size)
    # For whole epochs: several times what the workers keep ready.
    many = frames * EPOCH_REPEATS
    device = pick_device(options.device)
    params = load_params()

    single_threaded(0)
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"plain": [], "ours": [], "views": [], "device": []}
    for _ in progress(range(options.rounds), "rounds", total=options.rounds, unit="round"):
        seconds["plain"].append(processor_seconds(lambda: [plain[i] for i in range(len(frames))]) / len(frames))
        items: list[dict[str, Any]] = []
        took = processor_seconds(lambda: items.extend(ours[i] for i in range(len(frames))))  # noqa: B023
        seconds["ours"].append(took / len(frames))
        batch = collate(items[: options.batch])
        cpu = torch.device("cpu")
        took = processor_seconds(lambda: make_ready(batch, cpu, params))  # noqa: B023
        seconds["views"].append(took / len(batch.indices))
        make_ready(batch, device, params)  # a device's first call also loads its kernels
        took = clock_seconds(lambda: make_ready(batch, device, params), device)  # noqa: B023
        seconds["device"].append(took / len(batch.indices))

    both = [a + b for a, b in zip(seconds["ours"], seconds["views"], strict=True)]
    in_all: dict[str, list[float]] = {"plain": [], "ours": []}
    memory: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, dataset in (("plain", PlainDataset(many, size)), ("ours", FrameDataset(many, size))):
            rate, memory[name] = epoch(dataset, options.batch, options.workers, name == "ours")
            in_all[name].append(rate)
    on_gpu = device.type == "cuda"
    return {
        "command": shlex.join(["python", "-m", "benchmarks.loader", *sys.argv[1:]]),
        "clmot": clmot.__version__,
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "image": [width, height],
        "bytes": round(statistics.mean(path.stat().st_size for path in images)),
        "input": list(size),
        "per_core": {
            "plain": spread([1 / s for s in seconds["plain"]]),
            "ours": spread([1 / s for s in seconds["ours"]]),
            "ours_with_views_on_cpu": spread([1 / s for s in both]),
        },
        "ratio": {
            "ours": spread([a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]),
            "ours_with_views_on_cpu": spread([a / b for a, b in zip(seconds["plain"], both, strict=True)]),
        },
        "device_frames_per_second": spread([1 / s for s in seconds["device"]]),
        "in_all": {name: spread(rates) for name, rates in in_all.items()},
        "in_all_ratio": spread([a / b for a, b in zip(in_all["ours"], in_all["plain"], strict=True)]),
        "workers": options.workers,
        "memory_mib": memory,
    }


if __name__ == "__main__":
    main()
