"""What weft must reach beside its peers: ratios of medians in one run, weft over the
best peer (floors apart)."""
from statistics import geometric_mean

from bench.pipeline.goal import Goal, Point, absolute, compared
from bench.pipeline.results import median, plain
from bench.suites import compare_plan
from bench.suites.tables import named

RUNTIMES = ("tokio", "tokio-unstable", "go", "onetbb", "rayon")
TOKIO = ("tokio", "tokio-unstable")
FLOOR = ("epoll",)
HAPROXY = ("haproxy", "haproxy-splice")
WHOSE = {"tokio": "Tokio's", "go": "Go's", "haproxy": "HAProxy's", "pool": "the pool's"}
NOT_AMONG_ALL = ("fib32", "skynet", "idle_task")

# --- points ----------------------------------------------------------------------------------------------------------

def echo_points(results, figure, among, wanted):
    """At every point of the echo that was measured."""
    points = []
    for regime in compare_plan.WORKERS:
        for name in plain(results, regime=regime, workers=results.workers(regime)):
            where = named("echo", results.cases[name])
            points += compared(results, name, figure, among, wanted, where, at_least=True)
    return points


def of_experiment(results, experiment, figures, among, wanted, **more):
    return [point for name in results.select(experiment=experiment) for figure, where in figures.items()
            for point in compared(results, name, figure, among, wanted, where, **more)]


def paired(results, name, figure, among):
    """(the best of `among`, [(weft's figure, the best one's) of each round that both
    have])"""
    best = results.best(name, figure, among)
    ours, others = (results.by_round(name, who, figure) if who else {} for who in ("weft", best))
    return best, {at: (ours[at], others[at]) for at in sorted(ours.keys() & others.keys())}


def mean_over(results, names, figure, among, wanted, where):
    """The geometric mean of the ratios of all cases, and of those of each round."""
    ratios, rounds = [], {}
    for name in names:
        best, pairs = paired(results, name, figure, among)
        if pairs:
            ratios.append(results.ratio(name, figure, "weft", best).value)
        for at, (ours, others) in pairs.items():
            rounds.setdefault(at, []).append(ours / others)
    if not ratios:
        return []
    means = [geometric_mean(values) for values in rounds.values()]
    return [Point(f"{where}, {len(ratios)} cases", "", geometric_mean(ratios), min(means), max(means), wanted, False)]


def above(results, names, figure, among, wanted, where):
    """By how much weft's figure is above the best one of `among`."""
    points = []
    for name in names:
        best, pairs = paired(results, name, figure, among)
        if pairs:
            ours, others = zip(*pairs.values())
            gaps = [a - b for a, b in zip(ours, others)]
            points.append(Point(where(name), results.label(best), median(ours) - median(others), min(gaps), max(gaps),
                                wanted, False, True))
    return points


def micro_points(results, lines, among, wanted):
    """`lines`: says whether one is meant."""
    return [point for name in results.select(experiment="micro", workers=results.workers("free"))
            for line in results.lines(name) if lines(line)
            for point in compared(results, name, line, among, wanted, line)]


def every_micro(line):
    bench, _, part = line.partition(".")
    return bench not in NOT_AMONG_ALL and line != "sleep_1m.wall" and part != "rss"


def speedup(results, bench):
    """From one worker to two, or how many there are."""
    names = [results.select(bench=bench, workers=n) for n in (1, results.workers("free"))]
    ratio = names[0] != names[1] and all(names) and results.speedup(names[0][0], names[1][0], bench, "weft")
    return [Point(bench, "", ratio.value, ratio.low, ratio.high, 1.8, True)] if ratio else []


# --- the table -------------------------------------------------------------------------------------------------------

def echo_goals(results):
    peers, floors = results.who(("peer",)), results.who(("floor",))
    thousand = plain(results, regime="free", workers=results.workers("free"), connections=1000, size=64)
    tail = [p for name in thousand for among, wanted in ((TOKIO, 0.5), (floors, 1.1))
            for p in compared(results, name, "p999", among, wanted, "64 B")]
    return [
        Goal("echo, messages per server CPU-second, against the best peer", ">= 1.03 x at every point",
             echo_points(results, "per_cpu", peers, 1.03)),
        Goal("echo, messages per server CPU-second, against the better floor", ">= 0.97 x at every point",
             echo_points(results, "per_cpu", floors, 0.97)),
        Goal("echo, messages a second, against the best peer", ">= 1.0 x at every point",
             echo_points(results, "rate", peers, 1.0)),
        Goal("echo at half the peak, 128 conn., p99 and p99.9, against the best peer", "<= 0.9 x",
             of_experiment(results, "rate", {"p99": "p99", "p999": "p99.9"}, peers, 0.9)),
        Goal("echo, 1000 conn., closed loop, free, p99.9", "<= 0.5 x Tokio's, <= 1.1 x the floor's", tail),
        Goal("stall, p99.9, against Tokio", "<= 0.25 x",
             of_experiment(results, "stall", {"p999": "p99.9"}, TOKIO, 0.25)),
        Goal("hog, p99, against Tokio", "<= 1.0 x", of_experiment(results, "hog", {"p99": "p99"}, TOKIO, 1.0)),
        Goal("churn, messages a second, against the best peer", ">= 1.0 x",
             of_experiment(results, "churn", {"rate": "msg/s"}, peers, 1.0, at_least=True)),
    ]


def cost_goals(results):
    heavy = (*TOKIO, "go")
    calls = [p for name in results.select(experiment="syscalls")
             for p in absolute(results, name, "syscalls", 2.03, "128 conn.")]
    return [
        Goal("memory per idle connection, against the best of Tokio and Go", "<= 1.0 x",
             of_experiment(results, "idle", {"served_kib": "KiB"}, heavy, 1.0)),
        Goal("the same, waiting before taking a buffer", "<= 0.6 x",
             of_experiment(results, "idle", {"served_kib": "KiB"}, heavy, 0.6, who="weft-wait")),
        Goal("system calls a message at 128 conn.", "<= 2.03", calls),
    ]


MIXED = {"burst": "100 conn.", "p50": "ping p50", "p99": "ping p99"}


def mixed_goals(results):
    names = results.select(experiment="mixed", workers=results.workers("free"))
    each = [p for name in names for figure, words in MIXED.items()
            for p in compared(results, name, figure, TOKIO, 1.5, f"{named('mixed', results.cases[name])}, {words}")]
    means = [p for figure, words in MIXED.items() for p in mean_over(results, names, figure, TOKIO, 1.0, words)]
    return [
        Goal("mixed: 100 connections, ping p50, ping p99, against Tokio", "<= 1.5 x in each case", each),
        Goal("the same, the geometric mean of the cases", "<= 1.0 x", means),
    ]


def light_goals(results):
    rates, ping = (results.select(experiment="light", connections=count) for count in (16, 1))
    cpu = [p for name in rates for among, wanted in ((TOKIO, 1.2), (FLOOR, 1.5))
           for p in compared(results, name, "cpu_us", among, wanted, named("light", results.cases[name]))]
    switches = above(results, rates, "switches", TOKIO, 0.2, lambda name: named("light", results.cases[name]))
    return [
        Goal("light: server CPU for a message", "<= 1.2 x Tokio's, <= 1.5 x bare epoll's", cpu),
        Goal("light: context switches for a message, weft's less Tokio's", "<= 0.2", switches),
        Goal("light, ping: p50, against Tokio", "<= 1.2 x",
             [p for name in ping for p in compared(results, name, "p50", TOKIO, 1.2, "ping")]),
    ]


def micro_goals(results):
    trees = [p for among, wanted in ((TOKIO, 0.2), (("onetbb",), 1.0))
             for p in micro_points(results, lambda line: line in compare_plan.TREES, among, wanted)]
    return [
        Goal("every micro benchmark but the ones below, idle_task and memory", "<= 0.7 x the best runtime's",
             micro_points(results, every_micro, RUNTIMES, 0.7)),
        Goal("skynet and fib32", "<= 0.2 x Tokio's, <= 1.0 x oneTBB's", trees),
        Goal("sleep_1m.wall", "<= 1.0 x the best peer's",
             micro_points(results, lambda line: line == "sleep_1m.wall", RUNTIMES, 1.0)),
        Goal("from 1 worker to 2 on skynet and fib32", ">= 1.8 x",
             [p for bench in compare_plan.TREES for p in speedup(results, bench)]),
    ]


# bench: (what, [(against whom, at least)])
AT_LEAST = {
    "lines": ("lines a second", [(("go",), 1.2), (TOKIO, 1.2)]),
    "resolve": ("look-ups a second", [(("go",), 1.0)]),
    "spawn": ("programs a second, 32 at a time", [(("go",), 1.0), (TOKIO, 1.0)]),
    "files": ("reads a second from the page cache, 64 tasks", [(("pool",), 2.0)]),
    "blocking_1": ("empty jobs a second, one at a time", [(TOKIO, 1.0)]),
    "blocking_64": ("empty jobs a second, 64 at a time", [(TOKIO, 1.0)]),
}
RELAYS = {
    65536: ("MB", [(HAPROXY, 1.0), (("go",), 1.3)]),
    64: ("messages", [(HAPROXY, 1.0), (("go",), 1.5), (TOKIO, 1.0)]),
}


def speed(results, name, line, among, wanted):
    """How often weft does it in the time in which the other one does it once."""
    best, ratio = results.best(name, line, among), None
    if best:
        inverse = not results.more_is_better(name, line)
        ratio = results.ratio(name, line, "weft", best, inverse)
    return [Point(line, results.label(best), ratio.value, ratio.low, ratio.high, wanted, True)] if ratio else []


def breadth_goals(results):
    found = []
    for size, (what, wanted) in RELAYS.items():
        points = [p for name in results.select(relay=True, size=size) for among, least in wanted
                  for p in compared(results, name, "per_cpu", among, least, f"{size} B", at_least=True)]
        found.append(Goal(f"relay of {size} B, 64 conn.: {what} per CPU-second", limits(wanted), points))
    for bench, (what, wanted) in AT_LEAST.items():
        points = [p for name in results.select(bench=bench, workers=results.workers("free"))
                  for among, least in wanted for p in speed(results, name, bench, among, least)]
        found.append(Goal(f"{bench}: {what}", limits(wanted), points))
    return found


def limits(wanted):
    return ">= " + ", ".join(f"{least:g} x {WHOSE[among[0]]}" for among, least in wanted)


def goals(results):
    return (echo_goals(results) + mixed_goals(results) + light_goals(results) + cost_goals(results) +
            micro_goals(results) + breadth_goals(results))
