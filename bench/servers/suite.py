"""Real servers under the load generators of their users (drive.py): weft's examples
beside what people run instead. A part of bench/compare.

A server with one worker has a CPU for itself; with two it shares both with its clients.
The figures .cpu are the server's CPU time for one request, and count for the goals:
with clients on the same machine the requests a second are theirs as well.
"""
from bench.pipeline.case import Micro
from bench.pipeline.goal import Goal, compared, each

HYPER, WHOSE = ("tokio",), {"tokio": "hyper's", "go": "Go's", "nginx": "nginx's", "redis": "Redis's"}
SERVERS = {
    "plaintext": "GET of 13 bytes, HTTP/1.1 keep-alive, 128 connections, wrk",
    "pipelined": "the same, 16 requests at a time",
    "tail": "the same, 250 requests a second on each connection, h2load",
    "file": "GET of a file of 100 KiB, 128 connections, wrk",
    "tls": "GET of a file of 16 KiB, TLS 1.3, 128 connections, wrk",
    "handshake": "a TLS 1.3 connection for each GET of 13 bytes, ECDSA P-256, 32 at a time, ab",
    "get_1": "redis-benchmark GET, 50 clients",
    "get_16": "the same, 16 commands at a time",
    "set_1": "redis-benchmark SET, 50 clients",
    "set_16": "the same, 16 commands at a time",
}
ONE_THREAD = ("get_1", "get_16", "set_1", "set_16")     # Redis has one
# bench: (what, [(against whom, at least)])
AT_LEAST = {
    "plaintext": ("requests per CPU-second", [(HYPER, 1.2), (("go",), 1.5), (("nginx",), 1.0)]),
    "pipelined": ("requests per CPU-second", [(HYPER, 1.2)]),
    "file": ("requests per CPU-second", [(("nginx",), 1.0)]),
    "tls": ("requests per CPU-second", [(("nginx",), 1.0), (("go",), 1.2)]),
    "handshake": ("handshakes per CPU-second", [(("nginx",), 1.0), (("go",), 1.2)]),
    **{bench: ("commands per CPU-second", [(("redis",), 1.0)]) for bench in ONE_THREAD},
}


def cases():
    return [Micro(bench, workers, reps=1, experiment="servers", program="servers")
            for bench in SERVERS for workers in (1, 2)]


def goals(results):
    found = []
    for bench, (what, wanted) in AT_LEAST.items():
        workers = {"workers": 1} if bench in ONE_THREAD else {}
        points = [p for name in results.select(bench=bench, experiment="servers", **workers)
                  for among, least in wanted for p in compared(results, name, f"{bench}.cpu", among, least,
                                                               at_least=True)]
        limits = ">= " + ", ".join(f"{least:g} x {WHOSE[among[0]]}" for among, least in wanted)
        found.append(Goal(f"servers, {bench}: {what}", limits, points))
    names = results.select(bench="tail", experiment="servers")
    found.append(Goal("servers, tail: p99.9, against the best", "<= 1.0 x",
                      each(results, names, {"tail.p999": "p99.9"}, results.who(("peer",)), 1.0)))
    return found
