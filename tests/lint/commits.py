#!/usr/bin/env python3
"""Each commit says in one line what it does: `module: imperative`, at most 60
characters; and, where it changes the engine (sched/, reactor/, base/), why, in a body.

    commits.py SOURCE-FOLDER

Commits up to FIRST are older than the rule. Without a repository (a source archive)
there is nothing to look at, and that is said.
"""
import re
import subprocess
import sys

from lint import Lint

FIRST = "617197d"
SUBJECT = re.compile(r"[a-z0-9+/_. ,-]+: [a-z]")
ENGINE = ("sched/", "reactor/", "base/")
SKIP = 77


def git(root, *words):
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def faults(subject, body, files):
    """What is wrong with a commit."""
    if len(subject) > 60:
        yield f"a subject of {len(subject)} characters"
    if not SUBJECT.match(subject):
        yield "the subject is not 'module: imperative'"
    if not body.strip() and any(f.startswith(ENGINE) for f in files):
        yield "it changes sched/, reactor/ or base/, and has no body that says why"


def commits(root):
    """Yields (hash, subject, body, files) of each commit since FIRST, merges left out."""
    log = git(root, "log", "--no-merges", "-z", "--format=%x01%h%x02%s%x02%b%x02", "--name-only", f"{FIRST}..HEAD")
    for entry in (log or "").split("\x01")[1:]:
        commit, subject, body, files = entry.split("\x02")
        yield commit, subject, body, files.strip("\0\n").split("\0")


def check(lint):
    for commit, subject, body, files in commits(lint.root):
        lint.looked_at += 1
        for fault in faults(subject, body, files):
            lint.report(commit, 0, f"{fault}: {subject}")


if __name__ == "__main__":
    tree = Lint()
    if git(tree.root, "cat-file", "-e", FIRST + "^{commit}") is None:
        print("there is no history to look at")
        sys.exit(SKIP)
    check(tree)
    tree.looked_at += 1
    tree.finish("commits have a short subject, and a reason")
