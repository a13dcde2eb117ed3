"""CL-MOT: a multi-object tracker trained on boxes without identity labels.

import clmot

model = clmot.load("models/tracker")
for frame in model.track("door.mp4"):
    print(frame.time, frame.identities, frame.boxes)
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clmot.inference.model import Model, load
    from clmot.inference.reid import ReId, reid
    from clmot.inference.session import Session, TrackedFrame
    from clmot.params import TrackParams

__version__ = "0.1.0"
__all__ = ["Model", "ReId", "Session", "TrackParams", "TrackedFrame", "__version__", "load", "reid"]

# Unless told otherwise, OpenMP's threads wait for each other by spinning, for milliseconds. Where others use a machine
# as well, a spinning thread keeps the one it waits for off the core. Threads that sleep at once are woken for every
# layer, which takes a third of a step. So they spin for some microseconds, about what lies between two layers
# (benchmarks/waiting.py). OpenMP reads this when torch is loaded, so it is set before any import of it; a user's own
# choice wins.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}  # the second is GNU's alone

_PLACES = {
    "ReId": "clmot.inference.reid",
    "reid": "clmot.inference.reid",
    "Model": "clmot.inference.model",
    "load": "clmot.inference.model",
    "Session": "clmot.inference.session",
    "TrackedFrame": "clmot.inference.session",
    "TrackParams": "clmot.params",
}
"""What is imported when it is asked for: torch takes seconds, and most commands need none."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'clmot' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
