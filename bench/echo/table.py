"""The results as text, for the terminal."""
from plan import EXPERIMENTS, REGIMES


def number(value, unit=""):
    """Three significant digits, and no exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0" + unit
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:.{digits}f}{unit}"


def thousands(value):
    return "-" if value is None else number(value / 1000, "k")


def latency(us):
    """Microseconds below a millisecond, milliseconds above."""
    return "-" if us is None else number(us, " us") if us < 1000 else number(us / 1000, " ms")


def align(rows, left):
    """Text columns, as wide as their widest cell; the first `left` ones flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()


def load_words(case):
    """The load of a case, short."""
    words = [f"{case['connections']} conn."] if case["connections"] else []
    words += [f"{case['idle']} idle"] if case["idle"] else []
    words += [f"{case['size']} B"] if case["size"] != 64 else []
    words += [f"{case['depth']} deep"] if case["depth"] > 1 else []
    words += [f"{case['rate']}/s"] if case["rate"] else []
    words += ["churn"] if case["churn"] else []
    return ", ".join(words + [arg.lstrip("-") for arg in case["server_args"]])


HEAD = ("regime", "workers", "load", "server", "msg/s", "CPU us/msg", "client us", "switches/msg", "p50", "p99",
        "p99.9", "calls/msg", "futex/msg", "KiB/idle", "server CPUs")


def row(results, name, case, server):
    def get(figure):
        return results.median(name, server, figure)
    idle = case["idle"] and not case["server_args"] or None     # else its memory is not that of connections alone
    return (case["regime"], str(case["workers"]), load_words(case), server, thousands(get("rate")),
            number(get("cpu_us")), number(get("client_us")), number(get("switches")), latency(get("p50")),
            latency(get("p99")), latency(get("p999")), number(get("syscalls")), number(get("futex")),
            number(idle and get("idle_kib")), number(get("cpus")))


def without_empty_columns(rows):
    """The head, and of the columns those in which something stands."""
    keep = [i for i in range(len(rows[0])) if any(r[i] not in ("-", "") for r in rows[1:])]
    return [tuple(r[i] for i in keep) for r in rows]


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
