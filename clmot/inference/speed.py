"""How fast tracking was."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

import clmot
from clmot.inference.track_frames import SequenceTracks


def speeds(tracks: Mapping[str, SequenceTracks], device: torch.device) -> dict[str, Any]:
    """Frames per second by sequence and in all, and where they were measured: `fps` of the whole, from files to tracks;
    beside it those of its parts, which go on side by side: network (one frame after the other, while more of them are
    in it), association and, with `camera_motion`, following the camera."""

    def row(sequences: Sequence[SequenceTracks]) -> dict[str, float | int]:
        frames = sum(s.frames for s in sequences)
        network = sum(s.network_seconds for s in sequences)
        association = sum(s.association_seconds for s in sequences)
        camera = sum(s.camera_seconds for s in sequences)
        return {
            "frames": frames,
            "network_fps": round(frames / network, 2),
            "association_fps": round(frames / association, 2),
            **({"camera_motion_fps": round(frames / camera, 2)} if camera else {}),
            "fps": round(frames / sum(s.seconds for s in sequences), 2),
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
        "all": row(list(tracks.values())),
        "sequences": {name: row([found]) for name, found in tracks.items()},
    }
