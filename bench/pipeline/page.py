"""The page of a report: one HTML file that needs nothing else."""
import html
import time

from bench.pipeline import machine, tables
from bench.pipeline.case import NEIGHBOURS, REGIMES
from bench.pipeline.results import Results

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1e293b; background: #fff; max-width: 78rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
p, ul, svg.plot { max-width: 66rem; } p { margin: .3rem 0 .8rem; } .small { color: #64748b; font-size: .88rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } th { text-align: left; border-bottom: 2px solid #cbd5e1; }
th, td { padding: .22rem .7rem .22rem 0; white-space: nowrap; } td { border-bottom: 1px solid #e2e8f0; }
td.n, th.n { text-align: right; } td.yes { color: #15803d; } td.no { color: #b91c1c; font-weight: 600; }
td.own { color: #b91c1c; font-weight: 600; } td.floor { color: #64748b; } td.first { border-top: 1px solid #94a3b8; }
td.wrap { white-space: normal; min-width: 7rem; } td.better { background: #fef3c7; } .glance th { white-space: normal; }
summary { cursor: pointer; margin: .4rem 0; } summary h3 { display: inline; font-size: 1rem; }
h4 { margin: 1rem 0 .2rem; font-size: .9rem; } svg.plot { display: block; height: auto; }
"""

READING = """
<h2>How to read this</h2>
<ul>
<li><b>Only ratios count.</b> All participants run each case in turn, round after round; a figure is the median of its
rounds. The machine's speed drifts, for all alike, so an absolute time says little, and a ratio from one run much.</li>
<li>{convention} If that range has 1 in it, this machine could not tell the two apart.</li>
<li><b>The echo server</b> sends back what it gets. Each is written as its own community would write it, with the same
buffer size, TCP_NODELAY and number of workers. The load comes from a process of its own with one thread, which checks
every byte. <i>Closed loop</i>: a connection sends its next message when one has come back. <i>At a rate</i>:
a latency counts from when its message was due, so a server that stands still cannot hide it; <i>client late</i> is how
late the load itself was.</li>
<li><b>CPU us/msg</b> is the CPU time of all threads of the server, kernel included, for a message. Nine tenths of it
are the kernel's, and no runtime can save those; the floors show how many. <i>client us</i> is the load's own.</li>
<li><b>Floors</b> are not runtimes, but the least that a program can do to echo, a bare loop a thread. They are not
peers, and "the best peer" is never one of them.</li>
<li><b>Regimes.</b> {regimes}. <i>one</i> shows most clearly what a message costs. With more busy threads than CPUs the
kernel's scheduler has a say.</li>
<li><b>mixed</b>: the server's workers have neighbours of the connections to run, too, which are always ready.
<i>conn100</i>: 100 connections at once, a message on each, until all are answered (the median of several times); the
<i>ping</i>: a byte each 2 ms on one connection, sent when it is due; and what the neighbours get done meanwhile. A chat
counts its round trips, and has two tasks.<details><summary>What a neighbour does</summary>{neighbours}</details></li>
<li><b>light</b>: what a message costs a server that is idle most of the time; <i>ping</i> is the load of mixed.</li>
{micro}
</ul>
"""
MICRO = """
<li><b>Micro benchmarks</b> measure one thing each, by the same shape and counts in every language; each is run in a
process of its own. A participant without that shape is not in that row.<details><summary>What each does</summary>
{}</details></li>
"""


def text_table(rows, left, classes=lambda row, i: ""):
    """A table of rows of text, the head first; columns from `left` on are numbers.
    `classes`: of a cell."""
    def cell(tag, row, i):
        names = " ".join(filter(None, ["" if i < left else "n", classes(row, i) if tag == "td" else ""]))
        return f'<{tag} class="{names}">{html.escape(row[i])}</{tag}>'
    lines = ["<tr>" + "".join(cell("th" if r == 0 else "td", row, i) for i in range(len(row))) + "</tr>"
             for r, row in enumerate(rows)]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def circumstances(data):
    """When and where the runs were made."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["began"]))
    workarounds = ", ".join(data["machine"]["mitigations"]) or "none"
    return html.escape(f"{when}, {data['scope']} run, {data['rounds']} rounds, {data['workers']} workers, "
                       f"{data['seconds']:.0f} s. {machine.sentence(data['machine'])}. "
                       f"Mitigations in the kernel: {workarounds}.")


def reading(micro):
    """`micro`: {benchmark: what one run does}"""
    neighbours = text_table([("neighbour", "one round"), *NEIGHBOURS.items()], 2)
    described = MICRO.format(text_table([("benchmark", "what one run does"), *micro.items()], 2)) if micro else ""
    return READING.format(convention=html.escape(tables.CONVENTION), neighbours=neighbours, micro=described,
                          regimes="; ".join(f"<i>{name}</i>: {what}" for name, what in REGIMES.items()))


def plot_part(results):
    """A remark instead if there can be none."""
    try:
        from bench.pipeline import plots
    except ImportError:
        return "<p class=small>No plots: matplotlib is not installed (Debian: python3-matplotlib).</p>"
    return "".join(f"<h2>{html.escape(title)}</h2><p class=small>{html.escape(remark)}</p>{svg}"
                   for title, remark, svg in plots.all_plots(results) if svg)


def verdict_class(row, i):
    return "yes" if row[i].startswith("met") else "no" if row[i].startswith("MISSED") else ""


def goal_part(goals):
    rows = tables.goal_rows(goals)
    points = "".join(f"<h4>{html.escape(g.what)}, {html.escape(g.wanted)}: {g.met} of {len(g.points)}</h4>"
                     f"{text_table(tables.point_rows(g), 2, verdict_class)}" for g in goals if g.points)
    wide = text_table(rows, 2, lambda row, i: "wrap" if i in (0, 4) else verdict_class(row, i))
    return (f"<h2>What weft set itself as goals: {tables.summary(goals)}</h2><p class=small>Each goal with the point "
            "at which weft is worst; a ratio here is weft's figure over the other's, so &gt;= is about speed, &lt;= "
            "about time, memory or calls. Rounds: the smallest and the largest that one round gave.</p>"
            f"{wide}<details><summary>All points of each goal</summary>{points}</details>")


def glance_part(results):
    rows = tables.glance(results)
    table = text_table(rows, 1, lambda row, i: "better" if i and row[i] != "-" and float(row[i]) > 1.03 else "")
    return ("<h2>At a glance</h2><p class=small>How good each is with weft = 1, whatever is counted; the geometric "
            "mean where there are several cases. Yellow: better than weft by more than 3 %.</p>"
            f"<div class=glance>{table}</div>")


def participant_part(data):
    kinds = {"weft": "weft", "variant": "weft, used differently", "peer": "peer", "floor": "floor, no runtime"}
    rows = [("participant", "kind", "version", "how it is built and how it works")]
    rows += [(peer["label"], kinds[peer["kind"]], peer.get("version", ""), peer["options"])
             for peer in data["participants"].values()]
    return "<h2>Who takes part</h2>" + text_table(rows, 4, lambda row, i: "wrap" if i >= 2 else "")


def absent_part(data):
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in tables.absences(data))
    return f"<h2>What was left out, and other remarks</h2><ul class=small>{lines}</ul>" if lines else ""


def figure_part(results, experiments):
    labels = {results.label(who): results.kind(who) for who in results.who()}

    def looks(row, i):
        kind = labels.get(row[1]) if i else ""
        return " ".join(["first"] * bool(row[0]) + {"weft": ["own"], "floor": ["floor"]}.get(kind, []))
    return "<h2>All figures</h2>" + "".join(
        f"<details open><summary><h3>{html.escape(title)}</h3></summary>{text_table(rows, left, looks)}</details>"
        for title, rows, left in tables.sections(results, experiments))


def page(suite, data):
    """The whole page for the contents of results.json."""
    results = Results(data)
    body = (f"<h1>{suite.TITLE}</h1><p class=small>{circumstances(data)}</p><p>{html.escape(suite.__doc__)}</p>"
            f"{glance_part(results)}{goal_part(suite.goals(results))}{reading(suite.MICRO)}{plot_part(results)}"
            f"{participant_part(data)}{absent_part(data)}{figure_part(results, suite.EXPERIMENTS)}")
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{suite.TITLE}</title><style>{STYLE}</style>{body}</html>\n")
