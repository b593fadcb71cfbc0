#!/usr/bin/env python3
"""What the library calls that is not its own, as the linker sees it.

    calls.py SOURCE-FOLDER OBJECT-FOLDER

System calls are those of base/sys.h: no function of the C library's that a program may
put one of its own in the place of, to park a task in it, is called by weft. What else
the library takes from outside is listed here, and base/sys.h says why. Threads are made
in one place, which says what all of them have in common.
"""
import pathlib
import re
import sys

from circles import symbols
from lint import Lint

ONLY_IN = {"pthread_create": "base/thread.c"}
ALLOWED = re.compile("|".join((
    # memory and text
    r"mem(chr|cmp|cpy|move|set)|str\w+|malloc|realloc|free|aligned_alloc|v?snprintf|__isoc\d+_sscanf|qsort|abort",
    r"getenv|unsetenv|environ|inet_[np]to[np]|in6addr_\w+",
    r"__errno_location|_GLOBAL_OFFSET_TABLE_|__popcountdi2|__stack_chk_fail|__sched_cpucount",
    # threads and signals
    r"pthread_\w+|sigaction|sigaltstack|signal|raise|sig(add|del|empty|fill)set|__libc_current_sigrt(min|max)",
    r"timer_\w+|posix_spawn\w*|(get|make|set|swap)context",
    # no system call, on the machines that matter
    r"clock_gettime|sysconf|getauxval",
    # programs in themselves
    r"_Unwind_\w+",
    r"getaddrinfo|freeaddrinfo|if_nametoindex|if_indextoname|realpath|mkdtemp",
    r"fopen|fclose|fgets|fprintf|fwrite|fput[cs]|stderr|__isoc\d+_fscanf",
)))


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
            if not ALLOWED.fullmatch(name):
                lint.report(source, 0, f"{name} is not for the library: see base/sys.h")


if __name__ == "__main__":
    tree = Lint()
    check(tree, foreign(tree.root, pathlib.Path(sys.argv[2])))
    tree.finish("calls of foreign functions are where they belong")
