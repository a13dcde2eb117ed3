"""IDF1 of every variant and seed as a picture: small, and the same bytes for the same numbers."""

from __future__ import annotations

import io

from clmot.ablation.report import MEAN, Comparison

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
    names, values = comparison.names, comparison.values(METRIC)
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "clmot",
        "font.size": 9.0,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the layout is the same on every machine
    }
    with matplotlib.rc_context(style):
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
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    lines = stream.getvalue().decode("utf-8").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"
