"""What decides a training besides its network and its criterion: a `Recipe`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from clmot.data.frames import Batch, FrameDataset, collate, epoch_order
from clmot.params import TrainingParams
from clmot.training.randomness import derived_generator, seeded


class TrainingData(Protocol):
    """Examples, and how they become batches. The loop knows no more about what it trains on."""

    def __getitem__(self, index: int) -> Any:
        """An example, the same at every call: worker processes read it."""

    def __len__(self) -> int: ...

    def collate(self, items: Sequence[Any]) -> Any:
        """A batch of examples; it has `.to(device)` and may have `.pin_memory()`."""

    def batches(self, epoch: int, params: TrainingParams, generator: torch.Generator) -> list[list[int]]:
        """Indices of every batch of an epoch (from 0), in order; random choices are drawn from `generator` alone."""

    def name(self, index: int) -> str:
        """The name of an example for messages, `MOT17/MOT17-02 frame 7`."""

    def fingerprint(self) -> str:
        """A hash of what the examples are, computed in seconds."""


class TrainingFrames(FrameDataset):
    """Frames with boxes as `TrainingData`."""

    def collate(self, items: Sequence[Any]) -> Batch:
        """See `clmot.data.frames.collate`."""
        return collate(items)

    def batches(self, epoch: int, params: TrainingParams, generator: torch.Generator) -> list[list[int]]:
        """See `clmot.data.frames.epoch_order`."""
        return epoch_order(self.frames, epoch, params.frame_stride, params.batch_size, generator)

    def name(self, index: int) -> str:
        """`MOT17/MOT17-02 frame 7`."""
        return f"{self.frames[index].film} frame {self.frames[index].number}"

    def fingerprint(self) -> str:
        """Frames count by name, size, weight, boxes and identities: hashing gigabytes of images would take minutes."""
        digest = hashlib.sha256(f"{self.input_size} {self.previous_min_iou}\n".encode())
        for frame in self.frames:
            size = frame.image.stat().st_size if frame.image.exists() else -1
            digest.update(f"{frame.film} {frame.number} {size} {frame.weight}\n".encode() + frame.boxes.tobytes())
            if frame.identities is not None:
                digest.update(frame.identities.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Equal recipes, networks and criteria give equal weights."""

    stage: str
    """`pretrain` or `train`, say: the section of params.yaml that `params` are, for messages and random streams."""
    seed: int
    """Every random choice derives from it, `stage` and the step."""
    params: TrainingParams
    """Epochs (0: nothing is trained), batch size, learning rate, precision."""
    data: TrainingData
    """What the network looks at."""
    decided_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else decides the result, by a name for people: params as dataclasses or plain values, files and folders as
    Path. With other values an interrupted training is another training (see `clmot.training.resume`)."""
    held_out: TrainingData | None = None
    """Frames that do not train and are judged after every epoch; None: nothing is."""

    def generator(self, *names: str | int) -> torch.Generator:
        """The stream of random numbers of this training that has these names."""
        return derived_generator(self.seed, self.stage, *names)

    def seeded(self, *names: str | int) -> contextlib.AbstractContextManager[None]:
        """A block that finds torch's global generator seeded from these names."""
        return seeded(self.seed, self.stage, *names)
