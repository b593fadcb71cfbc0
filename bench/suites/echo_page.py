"""What the echo benchmark shows: all figures, and what the project set itself as
targets; as text, and as a page."""
import html

from bench.pipeline.case import REGIMES
from bench.pipeline.goal import absolute, compared
from bench.pipeline.page import circumstances, document, plot_parts, text_table
from bench.pipeline.results import Results, plain
from bench.pipeline.text import align, counted, latency, load_words, number, thousands, without_empty_columns
from bench.suites.echo_plan import EXPERIMENTS

# --- figures ---------------------------------------------------------------------------------------------------------

HEAD = ("regime", "workers", "load", "server", "msg/s", "CPU us/msg", "client us", "switches/msg", "conn100", "p50",
        "p99", "p99.9", "neighbours/s", "calls/msg", "futex/msg", "KiB/idle", "server CPUs")


def row(results, name, who):
    def get(figure):
        return results.median(name, who, figure)
    case = results.cases[name]
    idle = case["idle"] and not case["server_args"] or None     # else its memory is not that of connections alone
    alone = not case.get("neighbours") or None                  # else the CPU time is that of the neighbours, above all
    return (case["regime"], str(case["workers"]), load_words(case), who, thousands(get("rate")),
            number(alone and get("cpu_us")), number(get("client_us")), number(alone and get("switches")),
            latency(get("burst")), latency(get("p50")), latency(get("p99")), latency(get("p999")),
            counted(get("neighbours")), number(get("syscalls")), number(get("futex")),
            number(idle and get("idle_kib")), number(get("cpus")))


def sections(results):
    """(title, rows) for each experiment that was run; the head is the first row."""
    for experiment, title in EXPERIMENTS.items():
        names = results.select(experiment=experiment)
        rows = [row(results, name, who) for name in names for who in results.who() if results.runs(name, who)]
        if rows:
            yield title, without_empty_columns([HEAD, *rows])


# --- targets ---------------------------------------------------------------------------------------------------------

FLOOR = ("epoll",)
WHERE = {"one": "one CPU", "free": "free on 2"}


def against_floor(results, names, figure, wanted, what, at_least=True):
    return [target for name in names
            for target in compared(results, name, figure, FLOOR, wanted, f"{what}, against bare epoll", at_least)]


def plain_echo(results, regime, connections):
    return plain(results, regime=regime, workers=results.workers(regime), connections=connections, size=64)


def echo_targets(results):
    found = []
    for count, wanted in ((16, 0.95), (128, 0.95), (1000, 0.95), (1, 0.90)):
        for regime, words in WHERE.items():
            found += against_floor(results, plain_echo(results, regime, count), "per_cpu", wanted,
                                   f"messages per CPU-second, {words}, {count} conn.")
    for count in (16, 128, 1000):
        found += against_floor(results, plain_echo(results, "free", count), "rate", 1.0,
                               f"messages a second, free on 2, {count} conn.")
    return found + against_floor(results, plain_echo(results, "free", 1000), "p999", 1.1,
                                 "p99.9, free on 2, 1000 conn.", at_least=False)


def light_targets(results):
    found = []
    for name in results.select(experiment="light"):
        case = results.cases[name]
        words = f"16 conn., {case['rate']}/s" if case["connections"] > 1 else "one conn., a byte each 2 ms"
        found += against_floor(results, [name], "cpu_us", 1.5, f"CPU a message, {words}", at_least=False)
    return found


def tail_targets(results):
    found, ms = [], {"scale": 1000, "unit": "ms"}
    for name in results.select(experiment="stall", server_args=["--stall"]):
        late = results.median(name, "weft", "late_p99")
        note = f"of that, late sent by the client: {late / 1000:.2f} ms" if late else ""
        found += absolute(results, name, "p99", 1, "stall: p99 of the others", note=note, **ms)
        found += absolute(results, name, "p999", 4, "stall: p99.9 of the others", **ms)
    for name in results.select(experiment="hog"):
        found += absolute(results, name, "p99", 4, "hog: p99", **ms)
    return found


def cost_targets(results):
    calls, idle = [], []
    for name in results.select(experiment="syscalls"):
        calls += absolute(results, name, "syscalls", 2.05, "system calls a message, 128 conn.")
        calls += absolute(results, name, "futex", 0.05, "futex calls a message, 128 conn.")
    for name in results.select(experiment="idle", connections=0):
        case = results.cases[name]
        timers = case["server_args"][0].split("=")[1]
        idle += absolute(results, name, "cpus", 0.1, f"CPU of {case['idle']} idle conn. and {timers} timers", 0.01,
                         unit="%")
    return calls, idle


def targets(results):
    """All targets that the runs at hand have figures for."""
    calls, idle = cost_targets(results)
    return echo_targets(results) + light_targets(results) + calls + tail_targets(results) + idle


def target_rows(found):
    rows = [("target", "measured", "rounds", "wanted", "met")]
    for t in found:
        unit = f" {t.unit}" if t.unit else ""
        rows.append((t.where, number(t.value) + unit, f"{number(t.low)} .. {number(t.high)}",
                     f"{'>=' if t.at_least else '<='} {t.wanted:g}{unit}", "yes" if t.met else "NO"))
    return rows


# --- the whole -------------------------------------------------------------------------------------------------------

def show(results):
    """As lines."""
    for title, rows in sections(results):
        yield from ("", title, *("  " + line for line in align(rows, 4)))
    yield from ("", "Regimes: " + "; ".join(f"{name}: {what}" for name, what in REGIMES.items()))
    found = targets(results)
    if found:
        yield from ("", *align(target_rows(found), 1), *(f"{t.where}: {t.note}" for t in found if t.note))
        yield f"{sum(t.met for t in found)} of {len(found)} targets met."


READING = """
<p>Each case is run on both servers in turn, round after round; a figure is the median of its rounds, a ratio the ratio
of two medians from this one run. Absolute times say something about this machine on that day; only the ratios are
results. The load is a process of its own with one thread, which checks every byte that comes back. Closed loop: a
connection sends its next message when one has come back. With a rate, latencies count from when a message was due. CPU
time is that of the server's process with all its threads. "Bare epoll" is an edge-triggered loop a thread and nothing
else.</p>
"""


def target_part(found):
    if not found:
        return ""
    notes = "".join(f"<p class=small>{html.escape(t.where)}: {html.escape(t.note)}</p>" for t in found if t.note)
    return (f"<h2>Targets: {sum(t.met for t in found)} of {len(found)} met</h2>" +
            text_table(target_rows(found), 1, lambda row, i: {"yes": "yes", "NO": "no"}.get(row[i], "")) + notes)


def figure_part(results):
    regimes = "; ".join(f"<b>{name}</b>: {what}" for name, what in REGIMES.items())
    tables = "".join(f"<h3>{html.escape(title)}</h3>{text_table(rows, 4)}" for title, rows in sections(results))
    return f"<h2>All figures</h2><p class=small>Regimes: {regimes}.</p>{tables}"


def page(data):
    """The whole page for the contents of results.json."""
    results = Results(data)
    where = circumstances(data, f"{data['scope']} run, {data['rounds']} rounds")
    return document("weft: echo benchmark",
                    f"<h1>weft: the echo benchmark</h1><p class=small>{where}</p>{READING}"
                    f"{target_part(targets(results))}{plot_parts('bench.suites.echo_plots', results)}"
                    f"{figure_part(results)}")
