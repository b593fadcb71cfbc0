#!/usr/bin/env python3
"""Every source file is built: a CMakeLists.txt, or a .cmake beside one, at or above it
names it, with or without its suffix. bench/peers is built by bench/compare, each peer
in its own way: peers.py names its files.
"""
import re

from lint import ALL, Lint

PEERS = "bench/peers/"
LIBRARY_PROCESSORS = ("x86_64", "aarch64")


def listed(root):
    """Every path that a word in the build files may mean."""
    found = set()
    builds = [path for folder in ALL for name in ("CMakeLists.txt", "*.cmake") for path in (root / folder).rglob(name)]
    for build in builds:
        text = re.sub(r"#.*", "", build.read_text())
        folder = build.parent.relative_to(root)
        for word in re.findall(r"[\w./${}+-]+", text):
            for cpu in LIBRARY_PROCESSORS if "${CMAKE_SYSTEM_PROCESSOR}" in word else ("",):
                name = word.replace("${CMAKE_SYSTEM_PROCESSOR}", cpu)
                found.update(str(folder / (name + suffix)) for suffix in ("", ".c", ".cpp"))
    return found


def check(lint):
    names = listed(lint.root)
    peers = (lint.root / PEERS / "peers.py").read_text() if (lint.root / PEERS).exists() else ""
    for path in lint.files(ALL, (".c", ".cpp", ".S")):
        built = str(path) in names or str(path).startswith(PEERS) and str(path) in peers
        if not built and not str(path).startswith("tests/install/"):
            lint.report(path, 1, "is in no CMakeLists.txt")


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("each source file is built")
