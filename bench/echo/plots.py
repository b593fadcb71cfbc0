"""The plots of the report, each as one piece of SVG. Needs matplotlib."""
import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt     # noqa: E402 (the backend comes first)

from results import plain           # noqa: E402

COLOURS = {"weft": "#c2410c", "epoll": "#475569"}
LABELS = {"weft": "weft", "epoll": "bare epoll"}
WORKERS = {"one": 1, "own": 1, "free": 2}
TITLES = {"one": "one CPU for both, 1 worker", "own": "a CPU each, 1 worker", "free": "free on 2 CPUs, 2 workers"}

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weft", "font.family": "sans-serif", "font.size": 9,
                     "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e2e8f0",
                     "axes.axisbelow": True, "figure.constrained_layout.use": True, "legend.frameon": False})


def svg(figure):
    """The figure as an <svg> element, with ids of its own, so that several fit in one page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = out.getvalue()
    svg.count += 1
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>f{svg.count}-", text[text.index("<svg"):])
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r'<svg \1 class="plot"', text, count=1)


svg.count = 0


def error_bar(axis, xs, results, names, server, figure, scale=1.0, **style):
    """Medians as a line, the smallest and largest round as bars."""
    values = [[v / scale for v in results.values(name, server, figure)] for name in names]
    medians = [results.median(name, server, figure) / scale for name in names]
    spread = [[m - min(v) for m, v in zip(medians, values)], [max(v) - m for m, v in zip(medians, values)]]
    axis.errorbar(xs, medians, yerr=spread, color=COLOURS[server], label=LABELS[server], marker="o", markersize=4,
                  capsize=3, **style)


def has(results, name, figure):
    return name and results.median(name, "weft", figure) is not None and results.median(name, "epoll", figure)


def connections_in(results, regime):
    """(connections, case) of the plain echo cases in a regime."""
    found = []
    for count in sorted({case["connections"] for case in results.cases.values()}):
        name = plain(results, regime, WORKERS[regime], count)
        if has(results, name, "rate"):
            found.append((count, name))
    return found


def by_connections(results, figure, scale, label):
    """A panel for each regime that has more than one number of connections."""
    panels = [(r, found) for r in WORKERS if len(found := connections_in(results, r)) > 1]
    if not panels:
        return None
    fig, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.1), sharey=True, squeeze=False)
    for axis, (regime, found) in zip(axes[0], panels):
        xs, names = zip(*found)
        for server in COLOURS:
            error_bar(axis, xs, results, names, server, figure, scale)
        axis.set(xscale="log", xticks=xs, title=TITLES[regime], xlabel="connections")
        axis.set_xticks([], minor=True)
        axis.set_xticklabels([str(x) for x in xs])
    axes[0][0].set(ylabel=label, ylim=(0, None))    # last: it ends the automatic scaling, which is common to all panels
    axes[0][0].legend()
    return svg(fig)


def ratios(results):
    """weft over bare epoll for each plain case, with the spread of the rounds."""
    rows = [(f"{regime}, {count} conn.", name) for regime in WORKERS for count, name in connections_in(results, regime)]
    if not rows:
        return None
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 0.9 + 0.27 * len(rows)), sharey=True)
    for axis, figure, inverse, title in ((axes[0], "cpu_us", True, "messages per CPU-second"),
                                         (axes[1], "rate", False, "messages a second")):
        for y, (_, name) in enumerate(rows):
            value, low, high = results.ratio(name, figure, inverse)
            axis.errorbar(value, y, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color=COLOURS["weft"],
                          marker="o", markersize=5, capsize=3)
        axis.axvline(1.0, color=COLOURS["epoll"], linewidth=1)
        axis.set(title=f"{title}, weft / bare epoll", yticks=range(len(rows)), yticklabels=[r[0] for r in rows])
    axes[0].invert_yaxis()
    return svg(fig)


def curve(axis, results, name, server, **style):
    """Latency by percentile, of the round with the median p99. The axis counts nines."""
    runs = sorted(results.of(name, server), key=lambda r: r["latency_us"].get("p99", 0))
    if not runs or not runs[0]["latency_us"]["count"]:
        return
    run = runs[len(runs) // 2]
    last = 1 / run["latency_us"]["count"]
    points = [(1 / max(1 - p / 100, last), us) for p, us in run["latency_curve"]]
    axis.plot(*zip(*points), color=COLOURS[server], **style)


def nines(axis):
    axis.set(xscale="log", yscale="log", xlabel="percentile", xticks=[1, 10, 100, 1000, 10000])
    axis.set_xticks([], minor=True)
    axis.set_xticklabels(["0", "90", "99", "99.9", "99.99"])


def latency_curves(results):
    found = [pair for pair in connections_in(results, "free") if pair[0] > 1]
    if not found:
        return None
    fig, axes = plt.subplots(1, len(found), figsize=(max(3.1 * len(found), 4.5), 3.1), sharey=True, squeeze=False)
    for axis, (count, name) in zip(axes[0], found):
        for server in COLOURS:
            curve(axis, results, name, server, label=LABELS[server])
        nines(axis)
        axis.set_title(f"{count} connections")
    axes[0][0].set_ylabel("latency, us")
    axes[0][0].legend()
    return svg(fig)


def scaling(results):
    found = [(case["workers"], name) for name, case in results.cases.items()
             if case["regime"] in ("free", "all") and name == plain(results, case["regime"], case["workers"], 128)]
    found = sorted(pair for pair in found if has(results, pair[1], "rate"))
    if len(found) < 2:
        return None
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.1))
    xs, names = zip(*found)
    for axis, figure, scale, label in ((axes[0], "rate", 1000, "thousand messages a second"),
                                       (axes[1], "cpu_us", 1, "server CPU, us a message")):
        for server in COLOURS:
            error_bar(axis, xs, results, names, server, figure, scale)
        axis.set(xlabel="workers", xticks=xs, ylabel=label, ylim=(0, None))
    axes[0].legend()
    return svg(fig)


def neighbours(results):
    """stall and hog, with the targets as marks."""
    panels = [(title, cases) for title, cases in (("stall", results.select(experiment="stall")),
                                                  ("hog", results.select(experiment="hog"))) if cases]
    if not panels:
        return None
    fig, axes = plt.subplots(1, len(panels), figsize=(4.3 * len(panels), 3.3), sharey=True, squeeze=False)
    for axis, (title, names) in zip(axes[0], panels):
        for name in names:
            quiet = not results.cases[name]["server_args"]
            for server in results.cases[name]["servers"]:
                curve(axis, results, name, server, linestyle=":" if quiet else "-",
                      label=LABELS[server] + (", without" if quiet else ""))
        nines(axis)
        marks = ((100, 1000), (1000, 4000)) if title == "stall" else ((100, 4000),)
        axis.plot(*zip(*marks), "v", color="#15803d", label="target: below this")
        axis.set_title({"stall": "stall: 20 ms of computing every 50 ms", "hog": "hog on every worker"}[title])
        axis.legend(fontsize=8)
    axes[0][0].set_ylabel("latency, us")
    return svg(fig)


def all_plots(results):
    """(title, remark, svg) of each plot that the runs at hand have figures for."""
    found = [
        ("weft against the floor", "Right of the line is better than the floor. Bars: smallest and largest round.",
         ratios(results)),
        ("Throughput", "64-byte messages, one under way on each connection.",
         by_connections(results, "rate", 1000, "thousand messages a second")),
        ("What a message costs", "CPU time of the server, all its threads, kernel included.",
         by_connections(results, "cpu_us", 1, "server CPU, us a message")),
        ("Latency, closed loop", "Free on 2 CPUs. A full house: latency is mostly waiting for one's turn.",
         latency_curves(results)),
        ("Scaling", "128 connections, by number of workers.", scaling(results)),
        ("Bad neighbours", "16 connections; stall: 2000 messages a second, counted from when each was due.",
         neighbours(results)),
    ]
    return [plot for plot in found if plot[2]]
