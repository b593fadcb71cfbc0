"""Builds the participants, and finds out who is missing. Nothing is installed."""
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


def build_one(peer):
    """Why it cannot take part, or nothing."""
    log = LOG / f"compare-{peer.name}.log"
    log.write_text("")
    pathlib.Path(f"build/peers/{peer.name}").mkdir(parents=True, exist_ok=True)
    if all(shell(command, log) for command in peer.build):
        return ""
    return f"does not build, see {log}"


class Builder:
    """What several participants share is built once."""

    def __init__(self):
        self.done = {}

    def build(self, peer):
        """Why it cannot take part, or nothing."""
        missing = peer.missing()
        if missing:
            return "needs: " + "; ".join(missing)
        if peer.build and peer.build not in self.done:
            say(f"building {peer.label}")
            self.done[peer.build] = build_one(peer)
        return self.done.get(peer.build, "")


def programs_missing(peer):
    """Why it cannot take part: a program of its that is not there, or nothing."""
    for program in ("echo", "micro"):
        for word in peer.command(program):
            if "/" in word and not word.startswith("-") and not pathlib.Path(word).exists():
                return f"{word} is missing"
    return ""


def gather(peers, build):
    """Those that can run, and {name: why not} of the others. `build`: build them first."""
    builder, able, absent = Builder(), [], {}
    LOG.mkdir(parents=True, exist_ok=True)
    for peer in peers:
        why = (builder.build(peer) if build else "") or programs_missing(peer)
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
