"""What the checks in this folder share: the tree, its C files, and how a finding is
reported.
"""
import pathlib
import re
import sys

LAYERS = ("include", "base", "timerwheel", "sched", "reactor", "runtime")
ALL = LAYERS + ("extra", "tests", "examples", "bench", "tools")


class Lint:
    """Collects findings about the tree at `root`; finish() prints them and ends the
    program.
    """

    def __init__(self, root=None):
        self.root = pathlib.Path(root or sys.argv[1])
        self.findings = []
        self.looked_at = 0

    def files(self, folders, suffixes=(".c", ".h")):
        for folder in folders:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    self.looked_at += 1
                    yield path.relative_to(self.root)

    def lines(self, path):
        return (self.root / path).read_text().splitlines()

    def report(self, path, line, what):
        self.findings.append(f"{path}:{line}: {what}")

    def finish(self, what):
        for finding in self.findings:
            print(finding)
        if not self.looked_at:
            sys.exit("found nothing to look at")
        if self.findings:
            sys.exit(f"{len(self.findings)} findings: {what}")
        print(f"{self.looked_at} files: {what}")


def modules(root):
    """The wf_module() lines of the build: {folder: folders whose facade it may
    include}.
    """
    found = {}
    for path in sorted(pathlib.Path(root).glob("*/CMakeLists.txt")):
        for call in re.findall(r"^wf_module\(([^)]*)\)", path.read_text(), re.M):
            words = call.split()
            found[words[0]] = words[words.index("USES") + 1:] if "USES" in words else []
    return found


def folder_of(path, known):
    """The module that `path` lies in, the deepest first: runtime/net before runtime."""
    for folder in sorted(known, key=len, reverse=True):
        if str(path).startswith(folder + "/"):
            return folder
    return str(path).split("/")[0]
