"""What one run does: a load on an echo server, or a micro benchmark; and what a command
is asked to run in all."""
import dataclasses

from bench.pipeline import machine

# How server and client share the machine. On two CPUs a client and two workers are
# three busy threads, so the free figures depend on the kernel's scheduler as well: the
# pinned ones stand beside them.
REGIMES = {
    "one": "server and client on one CPU, 1 worker",
    "own": "server and client on a CPU each, 1 worker",
    "free": "server and client free on 2 CPUs, 2 workers",
    "all": "server and client free on all CPUs",
}

# Kind of neighbour: what each does, again and again. With KIND:N a server has N of
# them.
NEIGHBOURS = {
    "chat": "a pair of tasks sends a word to and fro through two channels of one place",
    "yield": "a task yields",
    "spawn": "a task spawns an empty task and joins it",
    "sleep": "a task sleeps 0.1 ms",
    "mutex": "a task locks the one mutex of all, yields, unlocks it",
    "compute": "a task computes 10 us, then yields",
}
# A byte each 2 ms on one connection: so deep that each is sent when it is due, whatever
# has come back.
PING = {"connections": 1, "size": 1, "rate": 500, "depth": 1024}
BURST = 100


@dataclasses.dataclass(frozen=True)
class Case:
    """A load on an echo server."""
    experiment: str
    regime: str
    workers: int
    connections: int
    size: int = 64
    depth: int = 1
    idle: int = 0
    rate: int = 0
    churn: bool = False
    relay: bool = False         # the participant relays, to an echo server of the bench's own
    count_syscalls: bool = False
    server_args: tuple = ()
    neighbours: str = ""        # KIND:N, or "none": a server that counts what its neighbours do
    burst: int = 0              # so many connections at once, before the load proper ...
    bursts: int = 5             # ... and so often
    servers: tuple = ()         # the participants; empty: all
    seconds: float = 1.0
    warmup: float = 0.2

    @property
    def name(self):
        """Says what is run, and nothing about why: cases of two experiments with one
        name are run once."""
        words = [self.regime, f"w{self.workers}", f"c{self.connections}"]
        words += [f"{self.size}B"] if self.size != 64 else []
        words += [f"deep{self.depth}"] if self.depth > 1 else []
        words += [f"idle{self.idle}"] if self.idle else []
        words += [f"rate{self.rate}"] if self.rate else []
        words += ["churn"] if self.churn else []
        words += ["relay"] if self.relay else []
        words += ["syscalls"] if self.count_syscalls else []
        words += [f"burst{self.burst}"] if self.burst else []
        words += [self.neighbours] if self.neighbours else []
        return "-".join(words + [arg.lstrip("-") for arg in self.server_args])

    @property
    def program(self):
        """That of a participant (bench/peers/peers.py) which is run."""
        return "relay" if self.relay else "echo"

    @property
    def descriptors(self):
        return self.connections + self.idle + self.burst + 64

    def load_args(self):
        given = ["connections", "size", "depth", "seconds", "warmup"]
        given += [name for name in ("idle", "rate", "burst") if getattr(self, name)]
        given += ["bursts"] if self.burst else []
        flags = ["--churn"] * self.churn + ["--count-syscalls"] * self.count_syscalls
        return [f"--{name}={getattr(self, name)}" for name in given] + flags

    def estimate_s(self):
        """How long one run takes, about: with starting, connecting and stopping."""
        bursts = 0.2 + 0.06 * self.bursts if self.burst else 0
        return self.seconds + self.warmup + bursts + 0.4 + (self.connections + self.idle) * 1e-4


@dataclasses.dataclass(frozen=True)
class Micro:
    """One micro benchmark, in a process of its own."""
    bench: str
    workers: int = 2
    reps: int = 2
    experiment: str = "micro"
    regime: str = "free"
    program: str = "micro"      # or "breadth", "servers"
    through: tuple = ()         # a command that runs it, and is the other end of what it does

    servers, descriptors = (), 0
    TYPICAL_S = {"sleep_1m": 2.0, "fib32": 1.5, "chained_spawn": 0.4, "idle_task": 4.0}     # of one repetition

    @property
    def name(self):
        return f"{self.bench}-w{self.workers}"

    def estimate_s(self):
        return 0.2 + (self.reps + 1) * self.TYPICAL_S.get(self.bench, 0.35)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a command is asked to run."""
    cases: dict             # of each experiment, in the order of running
    rounds: dict            # of each experiment: how often its cases are run
    workers: int = 2        # where server and client are free
    peak: Case = None       # `rate` is half of what the best peer reaches in it


def mixed(scope, **more):
    """`scope.mixed`: of each case the neighbours, and how many workers the server
    has."""
    return [Case("mixed", "free", workers, **PING, neighbours=neighbours, burst=BURST, bursts=scope.bursts,
                 seconds=scope.mixed_s, warmup=scope.warmup, **more) for neighbours, workers in scope.mixed]


def light(scope, **more):
    """`scope.light`: messages a second."""
    common = {"seconds": scope.light_s, "warmup": scope.warmup, **more}
    at_rates = [Case("light", "free", 2, 16, rate=rate, **common) for rate in scope.light]
    return at_rates + [Case("light", "free", 2, **PING, **common)]


def placements():
    """{regime: (CPUs of the server, CPUs of the client)}"""
    every, two = machine.usable_cpus(), machine.two_cpus()
    return {"one": ({two[0]}, {two[0]}), "own": ({two[0]}, {two[-1]}), "free": (set(two), set(two)),
            "all": (set(every), set(every))}
