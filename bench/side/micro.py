"""Runs the programs of the micro benchmarks."""
import subprocess

from bench.lib.procs import Failed, prepare_child

LIMIT_S = 120       # for one benchmark with its repetitions


def run(command, cpus, limit_s=LIMIT_S):
    """What it printed. It is killed if it takes too long, with all that it holds."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s,
                              preexec_fn=prepare_child(cpus))
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {limit_s} s") from None
    except OSError as e:
        raise Failed(str(e)) from None
    if done.returncode != 0:
        raise Failed(done.stderr.strip()[-500:] or f"status {done.returncode}")
    return done.stdout


def names(command, cpus):
    """The benchmarks that a program has; it lists them, or their lines."""
    return {line.split(".")[0].strip() for line in run([*command, "--list"], cpus, 20).splitlines()}


def measure(command, case, reps, cpus):
    """{line: {value, unit}}"""
    found = {}
    for line in run([*command, f"--workers={case.workers}", f"--reps={reps}", case.bench], cpus).splitlines():
        words = line.split("\t")
        try:
            found[words[0]] = {"value": float(words[1]), "unit": words[2]}
        except (IndexError, ValueError):
            raise Failed(f"not a result: {line}") from None
    if not any(line.split(".")[0] == case.bench for line in found):
        raise Failed("it printed no result")
    return found
