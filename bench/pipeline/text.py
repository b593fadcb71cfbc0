"""Figures as text, and text in columns."""


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


def milliseconds(us):
    return "-" if us is None else number(us / 1000)


def counted(value):
    """A number of which only the size matters."""
    return number(value / 1e6, "M") if value and value >= 1e6 else thousands(value)


def load_words(case):
    """The load of a case, short."""
    if case.get("neighbours"):
        return f"{case['neighbours']}, a byte each {1000 / case['rate']:g} ms"
    if case["rate"] and case["size"] == 1:
        return f"ping: a byte each {1000 / case['rate']:g} ms"
    words = [f"{case['connections']} conn."] if case["connections"] else []
    words += [f"{case['idle']} idle"] if case["idle"] else []
    words += [f"{case['size']} B"] if case["size"] != 64 else []
    words += [f"{case['depth']} deep"] if case["depth"] > 1 else []
    words += [f"{case['rate']}/s"] if case["rate"] else []
    words += ["churn"] if case["churn"] else []
    return ", ".join(words + [arg.lstrip("-") for arg in case["server_args"]])


def split_head(rows):
    """With a row for each line of the head's cells; short ones stand at the bottom."""
    cells = [cell.split("\n") for cell in rows[0]]
    lines = max(map(len, cells))
    return [*zip(*([""] * (lines - len(cell)) + cell for cell in cells)), *rows[1:]]


def align(rows, left):
    """Columns as wide as their widest cell; the first `left` ones flush left. A cell of
    the head may have lines."""
    rows = split_head(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()
