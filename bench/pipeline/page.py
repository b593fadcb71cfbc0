"""What the pages of the reports look like. A page is one HTML file that needs nothing
else."""
import html
import importlib
import time

from bench.pipeline import machine

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


def text_table(rows, left, classes=lambda row, i: ""):
    """A table of rows of text, the head first; columns from `left` on are numbers.
    `classes`: of a cell."""
    def cell(tag, row, i):
        names = " ".join(filter(None, ["" if i < left else "n", classes(row, i) if tag == "td" else ""]))
        return f'<{tag} class="{names}">{html.escape(row[i])}</{tag}>'
    lines = ["<tr>" + "".join(cell("th" if r == 0 else "td", row, i) for i in range(len(row))) + "</tr>"
             for r, row in enumerate(rows)]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def circumstances(data, how_much):
    """When and where the runs of results.json were made, as a sentence or two of
    HTML."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(data["began"]))
    about = html.escape(machine.sentence(data["machine"]))
    workarounds = html.escape(", ".join(data["machine"]["mitigations"]) or "none")
    return f"{when}, {how_much}, {data['seconds']:.0f} s. {about}. Mitigations in the kernel: {workarounds}."


def plot_parts(module, results):
    """The plots of a module, (title, remark, svg) each; a remark instead if there can
    be none."""
    try:
        found = importlib.import_module(module).all_plots(results)
    except ImportError:
        return "<p class=small>No plots: matplotlib is not installed (Debian: python3-matplotlib).</p>"
    return "".join(f"<h2>{html.escape(title)}</h2><p class=small>{html.escape(remark)}</p>{svg}"
                   for title, remark, svg in found if svg)


def document(title, body, style=""):
    return (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style>{body}</html>\n")
