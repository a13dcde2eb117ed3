"""A source of detections at work ahead of the tracker: files are read, and frames looked at, while it associates."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from clmot.inference.ahead import ahead
from clmot.inference.image_sources import SourceImage
from clmot.inference.pipeline import BatchedSource, Detections, DetectionSource
from clmot.inference.session import checked_image

BATCHES = 2
"""On a GPU: batches under way, in a thread each, so that one is copied while the other is calculated."""


@dataclass(frozen=True, eq=False)
class FoundFrame:
    """What a source found in one image."""

    source: SourceImage
    detections: Detections
    seconds: float
    """That looking took, without reading the file; of a batch its share."""
    begun: float
    """When its file was begun with, by `time.perf_counter`."""


def found_ahead(
    source: DetectionSource, images: Iterable[SourceImage], threads: int | None = None
) -> Generator[FoundFrame, None, None]:
    """What a source finds in images, in their order, while it looks at the next ones already.

    On a CPU each frame goes through the source alone, in one thread, and as many do at once as there are threads: what
    is found is the same bit for bit however many that are. On a GPU threads read and resize, and batches of the
    source's size go through the network. At most a few frames a thread are held. Closing it ends its threads.

    Args:
        source: finds people.
        images: of one film, or of several, one after the other: a batch may hold frames of two.
        threads: None: as many as torch uses.

    Raises:
        InputError: an image cannot be read; where its result would have come.
        ValueError: it is no image.
    """
    threads = threads or torch.get_num_threads()
    size = source.batch_size if isinstance(source, BatchedSource) else 1
    return _in_batches(source, images, threads, size) if size > 1 else _one_by_one(source, images, threads)


def _one_by_one(
    source: DetectionSource, images: Iterable[SourceImage], threads: int
) -> Generator[FoundFrame, None, None]:
    def look(one: SourceImage) -> FoundFrame:
        begun = time.perf_counter()
        image = checked_image(one.image)
        begin = time.perf_counter()
        found = source(one.number, image)
        return FoundFrame(one, found, time.perf_counter() - begin, begun)

    return ahead(look, images, threads, 2 * threads)


def _in_batches(
    source: Any, images: Iterable[SourceImage], threads: int, size: int
) -> Generator[FoundFrame, None, None]:
    def prepare(one: SourceImage) -> tuple[SourceImage, Any, float]:
        begun = time.perf_counter()
        return one, source.prepare(one.number, checked_image(one.image)), begun

    def look(batch: list[tuple[SourceImage, Any, float]]) -> list[FoundFrame]:
        begin = time.perf_counter()
        found = source.detect([ready for _, ready, _ in batch])
        share = (time.perf_counter() - begin) / len(batch)
        pairs = zip(batch, found, strict=True)
        return [FoundFrame(one, detections, share, begun) for (one, _, begun), detections in pairs]

    prepared = ahead(prepare, images, threads, max(2 * threads, size))
    batches = ahead(look, _batches(prepared, size), BATCHES, BATCHES)
    with closing(prepared), closing(batches):
        for batch in batches:
            yield from batch


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Items in lists of `size`, the last one shorter; an error comes after the items before it."""
    batch: list[Any] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
