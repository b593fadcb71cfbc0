#!/usr/bin/env python3
"""A static function has a name of its own: a reader who searches for it finds one.

    names.py SOURCE-FOLDER

At most 5 in 100 static functions of the library may share their name with another
file's.
"""
import collections
import re

from lint import LAYERS, Lint

STATIC = re.compile(r"^(?:WF_\w+ |__attribute__\(\(.*?\)\) )*static (?:inline |WF_NOINLINE |_Noreturn |const )*"
                    r"[\w ]*[ *]+(\w+)\(", re.M)
SHARED_MAX = 0.05


def check(lint):
    where = collections.defaultdict(set)
    for path in lint.files([layer for layer in LAYERS if layer != "include"], (".c",)):
        for match in STATIC.finditer((lint.root / path).read_text()):
            where[match.group(1)].add(path)
    total = sum(map(len, where.values()))
    shared = {name: paths for name, paths in where.items() if len(paths) > 1}
    if sum(map(len, shared.values())) > SHARED_MAX * total:
        for name, paths in sorted(shared.items()):
            lint.report(min(paths), 1, f"{name} is also in {', '.join(str(p) for p in sorted(paths)[1:])}")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("static functions have names of their own")
