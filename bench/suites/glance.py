"""The comparison at a glance: one line for each kind of figure, one column for each
participant, weft = 1."""
import statistics

from bench.pipeline.results import plain
from bench.pipeline.text import number
from bench.suites.compare_plan import BREADTH, TREES


def lines_of(results, wanted):
    """(case, line) of the micro benchmarks with all workers."""
    names = results.select(experiment="micro", workers=results.workers("free"))
    return [(name, line) for name in names for line in results.lines(name) if wanted(line)]


def of_bench(results, bench):
    return [(name, bench) for name in results.select(bench=bench)]


def is_memory(line):
    return line.endswith(".rss") or line == "idle_task"


def kinds(results):
    """[(words, [(case, figure)])]"""
    one = plain(results, regime="one", workers=1)
    mixed = results.select(experiment="mixed", workers=results.workers("free"))
    free = plain(results, regime="free", workers=results.workers("free"))

    def of(experiment, figure):
        return [(name, figure) for name in results.select(experiment=experiment)]
    return [
        ("echo on one CPU: messages a second", [(name, "rate") for name in one]),
        ("echo on one CPU: messages per CPU-second", [(name, "cpu_us") for name in one]),
        ("echo on two CPUs: messages a second", [(name, "rate") for name in free]),
        ("echo on two CPUs: messages per CPU-second", [(name, "cpu_us") for name in free]),
        ("echo on two CPUs, closed loop: p99.9", [(name, "p999") for name in free]),
        ("echo at half the peak: p99", of("rate", "p99")),
        ("echo at half the peak: p99.9", of("rate", "p999")),
        ("a neighbour that stalls: p99.9", of("stall", "p999")),
        ("neighbours that hog: p99", of("hog", "p99")),
        ("beside neighbours: 100 connections at once", [(name, "burst") for name in mixed]),
        ("beside neighbours: p50 of a ping", [(name, "p50") for name in mixed]),
        ("beside neighbours: p99 of a ping", [(name, "p99") for name in mixed]),
        ("what the neighbours get done", [(name, "neighbours") for name in mixed]),
        ("light load: messages per CPU-second", of("light", "cpu_us")),
        ("light load: context switches a message", of("light", "switches")),
        ("light load: p50", of("light", "p50")),
        ("a connection for each message", of("churn", "rate")),
        ("memory of an idle connection", of("idle", "served_kib")),
        ("system calls a message", of("syscalls", "syscalls")),
        ("relay: messages per CPU-second", [(name, "per_cpu") for name in results.select(relay=True)]),
        *((bench, of_bench(results, bench)) for bench in BREADTH),
        *((bench, lines_of(results, lambda line, bench=bench: line == bench)) for bench in TREES),
        ("all other micro benchmarks", lines_of(results, lambda line: line not in TREES and not is_memory(line))),
        ("memory of tasks", lines_of(results, is_memory)),
    ]


def mean(results, points, who):
    """The geometric mean of how good it is at the points, of those at which it has a
    figure."""
    ratios = [r.value for name, figure in points if (r := results.goodness(name, figure, who)) and r.value > 0]
    return statistics.geometric_mean(ratios) if ratios else None


def rows(results):
    """The head first. Participants without any figure here have no column."""
    found = [(words, points) for words, points in kinds(results) if points]
    columns = {who: [number(mean(results, points, who)) for _, points in found] for who in results.who()}
    columns = {who: cells for who, cells in columns.items() if set(cells) - {"-"}}
    head = ("weft = 1; above 1 is better than weft", *(results.label(who) for who in columns))
    return [head] + [(words, *(cells[i] for cells in columns.values())) for i, (words, _) in enumerate(found)]
