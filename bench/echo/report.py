#!/usr/bin/env python3
"""The report: one HTML file that needs nothing else. `report.py results.json > report.html` makes it anew."""
import html
import json
import sys
import time

import machine
import table
from plan import REGIMES
from results import Results, targets

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1e293b; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
p { margin: .3rem 0 .8rem; } .small { color: #64748b; font-size: .88rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } th { text-align: left; border-bottom: 2px solid #cbd5e1; }
th, td { padding: .22rem .7rem .22rem 0; white-space: nowrap; } td { border-bottom: 1px solid #e2e8f0; }
td.n, th.n { text-align: right; } td.yes { color: #15803d; } td.no { color: #b91c1c; font-weight: 600; }
svg.plot { max-width: 100%; height: auto; }
"""

READING = """
<p>Each case is run on both servers in turn, round after round; a figure is the median of its rounds, a ratio the ratio
of two medians from this one run. Absolute times say something about this machine on that day; only the ratios are
results. The load is a process of its own with one thread, which checks every byte that comes back. Closed loop: a
connection sends its next message when one has come back. With a rate, latencies count from when a message was due. CPU
time is that of the server's process with all its threads. "Bare epoll" is an edge-triggered loop a thread and nothing
else.</p>
"""


def text_table(rows, left, classes=lambda row, i: ""):
    def cell(tag, row, i):
        names = " ".join(filter(None, ["" if i < left else "n", classes(row, i) if tag == "td" else ""]))
        return f'<{tag} class="{names}">{html.escape(row[i])}</{tag}>'
    lines = ["<tr>" + "".join(cell("th" if r == 0 else "td", row, i) for i in range(len(row))) + "</tr>"
             for r, row in enumerate(rows)]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def target_part(found):
    if not found:
        return ""
    met = sum(t.met for t in found)
    rows = table.target_rows(found)
    notes = "".join(f"<p class=small>{html.escape(t.what)}: {html.escape(t.note)}</p>" for t in found if t.note)
    return (f"<h2>Targets: {met} of {len(found)} met</h2>" +
            text_table(rows, 1, lambda row, i: {"yes": "yes", "NO": "no"}.get(row[i], "")) + notes)


def plot_part(results):
    try:
        import plots
    except ImportError:
        return "<p class=small>No plots: matplotlib is not installed (Debian: python3-matplotlib).</p>"
    return "".join(f"<h2>{html.escape(title)}</h2><p class=small>{html.escape(remark)}</p>{svg}"
                   for title, remark, svg in plots.all_plots(results))


def figure_part(results):
    regimes = "; ".join(f"<b>{name}</b>: {what}" for name, what in REGIMES.items())
    parts = [f"<h2>All figures</h2><p class=small>Regimes: {regimes}.</p>"]
    for title, names in table.by_experiment(results):
        parts.append(f"<h3>{html.escape(title)}</h3>" + text_table(table.case_rows(results, names), 4))
    return "".join(parts)


def page(data):
    """The whole page for the contents of results.json."""
    results = Results(data["runs"])
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["began"]))
    about = html.escape(machine.sentence(data["machine"]))
    workarounds = html.escape(", ".join(data["machine"]["mitigations"]) or "none")
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>weft: echo benchmark</title><style>{STYLE}</style><h1>weft: the echo benchmark</h1>"
            f"<p class=small>{when}, {data['scope']} run, {data['rounds']} rounds, {data['seconds']:.0f} s. {about}. "
            f"Mitigations in the kernel: {workarounds}.</p>{READING}{target_part(targets(results))}"
            f"{plot_part(results)}{figure_part(results)}</html>\n")


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        sys.stdout.write(page(json.load(f)))
