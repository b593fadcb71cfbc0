"""The plots of the report, each as one piece of SVG. Needs matplotlib."""
from bench.lib.svg import counts_axis, curve_points, nines, plt, svg
from bench.lib.text import number
from bench.side.looks import colour, style
from bench.side.results import plain
from bench.side.table import ACROSS, micro_order, named

REGIME_TITLES = {"one": "one CPU for both, 1 worker", "free": "free"}
WIDTH = 9.4


def legend(fig, axes, results, columns=6):
    """One for all panels, below them: a participant once, however many panels it is in."""
    having = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels())}
    found = {label: having[label] for who in results.who() if (label := results.label(who)) in having}
    below = (0.12 + 0.19 * -(-len(found) // columns)) / fig.get_figheight()
    fig.get_layout_engine().set(rect=(0, below, 1, 1 - below))
    fig.legend(found.values(), found.keys(), loc="lower center", ncol=columns, fontsize=8.5, borderaxespad=0.1)


def panels(count, height, columns=2, **more):
    """A figure with `count` panels in rows; panels that are not needed are not shown."""
    rows = -(-count // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(WIDTH, height * rows + 0.6), squeeze=False, **more)
    axes = list(axes.flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return fig, axes[:count]


# --- over connections ------------------------------------------------------------------------------------------------

def grids(results):
    """[(regime, size, [(connections, case)])] of the plain echo, where there is more than one number of connections."""
    found = []
    for regime in REGIME_TITLES:
        for size in sorted({case.get("size", 0) for case in results.cases.values()}):
            names = plain(results, regime=regime, size=size, workers=results.workers(regime))
            points = sorted((results.cases[name]["connections"], name) for name in names)
            if len(points) > 1:
                found.append((regime, size, points))
    return found


def with_spread(axis, results, points, who, figure, scale):
    """Medians as a line, the smallest and the largest round as bars."""
    xs, medians, low, high = [], [], [], []
    for x, name in points:
        values = [v / scale for v in results.by_round(name, who, figure).values()]
        middle = results.median(name, who, figure)
        if middle is not None:
            xs.append(x)
            medians.append(middle / scale)
            low.append(max(middle / scale - min(values), 0))
            high.append(max(max(values) - middle / scale, 0))
    if xs:
        axis.errorbar(xs, medians, yerr=[low, high], label=results.label(who), elinewidth=0.7, **style(who))


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
        for who in results.who(("weft", "peer", "floor")):
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
        for who in results.who(("weft", "peer", "floor")):
            points = curve_points(list(results.runs(name, who).values()))
            if points:
                axis.plot(*zip(*points), label=results.label(who), **style(who) | {"marker": ""})
        nines(axis)
        axis.set_title(title, fontsize=9.5)
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g} us" if y < 1000 else f"{y / 1000:g} ms")
    legend(fig, axes, results)
    return svg(fig)


def closed_loop(results):
    found = [(f"{count} connections", name) for regime, size, points in grids(results)
             if (regime, size) == ("free", 64) for count, name in points]
    return curves(results, found)


def fixed_rate(results):
    words = {"rate": "128 connections, {rate}/s", "stall": "stall: 20 ms of computing each 50 ms",
             "hog": "hog on every worker"}
    return curves(results, [(title.format(**results.cases[name]), name) for experiment, title in words.items()
                            for name in results.select(experiment=experiment)])


# --- bars ------------------------------------------------------------------------------------------------------------

def bars(axis, results, found, rows, words=number):
    """Horizontal ones, the first on top, with room for so many rows. `found`: [(who, value, low, high)]"""
    for y, (who, value, low, high) in enumerate(found):
        floor = results.kind(who) == "floor"
        axis.barh(y, value, color="white" if floor else colour(who), edgecolor=colour(who),
                  hatch="////" if floor else None, alpha=1 if who == "weft" else 0.75, height=0.68,
                  xerr=[[max(value - low, 0)], [max(high - value, 0)]], error_kw={"elinewidth": 0.8})
        axis.annotate(words(value), (max(high, value), y), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=8, fontweight="bold" if who == "weft" else None)
    axis.set(yticks=range(len(found)), yticklabels=[results.label(f[0]) for f in found])
    for tick, (who, *_) in zip(axis.get_yticklabels(), found):
        tick.set_fontweight("bold" if who == "weft" else "normal")
    axis.set_ylim(rows - 0.4, -0.6)
    axis.margins(x=0.16)
    axis.xaxis.set_major_locator(plt.MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.grid(axis="y", visible=False)


def ranked(results, name, figure, kinds=("weft", "variant", "peer", "floor")):
    """[(who, median, smallest, largest)], the best first."""
    found = []
    for who in results.who(kinds):
        values = results.by_round(name, who, figure).values()
        if values:
            found.append((who, results.median(name, who, figure), min(values), max(values)))
    return sorted(found, key=lambda f: f[1], reverse=results.more_is_better(name, figure))


def one_bar_plot(results, experiment, panels_of):
    """`panels_of`: [(figure, title, words)]"""
    names = results.select(experiment=experiment)
    found = [(title, ranked(results, name, figure), words) for name in names for figure, title, words in panels_of]
    found = [f for f in found if f[1]]
    if not found:
        return None
    longest = max(len(bars_of) for _, bars_of, _ in found)
    fig, axes = panels(len(found), 0.5 + 0.27 * longest, columns=len(found))
    for axis, (title, bars_of, words) in zip(axes, found):
        bars(axis, results, bars_of, longest, words)
        axis.set_title(title, fontsize=9.5)
    return svg(fig)


def kilo(value):
    return number(value / 1000) + "k"


# --- scaling ---------------------------------------------------------------------------------------------------------

def scaled(results, one, more, figure):
    """[(who, how many times as fast with more workers)]"""
    found = []
    for who in results.who(("weft", "peer", "floor")):
        ratio = results.speedup(one, more, figure, who)
        if ratio:
            found.append((who, ratio.value, ratio.low, ratio.high))
    return sorted(found, key=lambda f: -f[1])


def scaling(results):
    echo = {results.cases[n]["workers"]: n for n in plain(results, regime="free", connections=128, size=64)}
    pairs = [("echo, 128 connections: msg/s", echo, "rate")]
    pairs += [(bench, {results.cases[n]["workers"]: n for n in results.select(bench=bench)}, bench)
              for bench in ("skynet", "fib32")]
    found = []
    for title, by_workers, figure in pairs:
        if len(by_workers) > 1:
            more = max(by_workers)
            times = scaled(results, by_workers[1], by_workers[more], figure)
            found += [(f"{title},\n{more} workers / 1 worker", times)] if times else []
    if not found:
        return None
    longest = max(len(times) for _, times in found)
    fig, axes = panels(len(found), 0.8 + 0.26 * longest, columns=len(found))
    for axis, (title, times) in zip(axes, found):
        bars(axis, results, times, longest)
        axis.axvline(1, color="#64748b", linewidth=0.8, zorder=1)
        axis.set_title(title, fontsize=9)
    return svg(fig)


# --- micro benchmarks ------------------------------------------------------------------------------------------------

def micro_lines(results):
    """[(words, case, line)]"""
    names = sorted(results.select(experiment="micro"), key=lambda name: micro_order(results, name))
    found = []
    for name in names:
        case = results.cases[name]
        for line in results.lines(name):
            unit, value = results.unit(name, line), results.median(name, "weft", line)
            one = ", 1 worker" if case["workers"] == 1 else ""
            if value:
                found.append((f"{line}{one}  ({number(value)} {unit})", name, line))
    return found


def beside_weft(results, found, kinds=("peer",)):
    """A row for each (words, case, figure): how good each participant is, with weft = 1, on a logarithmic axis."""
    if not found:
        return None
    fig, axis = plt.subplots(figsize=(WIDTH, 1.3 + 0.25 * len(found)))
    for who in results.who(kinds):
        points = [(ratio, y) for y, (_, name, line) in enumerate(found)
                  if (ratio := results.goodness(name, line, who)) and ratio.value > 0]
        if points:
            spread = [[max(r.value - r.low, 0) for r, _ in points], [max(r.high - r.value, 0) for r, _ in points]]
            axis.errorbar([r.value for r, _ in points], [y for _, y in points], xerr=spread, elinewidth=0.7,
                          label=results.label(who), **style(who) | {"linestyle": "none", "markersize": 6})
    axis.axvline(1, color=colour("weft"), linewidth=2.2, label="weft")
    axis.set(xscale="log", yticks=range(len(found)), yticklabels=[words for words, _, _ in found],
             xlabel="weft = 1; left of the line: worse than weft, right of it: better")
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_ylim(len(found) - 0.4, -0.6)
    legend(fig, [axis], results)
    return svg(fig)


# --- neighbours, and light load --------------------------------------------------------------------------------------

def points_of(results, experiment):
    """[(words, case, figure)], figure by figure."""
    found = []
    for figure, title, words in ACROSS[experiment]:
        for name in results.select(experiment=experiment):
            case, value = named(experiment, results.cases[name]), results.median(name, "weft", figure)
            if value:
                found.append((f"{case}: {title}  ({words(value)})".replace("\n", " "), name, figure))
    return found


def all_plots(results):
    """(title, remark, svg) of each plot that the runs at hand have figures for."""
    found = [
        ("Throughput over connections", "Messages a second, closed loop: higher is better. Bars: the smallest and the "
         "largest round.", by_connections(results, "rate", 1000, "thousand messages a second")),
        ("What a message costs the server", "CPU time of all threads of the server, kernel included: lower is better. "
         "A server can buy throughput by keeping every CPU busy; here it cannot.",
         by_connections(results, "cpu_us", 1, "server CPU, us a message", logarithmic=True)),
        ("Latency by percentile, closed loop", "64 B, free; lower is better. Every connection has a "
         "message under way all the time, so this is mostly waiting for one's turn; compare with the floors.",
         closed_loop(results)),
        ("Latency by percentile, fixed rate", "Lower is better. Counted from when a message was due, however late it "
         "was sent. stall and hog: 16 connections, 2000 messages a second, beside a neighbour that computes.",
         fixed_rate(results)),
        ("Neighbours that are always ready", "How good each is, with weft = 1: 100 connections at once, a byte each 2 "
         "ms, and what the neighbours get done. In brackets: weft's own figure.",
         beside_weft(results, points_of(results, "mixed"))),
        ("A server that is idle most of the time", "The same for 16 connections at few messages a second, and one that "
         "sends a byte each 2 ms.", beside_weft(results, points_of(results, "light"), ("peer", "floor"))),
        ("From one worker to more", "How many times as fast: higher is better. The load generator needs a CPU of its "
         "own, so on two CPUs an echo server cannot become twice as fast; skynet and fib32 can.", scaling(results)),
        ("Memory of an idle connection", "Resident memory and page tables of the server, KiB a connection: lower is "
         "better.", one_bar_plot(results, "idle", [("served_kib", "KiB for an idle connection", number)])),
        ("System calls for a message", "128 connections: fewer is better.",
         one_bar_plot(results, "syscalls", [("syscalls", "all calls", number)])),
        ("A connection for each message", "Connect, one message, close.",
         one_bar_plot(results, "churn", [("rate", "msg/s: higher is better", kilo),
                                         ("cpu_us", "server CPU us/msg: lower is better", number)])),
        ("Micro benchmarks", "How good each is, with weft = 1, whatever the benchmark counts. In brackets: weft's own "
         "figure.", beside_weft(results, micro_lines(results))),
    ]
    return [plot for plot in found if plot[2]]
