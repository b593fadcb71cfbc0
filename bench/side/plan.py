"""What is compared: cases, each run by every participant in turn, round after round."""
import dataclasses

from bench.lib.case import Case

EXPERIMENTS = {
    "echo": "echo, closed loop",
    "rate": "echo at a fixed rate: half of the best peer's peak",
    "stall": "a neighbour computes 20 ms without a pause, every 50 ms",
    "hog": "a neighbour on every worker computes all the time, 1 ms at a time",
    "churn": "a connection for each message",
    "idle": "memory of idle connections",
    "syscalls": "system calls for a message",
    "scaling": "echo by number of workers: 64 B, 128 connections, free",
    "micro": "micro benchmarks",
}

# Of BENCH.md 2, in its order.
MICRO = ("switch", "yield_1", "yield_1000", "spawn_join_seq", "spawn_join_batch", "spawn_outside", "chained_spawn",
         "pingpong_1", "pingpong_1000", "skynet", "fib32", "mpsc_1p", "mpsc_8p", "mpmc_8x8", "mutex_1", "mutex_8",
         "sleep_1m", "timer_cancel", "timer_cancel_all", "timer_late", "idle_task", "wake_idle", "wake_busy")
TREES = ("skynet", "fib32")
WORKERS = {"one": 1, "free": 2}


@dataclasses.dataclass(frozen=True)
class Micro:
    """One micro benchmark, in a process of its own."""
    bench: str
    workers: int = 2
    experiment: str = "micro"
    regime: str = "free"

    TYPICAL_S = {"sleep_1m": 2.0, "fib32": 1.5, "chained_spawn": 0.4, "idle_task": 4.0}     # of one repetition

    @property
    def name(self):
        return f"{self.bench}-w{self.workers}"

    def estimate_s(self, reps):
        return 0.2 + (reps + 1) * self.TYPICAL_S.get(self.bench, 0.35)


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
    trees: tuple        # of the micro benchmarks those that are run with one worker, too: how they scale
    once: tuple = ()    # experiments with figures that hardly vary: one round is enough


SCOPES = {
    "default": Scope(0.7, 0.2, tuple((regime, size, count) for regime in ("one", "free") for size in (64, 4096)
                                     for count in (16, 128, 1000, 10000)), 3.0, 10000, 2, MICRO, TREES),
    "quick": Scope(0.2, 0.05, (("one", 64, 128), ("free", 64, 128), ("free", 64, 1000), ("free", 4096, 128)), 0.4,
                   2000, 1, ("switch", "spawn_join_batch", "pingpong_1", "skynet", "mpsc_8p", "mutex_8"), (),
                   ("idle", "syscalls", "scaling")),
}


def echo(scope, regime, size, connections):
    """Ten thousand connections need longer to come to rest, and to be served often enough for a percentile."""
    longer = 2 if connections > 5000 else 1
    return Case("echo", regime, WORKERS[regime], connections, size, seconds=scope.seconds * longer,
                warmup=scope.warmup * longer)


def peak(scope):
    """The case whose best rate the fixed rate is half of."""
    return echo(scope, "free", 64, 128)


def at_rate(scope, rate):
    return Case("rate", "free", 2, 128, rate=rate, seconds=scope.latency_s, warmup=scope.warmup)


def neighbour(scope, name):
    return Case(name, "free", 2, 16, rate=2000, server_args=(f"--{name}",), seconds=scope.latency_s,
                warmup=scope.warmup)


def micro(scope):
    return [Micro(bench) for bench in scope.micro] + [Micro(bench, 1) for bench in scope.trees]


def cases(scope, experiment):
    """The cases of an experiment; that of `rate` with a rate that is yet to be found."""
    return {
        "echo": lambda: [echo(scope, *point) for point in scope.points],
        "rate": lambda: [at_rate(scope, 0)],
        "stall": lambda: [neighbour(scope, "stall")],
        "hog": lambda: [neighbour(scope, "hog")],
        "churn": lambda: [Case("churn", "free", 2, 16, churn=True, seconds=scope.seconds, warmup=scope.warmup)],
        "idle": lambda: [Case("idle", "free", 2, 64, idle=scope.idle, seconds=scope.seconds,
                              warmup=scope.latency_s / 2)],
        "syscalls": lambda: [Case("syscalls", "free", 2, 128, count_syscalls=True, seconds=scope.seconds)],
        "scaling": lambda: [Case("scaling", "free", n, 128, seconds=scope.seconds, warmup=scope.warmup)
                            for n in (1, 2)],
        "micro": lambda: micro(scope),
    }[experiment]()


def rounds_of(scope, experiment, rounds):
    return 1 if experiment in scope.once else rounds


def in_turn(participants, first):
    """All of them, each beginning as often as the others."""
    first %= max(len(participants), 1)
    return participants[first:] + participants[:first]
