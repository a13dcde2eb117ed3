"""What NT-Xent costs as one masked log-sum-exp a row, against the forms that compare pairs with pairs.

    python benchmarks/nt_xent.py [--frames 12] [--objects 60] [--views 2] [--dim 128] [--temperature 0.5]
                                 [--repeats 5] [--threads 1]

runs forward and backward of three formulations in turn, so that a busy machine troubles all alike:

- `dense`: ours, clmot.losses.contrastive.nt_xent;
- `pairs`: a matrix of all positive pairs of the batch by all negative pairs of its frames, as the original had it;
- `library`: pytorch-metric-learning's NTXentLoss, a frame at a time, which is also the oracle for the value.

Prints one JSON object. Seconds are of a clock on the wall and of the processor; the latter is what to compare on a
machine that does other things as well. Peak memory is measured in a fresh process each (Linux): the highest resident
size during one forward and backward pass, less that before it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor

from clmot.losses.contrastive import nt_xent


def dense(embeddings: Tensor, temperature: float) -> Tensor:
    """Ours, with everyone present in every view."""
    return nt_xent(embeddings, torch.ones(embeddings.shape[:3], dtype=torch.bool), temperature)


def pairs(embeddings: Tensor, temperature: float) -> Tensor:
    """Every positive pair of the batch against every negative pair of its frames, masked where the anchors differ."""
    views, frames, objects, _ = embeddings.shape
    unit = F.normalize(embeddings.flatten(0, 2), dim=-1)
    number = torch.arange(frames * objects).repeat(views)
    frame = number // objects
    same_frame = frame[:, None] == frame[None, :]
    same_object = number[:, None] == number[None, :]
    anchor, positive = torch.where(same_object & ~torch.eye(len(unit), dtype=torch.bool))
    other_anchor, negative = torch.where(same_frame & ~same_object)
    near = (unit[anchor] * unit[positive]).sum(1, keepdim=True) / temperature  # (P, 1)
    far = (unit[other_anchor] * unit[negative]).sum(1)[None] / temperature  # (1, Q)
    same_anchor = anchor[:, None] == other_anchor[None, :]  # (P, Q)
    far = far.masked_fill(~same_anchor, torch.finfo(far.dtype).min)  # (P, Q)
    largest = torch.maximum(near, far.amax(1, keepdim=True)).detach()
    numerator = (near - largest).exp().squeeze(1)
    denominator = (far - largest).exp().sum(1) + numerator
    return -(numerator / denominator).log().mean()


def library(embeddings: Tensor, temperature: float) -> Tensor:
    """The oracle. It knows no frames, so it gets one at a time; all have as many pairs."""
    views, frames, objects, _ = embeddings.shape
    loss = NTXentLoss(temperature)
    labels = torch.arange(objects).repeat(views)
    return torch.stack([loss(embeddings[:, b].flatten(0, 1), labels) for b in range(frames)]).mean()


FORMULATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "dense": dense,
    "pairs": pairs,
    "library": library,
}


def draw(options: argparse.Namespace) -> Tensor:
    """Embeddings (V, B, N, D)."""
    shape = options.views, options.frames, options.objects, options.dim
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def step(name: str, embeddings: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The loss and its gradient."""
    leaf = embeddings.clone().requires_grad_()
    loss = FORMULATIONS[name](leaf, temperature)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


def resident(kind: str) -> int:
    """Bytes of this process in memory: now (`VmRSS`), or at most since `forget_peak` (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This system does not tell a process how much memory it has had.")


def forget_peak() -> None:
    """Reset `VmHWM`."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(name: str, options: argparse.Namespace) -> int:
    """What one pass adds to this process at its highest; a tiny pass before has loaded what torch loads late."""
    embeddings = draw(options)
    step(name, embeddings[:, :2, :3], options.temperature)
    forget_peak()
    before = resident("VmRSS")
    step(name, embeddings, options.temperature)
    return resident("VmHWM") - before


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest, to four significant digits."""
    shown = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    return {name: float(f"{value:.4g}") for name, value in shown.items()}


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak-of", choices=FORMULATIONS, help="print one formulation's peak bytes alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        print(peak_bytes(options.peak_of, options))
        return

    embeddings = draw(options)
    results = {name: step(name, embeddings, options.temperature) for name in FORMULATIONS}  # warms up, too
    differences = {
        name: {
            "loss": float(f"{(loss - results['dense'][0]).abs():.2g}"),
            "gradient": float(f"{(gradient - results['dense'][1]).abs().max():.2g}"),
        }
        for name, (loss, gradient) in results.items()
        if name != "dense"
    }
    wall: dict[str, list[float]] = {name: [] for name in FORMULATIONS}
    processor: dict[str, list[float]] = {name: [] for name in FORMULATIONS}
    for _ in range(options.repeats):
        for name in FORMULATIONS:
            started, used = time.perf_counter(), time.process_time()
            step(name, embeddings, options.temperature)
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - used)

    given = {name: value for name, value in vars(options).items() if name != "peak_of"}
    arguments = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    peaks = {
        name: int(
            subprocess.run(
                [sys.executable, __file__, *arguments, "--peak-of", name],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        )
        for name in FORMULATIONS
    }
    print(
        json.dumps(
            {
                "command": shlex.join(["python", "benchmarks/nt_xent.py", *arguments]),
                **given,
                "torch": torch.__version__,
                "loss": float(f"{results['dense'][0]:.6g}"),
                "greatest_difference_from_dense": differences,
                "wall_seconds": {name: spread(values) for name, values in wall.items()},
                "processor_seconds": {name: spread(values) for name, values in processor.items()},
                "dense_times_faster": {
                    name: round(statistics.median(processor[name]) / statistics.median(processor["dense"]), 1)
                    for name in FORMULATIONS
                    if name != "dense"
                },
                "peak_megabytes": {name: round(peak / 1e6, 1) for name, peak in peaks.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
