"""IDF1 of every variant and seed as a picture: small, and the same bytes for the same numbers."""

from __future__ import annotations

import io

from clmot.ablation.comparison import MEAN, Comparison

METRIC = "IDF1"
OURS, SUPERVISED = "#1f5fa8", "#c23b22"


def svg(comparison: Comparison) -> str:
    """A panel per benchmark and one for their mean; a line per variant, a point per seed, a bar at their mean.

    There is at least one benchmark. A dotted line goes down from the mean of the first variant, with which the others
    are compared.

    Text stays text, and neither a date nor random names go in, so that Git sees a change only when a number changes.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    columns = [*comparison.benchmarks, MEAN] if len(comparison.benchmarks) > 1 else list(comparison.benchmarks)
    rows = comparison.rows
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "clmot",
        "font.size": 9.0,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(2.2 + 2.0 * len(columns), 1.1 + 0.26 * len(rows)), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, column in zip(panels, columns, strict=True):
            for colour in (OURS, SUPERVISED):
                points, bars = _marks(comparison, column, supervised=colour == SUPERVISED)
                panel.plot(*points, "o", color=colour, markersize=4, markeredgewidth=0, alpha=0.6, zorder=2)
                panel.plot(*bars, "|", color=colour, markersize=11, zorder=3)
            first = rows[0].spread(METRIC, column, comparison.benchmarks)
            if first is not None:
                panel.axvline(100 * first.mean, color="#999999", linewidth=0.8, linestyle=":", zorder=1)
            panel.set_title(column, fontsize=9)
            panel.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)
            panel.tick_params(axis="y", left=False)
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
        labels = [f"{row.variant} (has seen identities)" if row.supervised else row.variant for row in rows]
        panels[0].set_yticks(range(len(rows)), labels)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)  # the first variant on top; all panels share it
        for label, row in zip(panels[0].get_yticklabels(), rows, strict=True):
            label.set_color(SUPERVISED if row.supervised else "black")
        figure.suptitle(f"{comparison.set.title}: {METRIC} in percent, a point per seed", fontsize=10)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    lines = stream.getvalue().decode("utf-8").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _marks(
    comparison: Comparison, column: str, supervised: bool
) -> tuple[tuple[list[float], list[int]], tuple[list[float], list[int]]]:
    """Places (percent, row) of the points and of the bars in one panel, of supervised variants or of the others.

    A single seed is its own mean and gets no bar.
    """
    points: tuple[list[float], list[int]] = ([], [])
    bars: tuple[list[float], list[int]] = ([], [])
    for place, row in enumerate(comparison.rows):
        if row.supervised != supervised:
            continue
        for seed in comparison.seeds:
            value = row.value(seed, METRIC, column, comparison.benchmarks)
            if value is not None:
                points[0].append(100 * value)
                points[1].append(place)
        spread = row.spread(METRIC, column, comparison.benchmarks)
        if spread is not None and spread.count > 1:
            bars[0].append(100 * spread.mean)
            bars[1].append(place)
    return points, bars
