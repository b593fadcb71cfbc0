"""The plots of the comparison. Needs matplotlib."""
from bench.pipeline.plots import SHOWN, bar_panels, beside, by_connections, closed_loop, curves, ranked
from bench.pipeline.results import plain
from bench.pipeline.text import number, thousands
from bench.suites.compare_plan import TREES
from bench.suites.tables import ACROSS, micro_order, named


def fixed_rate(results):
    words = {"rate": "128 connections, {rate}/s", "stall": "stall: 20 ms of computing each 50 ms",
             "hog": "hog on every worker"}
    return curves(results, [(title.format(**results.cases[name]), name) for experiment, title in words.items()
                            for name in results.select(experiment=experiment)])


def best_first(results, experiment, figures):
    """Bars; `figures`: (figure, title, words) each."""
    return bar_panels(results, [(title, ranked(results, name, figure), words)
                                for name in results.select(experiment=experiment) for figure, title, words in figures])


def scaled(results, names, figure):
    """(workers, [(name, how many times as good with more workers)]) of cases that
    differ in workers only."""
    by_workers = {results.cases[name]["workers"]: name for name in names}
    more = max(by_workers, default=1)
    if more == 1 or 1 not in by_workers:
        return more, []
    ratios = [(who, results.speedup(by_workers[1], by_workers[more], figure, who)) for who in results.who(SHOWN)]
    return more, sorted(((who, r.value, r.low, r.high) for who, r in ratios if r), key=lambda f: -f[1])


def scaling(results):
    pairs = [("echo, 128 connections: msg/s", plain(results, regime="free", connections=128, size=64), "rate")]
    pairs += [(bench, results.select(bench=bench), bench) for bench in TREES]
    found = []
    for title, names, figure in pairs:
        more, times = scaled(results, names, figure)
        found.append((f"{title},\n{more} workers / 1 worker", times, number))
    return bar_panels(results, found, 0.8, line=1)


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
         "was sent. stall and hog: 16 connections, 2000 messages a second, beside a neighbour that computes.",
         fixed_rate(results)),
        ("Neighbours that are always ready", "How good each is, with weft = 1: 100 connections at once, a byte each 2 "
         "ms, and what the neighbours get done. In brackets: weft's own figure.",
         beside(results, points_of(results, "mixed"))),
        ("A server that is idle most of the time", "The same for 16 connections at few messages a second, and one that "
         "sends a byte each 2 ms.", beside(results, points_of(results, "light"), ("peer", "floor"))),
        ("From one worker to more", "How many times as fast: higher is better. The load generator needs a CPU of its "
         "own, so on two CPUs an echo server cannot become twice as fast; skynet and fib32 can.", scaling(results)),
        ("Memory of an idle connection", "Resident memory and page tables of the server, KiB a connection: lower is "
         "better.", best_first(results, "idle", [("served_kib", "KiB for an idle connection", number)])),
        ("System calls for a message", "128 connections: fewer is better.",
         best_first(results, "syscalls", [("syscalls", "all calls", number)])),
        ("A connection for each message", "Connect, one message, close.",
         best_first(results, "churn", [("rate", "msg/s: higher is better", thousands),
                                       ("cpu_us", "server CPU us/msg: lower is better", number)])),
        ("Micro benchmarks", "How good each is, with weft = 1, whatever the benchmark counts. In brackets: weft's own "
         "figure.", beside(results, micro_lines(results))),
    ]
