#!/usr/bin/env python3
"""Who calls whom, as the linker sees it: between files there are no circles, and between
folders only the arrows that the wf_module() lines name (USES).

    circles.py SOURCE-FOLDER OBJECT-FOLDER

Includes are for layers.py: a folder may call another one without including its headers.
The two halves of the context switch, in C and in assembly, count as one file.
"""
import collections
import pathlib
import re
import subprocess
import sys

from lint import Lint, folder_of, modules

ONE_FILE = re.compile(r"sched/arch/switch_\w+\.S$")


def symbols(path):
    """Returns: (names that the object file defines, names that it uses)."""
    defined, used = set(), set()
    listing = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            used.add(name)
        elif kind in "TDBRVWC":
            defined.add(name)
    return defined, used


def calls(root, objects):
    """Returns: {source file: {source file that it uses: names}}. A build folder may hold
    objects of files that are gone.
    """
    home, wants = {}, {}
    for path in sorted(objects.rglob("*.o")):
        if not (root / str(path.relative_to(objects))[:-2]).exists():
            continue
        source = ONE_FILE.sub("sched/arch/make.c", str(path.relative_to(objects))[:-2])
        defined, used = symbols(path)
        home.update(dict.fromkeys(defined, source))
        wants.setdefault(source, set()).update(used)
    graph = {source: collections.defaultdict(set) for source in wants}
    for source, names in wants.items():
        for name in names & home.keys():
            if home[name] != source:
                graph[source][home[name]].add(name)
    return graph


def reachable(graph, start):
    seen, todo = set(), list(graph[start])
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(graph[node])
    return seen


def check(lint, graph):
    uses = modules(lint.root)
    for source, targets in graph.items():
        lint.looked_at += 1
        folder = folder_of(source, uses)
        for target, names in targets.items():
            other = folder_of(target, uses)
            if other not in (folder, *uses[folder]):
                lint.report(source, 0, f"{folder} does not use {other}: {', '.join(sorted(names))} of {target}")
            if source in reachable(graph, target):
                lint.report(source, 0, f"in a circle with {target}: {', '.join(sorted(names))}")


if __name__ == "__main__":
    tree = Lint()
    check(tree, calls(tree.root, pathlib.Path(sys.argv[2])))
    tree.finish("calls between files have no circles, and follow USES")
