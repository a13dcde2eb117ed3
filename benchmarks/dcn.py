"""What the formulations of deformable convolution cost on this machine.

    python benchmarks/dcn.py [--channels 64] [--out-channels 64] [--size 272 152] [--batch 1] [--repeats 7]
                             [--threads 0] [--device cpu] [--bf16]

runs them in turn, so that a busy machine troubles all alike, and prints one JSON object: for each formulation the
median, least and greatest seconds of the forward and the backward pass, and how many times faster than torchvision's
ours is: grid_sample on a CPU, triton on a GPU. `--bf16`: features are bfloat16, channels last, under autocast. The
default is the neck's finest node at the original's input of 1088x608.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from clmot.models.dcn import Implementation, deform_conv2d

RIVAL: Implementation = "torchvision"
OURS: dict[str, Implementation] = {"cpu": "grid_sample", "cuda": "triton"}


def measure_once(inputs: list[torch.Tensor], implementation: Implementation, device: torch.device) -> dict[str, float]:
    """Seconds of one forward and one backward pass with gradients for all `inputs`."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    moments = [_now(device)]
    features, offset, mask, weight, bias = leaves
    with torch.autocast(device.type, torch.bfloat16, enabled=features.dtype == torch.bfloat16):
        output = deform_conv2d(features, offset, mask, weight, bias, implementation)
    moments.append(_now(device))
    output.backward(torch.ones_like(output))
    moments.append(_now(device))
    return {"forward": moments[1] - moments[0], "backward": moments[2] - moments[1]}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--out-channels", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(272, 152), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = all cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    width, height = options.size

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device)

    inputs = [
        draw(options.batch, options.channels, height, width),
        draw(options.batch, 18, height, width),
        draw(options.batch, 9, height, width).sigmoid(),
        draw(options.out_channels, options.channels, 3, 3) / (3 * options.channels**0.5),
        draw(options.out_channels),
    ]
    if options.bf16:
        inputs[0] = inputs[0].to(torch.bfloat16, memory_format=torch.channels_last)
    formulations = RIVAL, OURS[device.type]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in formulations}
    for repeat in range(options.repeats + 1):
        for name in formulations:
            run = measure_once(inputs, name, device)
            if repeat:  # the first warms up
                runs[name].append(run)

    result: dict[str, object] = {**vars(options), "size": [width, height], "threads": torch.get_num_threads()}
    medians = {}
    for name in formulations:
        for part in ("forward", "backward"):
            seconds = [run[part] for run in runs[name]]
            medians[name, part] = statistics.median(seconds)
            result[f"{name}_{part}_seconds"] = {
                "median": round(medians[name, part], 4),
                "least": round(min(seconds), 4),
                "greatest": round(max(seconds), 4),
            }
    result["times_faster"] = {
        part: round(medians[RIVAL, part] / medians[OURS[device.type], part], 2) for part in ("forward", "backward")
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
