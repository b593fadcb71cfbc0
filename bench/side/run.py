"""Compares weft with what its users would pick instead: builds all that can be built, runs it in turn, and reports."""
import argparse
import dataclasses
import json
import os
import pathlib
import signal
import sys
import time

from bench.lib import machine
from bench.peers import peers
from bench.side import build, plan, report, table
from bench.side.comparison import Comparison
from bench.side.goals import goals
from bench.side.results import Results


def parse_args():
    names = ", ".join(p.name for p in peers.ALL)
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__,
                                     epilog="Experiments: " + "; ".join(f"{k}: {v}" for k, v in
                                                                        plan.EXPERIMENTS.items()) +
                                     f". Participants: {names}.")
    parser.add_argument("--quick", dest="scope", action="store_const", const="quick", default="default",
                        help="a part of it, in under five minutes after building")
    parser.add_argument("--only", action="append", choices=list(plan.EXPERIMENTS), metavar="EXPERIMENT",
                        help="only this experiment; may be repeated")
    parser.add_argument("--peers", metavar="NAMES", help="only these participants, separated by commas, and weft")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each case is run (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, metavar="N",
                        help="workers where server and client are free (%(default)s)")
    parser.add_argument("--out", default="build/compare", metavar="DIR", help="where the results go (%(default)s)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--build-only", action="store_true", help="build, say who is missing, and stop")
    how.add_argument("--no-build", action="store_true", help="run what is already built")
    args = parser.parse_args()
    if not 1 <= args.rounds <= 1000:
        parser.error("--rounds: not from 1 to 1000")
    if not 1 <= args.workers <= 256:
        parser.error("--workers: not from 1 to 256")
    if args.peers and (unknown := set(args.peers.split(",")) - {p.name for p in peers.ALL}):
        parser.error(f"--peers: {', '.join(sorted(unknown))}: there is no such participant, only {names}")
    return args


def chosen(args):
    """weft takes part in any case, and in `light`, which is about its cost, the floor that is built along with it."""
    wanted = set(args.peers.split(",")) if args.peers else {p.name for p in peers.ALL}
    found = [p for p in peers.ALL if p.name in wanted or p.kind in ("weft", "variant")]
    floors = [dataclasses.replace(p, only=("light",)) for p in peers.ALL
              if p.name not in wanted and p.kind == "floor" and p.name in plan.TAKES_PART["light"]]
    return found + floors if "light" in experiments(args) else found


def experiments(args):
    return [e for e in plan.EXPERIMENTS if e in (args.only or plan.EXPERIMENTS)]


class Output:
    """The folder where the results go."""

    def __init__(self, folder, comparison, facts):
        self.folder, self.comparison, self.facts = pathlib.Path(folder), comparison, facts
        self.began = time.time()
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self):
        """What there is so far, in case that something goes wrong later. Returns it."""
        data = self.comparison.data() | self.facts | {"began": self.began, "seconds": time.time() - self.began}
        for peer in self.comparison.able:
            data["participants"][peer.name]["version"] = build.version(peer)
        (self.folder / "results.json").write_text(json.dumps(data, indent=1))
        return data

    def report(self):
        data = self.save()
        results = Results(data)
        lines = list(table.show(results, goals(results))) + ["", machine.sentence(data["machine"])]
        print(*lines, sep="\n")
        (self.folder / "table.txt").write_text("\n".join(lines) + "\n")
        (self.folder / "report.html").write_text(report.page(data))
        print(*(f"{self.folder}/{name}" for name in ("results.json", "table.txt", "report.html")), sep="\n")


def main():
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)    # so that children end in this case, too
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"                  # of the peers in Python: the sources stay as they are
    about = machine.describe()      # before building: that is a load, too
    able, absent = build.gather(chosen(args), not args.no_build)
    if "weft" in absent:
        sys.exit(f"bench/compare: weft itself is missing: {absent['weft']}")
    if args.build_only:
        return 0
    comparison = Comparison(able, plan.SCOPES[args.scope], args.rounds, args.workers)
    if about["load_before"] > 0.5 * about["cpus_usable"]:
        comparison.remark(f"the machine had something else to do at the start: load average {about['load_before']}")
    output = Output(args.out, comparison, {"machine": about, "scope": args.scope, "rounds": args.rounds,
                                           "absent": absent})
    complete = comparison.run(experiments(args), output.save)
    output.report()
    return 0 if complete else 130


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
