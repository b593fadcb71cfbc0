"""The echo benchmark: runs weft and a bare epoll loop a thread on the same load, in turn, and compares.

scripts/echo-bench builds what is needed and calls this.
"""
import argparse
import dataclasses
import json
import pathlib
import signal
import sys
import time

from bench.echo import plan, report, table
from bench.echo.results import Results, targets
from bench.lib import machine, procs
from bench.lib.case import placements
from bench.lib.figures import FIGURES
from bench.lib.progress import Progress
from bench.lib.text import latency, number, thousands

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse_args():
    parser = argparse.ArgumentParser(prog="echo-bench", description=__doc__.splitlines()[0],
                                     epilog="Experiments: " + "; ".join(f"{k}: {v}" for k, v in
                                                                        plan.EXPERIMENTS.items()))
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--full", dest="scope", action="store_const", const="full", default="default",
                          help="the whole grid: about twenty minutes")
    how_much.add_argument("--quick", dest="scope", action="store_const", const="quick",
                          help="ten seconds: shows that everything works, measures nothing")
    parser.add_argument("--only", action="append", choices=list(plan.EXPERIMENTS), metavar="NAME",
                        help="only this experiment; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each case is run")
    parser.add_argument("--seconds", type=float, metavar="S", help="measured time of each run")
    parser.add_argument("--servers", default=",".join(plan.SERVERS), metavar="NAMES",
                        help="which servers, separated by commas (%(default)s)")
    parser.add_argument("--bin", default=ROOT / "build/bench/bench", metavar="DIR", help="where the programs are")
    parser.add_argument("--out", default=ROOT / "build/echo-bench", metavar="DIR", help="where the results go")
    args = parser.parse_args()
    if args.rounds is not None and not 1 <= args.rounds <= 1000:
        parser.error("--rounds: not from 1 to 1000")
    if args.seconds is not None and not 0.05 <= args.seconds <= 3600:
        parser.error("--seconds: not from 0.05 to 3600")
    if unknown := set(args.servers.split(",")) - set(plan.SERVERS):
        parser.error(f"--servers: no such server: {', '.join(unknown)}")
    return args


def make_plan(args, cpus):
    """The cases and the number of rounds that the command line asks for."""
    scope = plan.SCOPES[args.scope]
    wanted = args.servers.split(",")
    cases = []
    for case in plan.cases(scope, cpus, args.only):
        servers = tuple(s for s in case.servers if s in wanted)
        seconds = args.seconds or case.seconds
        if servers:
            cases.append(dataclasses.replace(case, servers=servers, seconds=seconds))
    return cases, args.rounds or scope.rounds


def check_limits(cases):
    need, limit = max(case.descriptors for case in cases), machine.descriptor_limit()
    if need > limit:
        sys.exit(f"echo-bench: {need} open files are needed, and a process may have {limit} here. Raise the hard limit "
                 "(ulimit -Hn, /etc/security/limits.conf, docker --ulimit nofile=...), or choose experiments that need "
                 "less with --only, or --quick.")


def check_programs(folder, cases):
    wanted = {"echo-load"} | {plan.SERVERS[server] for case in cases for server in case.servers}
    missing = [name for name in sorted(wanted) if not (pathlib.Path(folder) / name).exists()]
    if missing:
        sys.exit(f"echo-bench: {folder} has no {', '.join(missing)}. scripts/echo-bench builds them.")


class Bench:
    """Runs the cases, with the programs of a folder."""

    def __init__(self, folder):
        self.folder, self.loader, self.where = folder, f"{folder}/echo-load", placements()
        self.counter = procs.Counter(self.loader)

    def run(self, server, case):
        command, placement = [f"{self.folder}/{plan.SERVERS[server]}"], self.where[case.regime]
        if case.count_syscalls:
            return self.counter.count(command, case, placement)
        return procs.run_case(self.loader, command, case, placement)


def outcome(case, server, result):
    """A run in a few words."""
    rate = FIGURES["rate"](result) if result else None
    if not rate:
        return f"{case.name}  {server}"
    return (f"{case.name}  {server}  {thousands(rate)} msg/s, {number(FIGURES['cpu_us'](result))} us CPU, "
            f"p99 {latency(FIGURES['p99'](result))}")


def run_all(bench, cases, rounds):
    steps = list(plan.runs(cases, rounds))
    estimate_s = sum(case.estimate_s() for _, case, _ in steps)
    progress = Progress(len(steps), estimate_s)
    print(f"{len(steps)} runs, about {estimate_s:.0f} s.", file=sys.stderr)
    entries, interrupted = [], False
    try:
        for i, case, server in steps:
            try:
                result = bench.run(server, case)
            except procs.Failed as e:
                raise procs.Failed(f"{case.name}, {server}: {e}") from None
            if result:
                described = dataclasses.asdict(case) | {"name": case.name}
                entries.append({"round": i, "case": described, "server": server, "result": result})
            progress.step(case.estimate_s(), outcome(case, server, result))
    except KeyboardInterrupt:
        interrupted = True
        print("\ninterrupted: the figures so far", file=sys.stderr)
    finally:
        progress.finish()
    return entries, interrupted


def write(out, data):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(data, indent=1))
    (out / "report.html").write_text(report.page(data))
    return out


def main():
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)    # so that children end in this case, too
    cpus = machine.usable_cpus()
    cases, rounds = make_plan(args, len(cpus))
    if not cases:
        sys.exit("echo-bench: nothing to run" + (" on a machine with one CPU" if len(cpus) == 1 else ""))
    check_programs(args.bin, cases)
    check_limits(cases)
    about = machine.describe()
    began = time.time()
    try:
        entries, interrupted = run_all(Bench(args.bin), cases, rounds)
    except procs.Failed as e:
        sys.exit(f"echo-bench: {e}")
    if not entries:
        sys.exit(130)
    # as it will be read back: tuples are lists
    data = json.loads(json.dumps({"machine": about, "began": began, "seconds": time.time() - began,
                                  "scope": args.scope, "rounds": rounds, "runs": entries}))
    results = Results(data["runs"])
    print(*table.show(results, targets(results)), sep="\n")
    print("\n" + machine.sentence(about))
    out = write(args.out, data)
    print(f"{out}/results.json\n{out}/report.html")
    return 130 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
