#!/usr/bin/env -S python3 -B
"""What 10 000 connections that send a byte a second cost 128 busy ones.

    slowloris.py HTTP-SERVER [--slow N] [--rounds N] [--seconds N]

wrk drives 128 connections to http_server. In the rounds "beside", the slow connections
are the same server's; the server ends each after ten seconds, and the client opens it
again. In the rounds "apart", the slow connections are in the queues of listeners that no
program accepts from: the client and the kernel do the same work, the server has none of
it. The ratio of the medians of p99 is what the server's part costs.
"""
import argparse
import contextlib
import pathlib
import re
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/examples"))
from server import serve  # noqa: E402

QUEUE = 4000  # below net.core.somaxconn
BUSY = 128


class Slow:
    """Connections that send a request's head, a byte a second each."""

    def __init__(self, count, ports):
        self.ports, self.cut, self.selector = ports, 0, selectors.EpollSelector()
        self.all, self.opened = [None] * count, 0
        self.send_until(lambda: self.opened == count)

    def open(self, i):
        connection = socket.socket()
        connection.bind((f"127.0.1.{1 + i % 8}", 0))
        connection.connect(("127.0.0.1", self.ports[i % len(self.ports)]))
        connection.setblocking(False)
        connection.send(b"GET / HTTP/1.1\r\nX: ")
        self.all[i] = connection
        self.selector.register(connection, selectors.EVENT_READ, i)

    def reopen(self):
        for key, _ in self.selector.select(0):
            self.selector.unregister(key.fileobj)
            key.fileobj.close()
            self.cut += 1
            self.open(key.data)

    def send_until(self, is_over):
        slices, turn = 500, 0  # of a second: more bytes at once would be a burst, not slow clients
        ramp = len(self.all) // (10 * slices) + 1  # all within ten seconds: so are later the cuts
        while not is_over():
            begin = time.monotonic()
            for self.opened in range(self.opened + 1, min(self.opened + ramp, len(self.all)) + 1):
                self.open(self.opened - 1)
            for connection in self.all[turn:self.opened:slices]:
                try:
                    connection.send(b"a")
                except OSError:
                    pass  # it was cut: reopen() sees that
            self.reopen()
            turn = (turn + 1) % slices
            time.sleep(max(0, begin + 1 / slices - time.monotonic()))

    def close(self):
        for connection in self.all:
            connection.close()
        self.selector.close()


def measure(port, slow, seconds):
    """Returns: (p99 in microseconds, requests a second) of the busy connections."""
    command = ["wrk", "--latency", "-t1", f"-c{BUSY}", f"-d{seconds}s", f"http://127.0.0.1:{port}/plaintext"]
    wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    slow.send_until(lambda: wrk.poll() is not None)
    said = wrk.stdout.read()
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit], rate


def run_round(args, where):
    """Beside: the slow connections are the server's. Apart: they are in queues."""
    with serve(args.program, "--workers", "2") as server, contextlib.ExitStack() as queues:
        ports = [server.port]
        if where == "apart":
            ports = [queues.enter_context(socket.create_server(("127.0.0.1", 0), backlog=QUEUE)).getsockname()[1]
                     for _ in range(args.slow // QUEUE + 1)]
        slow = Slow(args.slow, ports)
        p99, rate = measure(server.port, slow, args.seconds)
        print(f"{where}: p99 {p99:.0f} us, {rate:.0f} requests/s, {slow.cut} cut", flush=True)
        slow.close()
        return p99


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("--slow", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < args.slow + 1000:
        sys.exit(f"slowloris: RLIMIT_NOFILE is {most}, and {args.slow} connections need {args.slow + 1000}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = {"apart": [], "beside": []}
    for _ in range(args.rounds):
        for where, results in found.items():
            results.append(run_round(args, where))
    p99 = {where: statistics.median(results) for where, results in found.items()}
    print(f"p99 beside {args.slow} slow connections: {p99['beside']:.0f} us, without {p99['apart']:.0f} us, "
          f"ratio {p99['beside'] / p99['apart']:.2f}")


main()
