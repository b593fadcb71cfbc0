"""From runs to figures: medians, ratios of medians, and what the project set itself as targets."""
import dataclasses

from bench.lib.figures import FIGURES, median


class Results:
    """The runs: entries {round, case, server, result}, in the order in which they were made."""

    def __init__(self, entries):
        self.entries = entries
        self.cases = {}
        for e in entries:
            self.cases.setdefault(e["case"]["name"], e["case"])

    def of(self, name, server):
        return [e["result"] for e in self.entries if e["case"]["name"] == name and e["server"] == server]

    def values(self, name, server, figure):
        found = [FIGURES[figure](result) for result in self.of(name, server)]
        return [v for v in found if v is not None]

    def median(self, name, server, figure):
        return median(self.values(name, server, figure))

    def ratio(self, name, figure, inverse=False):
        """weft's median over epoll's (or the inverse), and the smallest and largest ratio of one round."""
        a, b = self.values(name, "weft", figure), self.values(name, "epoll", figure)
        if inverse:
            a, b = b, a
        if not a or not b or not all(b):
            return None
        rounds = [x / y for x, y in zip(a, b)]
        return median(a) / median(b), min(rounds), max(rounds)

    def select(self, **wanted):
        """Names of the cases with these settings."""
        return [name for name, case in self.cases.items() if all(case[key] == value for key, value in wanted.items())]


PLAIN = {"size": 64, "depth": 1, "idle": 0, "rate": 0, "churn": False, "count_syscalls": False, "server_args": []}


def plain(results, regime, workers, connections):
    """The name of a plain echo case, or None."""
    names = results.select(regime=regime, workers=workers, connections=connections, **PLAIN)
    return names[0] if names else None


@dataclasses.dataclass
class Target:
    """One line of the list of targets. `spread`: of the rounds."""
    what: str
    value: float
    wanted: float
    at_least: bool
    unit: str = ""
    spread: tuple = ()
    note: str = ""

    @property
    def met(self):
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted


def ratio_target(results, name, figure, inverse, what, wanted, at_least):
    ratio = results.ratio(name, figure, inverse) if name else None
    return [Target(what, ratio[0], wanted, at_least, spread=ratio[1:])] if ratio else []


def value_target(results, name, figure, what, wanted, scale=1.0, unit="", note=""):
    values = [v / scale for v in results.values(name, "weft", figure)] if name else []
    if not values:
        return []
    return [Target(what, median(values), wanted, False, unit, (min(values), max(values)), note)]


WHERE = {"one": "one CPU", "free": "free on 2"}


def efficiency_targets(results):
    found = []
    for connections, wanted in ((16, 0.95), (128, 0.95), (1000, 0.95), (1, 0.90)):
        for regime, workers in (("one", 1), ("free", 2)):
            found += ratio_target(results, plain(results, regime, workers, connections), "cpu_us", True,
                                  f"messages per CPU-second, {WHERE[regime]}, {connections} conn., against bare epoll",
                                  wanted, True)
    return found


def throughput_targets(results):
    found = []
    for connections in (16, 128, 1000):
        found += ratio_target(results, plain(results, "free", 2, connections), "rate", False,
                              f"messages a second, free on 2, {connections} conn., against bare epoll", 1.0, True)
    return found + ratio_target(results, plain(results, "free", 2, 1000), "p999", False,
                                "p99.9, free on 2, 1000 conn., against bare epoll", 1.1, False)


def light_targets(results):
    found = []
    for name in results.select(experiment="light"):
        case = results.cases[name]
        words = f"16 conn., {case['rate']}/s" if case["connections"] > 1 else "one conn., a byte each 2 ms"
        found += ratio_target(results, name, "cpu_us", False, f"CPU a message, {words}, against bare epoll", 1.5, False)
    return found


def first(names):
    return names[0] if names else None


def targets(results):
    """All targets that the runs at hand have figures for."""
    calls = first(results.select(experiment="syscalls"))
    stall = first(results.select(experiment="stall", server_args=["--stall"]))
    hog = first(results.select(experiment="hog"))
    asleep = first(results.select(experiment="idle", connections=0))
    late = results.median(stall, "weft", "late_p99") if stall else None
    note = f"of that, late sent by the client: {late / 1000:.2f} ms" if late else ""
    found = efficiency_targets(results) + throughput_targets(results) + light_targets(results)
    found += value_target(results, calls, "syscalls", "system calls a message, 128 conn.", 2.05)
    found += value_target(results, calls, "futex", "futex calls a message, 128 conn.", 0.05)
    found += value_target(results, stall, "p99", "stall: p99 of the others", 1, 1000, "ms", note)
    found += value_target(results, stall, "p999", "stall: p99.9 of the others", 4, 1000, "ms")
    found += value_target(results, hog, "p99", "hog: p99", 4, 1000, "ms")
    if asleep:
        case = results.cases[asleep]
        timers = case["server_args"][0].split("=")[1]
        found += value_target(results, asleep, "cpus", f"CPU of {case['idle']} idle conn. and {timers} timers", 0.1,
                              0.01, "%")
    return found
