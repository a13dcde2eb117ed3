"""Lists and counts as the words of a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice


def listed(items: Collection[object], most: int = 5) -> str:
    """The first `most` items with commas between them, each as `one_line`, and how many more there are.

    >>> listed(["a", "b", "c", "d"], most=2), listed([])
    ('a, b and 2 more', 'none')
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(one_line(str(item)) for item in islice(items, most)) + more if items else "none"


def joined(items: Iterable[object]) -> str:
    """All items, the last behind "and".

    >>> joined(["a", "b", "c"]), joined(["a"])
    ('a, b and c', 'a')
    """
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last


def one_line(text: str, most: int = 200) -> str:
    """Text of strangers as it may be printed: whatever could move a terminal's cursor, or hide, is written as Python
    writes it, and what is longer than `most` characters is cut.

    >>> one_line("a\\x1b[2Jb\\n"), one_line("abcdefgh", most=5)
    ('a\\\\x1b[2Jb\\\\n', 'ab...')
    """
    plain = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "row"), counted(3, "row")
    ('1 row', '3 rows')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted numbers as runs (first, last) without gaps.

    >>> runs([1, 2, 3, 5])
    [(1, 3), (5, 5)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
