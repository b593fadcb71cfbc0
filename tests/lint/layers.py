#!/usr/bin/env python3
"""Arrows only point down. Each folder includes itself, and of the folders that its
wf_module() line USES the facade.

base has no facade: it is vocabulary, and all of it may be used. The rooms of sched/
and runtime/ share a header with types (sched/task.h, runtime/state.h). timerwheel is a pure
data structure, so of base it gets only what is pure. Programs, from examples to
integration tests, and add-on libraries (extra/) see <weft.h> and nothing else; tests may
use base's words besides. Examples of several files are to be copied: a folder's files
include each other by name alone.
"""
import re

from lint import ALL, Lint, folder_of, modules

INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')
OPEN = {"base", "runtime/sync", "runtime/wait", "runtime/task", "runtime/io", "runtime/chan", "runtime/see",
        "sched/arch", "sched/stacks", "sched/queues"} # any header of theirs may be included, not just a facade
PURE = {"base/list.h", "base/assert.h", "base/compiler.h"}
SYSTEM_ONLY_IN = {                           # system headers that one place hides from all others
    r"stdatomic\.h": "base/atomic.h",
    r"ck_.*": "base/",
    r"sys/epoll\.h": ("reactor/", "base/sys.c"),
    r"linux/futex\.h": "base/futex.c",
}
ADAPTERS = "examples/adapters/"
PUBLIC_SYSTEM = re.compile(r"(std(bool|def|int)|sys/(socket|types|uio|wait)|poll|signal|time)\.h")


def facade(folder):
    return f"{folder}/{folder.split('/')[-1]}.h"


def may_include(folder, name, uses):
    target = folder_of(name, uses)
    if folder == "timerwheel" and target == "base":
        return name in PURE
    if target == folder:
        return True
    if name.removesuffix(".h") in uses[folder]: # one header, which rooms of different floors share
        return True
    return target in uses[folder] and (target in OPEN or name == facade(target))


def check_module(lint, path, at, folder, kind, name, uses):
    if kind == '"' and not may_include(folder, name, uses):
        lint.report(path, at, f'{folder} may not include "{name}"')
    if kind == "<" and name.startswith("weft") and not folder.startswith("runtime"):
        if (folder, name) != ("base", "weft/error.h"):
            lint.report(path, at, f"{folder} lies below <{name}>")


def is_example_folder(folder):
    return str(folder.parent) == "examples"


def check_program(lint, path, at, kind, name, uses):
    """Tests of one structure may look inside; all other programs see the public headers
    and their own folder.
    """
    top = str(path).split("/")[0]
    inside = str(path).startswith(("tests/unit/", "tests/stress/", "tests/model/", "tests/support/", "tests/guard/",
                                   "tests/fuzz/", "bench/"))
    words = ("tests/support/", "base/", ADAPTERS) if top == "tests" else ()
    if top == "extra":
        top = "/".join(path.parts[:2])
    if is_example_folder(path.parent) and "/" not in name:
        return
    if kind == '"' and not name.startswith((*words, top + "/")) and not inside:
        lint.report(path, at, f'"{name}": only <weft.h> is for programs')
    if kind == '"' and inside and folder_of(name, uses) not in set(uses) | {"tests", "bench", top}:
        lint.report(path, at, f'"{name}" is not the path of a header from the top folder')


def check_system(lint, path, at, name, folder):
    for pattern, home in SYSTEM_ONLY_IN.items():
        if re.fullmatch(pattern, name) and not str(path).startswith(home):
            lint.report(path, at, f"<{name}> belongs to {home}")
    if folder == "timerwheel" and name not in ("stdbool.h", "stdint.h", "stddef.h", "limits.h", "string.h"):
        lint.report(path, at, f"timerwheel is a pure data structure: no <{name}>")


def check_public(lint, path, at, kind, name):
    if kind == '"' or not (name.startswith("weft/") or PUBLIC_SYSTEM.fullmatch(name)):
        lint.report(path, at, f"a public header may not include {name}")


def check_own_header_first(lint, path, includes):
    own = str(path)[:-2] + ".h"
    included_as = path.name[:-2] + ".h" if is_example_folder(path.parent) else own
    if path.suffix == ".c" and (lint.root / own).exists() and includes and includes[0][2] != included_as:
        lint.report(path, includes[0][0], f'the first include must be "{own}"')


def check(lint):
    uses = modules(lint.root)
    for path in lint.files(ALL):
        if str(path).startswith("tests/support/tsan/") or str(path).startswith("tests/install/"):
            continue    # a stand-in for a system header; a program from outside
        folder = folder_of(path, uses)
        includes = [(at, *m.groups()) for at, line in enumerate(lint.lines(path), 1) if (m := INCLUDE.match(line))]
        for at, kind, name in includes:
            if folder == "include":
                check_public(lint, path, at, kind, name)
            elif folder in uses:
                check_module(lint, path, at, folder, kind, name, uses)
            else:
                check_program(lint, path, at, kind, name, uses)
            if folder in uses and kind == "<":
                check_system(lint, path, at, name, folder)
        check_own_header_first(lint, path, includes)


if __name__ == "__main__":
    tree = Lint()
    check(tree)
    tree.finish("arrows between folders only point down")
