#!/usr/bin/env python3
"""What the library calls that is not its own, as the linker sees it.

    calls.py SOURCE-FOLDER OBJECT-FOLDER

Threads are made in one place, which says what all of them have in common.
"""
import pathlib
import sys

from circles import symbols
from lint import Lint

ONLY_IN = {"pthread_create": "base/thread.c"}


def foreign(root, objects):
    """Returns: {source file: the names that it uses and no file of the library defines}."""
    defined, wants = set(), {}
    for path in sorted(objects.rglob("*.o")):
        source = str(path.relative_to(objects))[:-2]
        if (root / source).exists():    # a build folder may hold objects of files that are gone
            own, wants[source] = symbols(path)
            defined |= own
    return {source: names - defined for source, names in wants.items()}


def check(lint, uses):
    for source, names in sorted(uses.items()):
        lint.looked_at += 1
        for name in sorted(names):
            if ONLY_IN.get(name, source) != source:
                lint.report(source, 0, f"{name} is for {ONLY_IN[name]}")


if __name__ == "__main__":
    tree = Lint()
    check(tree, foreign(tree.root, pathlib.Path(sys.argv[2])))
    tree.finish("calls of foreign functions are where they belong")
