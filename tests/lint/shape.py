#!/usr/bin/env python3
"""The shape of the code: no function above 50 lines, in the library nine of ten at
most 20; no line above 120 columns, no tab, nothing left unfinished.
"""
import re

from lint import ALL, LAYERS, Lint

FUNCTION_MAX = 50
NINE_OF_TEN_MAX = 20     # in the library
ENOUGH = 100             # functions, for nine of ten to mean something
COLUMNS_MAX = 120
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")


def function_lengths(lines):
    """Yields (line of the signature, length): in this style a body is `{` to `}`, both
    in the first column.
    """
    start = None
    for at, line in enumerate(lines, 1):
        if line == "{":
            start = at - 1
            while start > 1 and lines[start - 2] and not lines[start - 2].startswith(("//", "}", "#")):
                start -= 1
        elif line == "}" and start:
            yield start, at - start + 1
            start = None


def check_nine_of_ten(lint, found):
    """`found`: (length, path, line) of the library's functions."""
    length, path, at = sorted(found)[len(found) * 9 // 10]
    if length > NINE_OF_TEN_MAX:
        lint.report(path, at, f"of ten functions of the library more than one has {length} lines or more")


def check(lint):
    library = []
    for path in lint.files(ALL, (".c", ".h", ".cpp", ".hpp", ".S", ".py")):
        lines = lint.lines(path)
        for at, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                lint.report(path, at, f"{len(line)} columns")
            if "\t" in line and path.suffix != ".S":
                lint.report(path, at, "a tab")
            if UNFINISHED.search(line):
                lint.report(path, at, "unfinished: " + line.strip())
        for at, length in function_lengths(lines):
            if path.parts[0] in LAYERS:
                library.append((length, path, at))
            if length > FUNCTION_MAX:
                lint.report(path, at, f"a function of {length} lines")
    if len(library) >= ENOUGH:
        check_nine_of_ten(lint, library)


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish(f"functions of at most {FUNCTION_MAX} lines, lines of at most {COLUMNS_MAX} columns")
