"""The echo benchmark: runs weft and a bare epoll loop a thread on the same load, in turn,
and compares."""
import dataclasses
import pathlib
import sys

from bench.peers import peers
from bench.pipeline import machine
from bench.pipeline.case import NEIGHBOURS, Case, Plan, light, mixed
from bench.pipeline.goal import Goal, absolute, each
from bench.pipeline.results import plain
from bench.pipeline.run import between, names, parser

NAME, COMMAND, STRICT, TITLE = "echo", "echo-bench", True, "weft: the echo benchmark"
ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVERS = {"weft": "echo-weft", "epoll": "echo-epoll"}
MICRO = {}
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


def plan(args):
    """Without the cases that a machine of so many CPUs cannot do, or none of the wanted
    servers."""
    scope, cpus, found = SCOPES[args.scope], len(machine.usable_cpus()), {}
    for name in args.only or scope.experiments:
        found[name] = [
            dataclasses.replace(case, servers=servers, seconds=args.seconds or case.seconds)
            for case in cases(scope, cpus)[name]
            if (servers := tuple(s for s in case.servers or args.servers if s in args.servers))
            and (cpus > 1 or case.regime == "one")]
    need = max((case.descriptors for planned in found.values() for case in planned), default=0)
    limit = machine.descriptor_limit()
    if not need:
        sys.exit(f"{COMMAND}: nothing to run, with these servers and so many CPUs")
    if need > limit:
        sys.exit(f"{COMMAND}: {need} open files are needed, and a process may have {limit} here. Raise the hard limit "
                 "(ulimit -Hn, /etc/security/limits.conf, docker --ulimit nofile=...), or choose experiments that need "
                 "less with --only, or --quick.")
    return Plan(found, {name: rounds_of(name, args.rounds) for name in EXPERIMENTS})


# --- what weft must reach --------------------------------------------------------------------------------------------

FLOOR = ("epoll",)


def goals(results):
    def of(experiment, **more):
        return results.select(experiment=experiment, **more)

    def plains(regime, *counts):
        return [name for count in counts
                for name in plain(results, regime=regime, workers=results.workers(regime), connections=count, size=64)]
    busy, alone = (plains("one", *counts) + plains("free", *counts) for counts in ((16, 128, 1000), (1,)))
    per_cpu, stall = {"per_cpu": ""}, of("stall", server_args=["--stall"])
    return [
        Goal("messages per CPU-second, against bare epoll", ">= 0.95 x, >= 0.9 x with one connection",
             each(results, busy, per_cpu, FLOOR, 0.95, at_least=True) +
             each(results, alone, per_cpu, FLOOR, 0.9, at_least=True)),
        Goal("messages a second, free, against bare epoll", ">= 1.0 x",
             each(results, plains("free", 16, 128, 1000), {"rate": ""}, FLOOR, 1.0, at_least=True)),
        Goal("p99.9, free, 1000 conn., against bare epoll", "<= 1.1 x",
             each(results, plains("free", 1000), {"p999": ""}, FLOOR, 1.1)),
        Goal("light: CPU a message, against bare epoll", "<= 1.5 x",
             each(results, of("light"), {"cpu_us": ""}, FLOOR, 1.5)),
        Goal("system calls a message, futex calls among them", "<= 2.05, <= 0.05",
             absolute(results, of("syscalls"), "syscalls", 2.05, "all") +
             absolute(results, of("syscalls"), "futex", 0.05, "futex")),
        Goal("stall: p99 and p99.9 of the others, ms", "<= 1, <= 4",
             absolute(results, stall, "p99", 1, "p99", 1000) + absolute(results, stall, "p999", 4, "p99.9", 1000)),
        Goal("hog: p99, ms", "<= 4", absolute(results, of("hog"), "p99", 4, "p99", 1000)),
        Goal("CPU of idle connections and timers, %", "<= 0.1",
             absolute(results, of("idle", connections=0), "cpus", 0.1, scale=0.01)),
    ]


# --- the command -----------------------------------------------------------------------------------------------------

def parse_args():
    options = parser(COMMAND, __doc__, EXPERIMENTS)
    options.set_defaults(scope="default", build=False, build_only=False)
    how_much = options.add_mutually_exclusive_group()
    how_much.add_argument("--full", dest="scope", action="store_const", const="full",
                          help="the whole grid: about twenty minutes")
    how_much.add_argument("--quick", dest="scope", action="store_const", const="quick",
                          help="ten seconds: shows that everything works, measures nothing")
    options.add_argument("--seconds", type=between(float, 0.05, 3600), metavar="S", help="measured time of each run")
    options.add_argument("--servers", type=names(SERVERS, "server"), default=list(SERVERS), metavar="NAMES",
                         help="which servers, separated by commas: weft, epoll")
    options.add_argument("--bin", default=ROOT / "build/bench/bench", metavar="DIR", help="where the programs are")
    options.add_argument("--out", default=ROOT / "build/echo-bench", metavar="DIR", help="where the results go")
    args = options.parse_args()
    args.rounds = args.rounds or SCOPES[args.scope].rounds
    args.loader = f"{args.bin}/echo-load"
    return args


def participants(args):
    return [dataclasses.replace(peer, echo=f"{args.bin}/{SERVERS[peer.name]}", micro="", relay="", breadth="")
            for peer in peers.ALL if peer.name in args.servers]


def check(args, absent):
    missing = [*absent.values()] + [f"{args.loader} is missing"] * (not pathlib.Path(args.loader).exists())
    if missing:
        sys.exit(f"{COMMAND}: {'; '.join(missing)}. scripts/echo-bench builds them.")
