"""The comparison as text."""
from bench.pipeline.text import align, counted, latency, load_words, milliseconds, number, thousands
from bench.pipeline.results import PLAIN
from bench.suites import glance
from bench.suites.compare_plan import BREADTH, EXPERIMENTS, MICRO

CONVENTION = ("x weft: how good a participant is, with weft = 1. Above 1 it is better than weft, below 1 worse, "
              "whether the figure counts messages or costs. In brackets: the smallest and the largest of a round.")

KIB = "KiB/conn."
COLUMNS = {     # of a figure: its head, and how it is written
    "rate": ("msg/s", thousands),
    "cpu_us": ("CPU us/msg", number),
    "p50": ("p50", latency),
    "p99": ("p99", latency),
    "p999": ("p99.9", latency),
    "served_kib": (KIB, number),
    "syscalls": ("calls/msg", number),
    "futex": ("futex/msg", number),
    "switches": ("switches/msg", number),
    "per_cpu": ("msg/CPU-s", thousands),
    "mb_per_cpu": ("MB/CPU-s", number),
}
SHOWN = {       # of an experiment: its figures, and those of them that are given as a ratio, too
    "echo": (("rate", "cpu_us", "p50", "p99", "p999"), ("rate", "cpu_us", "p999")),
    "rate": (("p50", "p99", "p999", "cpu_us"), ("p99", "p999", "cpu_us")),
    "stall": (("p50", "p99", "p999"), ("p99", "p999")),
    "hog": (("p50", "p99", "p999"), ("p99", "p999")),
    "churn": (("rate", "cpu_us", "p99"), ("rate", "cpu_us")),
    "idle": (("served_kib",), ("served_kib",)),
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


def spread(ratio):
    return f"({number(ratio.low)} .. {number(ratio.high)})" if ratio else ""


def times_weft(results, name, figure, who):
    """The two cells of a ratio."""
    if who == "weft":
        return "1", ""
    ratio = results.goodness(name, figure, who)
    return number(ratio and ratio.value), spread(ratio)


def belongs(results, experiment, case):
    """Whether a case is shown there: a plain echo may have been run for one experiment,
    and belong to another, too."""
    if "bench" in case or not all(case[key] == value for key, value in PLAIN.items()):
        return case["experiment"] == experiment
    if experiment == "scaling":
        return case["regime"] == "free" and (case["connections"], case["size"]) == (128, 64)
    return experiment == "echo" and case["workers"] == results.workers(case["regime"])


def named(experiment, case):
    """The load in words, and of regime and workers what the experiment varies."""
    if experiment == "echo":
        return f"{case['size']} B, {case['connections']} conn., {case['regime']}"
    if experiment == "mixed":
        return case["neighbours"] + (", 1 worker" if case["workers"] == 1 else "")
    if experiment == "breadth":
        return f"relay, {case['size']} B, {case['connections']} conn."
    if experiment == "light":
        return f"{case['rate']}/s" if case["size"] > 1 else "ping"
    if experiment == "scaling":
        return f"{case['workers']} worker{'s' * (case['workers'] > 1)}"
    return load_words(case)


def head(figures, compared):
    cells = ["case", "server"]
    for figure in figures:
        cells += [COLUMNS[figure][0]] + (["x weft", ""] if figure in compared else [])
    return tuple(cells)


def row(results, name, who, figures, compared):
    cells = [results.label(who)]
    for figure in figures:
        cells.append(COLUMNS[figure][1](results.median(name, who, figure)))
        if figure in compared:
            cells += times_weft(results, name, figure, who)
    return cells


def echo_rows(results, experiment, names):
    figures, compared = SHOWN[experiment]
    rows = [head(figures, compared)]
    for name in names:
        first = named(experiment, results.cases[name])
        for who in results.who():
            if results.runs(name, who):
                rows.append((first, *row(results, name, who, figures, compared)))
                first = ""
    return rows


def across_rows(results, experiment, names):
    """A row a case, for experiments of many cases and few participants."""
    having = [who for who in results.who() if any(results.runs(name, who) for name in names)]
    head, rows = ["case"], [[named(experiment, results.cases[name])] for name in names]
    for figure, title, words in ACROSS[experiment]:
        head += [""] + [f"{title}\n{results.label(who)}" for who in having]
        for name, row in zip(names, rows):
            row += [""] + [words(results.median(name, who, figure)) for who in having]
    return [head, *rows]


def micro_rows(results, names):
    rows = [("benchmark", "program", "value", "unit", "x weft", "")]
    for name in names:
        case = results.cases[name]
        for line in results.lines(name):
            first = line + (f", {case['workers']} worker" if case["workers"] == 1 else "")
            for who in results.who():
                value = results.median(name, who, line)
                if value is not None:
                    rows.append((first, results.label(who), number(value), results.unit(name, line),
                                 *times_weft(results, name, line, who)))
                    first = ""
    return rows


def micro_order(results, name):
    case = results.cases[name]
    return [*BREADTH, *MICRO].index(case["bench"]), -case["workers"]


def sections(results):
    """(title, rows, columns flush left) for each experiment that was run; the head is
    the first row."""
    for experiment, title in EXPERIMENTS.items():
        names = [name for name, case in results.cases.items() if belongs(results, experiment, case)]
        if not names or experiment == "scaling" and len(names) < 2:
            continue
        micro = [name for name in names if "bench" in results.cases[name]]
        if micro:
            yield title, micro_rows(results, sorted(micro, key=lambda name: micro_order(results, name))), 2
        names = [name for name in names if name not in micro]
        if not names:
            continue
        title += ": the relay" if micro else ""
        if experiment in ACROSS:
            yield title, across_rows(results, experiment, names), 1
        else:
            yield title, echo_rows(results, experiment, names), 2


# --- the goals -------------------------------------------------------------------------------------------------------

def point_words(point):
    return point.where + (f", {point.against}" if point.against else "")


def goal_rows(found):
    rows = [("goal: weft's figure over the other's", "wanted", "worst", "rounds", "where, against whom", "points",
             "verdict")]
    for g in found:
        if not g.points:
            rows.append((g.what, g.wanted, "-", "", "", "", g.verdict))
            continue
        w = g.worst
        rows.append((g.what, g.wanted, number(w.value), f"{number(w.low)} .. {number(w.high)}", point_words(w),
                     f"{g.met} of {len(g.points)}", g.verdict))
    return rows


def point_rows(goal):
    rows = [("where", "against", "measured", "rounds", "wanted", "verdict")]
    for p in goal.points:
        verdict = ("met" if p.met else "MISSED") + (", rounds on both sides" if p.unclear else "")
        rows.append((p.where, p.against, number(p.value), f"{number(p.low)} .. {number(p.high)}",
                     f"{'>=' if p.at_least else '<='} {p.wanted:g}", verdict))
    return rows


def missed(found):
    """The points at which a goal is missed, below its name."""
    for g in found:
        if g.verdict.startswith("MISSED"):
            yield f"{g.what}, {g.wanted}"
            rows = [(point_words(p), number(p.value), f"({number(p.low)} .. {number(p.high)})")
                    for p in g.points if not p.met]
            yield from ("  " + line for line in align(rows, 1))


def summary(found):
    met = sum(g.verdict.startswith("met") for g in found)
    unmeasured = sum(not g.points for g in found)
    return f"{met} of {len(found)} goals met" + (f", {unmeasured} not measured" if unmeasured else "")


def absences(data):
    """The participants that were left out, of what, and why, one line each."""
    for name, why in data["absent"].items():
        yield f"{name}: {why}"
    for f in data["failures"]:
        label = data["participants"][f["who"]]["label"]
        yield f"{label} failed in {f['case']}, round {f['round'] + 1}, and has no figures there: {f['why']}"
    yield from data["remarks"]


def show(results, found):
    """The whole comparison, as lines."""
    for title, rows, left in sections(results):
        yield from ("", title, *("  " + line for line in align(rows, left)))
    yield from ("", CONVENTION, "", *align(glance.rows(results), 1), "", *align(goal_rows(found), 2))
    yield from ("", summary(found) + ".")
    lines = list(missed(found))
    if lines:
        yield from ("", "Missed:", *("  " + line for line in lines))
    lines = list(absences(results.data))
    if lines:
        yield from ("", "Left out, and other remarks:", *("  " + line for line in lines))
