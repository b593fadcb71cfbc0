"""The plots of the echo benchmark. Needs matplotlib."""
from bench.pipeline.plots import SHOWN, beside, by_connections, closed_loop, curves, grids, legend, panels, with_spread
from bench.pipeline.results import plain
from bench.pipeline.svg import svg

# The targets of the tails, as marks: (1 / share of the messages that are later, us).
STALL, HOG = "stall: 20 ms of computing every 50 ms", "hog on every worker"
MARKS = {STALL: ((100, 1000), (1000, 4000)), HOG: ((100, 4000),)}


def against_floor(results):
    words = {"per_cpu": "messages per CPU-second", "rate": "messages a second"}
    rows = [(f"{words[figure]}: {regime}, {count} conn.", name, figure) for figure in words
            for regime, size, points in grids(results, least=1) if size == 64 for count, name in points]
    return beside(results, rows, ("weft",), "epoll")


def scaling(results):
    names = [name for regime in ("free", "all") for name in plain(results, regime=regime, connections=128, size=64)]
    points = sorted((results.cases[name]["workers"], name) for name in names)
    if len(points) < 2:
        return None
    fig, axes = panels(2, 3.1)
    for axis, figure, scale, label in ((axes[0], "rate", 1000, "thousand messages a second"),
                                       (axes[1], "cpu_us", 1, "server CPU, us a message")):
        for who in results.who(SHOWN):
            with_spread(axis, results, points, who, figure, scale)
        axis.set(xlabel="workers", xticks=[x for x, _ in points], ylabel=label, ylim=(0, None))
    legend(fig, axes, results)
    return svg(fig)


def neighbours(results):
    titles = {"": "stall: without", "--stall": STALL, "--hog": HOG}
    names = results.select(experiment="stall") + results.select(experiment="hog")
    return curves(results, [(titles["".join(results.cases[name]["server_args"])], name) for name in names], MARKS)


def all_plots(results):
    """(title, remark, svg) of each plot."""
    return [
        ("weft against the floor", "Right of the line is better than the floor. Bars: smallest and largest round.",
         against_floor(results)),
        ("Throughput", "One message under way on each connection.",
         by_connections(results, "rate", 1000, "thousand messages a second")),
        ("What a message costs", "CPU time of the server, all its threads, kernel included.",
         by_connections(results, "cpu_us", 1, "server CPU, us a message")),
        ("Latency, closed loop", "Free on 2 CPUs. A full house: latency is mostly waiting for one's turn.",
         closed_loop(results, least=1)),
        ("Scaling", "128 connections, by number of workers.", scaling(results)),
        ("Bad neighbours", "16 connections; stall: 2000 messages a second, counted from when each was due. Triangles: "
         "the targets, to stay below.", neighbours(results)),
    ]
