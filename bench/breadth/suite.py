"""What a service does around its sockets: `weft-breadth` beside a program of each
peer's. A part of bench/compare.

relay: messages go through the participant to an echo server of the bench's own
(`breadth-load echo`), which sends each back when it is complete. CPU time is the
relay's only, and in MB/CPU-s a message counts twice, for it passes twice. HAProxy takes
part with `splice-auto` and with splice always; the better one counts.

lines, resolve, spawn, files: measured by the program itself, a tenth to warm up, then
once; .cpu is its CPU time and that of the programs it has run, for one. All buffers for
lines have 16 KiB. The names are answered by a name server in a network and an /etc of
the bench's own (root, or user namespaces). Each task draws names at random: in a fixed
order tasks that have shared a look-up would stay together, and share all that follow.

blocking_1 and _64 are the micro benchmarks. On a busy machine compare CPU time: there a
participant with more threads gets more of the CPUs.
"""
from statistics import median

from bench.peers.peers import BIN
from bench.pipeline.case import Case, Micro
from bench.pipeline.goal import Goal, Point, compared, each

TOKIO, HAPROXY = ("tokio", "tokio-unstable"), ("haproxy", "haproxy-splice")
WHOSE = {"tokio": "Tokio's", "go": "Go's", "haproxy": "HAProxy's", "pool": "the pool's"}
# Name: what one run does. Those of compare.MICRO that belong to `breadth`, too, are run by the
# programs of the micro benchmarks. The figures .cpu are CPU time for one, the programs'
# own included.
BREADTH = {
    "lines": "ten million lines of 100 bytes from a connection",
    "resolve": "10 000 look-ups of 100 names, both families, 64 at a time, a name server in a network of its own",
    "spawn": "960 times /bin/true, 32 at a time",
    "files": "128 000 reads of 4 KiB at random of a file in the page cache, 64 tasks",
    "streams": "memory of each of 10 000 idle connections whose task has a reader and a writer; .without: neither",
}
THROUGH = {"lines": (f"{BIN}/breadth-load", "lines"), "resolve": (f"{BIN}/breadth-load", "names")}
SHARED = ("blocking_1", "blocking_64")
RELAYED = (64, 65536)       # bytes


def cases(scope):
    relays = [Case("breadth", "free", 2, 64, size, relay=True, seconds=scope.seconds, warmup=0.3) for size in RELAYED]
    return (relays + [Micro(bench, reps=1, experiment="breadth", program="breadth", through=THROUGH.get(bench, ()))
                      for bench in BREADTH] + [Micro(bench, reps=1, experiment="breadth") for bench in SHARED])


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


def limits(wanted):
    return ">= " + ", ".join(f"{least:g} x {WHOSE[among[0]]}" for among, least in wanted)


def more_memory(results, name):
    """By how much an idle connection has more memory with a reader and a writer than
    without."""
    with_both, without = (results.by_round(name, "weft", line) for line in ("streams", "streams.without"))
    more = [with_both[at] - without[at] for at in with_both.keys() & without.keys()]
    return [Point("streams", "", median(more), min(more), max(more), 0.2, False, True)] if more else []


def goals(results):
    found = []
    for size, (what, wanted) in RELAYS.items():
        names = results.select(relay=True, size=size)
        points = [p for among, least in wanted for p in each(results, names, {"per_cpu": ""}, among, least,
                                                             at_least=True)]
        found.append(Goal(f"relay of {size} B, 64 conn.: {what} per CPU-second", limits(wanted), points))
    for bench, (what, wanted) in AT_LEAST.items():
        points = [p for name in results.select(bench=bench, workers=results.workers("free"))
                  for among, least in wanted for p in compared(results, name, bench, among, least, at_least=True)]
        found.append(Goal(f"{bench}: {what}", limits(wanted), points))
    found.append(Goal("streams: KiB of an idle connection, with a reader and a writer, less those without", "<= 0.2",
                      [p for name in results.select(bench="streams") for p in more_memory(results, name)]))
    return found
