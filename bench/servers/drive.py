"""Real servers under the load generators that their users have: bench/compare runs this
as each participant's program of the experiment `servers`.

  drive.py PARTICIPANT --list
  drive.py PARTICIPANT [--workers=N] [--reps=N] BENCHMARK

Prints lines as the micro benchmarks do: the name, the value, the unit. NAME is requests
a second; NAME.cpu the CPU time of the server, all its processes, for one; tail.p999 a
latency. With one worker the server has one CPU for itself, and its clients have the
others.
"""
import argparse
import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BIN, PEERS, HERE = "build/bench/examples", "build/peers", pathlib.Path(__file__).parent
SECONDS, CONNECTIONS, CLIENTS = 1, 128, 50      # CLIENTS: of redis-benchmark
HANDSHAKES, COMMANDS = 3000, 100000     # in a run
TAIL_RATE = 250         # requests a second on each connection: half of what the best one reaches, about
FILES = {"100k": 100 << 10, "16k": 16 << 10, "plaintext": 13}
NGINX = """
daemon off;
worker_processes {workers};
pid {work}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port} {tls};
        root {root};
        location = /plaintext {{ return 200 "Hello, World!"; }}
    }}
}}
"""
NGINX_TLS = "ssl;\n ssl_certificate {cert};\n ssl_certificate_key {key};\n ssl_protocols TLSv1.3"


class Failed(Exception):
    """The figure would mean nothing."""


# --- servers -----------------------------------------------------------------------------------------------------

def weft_http(o):
    tls = ["--tls", o.cert, o.key] * o.tls
    return [f"{BIN}/http_server", "--listen", o.address, "--workers", str(o.workers), "--root", o.root, *tls]


def go_http(o):
    tls = [f"--cert={o.cert}", f"--key={o.key}"] * o.tls
    return [f"{PEERS}/go/http-go", f"--listen={o.address}", f"--workers={o.workers}", f"--root={o.root}", *tls]


def hyper_http(o):
    return [f"{PEERS}/tokio/release/http-hyper", f"--listen={o.address}", f"--workers={o.workers}"]


def nginx_http(o):
    tls = NGINX_TLS.format(**vars(o)) * o.tls
    config = pathlib.Path(o.work, "nginx.conf")
    config.write_text(NGINX.format(**{**vars(o), "tls": tls}))
    return ["nginx", "-e", "stderr", "-p", o.work, "-c", str(config)]


def weft_kv(o):
    return [f"{BIN}/kv_server", "--listen", o.address, "--workers", str(o.workers)]


def redis(o):
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(o.port), "--save", "", "--appendonly", "no"]


HTTP, TLS, FILE, RESP = ("plaintext", "pipelined", "tail"), ("handshake", "tls"), ("file",), tuple(
    f"{command}_{depth}" for command in ("get", "set") for depth in (1, 16))
SERVERS = {     # participant: [(which benchmarks, how the server is started)]
    "weft": [(HTTP + TLS + FILE, weft_http), (RESP, weft_kv)],
    "nginx": [(HTTP + TLS + FILE, nginx_http)],
    "go": [(HTTP + TLS + FILE, go_http)],
    "tokio": [(HTTP, hyper_http)],
    "redis": [(RESP, redis)],
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def descendants(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        words = []
    return [pid] + [grandchild for word in words for grandchild in descendants(int(word))]


def cpu_seconds(pid):
    """Of the server and its processes that live."""
    stats = [pathlib.Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split() for p in descendants(pid)]
    return sum(int(s[11]) + int(s[12]) for s in stats) / os.sysconf("SC_CLK_TCK")


def await_port(port, process):
    for _ in range(500):
        if process.poll() is not None:
            raise Failed(f"the server has ended, status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise Failed("the server does not listen")


@contextlib.contextmanager
def running(command, o):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               preexec_fn=die_with_parent)
    try:
        if o.server_cpus:
            os.sched_setaffinity(process.pid, o.server_cpus)
        await_port(o.port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


# --- load --------------------------------------------------------------------------------------------------------

def run(command, o, **env):
    """What it printed."""
    def prepare():
        die_with_parent()
        os.sched_setaffinity(0, o.client_cpus)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          preexec_fn=prepare, env={**os.environ, **env})
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()[-300:] or done.returncode}")
    return done.stdout


def wrk(path, o, depth=1):
    """(requests, seconds)"""
    scheme = "https" if o.tls else "http"
    text = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(HERE / "load.lua"),
                f"{scheme}://{o.address}/{path}"], o, DEPTH=str(depth))
    figures = re.search(r"^figures (\d+) (\d+) (\d+)$", text, re.M).groups()
    requests, microseconds, errors = (int(word) for word in figures)
    if errors or not requests:
        raise Failed(f"{errors} errors in {requests} requests")
    return requests, microseconds / 1e6


def ab(path, o):
    """A connection, and with it a handshake, for each request."""
    text = run(["ab", "-q", "-n", str(HANDSHAKES), "-c", "32", "-f", "TLS1.3", f"https://{o.address}/{path}"], o)
    if not re.search(r"^Failed requests: +0$", text, re.M) or "Non-2xx" in text or "TLSv1.3" not in text:
        raise Failed("ab reports failed requests, or not TLS 1.3")
    return HANDSHAKES, float(re.search(r"^Time taken for tests: +([\d.]+)", text, re.M)[1])


def tail(path, o):
    """The latencies of requests that are sent at a fixed rate, in us."""
    with tempfile.NamedTemporaryFile("r", dir=o.work) as log:
        count = TAIL_RATE * CONNECTIONS * SECONDS
        run(["h2load", "--h1", f"-n{count}", f"-c{CONNECTIONS}", "-t1", f"--rps={TAIL_RATE}", f"--log-file={log.name}",
             f"http://{o.address}/{path}"], o)
        rows = [line.split() for line in log]
    if len(rows) < count or any(row[1] != "200" for row in rows):
        raise Failed(f"{len(rows)} answers to {count} requests")
    late = sorted(int(row[2]) for row in rows)
    return late[int(len(late) * 0.99)], late[int(len(late) * 0.999)]


def redis_benchmark(bench, o):
    command, _, depth = bench.partition("_")
    count = COMMANDS * (1 if depth == "1" else 8)
    text = run(["redis-benchmark", "-p", str(o.port), "-t", command, "-n", str(count), "-c", str(CLIENTS), "-P", depth,
                "-q"], o)
    return count, count / float(re.findall(r": ([\d.]+) requests per second", text)[-1])


LOADS = {
    "plaintext": lambda o: wrk("plaintext", o),
    "pipelined": lambda o: wrk("plaintext", o, depth=16),
    "file": lambda o: wrk("100k", o),
    "tls": lambda o: wrk("16k", o),
    "handshake": lambda o: ab("plaintext", o),
    **{bench: lambda o, bench=bench: redis_benchmark(bench, o) for bench in RESP},
}


# --- one benchmark -------------------------------------------------------------------------------------------------

def make_files(work):
    for name, size in FILES.items():
        pathlib.Path(work, name).write_bytes(b"x" * size)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{work}/key", "-out", f"{work}/cert", "-subj", "/CN=localhost", "-days", "2"],
                   check=True, capture_output=True)


def options_for(bench, workers, work):
    cpus = sorted(os.sched_getaffinity(0))
    alone = workers == 1 and len(cpus) > 1
    port = free_port()
    return argparse.Namespace(workers=workers, port=port, address=f"127.0.0.1:{port}", work=work, root=work,
                              cert=f"{work}/cert", key=f"{work}/key", tls=bench in TLS,
                              server_cpus=cpus[:1] if alone else [], client_cpus=cpus[1:] if alone else cpus)


def measure_once(bench, command, o):
    """{line: (value, unit)}"""
    with running(command, o) as server:
        if bench == "tail":
            p99, p999 = tail("plaintext", o)
            return {"tail.p99": (p99, "us"), "tail.p999": (p999, "us")}
        before = cpu_seconds(server.pid)
        requests, seconds = LOADS[bench](o)
        used = cpu_seconds(server.pid) - before
    return {bench: (requests / seconds, "/s"), f"{bench}.cpu": (used / requests * 1e6, "us")}


def measure(start, args):
    found = {}
    with tempfile.TemporaryDirectory(prefix="weft-servers-") as work:
        os.chmod(work, 0o755)   # nginx's workers are another user
        make_files(work)
        for _ in range(args.reps):
            o = options_for(args.bench, args.workers, work)
            for line, value in measure_once(args.bench, start(o), o).items():
                found.setdefault(line, []).append(value)
    for line, values in found.items():
        print(f"{line}\t{statistics.median(value for value, _ in values)}\t{values[0][1]}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("participant", choices=list(SERVERS))
    options.add_argument("bench", nargs="?")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--reps", type=int, default=1)
    options.add_argument("--list", action="store_true")
    args = options.parse_intermixed_args()
    starts = {bench: start for benches, start in SERVERS[args.participant] for bench in benches}
    if args.list:
        print("\n".join(starts))
    elif args.bench not in starts:
        sys.exit(f"drive.py: {args.participant} has no benchmark '{args.bench}'")
    else:
        measure(starts[args.bench], args)


if __name__ == "__main__":
    try:
        main()
    except Failed as e:
        sys.exit(f"drive.py: {e}")
