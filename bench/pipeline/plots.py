"""The kinds of plots that reports have, each as one piece of SVG; None if there are no
figures. Needs matplotlib."""
from bench.pipeline.results import median, plain
from bench.pipeline.svg import counts_axis, curve_points, nines, plt, svg
from bench.pipeline.text import number

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
        middles = [median(v) for v in values]
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

def curves(results, found, marks=None):
    """A panel for each (title, case): latency over percentile. `marks`: of a title the
    points to stay below."""
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
        if marks and title in marks:
            axis.plot(*zip(*marks[title]), "v", color="#15803d")
        axis.set_title(title, fontsize=9.5)
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g} us" if y < 1000 else f"{y / 1000:g} ms")
    legend(fig, axes, results)
    return svg(fig)


def closed_loop(results, least=2):
    found = [(f"{count} connections", name) for regime, size, points in grids(results, least)
             if (regime, size) == ("free", 64) for count, name in points]
    return curves(results, found)


# --- bars ------------------------------------------------------------------------------------------------------------

def bars(axis, results, found, rows, words=number):
    """Horizontal ones, the first on top, with room for so many rows. `found`: [(name,
    value, low, high)]"""
    for y, (who, value, low, high) in enumerate(found):
        floor = results.kind(who) == "floor"
        axis.barh(y, value, color="white" if floor else look(who)[0], edgecolor=look(who)[0],
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
    """[(name, median, smallest, largest)], the best first."""
    found = []
    for who in results.who(kinds):
        values = results.by_round(name, who, figure).values()
        if values:
            found.append((who, results.median(name, who, figure), min(values), max(values)))
    return sorted(found, key=lambda f: f[1], reverse=results.more_is_better(name, figure))


def bar_panels(results, found, height=0.5, line=None):
    """A panel for each (title, bars, words) that has bars; `line`: where a line is
    across them."""
    found = [panel for panel in found if panel[1]]
    if not found:
        return None
    longest = max(len(bars_of) for _, bars_of, _ in found)
    fig, axes = panels(len(found), height + 0.27 * longest, columns=len(found))
    for axis, (title, bars_of, words) in zip(axes, found):
        bars(axis, results, bars_of, longest, words)
        axis.set_title(title, fontsize=9.5)
        if line:
            axis.axvline(line, color="#64748b", linewidth=0.8, zorder=1)
    return svg(fig)


# --- beside one of them ----------------------------------------------------------------------------------------------

def beside(results, found, kinds=("peer",), base="weft"):
    """A row for each (words, case, figure): how good each participant is, with `base` =
    1, on a logarithmic axis."""
    if not found:
        return None
    fig, axis = plt.subplots(figsize=(WIDTH, 1.3 + 0.25 * len(found)))
    for who in results.who(kinds):
        points = [(ratio, y) for y, (_, name, figure) in enumerate(found)
                  if (ratio := results.goodness(name, figure, who, base)) and ratio.value > 0]
        if points:
            spread = [[max(r.value - r.low, 0) for r, _ in points], [max(r.high - r.value, 0) for r, _ in points]]
            axis.errorbar([r.value for r, _ in points], [y for _, y in points], xerr=spread, elinewidth=0.7,
                          label=results.label(who), **style(who) | {"linestyle": "none", "markersize": 6})
    label = results.label(base)
    axis.axvline(1, color=look(base)[0], linewidth=2.2, label=label)
    axis.set(xscale="log", yticks=range(len(found)), yticklabels=[words for words, _, _ in found],
             xlabel=f"{label} = 1; left of the line: worse than {label}, right of it: better")
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_ylim(len(found) - 0.4, -0.6)
    legend(fig, [axis], results)
    return svg(fig)
