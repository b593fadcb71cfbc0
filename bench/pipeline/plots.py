"""The plots of the reports, each as one piece of SVG; None if there are no figures.
Needs matplotlib."""
import io
import re
import statistics

import matplotlib

from bench.pipeline.results import plain
from bench.pipeline.tables import ACROSS, COLUMNS, TREES, micro_lines, named
from bench.pipeline.text import number

matplotlib.use("svg")
import matplotlib.pyplot as plt     # noqa: E402 (the backend comes first)

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weft", "font.family": "sans-serif", "font.size": 9,
                     "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e2e8f0",
                     "axes.axisbelow": True, "figure.constrained_layout.use": True, "legend.frameon": False})
REGIME_TITLES = {"one": "one CPU for both, 1 worker", "own": "a CPU each, 1 worker", "free": "free"}
WIDTH = 9.4
SHOWN = ("weft", "peer", "floor")
LOOKS = {       # of a participant in every plot: colour, mark, line; floors are grey and dashed
    "weft": ("#dc2626", "o", "-"),
    "weft-wait": ("#f87171", "o", ":"),
    "tokio": ("#1d4ed8", "s", "-"),
    "tokio-unstable": ("#60a5fa", "D", "-"),
    "go": ("#0d9488", "^", "-"),
    "libuv": ("#65a30d", "v", "-"),
    "asio": ("#7c3aed", "P", "-"),
    "asyncio": ("#ca8a04", "X", "-"),
    "uvloop": ("#db2777", "d", "-"),
    "onetbb": ("#0891b2", "h", "-"),
    "rayon": ("#92400e", "<", "-"),
    "epoll": ("#1e293b", "_", "--"),
    "uring": ("#94a3b8", "_", "--"),
}


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


def look(who):
    return LOOKS.get(who, ("#000000", ".", "-"))


def style(who):
    """For a line with marks. weft is drawn last, so that nothing hides it."""
    shade, mark, line = look(who)
    own = who == "weft"
    return {"color": shade, "marker": mark, "linestyle": line, "markersize": 5.5 if own else 4.5,
            "linewidth": 2.4 if own else 1.1, "zorder": 5 if own else 2}


def legend(fig, axes, results, columns=6):
    """One for all panels, below them: a participant once, however many panels it is
    in."""
    having = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels())}
    found = {label: having[label] for who in results.who() if (label := results.label(who)) in having}
    below = (0.12 + 0.19 * -(-len(found) // columns)) / fig.get_figheight()
    fig.get_layout_engine().set(rect=(0, below, 1, 1 - below))
    fig.legend(found.values(), found.keys(), loc="lower center", ncol=columns, fontsize=8.5, borderaxespad=0.1)


def panels(count, height, columns=2, **more):
    """A figure with `count` panels in rows; panels that are not needed are not
    shown."""
    rows = -(-count // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.6), squeeze=False, **more)
    axes = list(axes.flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return fig, axes[:count]


# --- over connections ------------------------------------------------------------------------------------------------

def grids(results, least=2):
    """[(regime, size, [(connections, case)])] of the plain echo, where there are so
    many numbers of connections."""
    found = []
    for regime in REGIME_TITLES:
        for size in sorted({case.get("size", 0) for case in results.cases.values()}):
            names = plain(results, regime=regime, size=size, workers=results.workers(regime))
            points = sorted((results.cases[name]["connections"], name) for name in names)
            if len(points) >= least:
                found.append((regime, size, points))
    return found


def with_spread(axis, results, points, who, figure, scale=1):
    """For each (x, case) the median, all as a line; the smallest and the largest round
    as bars."""
    found = [(x, [v / scale for v in values.values()]) for x, name in points
             if (values := results.by_round(name, who, figure))]
    if found:
        xs, values = zip(*found)
        middles = [statistics.median(v) for v in values]
        spread = [[m - min(v) for m, v in zip(middles, values)], [max(v) - m for m, v in zip(middles, values)]]
        axis.errorbar(xs, middles, yerr=spread, label=results.label(who), elinewidth=0.7, **style(who))


def costs_axis(axis):
    """Logarithmic, with round numbers as marks."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.set_yticks([t for t in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200) if low <= t <= high])
    axis.set_yticks([], minor=True)
    axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")


def by_connections(results, figure, scale, label, logarithmic=False):
    found = grids(results)
    if not found:
        return None
    fig, axes = panels(len(found), 2.9)
    for axis, (regime, size, points) in zip(axes, found):
        for who in results.who(SHOWN):
            with_spread(axis, results, points, who, figure, scale)
        counts_axis(axis, [x for x, _ in points])
        axis.set(title=f"{size} B, {REGIME_TITLES[regime]}", xlabel="connections", ylabel=label)
        costs_axis(axis) if logarithmic else axis.set_ylim(0, None)
    legend(fig, axes, results)
    return svg(fig)


# --- percentiles -----------------------------------------------------------------------------------------------------

def curves(results, found):
    """A panel for each (title, case): latency over percentile."""
    if not found:
        return None
    columns = 2 if len(found) in (2, 4) else 3
    fig, axes = panels(len(found), 3.0, columns, sharey=True)
    for axis, (title, name) in zip(axes, found):
        for who in results.who(SHOWN):
            points = curve_points(list(results.runs(name, who).values()))
            if points:
                axis.plot(*zip(*points), label=results.label(who), **style(who) | {"marker": ""})
        nines(axis)
        axis.set_title(title, fontsize=9.5)
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g} us" if y < 1000 else f"{y / 1000:g} ms")
    legend(fig, axes, results)
    return svg(fig)


def closed_loop(results):
    return curves(results, [(f"{count} connections", name) for regime, size, points in grids(results, 1)
                            if (regime, size) == ("free", 64) for count, name in points])


def fixed_rate(results):
    return curves(results, [(f"{experiment}: {named(results.cases[name])}", name)
                            for experiment in ("rate", "stall", "hog")
                            for name in results.select(experiment=experiment)])


# --- over workers ----------------------------------------------------------------------------------------------------

def scaling(results):
    """A panel for each of what is run with several numbers of workers."""
    names = [name for regime in ("free", "all") for name in plain(results, regime=regime, connections=128, size=64)]
    found = [(names, "rate", "thousand messages a second", 1000), (names, "cpu_us", "server CPU, us a message", 1)]
    found += [(results.select(bench=bench), bench, f"{bench}, ms", 1) for bench in TREES]
    found = [(points, *rest) for names, *rest in found
             if len(points := sorted((results.cases[name]["workers"], name) for name in names)) > 1]
    if not found:
        return None
    fig, axes = panels(len(found), 3.1)
    for axis, (points, figure, label, scale) in zip(axes, found):
        for who in results.who(SHOWN):
            with_spread(axis, results, points, who, figure, scale)
        axis.set(xlabel="workers", xticks=[x for x, _ in points], ylabel=label, ylim=(0, None))
    legend(fig, axes, results)
    return svg(fig)


# --- beside weft -----------------------------------------------------------------------------------------------------

def beside(results, found, kinds=("variant", "peer", "floor")):
    """A row for each (words, case, figure, how it is written) that weft has: how good
    each participant is, with weft = 1, on a logarithmic axis."""
    found = [(f"{words}  ({written(value)})", name, figure) for words, name, figure, written in found
             if (value := results.median(name, "weft", figure))]
    others = {who: [(ratio, y) for y, (_, name, figure) in enumerate(found)
                    if (ratio := results.goodness(name, figure, who)) and ratio.value > 0]
              for who in results.who(kinds)}
    if not any(others.values()):
        return None
    fig, axis = plt.subplots(figsize=(WIDTH, 1.3 + 0.25 * len(found)))
    for who, points in others.items():
        if points:
            spread = [[max(r.value - r.low, 0) for r, _ in points], [max(r.high - r.value, 0) for r, _ in points]]
            axis.errorbar([r.value for r, _ in points], [y for _, y in points], xerr=spread, elinewidth=0.7,
                          label=results.label(who), **style(who) | {"linestyle": "none", "markersize": 6})
    axis.axvline(1, color=look("weft")[0], linewidth=2.2, label=results.label("weft"))
    axis.set(xscale="log", yticks=range(len(found)), yticklabels=[words for words, _, _ in found],
             xlabel="weft = 1; left of the line: worse than weft, right of it: better")
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_ylim(len(found) - 0.4, -0.6)
    legend(fig, [axis], results)
    return svg(fig)


def points_of(results, experiment, figures):
    """[(words, case, figure, how it is written)], figure by figure."""
    return [(f"{named(results.cases[name])}: {title}".replace("\n", " "), name, figure, written)
            for figure, title, written in figures for name in results.select(experiment=experiment)]


def single_costs(results):
    return [point for experiment, figures in (("idle", ["served_kib"]), ("syscalls", ["syscalls"]),
                                              ("churn", ["rate", "cpu_us"]))
            for point in points_of(results, experiment, [(figure, *COLUMNS[figure]) for figure in figures])]


def micro_points(results):
    return [(f"{words}, {results.unit(name, line)}", name, line, number)
            for words, name, line in micro_lines(results, results.select(experiment="micro"))]


def all_plots(results):
    """(title, remark, svg) of each plot that the runs at hand have figures for."""
    across = {experiment: points_of(results, experiment, ACROSS[experiment])
              for experiment in ACROSS}
    return [
        ("Throughput over connections", "Messages a second, closed loop: higher is better. Bars: the smallest and the "
         "largest round.", by_connections(results, "rate", 1000, "thousand messages a second")),
        ("What a message costs the server", "CPU time of all threads of the server, kernel included: lower is better. "
         "A server can buy throughput by keeping every CPU busy; here it cannot.",
         by_connections(results, "cpu_us", 1, "server CPU, us a message", logarithmic=True)),
        ("Latency by percentile, closed loop", "64 B, free; lower is better. Every connection has a "
         "message under way all the time, so this is mostly waiting for one's turn; compare with the floors.",
         closed_loop(results)),
        ("Latency by percentile, fixed rate", "Lower is better. Counted from when a message was due, however late it "
         "was sent. stall and hog: beside a neighbour that computes.", fixed_rate(results)),
        ("Neighbours that are always ready", "How good each is, with weft = 1: 100 connections at once, a byte each 2 "
         "ms, and what the neighbours get done. In brackets: weft's own figure.", beside(results, across["mixed"])),
        ("A server that is idle most of the time", "The same for 16 connections at few messages a second, and one that "
         "sends a byte each 2 ms.", beside(results, across["light"])),
        ("From one worker to more", "The load generator needs a CPU of its own, so on two CPUs an echo server cannot "
         "become twice as fast; skynet and fib32 can.", scaling(results)),
        ("An idle connection, a call, a connection for each message", "How good each is, with weft = 1. In brackets: "
         "weft's own figure.", beside(results, single_costs(results))),
        ("Micro benchmarks", "How good each is, with weft = 1, whatever the benchmark counts. In brackets: weft's own "
         "figure.", beside(results, micro_points(results), ("peer",))),
    ]
