"""Runs the experiments one after the other, each round after round, in each round all
participants in turn."""
import dataclasses
import json
import subprocess

from bench.pipeline import machine, procs
from bench.pipeline.case import Micro, placements
from bench.pipeline.progress import Progress, say
from bench.pipeline.results import FIGURES, Results
from bench.pipeline.text import counted, latency, number, thousands

PATIENCE_S = 30     # for a run, beyond what it measures
GIVE_UP_AFTER = 3   # runs that failed one after the other


def brief(words):
    """The first and the last line of what a program said."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return " ... ".join([lines[0][:200], lines[-1][-200:]] if len(lines) > 1 else lines)


def outcome(result):
    """A run in a few words."""
    if not result:
        return ""
    if "messages" not in result:
        return ", ".join(f"{number(line['value'])} {line['unit']}" for line in result.values())
    rate, cpu_us, burst, p50, p99, neighbours = (
        FIGURES[figure](result) for figure in ("rate", "cpu_us", "burst", "p50", "p99", "neighbours"))
    if burst:
        return (f"{result['burst_us']['connections']} conn. {latency(burst)}, p50 {latency(p50)}, "
                f"p99 {latency(p99)}, neighbours {counted(neighbours)}/s")
    return f"{thousands(rate)} msg/s, {number(cpu_us)} us CPU, p99 {latency(p99)}" if rate else ""


def in_turn(participants, first):
    """All of them, each beginning as often as the others."""
    first %= max(len(participants), 1)
    return participants[first:] + participants[:first]


class Runner:
    """`able`: the participants. If `strict`, a failure ends it all; else the one that
    failed is left out of that case, and after failing again and again of all others."""

    def __init__(self, plan, able, loader, strict=False):
        self.plan, self.able, self.loader, self.strict = plan, able, loader, strict
        self.progress = None
        self.where, self.counter = placements(), procs.Counter(loader)
        if plan.workers > 2:
            self.where["free"] = self.where["all"]
        self.runs, self.failures, self.remarks = [], [], []
        self.failed, self.in_a_row = set(), {}      # (case, name); {(name, program): failures}
        self.has = {(peer.name, program): self.list_micro(peer, program) for peer in able
                    for program in ("micro", "breadth", "servers")}

    def list_micro(self, peer, program):
        """The names of its micro benchmarks."""
        command = peer.command(program)
        try:
            return procs.micro_names(command, self.where["free"][0]) if command else set()
        except procs.Failed as e:
            self.remark(f"{peer.label} does not list its micro benchmarks, and takes no part in them: {e}")
            return set()

    def remark(self, words):
        self.remarks.append(words)
        (self.progress.remark if self.progress else say)(words)

    # --- one case

    def takes_part(self, peer, case):
        program = case.program
        if self.in_a_row.get((peer.name, program), 0) >= GIVE_UP_AFTER or (case.name, peer.name) in self.failed:
            return False
        if peer.only and case.experiment not in peer.only or case.servers and peer.name not in case.servers:
            return False
        if isinstance(case, Micro):
            return case.bench in self.has[peer.name, program]
        return bool(peer.command(program))

    def participants(self, case):
        return [peer for peer in self.able if self.takes_part(peer, case)]

    def run_micro(self, peer, case):
        return procs.measure_micro([*case.through, *peer.command(case.program)], case, self.where["free"][0])

    def run_echo(self, peer, case):
        # figures of one process are those of the server only if there is no other
        split = peer.processes and case.workers > 1
        if split and case.experiment in ("idle", "syscalls"):
            case, split = dataclasses.replace(case, workers=1), False
        if case.count_syscalls:
            return self.counter.count(peer.command("echo"), case, self.where[case.regime])
        run = procs.run_relay if case.relay else procs.run_case
        result = run(self.loader, peer.command(case.program), case, self.where[case.regime], PATIENCE_S)
        return {k: v for k, v in result.items() if k not in ("server", "memory")} if split else result

    def fail(self, at, case, peer, why):
        if self.strict:
            raise procs.Failed(f"{case.name}, {peer.name}: {why}")
        why, program = brief(why), case.program
        self.failed.add((case.name, peer.name))
        self.failures.append({"round": at, "case": case.name, "who": peer.name, "why": why})
        self.progress.remark(f"{peer.label} fails in {case.name}, and is left out of it: {why}")
        count = self.in_a_row[peer.name, program] = self.in_a_row.get((peer.name, program), 0) + 1
        if count == GIVE_UP_AFTER:
            self.remark(f"{peer.label} failed {count} times in a row: its {program} program is not run any more")

    def run_once(self, at, case, peer):
        program = case.program
        try:
            result = (self.run_micro if isinstance(case, Micro) else self.run_echo)(peer, case)
        except (procs.Failed, OSError, ValueError, subprocess.SubprocessError) as e:     # all that a child may do
            return self.fail(at, case, peer, str(e))
        self.in_a_row[peer.name, program] = 0
        if result:
            described = dataclasses.asdict(case) | {"name": case.name}
            self.runs.append({"round": at, "case": described, "who": peer.name, "result": result})
        return result

    # --- experiments

    def run_cases(self, cases, rounds):
        for at in range(rounds):
            for place, case in enumerate(cases):
                for peer in in_turn(self.participants(case), at + place):
                    result = self.run_once(at, case, peer)
                    self.progress.step(case.estimate_s(), f"{case.name}  {peer.label}  {outcome(result)}")

    def possible(self, cases):
        """Those that the limit of open files allows, and that have not been run
        already."""
        limit, done, found = machine.descriptor_limit(), {run["case"]["name"] for run in self.runs}, {}
        for case in cases:
            if case.descriptors > limit:
                self.remark(f"{case.name} needs {case.descriptors} open files, and a process may have {limit:.0f}: "
                            "left out. Raise the hard limit (ulimit -Hn, or docker --ulimit nofile=...)")
            elif case.name not in done:
                found.setdefault(case.name, case)
        return list(found.values())

    def at_rate(self, case):
        """[the case, with a rate that is half of what the best peer reaches here and
        now], or []"""
        peak, able = self.plan.peak, {p.name: p for p in self.able}
        self.run_cases(self.possible([peak]), self.plan.rounds["echo"])
        found = Results(self.data())
        best = found.best(peak.name, "rate", found.who(("peer",))) or "weft"
        if not found.median(peak.name, best, "rate"):
            self.remark("rate: nobody's peak is known: left out")
            return []
        case = dataclasses.replace(case, rate=int(found.median(peak.name, best, "rate") / 2))
        self.remark(f"rate: {case.rate} messages a second, half of what {able[best].label} reaches")
        for who in able:
            rates = found.by_round(peak.name, who, "rate").values()
            if rates and max(rates) < case.rate:
                self.failed.add((case.name, who))
                self.remark(f"rate: {able[who].label} cannot carry that, and is left out")
        return [case]

    def run_experiment(self, name):
        cases = self.plan.cases[name]
        if name == "rate":
            cases = self.at_rate(*cases)
        self.run_cases(self.possible(cases), self.plan.rounds[name])

    def steps(self):
        """The case of each run, as far as can be told before."""
        rounds = {}
        for experiment, cases in self.plan.cases.items():
            if experiment == "rate":
                rounds.setdefault(self.plan.peak, self.plan.rounds["echo"])
            for case in cases:
                rounds.setdefault(case, self.plan.rounds[experiment])
        unique = {case.name: case for case in reversed(rounds)}
        return [case for case in unique.values() for _ in self.participants(case) * rounds[case]]

    def run(self, save):
        """`save` is called after each experiment. Returns whether it came to its
        end."""
        steps = self.steps()
        estimate_s = sum(case.estimate_s() for case in steps)
        say(f"{len(steps)} runs, about {estimate_s:.0f} s" + (f" ({estimate_s / 60:.0f} minutes)" * (estimate_s > 90)))
        self.progress = Progress(len(steps), estimate_s)
        try:
            for experiment in self.plan.cases:
                self.run_experiment(experiment)
                save()
        except KeyboardInterrupt:
            say("\ninterrupted: the figures so far")
            return False
        finally:
            self.progress.finish()
        return True

    def data(self):
        participants = {p.name: {"label": p.label, "kind": p.kind, "options": p.options} for p in self.able}
        # as it will be read back: tuples are lists
        return json.loads(json.dumps({
            "participants": participants, "absent": {}, "runs": self.runs, "failures": self.failures,
            "remarks": self.remarks, "workers": self.plan.workers, "cpus": len(self.where["free"][0])}))
