"""Variants and seeds as a picture: small, and the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clmot.ablation.report import MEAN, Comparison

METRIC = "IDF1"
OURS, SUPERVISED = "#1f5fa8", "#c23b22"


STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "clmot",
    "font.size": 9.0,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
}

SWEPT_METRICS = ("IDF1", "ReID_mAP", "AP")
"""What a param is drawn against: the tracks, then the embedding alone and the detections alone."""


def svg(comparison: Comparison) -> str:
    """The picture of a comparison, as SVG: of a sweep the curves over its param, else a line per variant."""
    return sweep_svg(comparison) if comparison.chosen.swept else variants_svg(comparison)


def variants_svg(comparison: Comparison) -> str:
    """A panel per benchmark and one for their mean; a line per variant, a point per seed, a bar at their mean.

    There is at least one benchmark. A dotted line goes down from the mean of the first variant, with which the others
    are compared.

    Text stays text, and neither a date nor random names go in, so that Git sees a change only when a number changes.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    columns = [*comparison.benchmarks, MEAN] if len(comparison.benchmarks) > 1 else list(comparison.benchmarks)
    names, values = comparison.names, comparison.values(METRIC)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.2 + 2.0 * len(columns), 1.1 + 0.26 * len(names)), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, column in zip(panels, columns, strict=True):
            for place, name in enumerate(names):
                own = 100 * values[column][values.index.get_level_values("variant") == name].dropna()
                colour = SUPERVISED if name in comparison.supervised else OURS
                points = {"color": colour, "markersize": 4, "markeredgewidth": 0, "alpha": 0.6, "zorder": 2}
                panel.plot(own, [place] * len(own), "o", **points)
                if len(own) > 1:  # a single seed is its own mean
                    panel.plot([own.mean()], [place], "|", color=colour, markersize=11, zorder=3)
                if place == 0 and len(own):
                    panel.axvline(own.mean(), color="#999999", linewidth=0.8, linestyle=":", zorder=1)
            panel.set_title(column, fontsize=9)
            panel.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)
            panel.tick_params(axis="y", left=False)
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
        guided = comparison.supervised
        panels[0].set_yticks(range(len(names)), [f"{n} (has seen identities)" if n in guided else n for n in names])
        panels[0].set_ylim(len(names) - 0.5, -0.5)  # the first variant on top; all panels share it
        for label, name in zip(panels[0].get_yticklabels(), names, strict=True):
            label.set_color(SUPERVISED if name in guided else "black")
        figure.suptitle(f"{comparison.chosen.title}: {METRIC} in percent, a point per seed", fontsize=10)
        return _text(figure)


def sweep_svg(comparison: Comparison) -> str:
    """A panel per metric of `SWEPT_METRICS` that was measured: its mean over benchmarks against the param's values, a
    point per seed, a line through the means and, of two or more seeds, a band of their standard deviation.

    Numbers lie where they belong, on a logarithmic axis if the largest is ten times the smallest; other values side by
    side.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = [metric for metric in SWEPT_METRICS if metric in comparison.measured()]
    texts = [variant.overrides[0].partition("=")[2] for variant in comparison.chosen.variants]
    numbers = _numbers(texts)
    places = numbers or [float(place) for place in range(len(texts))]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.6 + 2.9 * len(shown), 2.8), layout="constrained")
        FigureCanvasSVG(figure)
        for panel, metric in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            means = 100 * comparison.values(metric)[MEAN]
            variant = means.index.get_level_values("variant")
            _draw_curve(panel, places, [means[variant == one.name].dropna() for one in comparison.chosen.variants])
            if numbers and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
                panel.set_xscale("log")
            panel.set_xticks(places, texts)
            panel.minorticks_off()
            panel.set_xlabel(comparison.chosen.swept)
            panel.set_title(metric.replace("_", " "), fontsize=9)
            panel.grid(color="#dddddd", linewidth=0.6)
            for side in ("top", "right"):
                panel.spines[side].set_visible(False)
        seeds = len(comparison.seeds)
        band = "; band: their standard deviation" if seeds > 1 else ""
        figure.suptitle(f"Mean over benchmarks in percent, a point per seed{band}", fontsize=10)
        return _text(figure)


def _draw_curve(panel: Any, places: Sequence[float], values: Sequence[pd.Series]) -> None:
    """The values of every place (empty: none were measured) as points, a line through their means, and a band."""
    drawn = sorted(
        ((place, own) for place, own in zip(places, values, strict=True) if len(own)), key=lambda one: one[0]
    )
    across = [place for place, _ in drawn]
    middle = np.array([own.mean() for _, own in drawn])
    spread = np.array([own.std() if len(own) > 1 else 0.0 for _, own in drawn])
    panel.fill_between(across, middle - spread, middle + spread, color=OURS, alpha=0.15, linewidth=0)
    panel.plot(across, middle, "-", color=OURS, linewidth=1.2)
    for place, own in drawn:
        panel.plot([place] * len(own), own, "o", color=OURS, markersize=3.5, markeredgewidth=0, alpha=0.7)


def _numbers(texts: Sequence[str]) -> list[float]:
    """The values as numbers; none where one is something else."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return []


def _text(figure: Any) -> str:
    """A figure as SVG without a date."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    lines = stream.getvalue().decode("utf-8").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"
