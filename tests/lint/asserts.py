#!/usr/bin/env python3
"""The library asserts at least so often in a debug build: assertions of all tiers
(base/assert.h), of the compiler too, and calls of a structure's check, a thousand lines
of code, comments and blank lines not counted. The definitions do not count.
"""
import re

from lint import Lint

LIBRARY = ("base", "sched", "reactor", "runtime", "timerwheel")
LEAST = 30                                   # a thousand lines
SMALL = 50                                   # lines: a tree of fewer is not a library
ASSERTS = re.compile(r"\b(?:wf_assert|wf_debug_assert|wf_debug_check|_Static_assert|wf_panic|wf_misuse)\(")
DEFINITIONS = "base/assert.h"
NOT_CODE = re.compile(r"\s*(//.*)?")


def count(lint):
    """How many assertions, in how many lines of code."""
    asserts = lines = 0
    for path in lint.files(LIBRARY, (".c", ".h")):
        code = [line.split("//")[0] for line in lint.lines(path) if not NOT_CODE.fullmatch(line)]
        lines += len(code)
        if str(path) != DEFINITIONS:
            asserts += sum(len(ASSERTS.findall(line)) for line in code)
    return asserts, lines


def check(lint):
    asserts, lines = count(lint)
    if lines >= SMALL and asserts * 1000 < LEAST * lines:
        lint.report(DEFINITIONS, 1, f"{asserts} assertions in {lines} lines: fewer than {LEAST} a thousand")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    asserts, lines = count(tree)
    tree.finish(f"{asserts} assertions in {lines} lines of code: {asserts * 1000 / lines:.1f} a thousand")
