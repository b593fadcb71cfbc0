"""What both commands do: plan, run, report. A suite (bench/suites) says what, of which
participants, and what is shown."""
import argparse
import json
import os
import pathlib
import signal
import sys
import time

from bench.pipeline import build, machine, procs, tables
from bench.pipeline.page import page
from bench.pipeline.results import Results
from bench.pipeline.runner import Runner


def parser(prog, about, experiments, epilog=""):
    """The options that both commands have."""
    described = "Experiments: " + "; ".join(f"{name}: {words}" for name, words in experiments.items())
    options = argparse.ArgumentParser(prog=prog, description=about, epilog=described + epilog)
    options.add_argument("--only", action="append", choices=list(experiments), metavar="EXPERIMENT",
                         help="only this experiment; may be repeated")
    options.add_argument("--rounds", type=between(int, 1, 1000), metavar="N", help="how often each case is run")
    return options


def between(kind, low, high):
    """A type of argument: a number from `low` to `high`."""
    def number(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"not from {low} to {high}")
        return value
    return number


def names(of, what):
    """A type of argument: some of these names, separated by commas."""
    def chosen(text):
        found = text.split(",")
        if unknown := sorted(set(found) - set(of)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there is no such {what}, only {', '.join(of)}")
        return found
    return chosen


class Output:
    """The folder where the results go. `facts`: about the whole run."""

    def __init__(self, suite, folder, runner, facts):
        self.suite, self.folder, self.runner, self.facts = suite, pathlib.Path(folder), runner, facts
        self.began = time.time()
        self.versions = {peer.name: build.version(peer) for peer in runner.able}
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self):
        """What there is so far, in case that something goes wrong later. Returns it."""
        data = self.runner.data() | self.facts | {"began": self.began, "seconds": time.time() - self.began}
        for name, version in self.versions.items():
            data["participants"][name]["version"] = version
        (self.folder / "results.json").write_text(json.dumps(data, indent=1))
        return data

    def report(self):
        data = self.save()
        results = Results(data)
        lines = [*tables.show(results, self.suite.EXPERIMENTS, self.suite.goals(results)), "",
                 machine.sentence(data["machine"])]
        print(*lines, sep="\n")
        (self.folder / "table.txt").write_text("\n".join(lines) + "\n")
        (self.folder / "report.html").write_text(page(self.suite, data))
        print(*(f"{self.folder}/{name}" for name in ("results.json", "table.txt", "report.html")), sep="\n")


def run(suite, args):
    about = machine.describe()      # before building: that is a load, too
    able, absent = build.gather(suite.participants(args), args.build)
    suite.check(args, absent)
    if args.build_only:
        return 0
    plan = suite.plan(args)
    runner = Runner(plan, able, args.loader, suite.STRICT)
    if about["load_before"] > 0.5 * about["cpus_usable"]:
        runner.remark(f"the machine had something else to do at the start: load average {about['load_before']}")
    output = Output(suite, args.out, runner, {"suite": suite.NAME, "machine": about, "scope": args.scope,
                                              "rounds": args.rounds, "absent": absent})
    complete = runner.run(output.save)
    if runner.runs:
        output.report()
    return 0 if complete else 130


def main(suite):
    signal.signal(signal.SIGTERM, signal.default_int_handler)    # so that children end in this case, too
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"                  # of the peers in Python: the sources stay as they are
    try:
        sys.exit(run(suite, suite.parse_args()))
    except procs.Failed as e:
        sys.exit(f"{suite.COMMAND}: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
