"""The report. From the repository's root: `python3 -B -m bench.echo.report results.json > report.html`."""
import html
import json
import sys

from bench.echo import table
from bench.echo.results import Results, targets
from bench.lib.case import REGIMES
from bench.lib.page import circumstances, document, plot_parts, text_table

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
    met = sum(t.met for t in found)
    rows = table.target_rows(found)
    notes = "".join(f"<p class=small>{html.escape(t.what)}: {html.escape(t.note)}</p>" for t in found if t.note)
    return (f"<h2>Targets: {met} of {len(found)} met</h2>" +
            text_table(rows, 1, lambda row, i: {"yes": "yes", "NO": "no"}.get(row[i], "")) + notes)


def all_plots(results):
    from bench.echo import plots
    return plots.all_plots(results)


def figure_part(results):
    regimes = "; ".join(f"<b>{name}</b>: {what}" for name, what in REGIMES.items())
    parts = [f"<h2>All figures</h2><p class=small>Regimes: {regimes}.</p>"]
    for title, names in table.by_experiment(results):
        parts.append(f"<h3>{html.escape(title)}</h3>" + text_table(table.case_rows(results, names), 4))
    return "".join(parts)


def page(data):
    """The whole page for the contents of results.json."""
    results = Results(data["runs"])
    where = circumstances(data, f"{data['scope']} run, {data['rounds']} rounds")
    return document("weft: echo benchmark",
                    f"<h1>weft: the echo benchmark</h1><p class=small>{where}</p>{READING}"
                    f"{target_part(targets(results))}{plot_parts(lambda: all_plots(results))}{figure_part(results)}")


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        sys.stdout.write(page(json.load(f)))
