"""The runs as figures: medians, and ratios of medians with their spread over the
rounds."""
import dataclasses
import statistics


def dig(result, *path):
    """result[a][b]..., or None where something is missing."""
    for key in path:
        if not isinstance(result, dict) or key not in result:
            return None
        result = result[key]
    return result


def per_message(kind):
    """The number of system calls of a kind for each message."""
    def figure(result):
        calls, messages = dig(result, "syscalls", kind), result["messages"]
        return None if calls is None or not messages else calls / messages
    return figure


def added_kib(result):
    """Resident memory and page tables that a connection adds, from before the first one
    to the end of the run."""
    before, after = dig(result, "memory", "before"), dig(result, "memory", "end")
    count = result.get("idle", 0) + result.get("connections", 0)
    return sum(after[key] - before[key] for key in after) / count if before and count else None


def relayed_mb_per_cpu(result):
    """What a relay moves in a CPU-second: a message passes it twice."""
    us = dig(result, "server", "cpu_us_per_message")
    return 2 * result["size"] / us if us else None


# Every figure of a run, by name. What a run does not have is None.
FIGURES = {
    "rate": lambda r: dig(r, "messages_per_s"),
    "cpu_us": lambda r: dig(r, "server", "cpu_us_per_message"),
    "per_cpu": lambda r: 1e6 / us if (us := dig(r, "server", "cpu_us_per_message")) else None,
    "mb_per_cpu": relayed_mb_per_cpu,
    "client_us": lambda r: dig(r, "client", "cpu_us_per_message"),
    "cpus": lambda r: None if dig(r, "server", "cpu_s") is None else r["server"]["cpu_s"] / r["seconds"],
    "switches": lambda r: dig(r, "server", "switches_per_message"),
    "p50": lambda r: dig(r, "latency_us", "p50"),
    "p99": lambda r: dig(r, "latency_us", "p99"),
    "p999": lambda r: dig(r, "latency_us", "p999"),
    "burst": lambda r: dig(r, "burst_us", "p50"),
    "neighbours": lambda r: dig(r, "neighbours", "per_s") or None,      # without neighbours: none
    "late_p99": lambda r: dig(r, "late_us", "p99"),
    "syscalls": per_message("total"),
    "futex": per_message("futex"),
    "served_kib": added_kib,
}
# Figures and units; of all others less is better.
MORE_IS_BETTER = {"rate", "per_cpu", "neighbours", "Mmsg/s", "/s", "mb_per_cpu"}


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of two medians; `low` and `high` are the smallest and the largest ratio that one
    round gave."""
    value: float
    low: float
    high: float


def divide(a, b):
    """The ratio of two {round: value}, over the rounds that both have; or None."""
    both = [i for i in a if b.get(i)]
    if not both:
        return None
    rounds = [a[i] / b[i] for i in both]
    return Ratio(median(a[i] for i in both) / median(b[i] for i in both), min(rounds), max(rounds))


class Results:
    """The contents of results.json."""

    def __init__(self, data):
        self.data = data
        self.cases, self.found = {}, {}
        gone = {(f["case"], f["who"]) for f in data["failures"]}    # one failure: no figures in that case
        for run in data["runs"]:
            name, who = run["case"]["name"], run["who"]
            self.cases.setdefault(name, run["case"])
            if (name, who) not in gone:
                self.found.setdefault((name, who), {})[run["round"]] = run["result"]

    def workers(self, regime):
        """How many workers the cases of a regime have, unless they are about the number
        of workers."""
        return 1 if regime in ("one", "own") else self.data["workers"]

    def who(self, kinds=("weft", "variant", "peer", "floor")):
        """The names of the participants, in the order of the tables."""
        return [name for name, peer in self.data["participants"].items() if peer["kind"] in kinds]

    def label(self, name):
        return self.data["participants"][name]["label"]

    def kind(self, name):
        return self.data["participants"][name]["kind"]

    def runs(self, case, who):
        """{round: result}"""
        return self.found.get((case, who), {})

    def by_round(self, case, who, figure):
        """{round: value}. A figure is one of an echo run, or a line of a micro
        benchmark."""
        def value(result):
            if "bench" in self.cases[case]:
                return result.get(figure, {}).get("value")
            return FIGURES[figure](result)
        found = {at: value(result) for at, result in self.runs(case, who).items()}
        return {at: v for at, v in found.items() if v is not None}

    def median(self, case, who, figure):
        return median(self.by_round(case, who, figure).values())

    def micro_results(self, case):
        return [result for who in self.who() for result in self.runs(case, who).values()]

    def unit(self, case, line):
        return next((result[line]["unit"] for result in self.micro_results(case) if line in result), "")

    def more_is_better(self, case, figure):
        return (self.unit(case, figure) if "bench" in self.cases[case] else figure) in MORE_IS_BETTER

    def ratio(self, case, figure, above, below, inverse=False):
        """The figure of `above` over that of `below`, or the other way round; None if
        one of them has none."""
        if inverse:
            above, below = below, above
        return divide(self.by_round(case, above, figure), self.by_round(case, below, figure))

    def speedup(self, one, more, figure, who):
        """How many times as good it is in the case `more` as in the case `one`."""
        a, b = self.by_round(more, who, figure), self.by_round(one, who, figure)
        return divide(a, b) if self.more_is_better(one, figure) else divide(b, a)

    def goodness(self, case, figure, who):
        """How good it is, with weft = 1: above 1 is better, whatever the figure counts."""
        return self.ratio(case, figure, who, "weft", inverse=not self.more_is_better(case, figure))

    def best(self, case, figure, among):
        """The best of some participants, or None if none has the figure."""
        having = [(m, who) for who in among if (m := self.median(case, who, figure)) is not None]
        if not having:
            return None
        return (max if self.more_is_better(case, figure) else min)(having)[1]

    def select(self, **wanted):
        """Names of the cases with these settings."""
        return [name for name, case in self.cases.items() if wanted.items() <= case.items()]

    def lines(self, case):
        """The lines that a micro benchmark has, such as sleep_1m.wall."""
        return list(dict.fromkeys(line for result in self.micro_results(case) for line in result))


PLAIN = {"depth": 1, "idle": 0, "rate": 0, "churn": False, "relay": False, "count_syscalls": False, "server_args": []}


def plain(results, **wanted):
    """The names of the plain echo cases with these settings."""
    return results.select(**PLAIN, **wanted)
