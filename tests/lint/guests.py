#!/usr/bin/env python3
"""docs/guests.md tells the truth about its tests: each one that it names exists, and
each line of a table whose last column is "shown by" names one.
"""
import re

from lint import Lint

PAGE = "docs/guests.md"
LIST = re.compile(r"`((?:\w+/)?test_\w+\.(?:c|cpp))`:\s*((?:`\w+`(?:,\s*)?)+)")
TOOL = re.compile(r"`(scripts/test|examples)\b")


def folder(name):
    return "tests/" + ("" if "/" in name else "integration/") + name


def check_names(lint, text):
    """The page as a whole: a list of names may go on in the next line."""
    for found in LIST.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        path = lint.root / folder(found.group(1))
        source = path.read_text() if path.is_file() else ""
        for name in re.findall(r"\w+", found.group(2)):
            if not re.search(rf"\b{name}\(void \*\*", source):
                lint.report(PAGE, line, f"there is no {name} in {folder(found.group(1))}")


def check_rows(lint, lines):
    shown = False
    for at, line in enumerate(lines, 1):
        heading = line.endswith("| shown by |")
        shown = line.startswith("|") and (shown or heading)
        if shown and not heading and not line.startswith("|---") and not LIST.search(line) and not TOOL.search(line):
            lint.report(PAGE, at, "this line names no test")


def check(lint):
    lines = lint.lines(PAGE)
    lint.looked_at += 1
    check_names(lint, "\n".join(lines))
    check_rows(lint, lines)


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("each answer names a test that exists")
