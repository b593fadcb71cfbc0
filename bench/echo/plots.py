"""The plots of the report, each as one piece of SVG. Needs matplotlib."""
from bench.echo.results import plain
from bench.lib.svg import counts_axis, curve_points, nines, plt, svg

COLOURS = {"weft": "#c2410c", "epoll": "#475569"}
LABELS = {"weft": "weft", "epoll": "bare epoll"}
WORKERS = {"one": 1, "own": 1, "free": 2}
TITLES = {"one": "one CPU for both, 1 worker", "own": "a CPU each, 1 worker", "free": "free on 2 CPUs, 2 workers"}

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
        counts_axis(axis, xs)
        axis.set(title=TITLES[regime], xlabel="connections")
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
    points = curve_points(results.of(name, server))
    if points:
        axis.plot(*zip(*points), color=COLOURS[server], **style)


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
