"""Servers and load generators as child processes, none of which outlives this one."""
import contextlib
import ctypes
import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A run went wrong: whatever was measured means nothing."""


class NoCounter(Exception):
    """Tracepoints cannot be used here."""


def prepare_child(cpus):
    """What a child does before it becomes the program: dies with its parent, keeps to
    its CPUs, has descriptors."""
    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return prepare


def stop(process, how=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server:
    """A running echo server: `with Server(...) as s:`."""

    START_S = 20

    def __init__(self, command, cpus):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, preexec_fn=prepare_child(cpus))
        try:
            self.address = self.read_address()
        except BaseException:
            self.__exit__()
            raise

    def read_address(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.START_S)
        line = self.process.stdout.readline() if ready else ""
        found = re.fullmatch(r"listening on (\S+)\n", line)
        if not found:
            raise Failed(f"{self.process.args[0]} did not start: {self.complaint() or 'it said nothing'}")
        return found[1]

    def complaint(self):
        """What it wrote to stderr, and how it ended if it has."""
        time.sleep(0.1)
        self.errors.seek(0)
        words = self.errors.read().strip()[-2000:]
        code = self.process.poll()
        return words + (f" (the server has ended, status {code})" if code is not None else "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.process.stdout.close()
        self.errors.close()


def run_child(command, cpus, limit_s):
    """Runs a program to its end. It is killed if it takes too long, with all that it
    holds."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s,
                              preexec_fn=prepare_child(cpus))
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {limit_s} s: {os.path.basename(command[0])}") from None
    except OSError as e:
        raise Failed(str(e)) from None


def run_load(program, server, args, cpus, timeout_s):
    """One run of echo-load; its JSON object, parsed."""
    done = run_child([program, server.address, *args], cpus, timeout_s)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "counting system calls" in done.stderr:
        raise NoCounter(done.stderr.strip())
    said = server.complaint()
    raise Failed(done.stderr.strip() + (f"\nThe server said: {said}" if said else ""))


# --- micro benchmarks ------------------------------------------------------------------------------------------------

MICRO_LIMIT_S = 120     # for one benchmark with its repetitions


def run_micro(command, cpus, limit_s=MICRO_LIMIT_S):
    """What it printed."""
    done = run_child(command, cpus, limit_s)
    if done.returncode != 0:
        raise Failed(done.stderr.strip()[-500:] or f"status {done.returncode}")
    return done.stdout


def micro_names(command, cpus):
    """The benchmarks that a program has; it lists them, or their lines."""
    return {line.split(".")[0].strip() for line in run_micro([*command, "--list"], cpus, 20).splitlines()}


def measure_micro(command, case, cpus):
    """{line: {value, unit}}"""
    found = {}
    args = [f"--workers={case.workers}", f"--reps={case.reps}", case.bench]
    for line in run_micro([*command, *args], cpus).splitlines():
        try:
            name, value, unit = line.split("\t")
            found[name] = {"value": float(value), "unit": unit}
        except ValueError:
            raise Failed(f"not a result: {line}") from None
    if not any(line.split(".")[0] == case.bench for line in found):
        raise Failed("it printed no result")
    return found


# --- echo servers under load -----------------------------------------------------------------------------------------

def server_command(command, case):
    neighbours = [f"--neighbours={case.neighbours}"] if case.neighbours else []
    return [*command, "--listen=127.0.0.1:0", f"--workers={case.workers}", *case.server_args, *neighbours]


@contextlib.contextmanager
def counters(case):
    """What names the file in which the neighbours count, for server and load; nothing
    for a case without neighbours."""
    if not case.neighbours:
        yield []
        return
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None      # a page of a disk's would be written out at times
    with tempfile.NamedTemporaryFile(prefix="echo-counters-", dir=memory) as file:
        yield [f"--counters={file.name}"]


def run_case(loader, command, case, placement, patience_s=120):
    """Starts a server, loads it as `case` says, stops it. `command`: the server's,
    without options of the case."""
    server_cpus, client_cpus = placement
    with counters(case) as counting, Server(server_command(command, case) + counting, server_cpus) as server:
        args = [*case.load_args(), f"--server-pid={server.process.pid}", *counting]
        return run_load(loader, server, args, client_cpus, case.seconds + case.warmup + patience_s)


def run_relay(loader, command, case, placement, patience_s=120):
    """The same for a relay, with an echo server behind it that sends each message back
    when it is complete."""
    behind = os.path.join(os.path.dirname(loader), "breadth-load")
    with Server([behind, "echo", str(case.size)], placement[1]) as server:
        return run_case(loader, [*command, f"--to={server.address}"], case, placement, patience_s)


# --- where tracepoints cannot be used: strace ------------------------------------------------------------------------

def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def strace_counts(text):
    """{name: calls} of a table of strace -c; 'total' among them."""
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit():
            counts[words[-1]] = int(words[3])
    return counts


def run_straced(loader, command, case, placement, seconds):
    """All calls of a server from start to end, and all messages that it echoed."""
    server_cpus, client_cpus = placement
    with tempfile.NamedTemporaryFile("r") as table:
        straced = ["strace", "-f", "-c", "-o", table.name, *server_command(command, case)]
        with Server(straced, server_cpus | client_cpus) as server:
            args = [f"--connections={case.connections}", f"--seconds={seconds}", "--warmup=0"]
            result = run_load(loader, server, args, client_cpus, seconds + 120)
            for child in children(server.process.pid):
                os.kill(child, signal.SIGTERM)
            server.process.wait(10)
        return strace_counts(table.read()), result["messages_total"]


def count_by_strace(loader, command, case, placement):
    """{name: calls} and messages of the steady state: a long run less a short one, so
    that setting up cancels out."""
    short, few = run_straced(loader, command, case, placement, 0.3)
    long, many = run_straced(loader, command, case, placement, 2.0)
    calls = {name: long[name] - short.get(name, 0) for name in long}
    return {"messages": many - few, "syscalls": calls, "counted_by": "strace"}


class Counter:
    """System calls by tracepoint; where that cannot be, by strace; else not at all."""

    def __init__(self, loader):
        self.loader, self.tracepoints = loader, True

    def count(self, command, case, placement):
        if self.tracepoints:
            try:
                return run_case(self.loader, command, case, placement) | {"counted_by": "tracepoints"}
            except NoCounter:
                self.tracepoints = False
        if shutil.which("strace"):
            return count_by_strace(self.loader, command, case, placement)
        return None
