"""Builds the participants, and finds out which are missing. Nothing is installed."""
import functools
import pathlib
import subprocess

from bench.pipeline.progress import say

LOG = pathlib.Path("build/log")
BUILD_S = 1800      # nothing that is built here takes half as long


def shell(command, log):
    """Runs it, its output appended to `log`; whether it succeeded."""
    with open(log, "a") as out:
        print("$", command, file=out, flush=True)
        try:
            return subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=BUILD_S).returncode == 0
        except subprocess.TimeoutExpired:
            print(f"not done after {BUILD_S} s", file=out)
            return False


@functools.cache
def build_all(commands, name, label):
    """Why it does not build, or nothing. What several participants share is built
    once."""
    say(f"building {label}")
    log = LOG / f"compare-{name}.log"
    log.write_text("")
    pathlib.Path(f"build/peers/{name}").mkdir(parents=True, exist_ok=True)
    return "" if all(shell(command, log) for command in commands) else f"does not build, see {log}"


def build(peer, everyone):
    """Why it cannot take part, or nothing."""
    missing = peer.missing()
    if missing:
        return "needs: " + "; ".join(missing)
    first = next(p for p in everyone if p.build == peer.build)
    return build_all(first.build, first.name, first.label) if first.build else ""


def programs_missing(peer):
    """Why it cannot take part: a program of its that is not there, or nothing."""
    for program in ("echo", "micro", "relay", "breadth", "servers"):
        for word in peer.command(program):
            if "/" in word and not word.startswith("-") and not pathlib.Path(word).exists():
                return f"{word} is missing"
    return ""


def gather(peers, building):
    """Those that can run, and {name: why not} of the others. `building`: build them
    first."""
    able, absent = [], {}
    LOG.mkdir(parents=True, exist_ok=True)
    for peer in peers:
        why = (build(peer, peers) if building else "") or programs_missing(peer)
        if why:
            absent[peer.name] = why
            say(f"without {peer.label}: {why}")
        else:
            able.append(peer)
    return able, absent


def version(peer):
    if not peer.version:
        return ""
    try:
        out = subprocess.run(["sh", "-c", peer.version], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=20).stdout
    except subprocess.TimeoutExpired:
        return ""
    return "; ".join(line.strip() for line in out.splitlines() if line.strip())
