#!/usr/bin/env python3
"""docs/cancellation.md is complete: each public function stands either in its table of
calls that may park, or in its list of those that do not; what the headers say of a
function does not contradict that; and each call in the table has a row in
tests/integration/test_cancel_table_*.c (of add-on libraries: tests/extra), which have no
others.
"""
import re

from lint import Lint

PAGE = "docs/cancellation.md"
FUNCTION = re.compile(r"^WEFT_API\b[^(;]*?\b(weft_\w+)\(")
IN_TABLE = re.compile(r"^\| (`weft_[^|]*)\|")
NAME = re.compile(r"`(weft_\w+)(?:\(\))?`")
ROW = re.compile(r'^\s*\{ "(weft_\w+)')
REST = "## Calls that are not cancellation points"


class Function:
    """A public function, where it is declared, and what the comment right above it
    says.
    """

    def __init__(self, path, line, comment):
        self.place = (path, line)
        self.may_park = "May park" in comment
        self.never_parks = "Never parks" in comment and not self.may_park


def public(lint):
    found = {}
    for path in lint.files(("include", "extra"), (".h",)):
        comment = ""
        for at, line in enumerate(lint.lines(path), 1):
            declared = FUNCTION.match(line)
            if declared:
                found[declared.group(1)] = Function(path, at, comment)
            comment = comment + line if line.startswith("//") else ""
    return found


def page(lint):
    """Returns: {call: line} of the table, and {function: line} of the list."""
    table, rest, in_rest = {}, {}, False
    for at, line in enumerate(lint.lines(PAGE), 1):
        in_rest = in_rest or line == REST
        row = IN_TABLE.match(line)
        if row:
            table.update((name, at) for name in NAME.findall(row.group(1)))
        elif in_rest:
            for name in NAME.findall(line):
                rest.setdefault(name, at)
    return table, rest


def tested(lint):
    """Returns: {call: place} of the tests' rows."""
    found = {}
    for path in lint.files(("tests/integration", "tests/extra"), (".c",)):
        if not path.name.startswith("test_cancel_table_"):
            continue
        for at, line in enumerate(lint.lines(path), 1):
            row = ROW.match(line)
            if row:
                found.setdefault(row.group(1), (path, at))
    return found


def check_function(lint, name, function, parks, listed):
    if not parks and not listed:
        lint.report(*function.place, f"{name} is not in {PAGE}")
    elif parks and function.never_parks:
        lint.report(*function.place, f"{name} never parks, but is in the table of {PAGE}")
    elif function.may_park and not parks:
        lint.report(*function.place, f"{name} may park, but is not in the table of {PAGE}")


def check(lint):
    functions, rows = public(lint), tested(lint)
    table, rest = page(lint)

    for name, function in functions.items():
        check_function(lint, name, function, name in table, name in rest)
    for name, line in {**table, **rest}.items():
        if name not in functions:
            lint.report(PAGE, line, f"there is no {name}")
        elif name in table and name in rest:
            lint.report(PAGE, line, f"{name} is in the list of those that do not park, too")
        elif name in table and name not in rows:
            lint.report(PAGE, line, f"{name} has no row in tests/integration/test_cancel_table_*.c")
    for name, place in rows.items():
        if name not in table:
            lint.report(*place, f"{name} is not in the table of {PAGE}")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish(f"{PAGE}, the tests and the headers name the same calls")
