"""Random streams that depend on the seed and on names alone, never on what was drawn before."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def derived_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator whose stream depends on the seed and the names, and on nothing else."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextlib.contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block (a network's initialisation, say) under torch's global generator seeded from the names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_generator(seed, *names).initial_seed())
        yield
