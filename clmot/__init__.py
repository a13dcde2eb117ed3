"""CL-MOT: a multi-object tracker trained on boxes without identity labels."""

import os

__version__ = "0.1.0"

# OpenMP's threads wait for each other by spinning unless told otherwise. On a machine that others use as well, a
# spinning thread keeps the one it waits for off the core: training steps were measured to take ten times longer.
# OpenMP reads this when torch is loaded, so it stands before any import of it; a user's own choice wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
