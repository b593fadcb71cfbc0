#!/usr/bin/env python3
"""Plants one violation at a time into a small tree, and requires that the check finds
it, at its line, and no more.
"""
import pathlib
import sys
import tempfile

import asserts
import calls
import circles
import commits
import guests
import labels
import layers
import models
import names
import orders
import parking
import shape
import sources
import words
from lint import Lint

PAGE = "| `weft_a` | it may |\n## Calls that are not cancellation points\n`weft_b`\n`weft_c`\n"
BUILD = {
    "base/CMakeLists.txt": "wf_module(base\n    SOURCES a.c)\n",
    "timerwheel/CMakeLists.txt": "wf_module(timerwheel\n    SOURCES a.c\n    USES base)\n",
    "sched/CMakeLists.txt": "wf_module(sched\n    SOURCES a.c f.c arch/switch_${CMAKE_SYSTEM_PROCESSOR}.S\n"
                            "    USES base)\n",
    "sched/a.h": "static inline int push(int x)\n{\n}\n",
    "sched/f.c": "static int *f(void)\n{\n}\n",
    "reactor/CMakeLists.txt": "wf_module(reactor\n    SOURCES a.c\n    USES base timerwheel)\n",
    "runtime/CMakeLists.txt": "wf_module(runtime\n    SOURCES a.c\n    USES base sched reactor)\n"
                              "wf_module(runtime/net\n    SOURCES net/a.c\n    USES base runtime/state runtime/wait)\n"
                              "wf_module(runtime/wait\n    SOURCES wait/a.c\n    USES base sched)\n",
    "examples/CMakeLists.txt": "wf_example(a)\n",
    "docs/memory-model.md": "| D1 | owner | thief |\n",
    "docs/cancellation.md": PAGE,
    "include/weft/ab.h": "// May park.\nWEFT_API int weft_a(void);\n\n// Never parks.\nWEFT_API int weft_b(void);\n",
    "include/weft/c.h": "WEFT_API int weft_c(void);\n",
    "tests/integration/test_cancel_table_a.c": '    { "weft_a: in a way" },\n',
    "tests/unit/test_a.c": "static void it_is_so(void **state)\n",
    "tests/CMakeLists.txt": "wf_test(unit/a)\nwf_test(unit/test_a)\n"
                            "wf_test(integration/a)\nwf_test(integration/test_cancel_table_a)\n"
                            "wf_check(model/a ${model}/run ${model}/a.pml -DX -- LATE)\n",
}
MODEL = "/*\n * Models: sched/a.h: push\n * Edges: D1\n *\n *   LATE  it is late\n */\n#ifdef BUG_LATE\n"
LINES = "f();\n// a comment\n\n" * 91
ASSERT = "wf_debug_assert(x);\n"
LENGTH_20, LENGTH_21 = ("void f(void)\n{\n" + "    g();\n" * (n - 3) + "}\n" for n in (20, 21))
GOOD = [
    (asserts, "base/a.c", LINES + 3 * ASSERT),
    (asserts, "base/a.c", LINES + ASSERT + "_Static_assert(x);\nwf_misuse(y);\n"),
    (asserts, "base/a.c", "f();\n" * 40),
    (layers, "sched/a.c", '#include "sched/a.h"\n#include <errno.h>\n#include "base/list.h"\n'),
    (layers, "reactor/a.c", '#include "timerwheel/timerwheel.h"\n#include <sys/epoll.h>\n'),
    (layers, "runtime/a.c", '#include "sched/sched.h"\n#include "reactor/reactor.h"\n#include <weft/task.h>\n'),
    (layers, "runtime/net/a.c", '#include "runtime/wait/wait.h"\n#include <weft/net.h>\n'),
    (layers, "runtime/net/a.c", '#include "runtime/state.h"\n'),
    (layers, "tests/unit/a.c", '#include "sched/a.h"\n#include "tests/support/harness.h"\n'),
    (layers, "examples/a.c", "#include <weft.h>\n"),
    (layers, "extra/tls/a.c", '#include "extra/tls/b.h"\n#include <openssl/ssl.h>\n#include <weft.h>\n'),
    (layers, "examples/adapters/a.c", '#include "a.h"\n#include <weft.h>\n'),
    (orders, "base/a.c", "// [D1] the owner wrote it\nint x = wf_load_acquire(\n    &y);\n"),
    (orders, "base/a.c", "wf_store_relaxed(&x,\n    1); // relaxed: not shared yet\n"),
    (guests, "docs/guests.md", "| a | shown by |\n|---|---|\n| yes | `unit/test_a.c`: `it_is_so` |\n\n| b |\n| no |\n"),
    (labels, "base/a.c", "//   D1  push -> steal\nf(); // [D1]\n"),
    (models, "tests/model/a.pml", MODEL),
    (parking, "docs/cancellation.md", PAGE.replace("`weft_b`", "- Others: `weft_b()`, say.")),
    (parking, "include/weft/d.h", "// weft_a and weft_d are alike.\ntypedef int weft_d;\n"),
    (shape, "base/a.c", "int f(void)\n{\n" + "    g();\n" * 47 + "}\n"),
    (shape, "base/a.c", 91 * LENGTH_20 + 9 * LENGTH_21),
    (sources, "sched/arch/switch_aarch64.S", "\n"),
    (sources, "runtime/net/a.c", "\n"),
    (sources, "tests/unit/a.c", "\n"),
    (sources, "tests/unit/a.cpp", "\n"),
    (words, "docs/a.md", "`who` waits: there\nis no thread.\n```c\nwho(he);\n```\n"),
    (words, "docs/a.md", "x" * 88 + "\n| " + "x" * 88 + " |\n"),
]
BAD = [  # check, file, its text, the line that must be reported
    (asserts, "base/assert.h", "f();\n" + LINES + 3 * ASSERT, 1),  # definitions do not count
    (layers, "base/a.c", '#include "sched/sched.h"\n', 1),
    (layers, "extra/tls/a.c", '#include "base/list.h"\n', 1),
    (layers, "extra/tls/a.c", '#include "extra/http/b.h"\n', 1),
    (layers, "base/a.c", "\n#include <stdatomic.h>\n", 2),
    (layers, "timerwheel/a.c", '#include "base/atomic.h"\n', 1),
    (layers, "timerwheel/a.c", "#include <time.h>\n", 1),
    (layers, "sched/a.c", '#include <errno.h>\n#include "sched/a.h"\n', 1),
    (layers, "sched/a.c", '#include "sched/a.h"\n#include "reactor/reactor.h"\n', 2),
    (layers, "sched/a.c", '#include "sched/a.h"\n#include <sys/epoll.h>\n', 2),
    (layers, "sched/a.c", '#include "sched/a.h"\n#include <weft/task.h>\n', 2),
    (layers, "sched/a.c", '#include "sched/a.h"\n#include <ck_ring.h>\n', 2),
    (layers, "reactor/a.c", '#include "sched/sched.h"\n', 1),
    (layers, "runtime/a.c", '#include "sched/queues/deque.h"\n', 1),
    (layers, "runtime/a.c", '#include "timerwheel/timerwheel.h"\n', 1),
    (layers, "runtime/a.c", '#include "runtime/net/net.h"\n', 1),
    (layers, "runtime/net/a.c", '#include "sched/sched.h"\n', 1),
    (layers, "runtime/net/a.c", '#include "runtime/service.h"\n', 1),
    (layers, "runtime/wait/a.c", '#include "runtime/net/net.h"\n', 1),
    (layers, "include/weft/a.h", '#include "base/list.h"\n', 1),
    (layers, "include/weft/a.h", "#include <sys/epoll.h>\n", 1),
    (layers, "examples/a.c", '#include "base/list.h"\n', 1),
    (layers, "tests/integration/a.c", '#include "sched/sched.h"\n', 1),
    (layers, "tests/unit/a.c", '#include "a.h"\n', 1),
    (names, "base/a.c", "static int f(void)\n{\n}\n", 1),
    (orders, "base/a.c", "\nint x = wf_load_acquire(&y);\n", 2),
    (orders, "base/a.c", "// relaxed: too far away\n\n\n\nwf_store_relaxed(&x, 1);\n", 5),
    (orders, "base/a.c", "wf_cas_acq_rel(&x, &y, 1); // takes it\n", 1),
    (orders, "base/a.c", "atomic_thread_fence(z); // [D1] release\n", 1),
    (guests, "docs/guests.md", "\n`unit/test_a.c`:\n`it_is_not`\n", 2),
    (guests, "docs/guests.md", "`unit/test_b.c`: `it_is_so`\n", 1),
    (guests, "docs/guests.md", "| a | shown by |\n|---|---|\n| yes | `it_is_so` |\n", 3),
    (labels, "base/a.c", "f(); // [D1]\n", 1),
    (labels, "base/a.c", "//   D1  push -> steal\n", 1),
    (labels, "base/a.c", "//   D2  push -> steal\nf(); // [D2]\n", 1),
    (labels, "base/a.c", "//   D1  push -> steal\n//   D1  pop\nf(); // [D1]\n", 2),
    (models, "tests/model/a.pml", MODEL.replace("Models", "Model"), 1),
    (models, "tests/model/a.pml", MODEL.replace("a.h", "b.h"), 2),
    (models, "tests/model/a.pml", MODEL.replace("push", "pop"), 2),
    (models, "tests/model/a.pml", MODEL.replace("D1", "D2"), 3),
    (models, "tests/model/a.pml", MODEL.replace("#ifdef BUG_LATE\n", ""), 1),
    (models, "tests/model/a.pml", MODEL.replace("LATE", "EARLY"), 1),
    (parking, "include/weft/d.h", "\nWEFT_API WEFT_MUST_CHECK int weft_d(void);\n", 2),
    (parking, "include/weft/ab.h", "// Never parks.\nWEFT_API int weft_a(void);\nWEFT_API int weft_b(void);\n", 2),
    (parking, "include/weft/ab.h", "WEFT_API int weft_a(void);\n// May park.\nWEFT_API int weft_b(void);\n", 3),
    (parking, "docs/cancellation.md", PAGE + "`weft_d`\n", 5),
    (parking, "docs/cancellation.md", PAGE + "`weft_a`\n", 5),
    (parking, "docs/cancellation.md", PAGE.replace("`weft_c`", "").replace("a`", "a`, `weft_c`"), 1),
    (parking, "tests/integration/test_cancel_table_b.c", '\n    { "weft_b", .set_up = f },\n', 2),
    (shape, "base/a.c", "int f(void)\n{\n" + "    g();\n" * 48 + "}\n", 1),
    (shape, "base/a.c", 12 * LENGTH_21 + 90 * LENGTH_20, 22),
    (shape, "base/a.c", "// " + "x" * 118 + "\n", 1),
    (shape, "base/a.c", "// TO" + "DO: later\n", 1),
    (sources, "sched/b.c", "\n", 1),
    (sources, "tests/unit/b.c", "\n", 1),
    (sources, "tests/unit/b.cpp", "\n", 1),
    (shape, "include/weft/a.hpp", "// " + "x" * 118 + "\n", 1),
    (words, "docs/a.md", "# A\n\nIt is he.\n", 3),
    (words, "docs/a.md", "A reactor thread is no worker.\n", 1),
    (words, "docs/a.md", "It waits for\never.\n", 2),
    (words, "README.md", "\n" + "x" * 89 + "\n", 2),
]
COMMITS = [  # subject, body, files; how many faults
    ("sched: count turns", "A figure.", ["sched/run.c"], 0),
    ("docs: say how", "", ["docs/a.md"], 0),
    ("docs: " + "x" * 55, "", ["docs/a.md"], 1),
    ("say how", "", ["docs/a.md"], 1),
    ("reactor: poll twice", "\n", ["docs/a.md", "reactor/turn.c"], 1),
]
CALLS = [  # a graph of calls; how many findings
    ({"sched/a.c": {"base/a.c": {"f"}}, "base/a.c": {}}, 0),
    ({"sched/a.c": {}, "base/a.c": {"sched/a.c": {"f"}}}, 1),
    ({"sched/a.c": {"sched/b.c": {"f"}}, "sched/b.c": {"sched/c.c": {"g"}}, "sched/c.c": {"sched/a.c": {"h"}}}, 3),
]
FOREIGN = [  # what files use that is not the library's; how many findings
    ({"base/thread.c": {"pthread_create", "free"}, "sched/a.c": {"pthread_join"}}, 0),
    ({"base/thread.c": {"pthread_create"}, "sched/a.c": {"pthread_create"}}, 1),
    ({"runtime/a.c": {"read", "memcpy"}}, 1),
    ({"base/sys.c": {"__errno_location", "poll"}, "base/a.c": {"sigaction", "signalfd"}}, 2),
]


def write_tree(folder, files):
    for path, content in files.items():
        place = pathlib.Path(folder) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return folder


def findings(check, name, text):
    with tempfile.TemporaryDirectory() as folder:
        lint = Lint(write_tree(folder, {**BUILD, name: text}))
        check.check(lint)
        return lint.findings


def graph_findings(check, graph):
    with tempfile.TemporaryDirectory() as folder:
        lint = Lint(write_tree(folder, BUILD))
        check.check(lint, graph)
        return lint.findings


def main():
    wrong = 0
    for *commit, expected in COMMITS:
        if len(list(commits.faults(*commit))) != expected:
            print(f"commits: expected {expected} faults in {commit}")
            wrong += 1
    for check, graph, expected in [(circles, *row) for row in CALLS] + [(calls, *row) for row in FOREIGN]:
        if len(graph_findings(check, graph)) != expected:
            print(f"{check.__name__}: expected {expected} findings in {graph}")
            wrong += 1
    for check, name, text, *line in GOOD + BAD:
        found = findings(check, name, text)
        expected = [f"{name}:{line[0]}:"] if line else []
        if [" ".join(f.split()[:1]) for f in found] != expected:
            print(f"{check.__name__}: expected {expected}, found {found} in:\n{text}")
            wrong += 1
    if wrong:
        sys.exit(f"{wrong} of {len(GOOD + BAD)} wrong")
    print(f"{len(BAD)} violations found, {len(GOOD)} good files passed")


main()
