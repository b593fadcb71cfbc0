"""The page of the comparison."""
import html

from bench.pipeline.case import NEIGHBOURS, REGIMES
from bench.pipeline.page import circumstances, document, plot_parts, text_table
from bench.pipeline.results import Results
from bench.suites import compare_plan, glance, tables
from bench.suites.goals import goals

STYLE = """
body { max-width: 78rem; } p, ul, svg.plot { max-width: 66rem; } svg.plot { display: block; }
td.own { color: #b91c1c; font-weight: 600; } td.floor { color: #64748b; } td.first { border-top: 1px solid #94a3b8; }
td.wrap { white-space: normal; min-width: 7rem; } summary { cursor: pointer; margin: .4rem 0; }
summary h3 { display: inline; font-size: 1rem; } h4 { margin: 1rem 0 .2rem; font-size: .9rem; }
td.better { background: #fef3c7; } .glance th { white-space: normal; }
"""

INTRODUCTION = """
<p><b>weft</b> is a work-stealing runtime for C: tasks are written as straight-line code, and a few threads share them.
This page compares it with what one would use instead, all on one machine, in one hour, under the same load.</p>
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
a latency counts from when its message was due, so a server that stands still cannot hide it.</li>
<li><b>CPU us/msg</b> is the CPU time of all threads of the server, kernel included, for a message. Nine tenths of it
are the kernel's, and no runtime can save those; the floors show how many.</li>
<li><b>Floors</b> are not runtimes, but the least that a program can do to echo, a bare loop a thread. They are not
peers, and "the best peer" is never one of them.</li>
<li><b>Regimes.</b> <i>one</i>: {one}; it shows most clearly what a message costs. <i>free</i>: server and client free
on {cpus} CPUs, {workers} workers; with more busy threads than CPUs the kernel's scheduler has a say.</li>
<li><b>mixed</b>: the server's workers have neighbours of the connections to run, too, which are always ready.
<i>conn100</i>: 100 connections at once, a message on each, until all are answered (the median of {bursts}); the
<i>ping</i>: a byte each 2 ms on one connection, sent when it is due; and what the neighbours get done meanwhile. A chat
counts its round trips, and has two tasks.<details><summary>What a neighbour does</summary>{neighbours}</details></li>
<li><b>light</b>: what a message costs a server that is idle most of the time; <i>ping</i> is the load of mixed.</li>
<li><b>Micro benchmarks</b> measure one thing each, by the same shape and counts in every language; each is run in a
process of its own. A participant without that shape is not in that row.<details><summary>What each does</summary>
{micro}</details></li>
</ul>
"""


def reading(data):
    micro = text_table([("benchmark", "what one run does"), *(compare_plan.MICRO | compare_plan.BREADTH).items()], 2)
    neighbours = text_table([("neighbour", "one round"), *NEIGHBOURS.items()], 2)
    return READING.format(micro=micro, neighbours=neighbours, bursts=compare_plan.SCOPES[data["scope"]].bursts,
                          convention=html.escape(tables.CONVENTION), one=REGIMES["one"], cpus=data["cpus"],
                          workers=data["workers"])


def verdict_class(row, i):
    if row[i].startswith("met"):
        return "yes"
    return "no" if row[i].startswith("MISSED") else ""


def goal_class(row, i):
    return "wrap" if i in (0, 4) else verdict_class(row, i)


def goal_part(found):
    rows = tables.goal_rows(found)
    points = "".join(f"<h4>{html.escape(g.what)}, {html.escape(g.wanted)}: {g.met} of {len(g.points)}</h4>"
                     f"{text_table(tables.point_rows(g), 2, verdict_class)}" for g in found if g.points)
    return (f"<h2>What weft set itself as goals: {tables.summary(found)}</h2><p class=small>Each goal with the point "
            "at which weft is worst; a ratio here is weft's figure over the other's, so &gt;= is about speed, &lt;= "
            "about time, memory or calls. Rounds: the smallest and the largest that one round gave.</p>"
            f"{text_table(rows, 2, goal_class)}<details><summary>All points of each goal</summary>{points}</details>")


def glance_part(results):
    rows = glance.rows(results)

    def shade(row, i):
        if i == 0 or row[i] == "-" or row is rows[0]:
            return ""
        return "better" if float(row[i]) > 1.03 else ""
    return ("<h2>At a glance</h2><p class=small>How good each is with weft = 1, whatever is counted; the geometric "
            "mean where there are several cases. Yellow: better than weft by more than 3 %.</p>"
            f"<div class=glance>{text_table(rows, 1, shade)}</div>")


def participant_part(data):
    rows = [("participant", "kind", "version", "how it is built and how it works")]
    kinds = {"weft": "weft", "variant": "weft, used differently", "peer": "peer", "floor": "floor, no runtime"}
    for peer in data["participants"].values():
        rows.append((peer["label"], kinds[peer["kind"]], peer.get("version", ""), peer["options"]))
    return "<h2>Who takes part</h2>" + text_table(rows, 4, lambda row, i: "wrap" if i >= 2 else "")


def absent_part(data):
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in tables.absences(data))
    return f"<h2>What was left out, and other remarks</h2><ul class=small>{lines}</ul>" if lines else ""


def figure_part(results):
    labels = {results.label(who): results.kind(who) for who in results.who()}

    def looks(row, i):
        names = ["first"] if row[0] else []
        kind = labels.get(row[1])
        names += ["own"] if kind == "weft" and i else ["floor"] if kind == "floor" and i else []
        return " ".join(names)
    parts = ["<h2>All figures</h2>"]
    for title, rows, left in tables.sections(results):
        parts.append(f"<details open><summary><h3>{html.escape(title)}</h3></summary>{text_table(rows, left, looks)}"
                     "</details>")
    return "".join(parts)


def page(data):
    """The whole page for the contents of results.json."""
    results = Results(data)
    where = circumstances(data, f"{data['scope']} run, {data['rounds']} rounds, {data['workers']} workers")
    plots = plot_parts("bench.suites.compare_plots", results)
    body = (f"<h1>weft and its peers, side by side</h1><p class=small>{where}</p>{INTRODUCTION}{glance_part(results)}"
            f"{goal_part(goals(results))}{reading(data)}{plots}{participant_part(data)}{absent_part(data)}"
            f"{figure_part(results)}")
    return document("weft: comparison", body, STYLE)
