"""Numbers of boxes in JSON."""

from __future__ import annotations

import math

LARGEST_PIXEL = 1e6
"""No image is as wide; float32 still tells tenths of a pixel apart there."""


def pixel_box(value: object) -> list[float] | None:
    """A box from JSON: a list of four finite numbers, none of them beyond any image; None for anything else."""
    numbers = [finite_number(number) for number in value] if isinstance(value, list) else []
    box = [number for number in numbers if number is not None and abs(number) <= LARGEST_PIXEL]
    return box if len(box) == len(numbers) == 4 else None


def finite_number(value: object) -> float | None:
    """A finite number from JSON, or None; `true` and `"10"` are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None
