#!/usr/bin/env python3
"""Each model (tests/model) says what it models, and the suite plants what it lists:

    * Models: sched/deque.c: wf_deque_push, wf_deque_pop
    *         sched/task.h: wf_task_retire
    * Edges: D1 D2

Each function is defined in its file, each label is in docs/memory-model.md; and the
planted bugs of the head are those of the code, and of tests/CMakeLists.txt.

With --list after the tree: the lines that each model models, as they are now.
"""
import re
import sys

from lint import Lint

BUILD = "tests/CMakeLists.txt"
CATALOGUE = "docs/memory-model.md"
RUN = re.compile(r"/(\w+)\.pml\b[^)]*? --\s([^)]*)\)")


def head_of(text):
    """The comment at the beginning, without its margin."""
    return [re.sub(r"^ \*(/| ?)", "", line) for line in text[:text.index("*/")].splitlines()]


def modelled(head):
    """Yields (line, file, [function]) for each entry."""
    inside = False
    for at, line in enumerate(head, 1):
        entry = re.match(r"Models: (.*)" if not inside else r" +(.*)", line)
        inside = bool(entry)
        if entry and ": " in entry.group(1):
            name, functions = entry.group(1).split(": ", 1)
            yield at, name, re.findall(r"\w+", functions)
        elif entry:
            yield at, name, re.findall(r"\w+", entry.group(1))


def lines_of(lines, function):
    """Returns: the first and the last line of the function, None if it is not there."""
    for at, line in enumerate(lines, 1):
        if re.match(rf"[a-zA-Z].*\b{function}\(", line) and not line.endswith(";"):
            return at, at + next(i for i, l in enumerate(lines[at - 1:]) if l == "}")
    return None


def check_functions(lint, path, head, show):
    entries = list(modelled(head))
    if not entries:
        lint.report(path, 1, "has no line \"Models:\"")
    for at, name, functions in entries:
        if not (lint.root / name).is_file():
            lint.report(path, at, f"there is no {name}")
            continue
        lines = lint.lines(name)
        for function in functions:
            found = lines_of(lines, function)
            if not found:
                lint.report(path, at, f"{name} has no function {function}")
            elif show:
                print(f"{path}: {name}:{found[0]}-{found[1]} {function}")


def check_edges(lint, path, head, catalogue):
    at = next((i for i, line in enumerate(head, 1) if line.startswith("Edges:")), None)
    for label in head[at - 1].split()[1:] if at else []:
        if label not in catalogue:
            lint.report(path, at, f"{label} is not in {CATALOGUE}")


def check_bugs(lint, path, head, text, planted):
    said = {m.group(1) for line in head if (m := re.match(r" {2}([A-Z][A-Z_]+) +\S", line))}
    coded = set(re.findall(r"BUG_([A-Z_]+)", text[text.index("*/"):]))
    for bug in sorted(said ^ coded):
        lint.report(path, 1, f"{bug} is {'not in the code' if bug in said else 'not in the head'}")
    for bug in sorted(coded - planted):
        lint.report(path, 1, f"{BUILD} does not plant {bug}")


def check(lint, show=False):
    catalogue = set(re.findall(r"^\| ([A-Z]\d+) \|", (lint.root / CATALOGUE).read_text(), re.M))
    planted = {}
    for name, bugs in RUN.findall((lint.root / BUILD).read_text()):
        planted.setdefault(name, set()).update(word.split(",")[0] for word in bugs.split())
    for path in lint.files(("tests/model",), (".pml",)):
        text = (lint.root / path).read_text()
        head = head_of(text)
        check_functions(lint, path, head, show)
        check_edges(lint, path, head, catalogue)
        check_bugs(lint, path, head, text, planted.get(path.stem, set()))


if __name__ == "__main__":
    tree = Lint()
    check(tree, "--list" in sys.argv)
    tree.finish("each model says what it models, and its bugs are planted")
