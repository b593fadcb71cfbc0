#!/usr/bin/env python3
"""Every atomic operation says why its memory order suffices.

Atomics are reached only through base/atomic.h. At each call, on its lines or within the
three above, a comment names a labelled edge ([D1]) or the order it argues for.
"""
import re

from lint import LAYERS, Lint

CALL = re.compile(r"\bwf_(load|store|exchange|cas|fetch_(add|sub|or|and))_(relaxed|acquire|release|acq_rel|seq_cst)\(")
RAW = re.compile(r"\b(atomic_(load|store|exchange|compare|fetch|thread_fence|signal_fence|flag)\w*|__atomic_\w+"
                 r"|__sync_\w+|memory_order_\w+)\b")
REASON = re.compile(r"//.*(\[[A-Z]\d+\]|\b(relaxed|acquire|release|acq_rel|seq_cst)\b)")
ABOVE = 3


def end_of_call(lines, at):
    """The line on which the parentheses opened on line `at` are closed."""
    depth = 0
    for end in range(at, len(lines)):
        code = lines[end].split("//")[0]
        depth += code.count("(") - code.count(")")
        if depth <= 0:
            return end
    return at


def check(lint):
    for path in lint.files(LAYERS):
        if str(path) == "base/atomic.h":
            continue
        lines = lint.lines(path)
        for at, line in enumerate(lines):
            code = line.split("//")[0]
            raw = RAW.search(code)
            if raw:
                lint.report(path, at + 1, f"{raw.group()}: atomics go through base/atomic.h")
            call = CALL.search(code)
            if call and not any(REASON.search(near) for near in lines[max(0, at - ABOVE):end_of_call(lines, at) + 1]):
                lint.report(path, at + 1, f"{call.group()[:-1]} without a reason for its order")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("each memory order has its reason")
