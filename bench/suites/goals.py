"""What weft must reach beside its peers: ratios of medians in one run, weft over the
best peer (floors apart)."""
from bench.breadth import suite as breadth
from bench.servers import suite as servers
from bench.pipeline.goal import Goal, Point, above, absolute, compared, each, mean_over
from bench.pipeline.results import plain
from bench.pipeline.tables import TREES

RUNTIMES = ("tokio", "tokio-unstable", "go", "onetbb", "rayon")
TOKIO = ("tokio", "tokio-unstable")
FLOOR = ("epoll",)
NOT_AMONG_ALL = ("fib32", "skynet", "idle_task")
MIXED = {"burst": "100 conn.", "p50": "ping p50", "p99": "ping p99"}


def echo_goals(results):
    peers, floors, free = results.who(("peer",)), results.who(("floor",)), results.workers("free")
    every = plain(results, regime="one", workers=1) + plain(results, regime="free", workers=free)
    thousand = plain(results, regime="free", workers=free, connections=1000, size=64)

    def of(experiment, figure, among, wanted, **more):
        words = {"p99": "p99", "p999": "p99.9"}.get(figure, "")
        return each(results, results.select(experiment=experiment), {figure: words}, among, wanted, **more)
    return [
        Goal("echo, messages per server CPU-second, against the best peer", ">= 1.03 x at every point",
             each(results, every, {"per_cpu": ""}, peers, 1.03, at_least=True)),
        Goal("echo, messages per server CPU-second, against the better floor", ">= 0.97 x at every point",
             each(results, every, {"per_cpu": ""}, floors, 0.97, at_least=True)),
        Goal("echo, messages a second, against the best peer", ">= 1.0 x at every point",
             each(results, every, {"rate": ""}, peers, 1.0, at_least=True)),
        Goal("echo at half the peak, 128 conn., p99 and p99.9, against the best peer", "<= 0.9 x",
             of("rate", "p99", peers, 0.9) + of("rate", "p999", peers, 0.9)),
        Goal("echo, 1000 conn., closed loop, free, p99.9", "<= 0.5 x Tokio's, <= 1.1 x the floor's",
             each(results, thousand, {"p999": ""}, TOKIO, 0.5) + each(results, thousand, {"p999": ""}, floors, 1.1)),
        Goal("stall, p99.9, against Tokio", "<= 0.25 x", of("stall", "p999", TOKIO, 0.25)),
        Goal("hog, p99, against Tokio", "<= 1.0 x", of("hog", "p99", TOKIO, 1.0)),
        Goal("churn, messages a second, against the best peer", ">= 1.0 x",
             of("churn", "rate", peers, 1.0, at_least=True)),
    ]


def cost_goals(results):
    idle = results.select(experiment="idle")
    heavy = (*TOKIO, "go")
    return [
        Goal("memory per idle connection, against the best of Tokio and Go", "<= 1.0 x",
             each(results, idle, {"served_kib": "KiB"}, heavy, 1.0)),
        Goal("the same, waiting before taking a buffer", "<= 0.6 x",
             each(results, idle, {"served_kib": "KiB"}, heavy, 0.6, who="weft-wait")),
        Goal("system calls a message at 128 conn.", "<= 2.03",
             absolute(results, results.select(experiment="syscalls"), "syscalls", 2.03)),
    ]


def mixed_goals(results):
    names = results.select(experiment="mixed", workers=results.workers("free"))
    means = [p for figure, words in MIXED.items() for p in mean_over(results, names, figure, TOKIO, 1.0, words)]
    return [
        Goal("mixed: 100 connections, ping p50, ping p99, against Tokio", "<= 1.5 x in each case",
             each(results, names, MIXED, TOKIO, 1.5)),
        Goal("the same, the geometric mean of the cases", "<= 1.0 x", means),
    ]


def light_goals(results):
    rates, ping = (results.select(experiment="light", connections=count) for count in (16, 1))
    return [
        Goal("light: server CPU for a message", "<= 1.2 x Tokio's, <= 1.5 x bare epoll's",
             each(results, rates, {"cpu_us": ""}, TOKIO, 1.2) + each(results, rates, {"cpu_us": ""}, FLOOR, 1.5)),
        Goal("light: context switches for a message, weft's less Tokio's", "<= 0.2",
             above(results, rates, "switches", TOKIO, 0.2)),
        Goal("light, ping: p50, against Tokio", "<= 1.2 x", each(results, ping, {"p50": ""}, TOKIO, 1.2)),
    ]


def micro_points(results, wanted, among, most):
    """`wanted`: says whether a line is meant."""
    return [point for name in results.select(experiment="micro", workers=results.workers("free"))
            for line in results.lines(name) if wanted(line)
            for point in compared(results, name, line, among, most, line)]


def every_micro(line):
    bench, _, part = line.partition(".")
    return bench not in NOT_AMONG_ALL and line != "sleep_1m.wall" and part != "rss"


def speedup(results, bench):
    """From one worker to two, or how many there are."""
    names = [results.select(bench=bench, workers=n) for n in (1, results.workers("free"))]
    ratio = names[0] != names[1] and all(names) and results.speedup(names[0][0], names[1][0], bench, "weft")
    return [Point(bench, "", ratio.value, ratio.low, ratio.high, 1.8, True)] if ratio else []


def micro_goals(results):
    trees = [p for among, most in ((TOKIO, 0.2), (("onetbb",), 1.0))
             for p in micro_points(results, lambda line: line in TREES, among, most)]
    return [
        Goal("every micro benchmark but the ones below, idle_task and memory", "<= 0.7 x the best runtime's",
             micro_points(results, every_micro, RUNTIMES, 0.7)),
        Goal("skynet and fib32", "<= 0.2 x Tokio's, <= 1.0 x oneTBB's", trees),
        Goal("sleep_1m.wall", "<= 1.0 x the best peer's",
             micro_points(results, lambda line: line == "sleep_1m.wall", RUNTIMES, 1.0)),
        Goal("from 1 worker to 2 on skynet and fib32", ">= 1.8 x",
             [p for bench in TREES for p in speedup(results, bench)]),
    ]


def goals(results):
    return (echo_goals(results) + mixed_goals(results) + light_goals(results) + cost_goals(results) +
            micro_goals(results) + breadth.goals(results) + servers.goals(results))
