"""Runs the experiments one after the other, each round after round, in each round all participants in turn."""
import dataclasses
import json
import subprocess

from bench.lib import machine, procs
from bench.lib.case import Case, placements
from bench.lib.figures import FIGURES
from bench.lib.progress import Progress, say
from bench.lib.text import counted, latency, number, thousands
from bench.peers import peers
from bench.side import micro, plan
from bench.side.results import Results

LOADER = f"{peers.BIN}/echo-load"
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
    rate, burst = FIGURES["rate"](result), FIGURES["burst"](result)
    if burst:
        return (f"{result['burst_us']['connections']} conn. {latency(burst)}, p50 {latency(FIGURES['p50'](result))}, "
                f"p99 {latency(FIGURES['p99'](result))}, neighbours {counted(FIGURES['neighbours'](result))}/s")
    return (f"{thousands(rate)} msg/s, {number(FIGURES['cpu_us'](result))} us CPU, "
            f"p99 {latency(FIGURES['p99'](result))}") if rate else ""


class Comparison:
    """`able`: the participants. Who fails is left out of that case, and who fails again and again out of all others."""

    def __init__(self, able, scope, rounds, workers):
        self.able, self.scope, self.rounds, self.workers = able, scope, rounds, workers
        self.progress = None
        self.where, self.counter = placements(), procs.Counter(LOADER)
        if self.workers > 2:
            self.where["free"] = self.where["all"]
        self.runs, self.failures, self.remarks = [], [], []
        self.failed, self.in_a_row = set(), {}      # (case, who); {(who, program): failures}
        self.has = self.list_micro()

    def list_micro(self):
        """{name: the micro benchmarks it has}"""
        found = {}
        for peer in self.able:
            try:
                found[peer.name] = micro.names(peer.command("micro"), self.where["free"][0]) if peer.micro else set()
            except procs.Failed as e:
                found[peer.name] = set()
                self.remark(f"{peer.label} does not list its micro benchmarks, and takes no part in them: {e}")
        return found

    def remark(self, words):
        self.remarks.append(words)
        (self.progress.remark if self.progress else say)(words)

    def takes_part(self, peer, case):
        program = "micro" if isinstance(case, plan.Micro) else "echo"
        if self.in_a_row.get((peer.name, program), 0) >= GIVE_UP_AFTER or (case.name, peer.name) in self.failed:
            return False
        if peer.only and case.experiment not in peer.only:
            return False
        if peer.name not in plan.TAKES_PART.get(case.experiment, (peer.name,)):
            return False
        return case.bench in self.has[peer.name] if program == "micro" else bool(peer.echo)

    def participants(self, case):
        return [peer for peer in self.able if self.takes_part(peer, case)]

    def cost_s(self, case):
        if isinstance(case, plan.Micro):
            return case.estimate_s(self.scope.reps)
        return case.estimate_s() + 0.25

    def run_micro(self, peer, case):
        return micro.measure(peer.command("micro"), case, self.scope.reps, self.where["free"][0])

    def run_echo(self, peer, case):
        # figures of one process are those of the server only if there is no other
        split = peer.processes and case.workers > 1
        if split and case.experiment in ("idle", "syscalls"):
            case, split = dataclasses.replace(case, workers=1), False
        if case.count_syscalls:
            return self.counter.count(peer.command("echo"), case, self.where[case.regime])
        result = procs.run_case(LOADER, peer.command("echo"), case, self.where[case.regime], PATIENCE_S)
        return {k: v for k, v in result.items() if k not in ("server", "memory")} if split else result

    def fail(self, at, case, peer, program, why):
        self.failed.add((case.name, peer.name))
        self.failures.append({"round": at, "case": case.name, "who": peer.name, "why": why})
        self.progress.remark(f"{peer.label} fails in {case.name}, and is left out of it: {why}")
        count = self.in_a_row[peer.name, program] = self.in_a_row.get((peer.name, program), 0) + 1
        if count == GIVE_UP_AFTER:
            self.remark(f"{peer.label} failed {count} times in a row: its {program} program is not run any more")

    def run_once(self, at, case, peer):
        is_micro = isinstance(case, plan.Micro)
        program = "micro" if is_micro else "echo"
        try:
            result = (self.run_micro if is_micro else self.run_echo)(peer, case)
        except (procs.Failed, OSError, ValueError, subprocess.SubprocessError) as e:     # all that a child may do
            self.fail(at, case, peer, program, brief(str(e)))
            return None
        self.in_a_row[peer.name, program] = 0
        if result:
            described = dataclasses.asdict(case) | {"name": case.name}
            self.runs.append({"round": at, "case": described, "who": peer.name, "result": result})
        return result

    def run_cases(self, cases):
        rounds = plan.rounds_of(self.scope, cases[0].experiment, self.rounds) if cases else 0
        for at in range(rounds):
            for place, case in enumerate(cases):
                for peer in plan.in_turn(self.participants(case), at + place):
                    result = self.run_once(at, case, peer)
                    self.progress.step(self.cost_s(case), f"{case.name}  {peer.label}  {outcome(result)}")

    # --- experiments

    def adapted(self, case):
        """With the number of workers that was asked for."""
        return dataclasses.replace(case, workers=self.workers) if case.workers == 2 else case

    def cases(self, experiment):
        found = [self.adapted(case) for case in plan.cases(self.scope, experiment)]
        return list({case.name: case for case in found}.values())   # with one worker some become the same

    def possible(self, cases):
        """Those that the limit of open files allows, and that have not been run already."""
        limit, done, found = machine.descriptor_limit(), {run["case"]["name"] for run in self.runs}, []
        for case in cases:
            if isinstance(case, Case) and case.descriptors > limit:
                self.remark(f"{case.name} needs {case.descriptors} open files, and a process may have {limit:.0f}: "
                            "left out. Raise the hard limit (ulimit -Hn, or docker --ulimit nofile=...)")
            elif case.name not in done:
                found.append(case)
        return found

    def run_rate(self):
        """A fixed rate that is half of what the best peer reaches here and now."""
        case = self.adapted(plan.peak(self.scope))
        self.run_cases(self.possible([case]))
        found, able = Results(self.data()), {p.name: p for p in self.able}
        best = found.best(case.name, "rate", found.who(("peer",))) or "weft"
        if not found.median(case.name, best, "rate"):
            return self.remark("rate: nobody's peak is known: left out")
        at_rate = self.adapted(plan.at_rate(self.scope, int(found.median(case.name, best, "rate") / 2)))
        self.remark(f"rate: {at_rate.rate} messages a second, half of what {able[best].label} reaches")
        for who in able:
            rates = found.by_round(case.name, who, "rate").values()
            if rates and max(rates) < at_rate.rate:
                self.failed.add((at_rate.name, who))
                self.remark(f"rate: {able[who].label} cannot carry that, and is left out")
        return self.run_cases([at_rate])

    def run(self, experiments, save):
        """`save` is called after each experiment. Returns whether it came to its end."""
        steps = [case for e in experiments for case in self.cases(e)
                 for _ in self.participants(case) * plan.rounds_of(self.scope, e, self.rounds)]
        estimate_s = sum(self.cost_s(case) for case in steps)
        say(f"{len(steps)} runs, about {estimate_s / 60:.0f} minutes")
        self.progress = Progress(len(steps), estimate_s)
        try:
            for experiment in experiments:
                if experiment == "rate":
                    self.run_rate()
                else:
                    self.run_cases(self.possible(self.cases(experiment)))
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
            "remarks": self.remarks, "workers": self.workers, "cpus": len(self.where["free"][0])}))
