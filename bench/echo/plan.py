"""What is measured: cases, each of which is run on every server, in turn, for several rounds."""
import dataclasses

from bench.lib.case import BURST, NEIGHBOURS, PING, Case

SERVERS = {"weft": "echo-weft", "epoll": "echo-epoll"}

EXPERIMENTS = {
    "one": "echo, server and client pinned to one CPU",
    "free": "echo, server and client free on 2 CPUs",
    "own": "echo, server and client on a CPU each",
    "sizes": "larger messages, and 16 under way on a connection",
    "scaling": "one worker, two, ... all CPUs",
    "syscalls": "system calls for a message",
    "stall": "a neighbour computes 20 ms without a pause, every 50 ms",
    "hog": "a neighbour on every worker computes all the time, 1 ms at a time",
    "mixed": "a byte each 2 ms, and 100 connections at once, beside neighbours that are always ready",
    "light": "16 connections, few messages a second; a byte each 2 ms on one",
    "churn": "a connection for each message",
    "idle": "idle connections: memory, CPU time",
}
FEW_ROUNDS = ("syscalls", "churn", "stall", "hog", "light")


@dataclasses.dataclass(frozen=True)
class Scope:
    """How much of everything: the default run, --full, --quick."""
    rounds: int
    seconds: float
    connections: tuple
    own: tuple
    sizes: tuple      # (connections, size, depth)
    idle: int
    timers: int
    latency_s: float  # stall and hog: a p99.9 needs some thousand messages
    mixed: tuple      # neighbours
    bursts: int
    light: tuple      # messages a second
    experiments: tuple


SCOPES = {
    "default": Scope(3, 0.6, (1, 16, 128, 1000), (128,), (), 10000, 100000, 2.5,
                     ("none", "chat:2", "yield:2", "spawn:2", "compute:16"), 3, (200, 1000, 5000), tuple(EXPERIMENTS)),
    "full": Scope(5, 2.0, (1, 16, 128, 1000, 10000), (1, 16, 128, 1000, 10000),
                  tuple((c, s, d) for c in (1, 16, 128, 1000) for s, d in ((4096, 1), (64, 16), (4096, 16))),
                  10000, 100000, 8.0, ("none", *(f"{kind}:{n}" for kind in NEIGHBOURS for n in (1, 2, 16))), 5,
                  (200, 1000, 5000), tuple(EXPERIMENTS)),
    "quick": Scope(1, 0.25, (16,), (), (), 200, 1000, 0.5, ("chat:2",), 1, (1000,),
                   ("one", "free", "syscalls", "stall", "mixed", "light", "churn", "idle")),
}


def worker_counts(cpus):
    """1, 2, 4, ... and all."""
    counts = {cpus}
    n = 1
    while n < cpus:
        counts.add(n)
        n *= 2
    return sorted(counts)


def echo(scope, experiment, regime, workers, connections):
    return [Case(experiment, regime, workers, c, seconds=scope.seconds) for c in connections]


def scaling(scope, cpus):
    # on two CPUs "all" is "free": then the case at two workers is one that is run anyway
    regime = "free" if cpus == 2 else "all"
    return [Case("scaling", regime, n, 128, seconds=scope.seconds) for n in worker_counts(cpus)]


def stall(scope):
    quiet = Case("stall", "free", 2, 16, rate=2000, seconds=scope.latency_s / 2)
    return [quiet, dataclasses.replace(quiet, server_args=("--stall",), seconds=scope.latency_s)]


def mixed(scope):
    """Only weft: a loop a thread has no tasks that could be neighbours."""
    return [Case("mixed", "free", 2, **PING, neighbours=neighbours, burst=BURST, bursts=scope.bursts,
                 servers=("weft",), seconds=scope.seconds) for neighbours in scope.mixed]


def light(scope):
    at_rates = [Case("light", "free", 2, 16, rate=rate, seconds=scope.seconds) for rate in scope.light]
    return at_rates + [Case("light", "free", 2, **PING, seconds=scope.seconds)]


def idle(scope):
    busy = Case("idle", "free", 2, 64, idle=scope.idle, seconds=scope.seconds)
    asleep = Case("idle", "free", 2, 0, idle=scope.idle, server_args=(f"--timers={scope.timers}",), servers=("weft",),
                  seconds=scope.latency_s, warmup=1.0)
    return [busy, asleep]


def cases(scope, cpus, only=None):
    """The cases of a run, without those that a machine of so many CPUs cannot do. `only`: names of experiments."""
    found = {
        "one": echo(scope, "one", "one", 1, scope.connections),
        "free": echo(scope, "free", "free", 2, scope.connections),
        "own": echo(scope, "own", "own", 1, scope.own),
        "sizes": [Case("sizes", "free", 2, c, s, d, seconds=scope.seconds) for c, s, d in scope.sizes],
        "scaling": scaling(scope, cpus),
        "syscalls": [Case("syscalls", "free", 2, 128, count_syscalls=True, seconds=scope.seconds)],
        "stall": stall(scope),
        "hog": [Case("hog", "free", 2, 16, server_args=("--hog",), seconds=scope.latency_s / 2)],
        "mixed": mixed(scope),
        "light": light(scope),
        "churn": [Case("churn", "free", 2, 16, churn=True, seconds=scope.seconds)],
        "idle": idle(scope),
    }
    wanted = only or scope.experiments
    return [case for name in EXPERIMENTS if name in wanted for case in found[name] if cpus > 1 or case.regime == "one"]


def rounds_of(case, rounds):
    """Ratios need many short rounds; counts, memory and tails of long runs do not."""
    if case.experiment in ("idle", "mixed"):
        return max(rounds // 2, 1)
    return min(rounds, 2) if case.experiment in FEW_ROUNDS else rounds


def runs(all_cases, rounds):
    """Every (round, case, server) in the order of running: the servers in turn, each first as often as the other."""
    unique = {}
    for case in all_cases:
        unique.setdefault(case.name, case)
    for i in range(rounds):
        for at, case in enumerate(unique.values()):
            if i < rounds_of(case, rounds):
                for server in case.servers if (i + at) % 2 == 0 else reversed(case.servers):
                    yield i, case, server
