"""Compares weft with what its users would pick instead: builds all that can be built,
runs it in turn, and reports."""
import dataclasses
import sys

from bench.breadth import suite as breadth
from bench.servers import suite as servers
from bench.peers import peers
from bench.pipeline.case import NEIGHBOURS, Case, Micro, Plan, light, mixed
from bench.pipeline.run import between, names, parser
from bench.pipeline.tables import TREES
from bench.suites.goals import goals     # noqa: F401 (a part of this suite)

NAME, COMMAND, STRICT, TITLE = "compare", "bench/compare", False, "weft and its peers, side by side"
PEERS = [peer.name for peer in peers.ALL]
EXPERIMENTS = {
    "echo": "echo, closed loop",
    "rate": "echo at a fixed rate: half of the best peer's peak",
    "stall": "a neighbour computes 20 ms without a pause, every 50 ms",
    "hog": "a neighbour on every worker computes all the time, 1 ms at a time",
    "mixed": "a byte each 2 ms, and 100 connections at once, beside neighbours that are always ready",
    "light": "16 connections, few messages a second; a byte each 2 ms on one",
    "churn": "a connection for each message",
    "idle": "memory of idle connections",
    "syscalls": "system calls for a message",
    "scaling": "echo by number of workers: 64 B, 128 connections, free",
    "breadth": "a relay, lines, names, programs, files, jobs",
    "servers": "HTTP, TLS and RESP servers, under wrk, h2load, ab and redis-benchmark",
    "micro": "micro benchmarks",
}

# Name: what one run does. In the order in which they are shown.
MICRO = {
    "switch": "two tasks on one worker hand over to each other",
    "yield_1": "one task yields a million times, alone",
    "yield_1000": "a thousand tasks yield a thousand times each",
    "spawn_join_seq": "spawn an empty task and join it, a million times",
    "spawn_join_batch": "spawn a million empty tasks, then join them all",
    "spawn_outside": "the same from a thread that is not the runtime's",
    "chained_spawn": "each task spawns the next, a million deep",
    "pingpong_1": "two tasks send a word to and fro through two channels of one place",
    "pingpong_1000": "a thousand such pairs at once",
    "skynet": "a tree of tasks, ten children each, a million leaves, whose numbers are summed up on the way back",
    "fib32": "fib(32) by recursion, one of the two calls being a task of its own",
    "mpsc_1p": "one task sends four million words to another, channel of 1024 places",
    "mpsc_8p": "eight tasks send to one",
    "mpmc_8x8": "eight tasks send to eight",
    "mutex_1": "one task locks, counts, unlocks",
    "mutex_8": "eight tasks do so with one mutex",
    "sleep_1m": "a million tasks sleep a second at once: until all have woken, the CPU time, the memory",
    "timer_cancel": "arm a deadline that is an hour away, and cancel it",
    "timer_cancel_all": "the same from a task on every worker at once",
    "timer_late": "how late a thousand sleeps of 0.1 to 10 ms end, with nothing else to do",
    "idle_task": "memory of each of a million tasks that wait for one future",
    "wake_idle": "a thread completes a future, the task that waits reads the clock; the workers sleep",
    "wake_busy": "the same while the workers are busy with others",
    "blocking_1": "an empty job on a thread for blocking calls, one task",
    "blocking_64": "the same, 64 tasks",
    "pread_64": "4 KiB at random of a file in the page cache, 64 tasks",
    "pread_pool_64": "the same, each read on a thread for blocking calls",
    **breadth.BREADTH,
    **servers.SERVERS,
}
MICROS = tuple(name for name in MICRO if name not in breadth.BREADTH and name not in servers.SERVERS)
# Experiments that are not everybody's: those whose servers have neighbours; a floor has
# no tasks.
WITH_NEIGHBOURS = ("weft", "tokio", "go")
IN_LIGHT = (*WITH_NEIGHBOURS, "epoll")
WORKERS = {"one": 1, "free": 2}
TAIL_ROUNDS = 4


@dataclasses.dataclass(frozen=True)
class Scope:
    """How much of everything: the default run, and --quick."""
    seconds: float
    warmup: float
    points: tuple       # (regime, bytes, connections) of the echo
    latency_s: float    # rate, stall and hog: a p99.9 needs some thousand messages
    idle: int
    reps: int
    micro: tuple
    mixed: tuple        # (neighbours, workers); one worker is there to be seen: what goes for two need not go for one
    mixed_s: float
    bursts: int
    light: tuple        # messages a second
    light_s: float
    trees: tuple        # of the micro benchmarks those that are run with one worker, too: how they scale
    once: tuple = ()    # experiments with figures that hardly vary: one round is enough
    tails: tuple = ()   # experiments about tails, which vary most: TAIL_ROUNDS more


SCOPES = {
    "default": Scope(0.7, 0.2, tuple((regime, size, count) for regime in ("one", "free") for size in (64, 4096)
                                     for count in (16, 128, 1000, 10000)), 3.0, 10000, 2, MICROS,
                     (("none", 2), *((f"{kind}:{n}", 2) for kind in NEIGHBOURS for n in (1, 2, 16)), ("chat:2", 1)),
                     2.0, 5, (200, 1000, 5000), 3.0, TREES, tails=("rate", "stall", "hog")),
    "quick": Scope(0.2, 0.05, (("one", 64, 128), ("free", 64, 128), ("free", 64, 1000), ("free", 4096, 128)), 0.4,
                   2000, 1, ("switch", "spawn_join_batch", "pingpong_1", "skynet", "mpsc_8p", "mutex_8"),
                   (("chat:2", 2), ("yield:2", 2), ("spawn:2", 2), ("compute:16", 2)), 0.4, 2, (1000,), 0.4, (),
                   ("mixed", "light", "churn", "idle", "syscalls", "scaling")),
}


def echo(scope, regime, size, connections):
    """Ten thousand connections need longer to come to rest, and to be served often
    enough for a percentile."""
    longer = 2 if connections > 5000 else 1
    return Case("echo", regime, WORKERS[regime], connections, size, seconds=scope.seconds * longer,
                warmup=scope.warmup * longer)


def cases(scope):
    """{experiment: its cases}; that of `rate` with a rate that is yet to be found."""
    short = {"seconds": scope.seconds, "warmup": scope.warmup}
    long = {"seconds": scope.latency_s, "warmup": scope.warmup}
    return {
        "echo": [echo(scope, *point) for point in scope.points],
        "rate": [Case("rate", "free", 2, 128, rate=1, **long)],
        "stall": [Case("stall", "free", 2, 16, rate=2000, server_args=("--stall",), **long)],
        "hog": [Case("hog", "free", 2, 16, rate=2000, server_args=("--hog",), **long)],
        "mixed": mixed(scope, servers=WITH_NEIGHBOURS),
        "light": light(scope, servers=IN_LIGHT),
        "churn": [Case("churn", "free", 2, 16, churn=True, **short)],
        "idle": [Case("idle", "free", 2, 64, idle=scope.idle, seconds=scope.seconds, warmup=scope.latency_s / 2)],
        "syscalls": [Case("syscalls", "free", 2, 128, count_syscalls=True, seconds=scope.seconds)],
        "scaling": [Case("scaling", "free", n, 128, **short) for n in (1, 2)],
        "breadth": breadth.cases(scope),
        "servers": servers.cases(),
        "micro": [Micro(bench, reps=scope.reps) for bench in scope.micro] +
                 [Micro(bench, 1, reps=scope.reps) for bench in scope.trees],
    }


def rounds_of(scope, experiment, rounds):
    if experiment in scope.once:
        return 1
    return rounds + TAIL_ROUNDS if experiment in scope.tails else rounds


def plan(args):
    """`args.workers`: how many there are where the cases above have two."""
    def adapted(case):
        return dataclasses.replace(case, workers=args.workers) if case.workers == 2 else case
    scope = SCOPES[args.scope]
    wanted = {name: [adapted(case) for case in found] for name, found in cases(scope).items()
              if name in (args.only or EXPERIMENTS)}
    return Plan(wanted, {name: rounds_of(scope, name, args.rounds) for name in EXPERIMENTS}, args.workers,
                adapted(echo(scope, "free", 64, 128)))


# --- the command -----------------------------------------------------------------------------------------------------

def parse_args():
    options = parser(COMMAND, __doc__, EXPERIMENTS, f". Participants: {', '.join(PEERS)}.")
    options.set_defaults(scope="default", rounds=3, loader=f"{peers.BIN}/echo-load")
    options.add_argument("--quick", dest="scope", action="store_const", const="quick",
                         help="a part of it, in under five minutes after building")
    options.add_argument("--peers", type=names(PEERS, "participant"), default=PEERS, metavar="NAMES",
                         help="only these participants, separated by commas, and weft")
    options.add_argument("--workers", type=between(int, 1, 256), default=2, metavar="N",
                         help="workers where server and client are free (%(default)s)")
    options.add_argument("--out", default="build/compare", metavar="DIR", help="where the results go (%(default)s)")
    how = options.add_mutually_exclusive_group()
    how.add_argument("--build-only", action="store_true", help="build, say who is missing, and stop")
    how.add_argument("--no-build", dest="build", action="store_false", help="run what is already built")
    return options.parse_args()


def participants(args):
    """weft takes part in any case, and in `light`, which is about its cost, the floor
    that is built along with it."""
    found = [p for p in peers.ALL if p.name in args.peers or p.kind in ("weft", "variant")]
    floors = [dataclasses.replace(p, only=("light",)) for p in peers.ALL
              if p.name not in args.peers and p.kind == "floor" and p.name in IN_LIGHT]
    return found + floors if "light" in (args.only or EXPERIMENTS) else found


def check(args, absent):
    if "weft" in absent:
        sys.exit(f"{COMMAND}: weft itself is missing: {absent['weft']}")
