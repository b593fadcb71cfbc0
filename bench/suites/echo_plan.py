"""What scripts/echo-bench measures: cases, each of which is run on every server, in
turn, for several rounds."""
import dataclasses

from bench.pipeline.case import NEIGHBOURS, Case, Plan, light, mixed

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
    neighbours: tuple
    bursts: int
    light: tuple      # messages a second
    experiments: tuple = tuple(EXPERIMENTS)
    warmup: float = 0.2

    @property
    def mixed(self):
        return [(neighbours, 2) for neighbours in self.neighbours]

    @property
    def mixed_s(self):
        return self.seconds

    light_s = mixed_s


SCOPES = {
    "default": Scope(3, 0.6, (1, 16, 128, 1000), (128,), (), 10000, 100000, 2.5,
                     ("none", "chat:2", "yield:2", "spawn:2", "compute:16"), 3, (200, 1000, 5000)),
    "full": Scope(5, 2.0, (1, 16, 128, 1000, 10000), (1, 16, 128, 1000, 10000),
                  tuple((c, s, d) for c in (1, 16, 128, 1000) for s, d in ((4096, 1), (64, 16), (4096, 16))),
                  10000, 100000, 8.0, ("none", *(f"{kind}:{n}" for kind in NEIGHBOURS for n in (1, 2, 16))), 5,
                  (200, 1000, 5000)),
    "quick": Scope(1, 0.25, (16,), (), (), 200, 1000, 0.5, ("chat:2",), 1, (1000,),
                   ("one", "free", "syscalls", "stall", "mixed", "light", "churn", "idle")),
}


def worker_counts(cpus):
    """1, 2, 4, ... and all."""
    return sorted({cpus} | {2 ** i for i in range(cpus.bit_length()) if 2 ** i < cpus})


def cases(scope, cpus):
    """{experiment: its cases}"""
    short, quiet = {"seconds": scope.seconds}, {"rate": 2000, "seconds": scope.latency_s / 2}
    stall = {"rate": 2000, "server_args": ("--stall",), "seconds": scope.latency_s}
    asleep = {"server_args": (f"--timers={scope.timers}",), "seconds": scope.latency_s, "warmup": 1.0}
    # on two CPUs "all" is "free": then the case at two workers is one that is run
    # anyway
    every = "free" if cpus == 2 else "all"
    return {
        "one": [Case("one", "one", 1, count, **short) for count in scope.connections],
        "free": [Case("free", "free", 2, count, **short) for count in scope.connections],
        "own": [Case("own", "own", 1, count, **short) for count in scope.own],
        "sizes": [Case("sizes", "free", 2, *point, **short) for point in scope.sizes],
        "scaling": [Case("scaling", every, n, 128, **short) for n in worker_counts(cpus)],
        "syscalls": [Case("syscalls", "free", 2, 128, count_syscalls=True, **short)],
        "stall": [Case("stall", "free", 2, 16, **quiet), Case("stall", "free", 2, 16, **stall)],
        "hog": [Case("hog", "free", 2, 16, server_args=("--hog",), seconds=scope.latency_s / 2)],
        # only weft: a loop a thread has no tasks that could be neighbours
        "mixed": mixed(scope, servers=("weft",)),
        "light": light(scope),
        "churn": [Case("churn", "free", 2, 16, churn=True, **short)],
        "idle": [Case("idle", "free", 2, 64, idle=scope.idle, **short),
                 Case("idle", "free", 2, 0, idle=scope.idle, servers=("weft",), **asleep)],
    }


def rounds_of(experiment, rounds):
    """Ratios need many short rounds; counts, memory and tails of long runs do not."""
    if experiment in ("idle", "mixed"):
        return max(rounds // 2, 1)
    return min(rounds, 2) if experiment in FEW_ROUNDS else rounds


def plan(scope, args, cpus):
    """Without the cases that a machine of so many CPUs cannot do, or none of the wanted
    servers."""
    found = {}
    for name, planned in cases(scope, cpus).items():
        if name in (args.only or scope.experiments):
            found[name] = [
                dataclasses.replace(case, servers=servers, seconds=args.seconds or case.seconds) for case in planned
                if (servers := tuple(s for s in case.servers or args.servers if s in args.servers))
                and (cpus > 1 or case.regime == "one")]
    return Plan(found, {name: rounds_of(name, args.rounds) for name in EXPERIMENTS})
