"""The results as text, for the terminal."""
from bench.echo.plan import EXPERIMENTS
from bench.lib.case import REGIMES
from bench.lib.text import align, counted, latency, load_words, number, thousands, without_empty_columns


HEAD = ("regime", "workers", "load", "server", "msg/s", "CPU us/msg", "client us", "switches/msg", "conn100", "p50",
        "p99", "p99.9", "neighbours/s", "calls/msg", "futex/msg", "KiB/idle", "server CPUs")


def row(results, name, case, server):
    def get(figure):
        return results.median(name, server, figure)
    idle = case["idle"] and not case["server_args"] or None     # else its memory is not that of connections alone
    alone = not case.get("neighbours") or None                  # else the CPU time is that of the neighbours, above all
    return (case["regime"], str(case["workers"]), load_words(case), server, thousands(get("rate")),
            number(alone and get("cpu_us")), number(get("client_us")), number(alone and get("switches")),
            latency(get("burst")), latency(get("p50")), latency(get("p99")), latency(get("p999")),
            counted(get("neighbours")), number(get("syscalls")), number(get("futex")),
            number(idle and get("idle_kib")), number(get("cpus")))


def case_rows(results, names):
    rows = [HEAD]
    for name in names:
        case = results.cases[name]
        rows += [row(results, name, case, server) for server in case["servers"] if results.of(name, server)]
    return without_empty_columns(rows)


def by_experiment(results):
    """(title, names of its cases) for each experiment that was run."""
    for experiment, title in EXPERIMENTS.items():
        names = results.select(experiment=experiment)
        if names:
            yield title, names


def target_rows(found):
    rows = [("target", "measured", "rounds", "wanted", "met")]
    for t in found:
        unit = f" {t.unit}" if t.unit else ""
        spread = f"{number(t.spread[0])} .. {number(t.spread[1])}" if t.spread else ""
        wanted = f"{'>=' if t.at_least else '<='} {t.wanted:g}{unit}"
        rows.append((t.what, number(t.value) + unit, spread, wanted, "yes" if t.met else "NO"))
    return rows


def show(results, found):
    """The whole report, as lines."""
    for title, names in by_experiment(results):
        yield ""
        yield title
        for line in align(case_rows(results, names), 4):
            yield "  " + line
    yield ""
    yield "Regimes: " + "; ".join(f"{name}: {what}" for name, what in REGIMES.items())
    if found:
        yield ""
        yield from align(target_rows(found), 1)
        yield from (f"{t.what}: {t.note}" for t in found if t.note)
        yield f"{sum(t.met for t in found)} of {len(found)} targets met."
