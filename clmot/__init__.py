"""CL-MOT: a multi-object tracker trained on boxes without identity labels."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clmot.inference.reid import ReId, reid

__version__ = "0.1.0"
__all__ = ["ReId", "__version__", "reid"]

# OpenMP's threads wait for each other by spinning unless told otherwise. On a machine that others use as well, a
# spinning thread keeps the one it waits for off the core: training steps were measured to take ten times longer.
# OpenMP reads this when torch is loaded, so it stands before any import of it; a user's own choice wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_PLACES = {
    "ReId": "clmot.inference.reid",
    "reid": "clmot.inference.reid",
}
"""What is imported when it is asked for: torch takes seconds, and most commands need none."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'clmot' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
