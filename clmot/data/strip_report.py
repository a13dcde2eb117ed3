"""What the strip stage dropped, as people read it; training reads boxes without this."""

from __future__ import annotations

from clmot.data.strip import REASONS, StrippedSequence
from clmot.tables import plain_table


def format_report(benchmark: str, report: dict[str, StrippedSequence]) -> str:
    """The report as a table for people, one line a sequence and one for all of them."""
    lines = [(benchmark, "frames", "kept", *(reason.replace("_", " ") for reason in REASONS))]
    for name, sequence in report.items():
        span = f"{sequence.frames.first}-{sequence.frames.last}" if sequence.frames else "held out"
        lines.append((name, span, str(sequence.kept), *(str(sequence.dropped[r]) for r in REASONS)))
    kept = sum(sequence.kept for sequence in report.values())
    dropped = (str(sum(sequence.dropped[r] for sequence in report.values())) for r in REASONS)
    lines.append(("all", "", str(kept), *dropped))
    return plain_table(lines)
