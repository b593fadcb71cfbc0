"""Plots as pieces of SVG for a page. Needs matplotlib."""
import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt     # noqa: E402 (the backend comes first)

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weft", "font.family": "sans-serif", "font.size": 9,
                     "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e2e8f0",
                     "axes.axisbelow": True, "figure.constrained_layout.use": True, "legend.frameon": False})


def svg(figure):
    """The figure as an <svg> element, with ids of its own, so that several fit in one
    page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = out.getvalue()
    svg.count += 1
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>f{svg.count}-", text[text.index("<svg"):])
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r'<svg \1 class="plot"', text, count=1)


svg.count = 0


def curve_points(runs):
    """Latency by percentile, of the run with the median p99, as points for an axis that
    counts nines."""
    runs = sorted((r for r in runs if r["latency_us"]["count"]), key=lambda r: r["latency_us"]["p99"])
    if not runs:
        return []
    run = runs[len(runs) // 2]
    last = 1 / run["latency_us"]["count"]
    return [(1 / max(1 - p / 100, last), us) for p, us in run["latency_curve"]]


def nines(axis):
    axis.set(xscale="log", yscale="log", xlabel="percentile", xticks=[1, 10, 100, 1000, 10000])
    axis.set_xticks([], minor=True)
    axis.set_xticklabels(["0", "90", "99", "99.9", "99.99"])


def counts_axis(axis, xs):
    """A logarithmic axis that has marks at the counts `xs`, and nowhere else."""
    axis.set(xscale="log", xticks=xs)
    axis.set_xticks([], minor=True)
    axis.set_xticklabels([str(x) for x in xs])
