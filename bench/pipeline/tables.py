"""What was measured and how it stands to the goals, as rows of text; the head is the
first row."""
import statistics

from bench.pipeline.results import PLAIN, plain
from bench.pipeline.text import align, counted, latency, load_words, milliseconds, number, thousands

CONVENTION = ("x weft: how good a participant is, with weft = 1. Above 1 it is better than weft, below 1 worse, "
              "whether the figure counts messages or costs. In brackets: the smallest and the largest of a round.")
TREES = ("skynet", "fib32")
COLUMNS = {     # of a figure: its head, and how it is written
    "rate": ("msg/s", thousands),
    "cpu_us": ("CPU us/msg", number),
    "client_us": ("client us", number),
    "cpus": ("server CPUs", number),
    "p50": ("p50", latency),
    "p99": ("p99", latency),
    "p999": ("p99.9", latency),
    "late_p99": ("client late", latency),
    "served_kib": ("KiB/conn.", number),
    "syscalls": ("calls/msg", number),
    "futex": ("futex/msg", number),
    "switches": ("switches/msg", number),
    "per_cpu": ("msg/CPU-s", thousands),
    "mb_per_cpu": ("MB/CPU-s", number),
}
PLACED = (("rate", "cpu_us", "client_us", "cpus", "p50", "p99", "p999"), ("rate", "cpu_us", "p999"))
SHOWN = {       # of an experiment: its figures, and those of them that are given as a ratio, too
    "echo": (("rate", "cpu_us", "p50", "p99", "p999"), ("rate", "cpu_us", "p999")),
    "one": PLACED, "free": PLACED, "own": PLACED, "sizes": PLACED,
    "rate": (("p50", "p99", "p999", "cpu_us"), ("p99", "p999", "cpu_us")),
    "stall": (("p50", "p99", "p999", "late_p99"), ("p99", "p999")),
    "hog": (("p50", "p99", "p999"), ("p99", "p999")),
    "churn": (("rate", "cpu_us", "p99"), ("rate", "cpu_us")),
    "idle": (("served_kib", "cpus"), ("served_kib",)),
    "syscalls": (("syscalls", "futex"), ("syscalls",)),
    "scaling": (("rate", "cpu_us", "switches"), ("rate", "cpu_us")),
    "breadth": (("rate", "per_cpu", "mb_per_cpu"), ("rate", "per_cpu")),
}
ACROSS = {      # of an experiment: its figures, of which each has a column for each participant
    "mixed": (("burst", "conn100\nms", milliseconds), ("p50", "ping p50\nms", milliseconds),
              ("p99", "p99\nms", milliseconds), ("neighbours", "rounds\nper s", counted)),
    "light": (("cpu_us", "CPU\nus/msg", number), ("switches", "switches\nper msg", number), ("p50", "p50\nus", number),
              ("p99", "p99\nus", number)),
}


def named(case, experiment=""):
    """What tells the case from the others of its experiment."""
    experiment = experiment or case["experiment"]
    if "bench" in case:
        return case["bench"] + (", 1 worker" if case["workers"] == 1 else "")
    if experiment == "mixed":
        return case["neighbours"] + (", 1 worker" if case["workers"] == 1 else "")
    if experiment == "light":
        return f"{case['rate']}/s" if case["size"] > 1 else "ping"
    if experiment == "scaling":
        return f"{case['workers']} worker{'s' * (case['workers'] > 1)}"
    if SHOWN[experiment][0][0] != "rate" or case["churn"]:
        return load_words(case)
    words = f"{case['size']} B, {load_words({**case, 'size': 64})}"
    return f"relay, {words}" if case["relay"] else f"{words}, {case['regime']}"


# --- figures ---------------------------------------------------------------------------------------------------------

def times_weft(results, name, figure, who):
    """The two cells of a ratio."""
    if who == "weft":
        return "1", ""
    ratio = results.goodness(name, figure, who)
    return number(ratio and ratio.value), f"({number(ratio.low)} .. {number(ratio.high)})" if ratio else ""


def belongs(experiment, case):
    """Whether a case is shown there: one of the echo may belong to the scaling, too."""
    scales = experiment == "scaling" and "bench" not in case and PLAIN.items() <= case.items() and (
        case["regime"] in ("free", "all") and (case["connections"], case["size"]) == (128, 64))
    return scales or case["experiment"] == experiment


def row(results, name, who, figures, compared):
    cells = [results.label(who)]
    for figure in figures:
        alone = figure != "served_kib" or not results.cases[name]["server_args"]    # else it is not connections only
        cells.append(COLUMNS[figure][1](results.median(name, who, figure) if alone else None))
        if figure in compared:
            cells += times_weft(results, name, figure, who)
    return cells


def echo_rows(results, experiment, names):
    figures, compared = SHOWN[experiment]
    rows = [["case", "server"]]
    for figure in figures:
        rows[0] += [COLUMNS[figure][0]] + (["x weft", ""] if figure in compared else [])
    for name in names:
        first = named(results.cases[name], experiment)
        for who in results.who():
            if results.runs(name, who):
                rows.append((first, *row(results, name, who, figures, compared)))
                first = ""
    return rows


def across_rows(results, experiment, names):
    """A row a case, for experiments of many cases and few participants."""
    having = [who for who in results.who() if any(results.runs(name, who) for name in names)]
    head, rows = ["case"], [[named(results.cases[name])] for name in names]
    for figure, title, words in ACROSS[experiment]:
        head += [""] + [f"{title}\n{results.label(who)}" for who in having]
        for name, row in zip(names, rows):
            row += [""] + [words(results.median(name, who, figure)) for who in having]
    return [head, *rows]


def micro_lines(results, names):
    """[(words, case, line)]; what differs in workers only stands together."""
    benches = list(dict.fromkeys(results.cases[name]["bench"] for name in names))
    names = sorted(names, key=lambda name: benches.index(results.cases[name]["bench"]))
    return [(line + ", 1 worker" * (results.cases[name]["workers"] == 1), name, line)
            for name in names for line in results.lines(name)]


def micro_rows(results, names):
    rows = [("benchmark", "program", "value", "unit", "x weft", "")]
    for words, name, line in micro_lines(results, names):
        for who in results.who():
            value = results.median(name, who, line)
            if value is not None:
                rows.append((words, results.label(who), number(value), results.unit(name, line),
                             *times_weft(results, name, line, who)))
                words = ""
    return rows


def sections(results, experiments):
    """(title, rows, columns flush left) for each experiment that was run."""
    for experiment, title in experiments.items():
        names = [name for name, case in results.cases.items() if belongs(experiment, case)]
        micro = [name for name in names if "bench" in results.cases[name]]
        echo = [name for name in names if name not in micro]
        if experiment == "scaling" and len(names) < 2:
            continue
        if micro:
            yield title, micro_rows(results, micro), 2
        if echo and experiment in ACROSS:
            yield title, across_rows(results, experiment, echo), 1
        elif echo:
            yield title + ": the relay" * bool(micro), echo_rows(results, experiment, echo), 2


# --- at a glance -----------------------------------------------------------------------------------------------------

def is_memory(line):
    return line.endswith(".rss") or line == "idle_task"


def kinds(results):
    """[(words, [(case, figure)])]"""
    def of(figure, names=None, **wanted):
        return [(name, figure) for name in (results.select(**wanted) if names is None else names)]

    def micro(wanted):
        names = results.select(experiment="micro", workers=results.workers("free"))
        return [(name, line) for name in names for line in results.lines(name) if wanted(line)]
    one = plain(results, regime="one", workers=1)
    free = plain(results, regime="free", workers=results.workers("free"))
    mixed = {"experiment": "mixed", "workers": results.workers("free")}
    breadth = [case["bench"] for case in results.cases.values() if case.get("program") == "breadth" and "bench" in case]
    served = list(dict.fromkeys(case["bench"] for case in results.cases.values() if case.get("program") == "servers"))
    return [
        ("echo on one CPU: messages a second", of("rate", one)),
        ("echo on one CPU: messages per CPU-second", of("cpu_us", one)),
        ("echo on two CPUs: messages a second", of("rate", free)),
        ("echo on two CPUs: messages per CPU-second", of("cpu_us", free)),
        ("echo on two CPUs, closed loop: p99.9", of("p999", free)),
        ("echo at half the peak: p99", of("p99", experiment="rate")),
        ("echo at half the peak: p99.9", of("p999", experiment="rate")),
        ("a neighbour that stalls: p99.9", of("p999", experiment="stall")),
        ("neighbours that hog: p99", of("p99", experiment="hog")),
        ("beside neighbours: 100 connections at once", of("burst", **mixed)),
        ("beside neighbours: p50 of a ping", of("p50", **mixed)),
        ("beside neighbours: p99 of a ping", of("p99", **mixed)),
        ("what the neighbours get done", of("neighbours", **mixed)),
        ("light load: messages per CPU-second", of("cpu_us", experiment="light")),
        ("light load: context switches a message", of("switches", experiment="light")),
        ("light load: p50", of("p50", experiment="light")),
        ("a connection for each message", of("rate", experiment="churn")),
        ("memory of an idle connection", of("served_kib", experiment="idle")),
        ("system calls a message", of("syscalls", experiment="syscalls")),
        ("relay: messages per CPU-second", of("per_cpu", relay=True)),
        *((bench, of(bench, bench=bench)) for bench in breadth),
        *((f"{bench}: CPU time for a request", of(f"{bench}.cpu", bench=bench)) for bench in served),
        *((bench, micro(lambda line, bench=bench: line == bench)) for bench in TREES),
        ("all other micro benchmarks", micro(lambda line: line not in TREES and not is_memory(line))),
        ("memory of tasks", micro(is_memory)),
    ]


def mean(results, points, who):
    """The geometric mean of how good it is at the points, of those at which it has a
    figure."""
    ratios = [r.value for name, figure in points if (r := results.goodness(name, figure, who)) and r.value > 0]
    return statistics.geometric_mean(ratios) if ratios else None


def glance(results):
    """A row for each kind of figure, weft = 1; who has no figure has no column."""
    found = [(words, points) for words, points in kinds(results) if points]
    columns = {who: [number(mean(results, points, who)) for _, points in found] for who in results.who()}
    columns = {who: cells for who, cells in columns.items() if set(cells) - {"-"}}
    head = ("weft = 1; above 1 is better than weft", *(results.label(who) for who in columns))
    return [head] + [(words, *(cells[i] for cells in columns.values())) for i, (words, _) in enumerate(found)]


# --- goals -----------------------------------------------------------------------------------------------------------

def goal_rows(goals):
    rows = [("goal: weft's figure over the other's", "wanted", "worst", "rounds", "where, against whom", "points",
             "verdict")]
    for g in goals:
        w = g.worst if g.points else None
        measured = (number(w.value), w.rounds, w.words, f"{g.met} of {len(g.points)}") if w else ("-", "", "", "")
        rows.append((g.what, g.wanted, *measured, g.verdict))
    return rows


def point_rows(goal):
    rows = [("where", "against", "measured", "rounds", "wanted", "verdict")]
    for p in goal.points:
        verdict = ("met" if p.met else "MISSED") + (", rounds on both sides" if p.unclear else "")
        rows.append((p.where, p.against, number(p.value), p.rounds, f"{'>=' if p.at_least else '<='} {p.wanted:g}",
                     verdict))
    return rows


def missed(goals):
    """The points at which a goal is missed, below its name."""
    for g in goals:
        if g.verdict.startswith("MISSED"):
            yield f"{g.what}, {g.wanted}"
            yield from ("  " + line for line in align([(p.words, number(p.value), f"({p.rounds})")
                                                       for p in g.points if not p.met], 1))


def summary(goals):
    met = sum(g.verdict.startswith("met") for g in goals)
    unmeasured = sum(not g.points for g in goals)
    return f"{met} of {len(goals)} goals met" + (f", {unmeasured} not measured" if unmeasured else "")


# --- the whole -------------------------------------------------------------------------------------------------------

def absences(data):
    """The participants that were left out, of what, and why, one line each."""
    for name, why in data["absent"].items():
        yield f"{name}: {why}"
    for f in data["failures"]:
        label = data["participants"][f["who"]]["label"]
        yield f"{label} failed in {f['case']}, round {f['round'] + 1}, and has no figures there: {f['why']}"
    yield from data["remarks"]


def show(results, experiments, goals):
    """As lines."""
    for title, rows, left in sections(results, experiments):
        yield from ("", title, *("  " + line for line in align(rows, left)))
    yield from ("", CONVENTION, "", *align(glance(results), 1), "", *align(goal_rows(goals), 2))
    yield from ("", summary(goals) + ".")
    for title, lines in (("Missed:", missed(goals)), ("Left out, and other remarks:", absences(results.data))):
        lines = ["  " + line for line in lines]
        yield from ("", title, *lines) if lines else ()
