"""How fast tracking was."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import clmot


@dataclass(frozen=True)
class FilmSpeed:
    """What tracking a film cost; the fields are those of `SequenceTracks`.

    Films may share batches: every frame has the same share of its batch's seconds, whichever film it is of. A film's
    first frames are then looked at while the film before is tracked, so that `seconds` of the two overlap.
    """

    frames: int
    seconds: float
    network_seconds: float
    association_seconds: float
    camera_seconds: float


def speeds(films: Mapping[str, FilmSpeed], seconds: float, device: torch.device) -> dict[str, Any]:
    """Frames per second by sequence and in all, and where they were measured: `fps` of the whole, from files to tracks;
    beside it those of its parts, which go on side by side: network (one frame after the other, while more of them are
    in it), association and, with `camera_motion`, following the camera.

    Args:
        films: what each cost, by its name.
        seconds: that all took, of which several may have been tracked at once.
        device: of the networks.
    """

    def row(sequences: Sequence[FilmSpeed], seconds: float) -> dict[str, float | int]:
        frames = sum(s.frames for s in sequences)
        network = sum(s.network_seconds for s in sequences)
        association = sum(s.association_seconds for s in sequences)
        camera = sum(s.camera_seconds for s in sequences)
        return {
            "frames": frames,
            "network_fps": round(frames / network, 2),
            "association_fps": round(frames / association, 2),
            **({"camera_motion_fps": round(frames / camera, 2)} if camera else {}),
            "fps": round(frames / seconds, 2),
        }

    on_gpu = device.type == "cuda"
    return {
        "machine": {
            "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "clmot": clmot.__version__,
        },
        "all": row(list(films.values()), seconds),
        "sequences": {name: row([film], film.seconds) for name, film in films.items()},
    }
