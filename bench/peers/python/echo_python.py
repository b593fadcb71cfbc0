#!/usr/bin/env python3
"""echo-asyncio and echo-uvloop: the echo server of the benchmark in Python, on
asyncio's own loop or on uvloop.

A protocol, not streams: the quicker form, and the one by which uvloop is measured. The
buffered kind, since the other reads into 256 KiB that asyncio allocates each time,
which makes a short message cost about three times as much.

Threads share the interpreter lock, so N workers are N processes: this one serves, and
so do N-1 children. SO_REUSEPORT lets the kernel deal out the connections, by a hash.
What this process alone has used (CPU time, memory) is all of it only with one worker.
"""
import argparse
import asyncio
import ctypes
import os
import resource
import signal
import socket
import sys
import time

READ_BUFFER = 4096
BACKLOG = 65535
STALL_PERIOD_S = 0.050
STALL_S = 0.020
HOG_S = 0.001
PR_SET_PDEATHSIG = 1


class Echo(asyncio.BufferedProtocol):
    """One connection. All of them read into the same buffer, since what is written is a
    copy."""

    buffer = bytearray(READ_BUFFER)

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, _):
        return self.buffer

    def buffer_updated(self, count):
        self.transport.write(self.buffer[:count])

    def pause_writing(self):
        """The peer does not take everything: then nothing more is read from it until it
        has."""
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def stall():
    """Goes by the clock, not by when it was last served; moments that have passed meanwhile are left out."""
    due = time.monotonic()
    while True:
        now = time.monotonic()
        while due <= now:
            due += STALL_PERIOD_S
        await asyncio.sleep(due - now)
        compute(STALL_S)


async def hog():
    while True:
        compute(HOG_S)
        await asyncio.sleep(0)


async def serve(listener, children, neighbours):
    loop = asyncio.get_running_loop()
    for child in children:
        loop.add_reader(os.pidfd_open(child), lost_child)
    server = await loop.create_server(Echo, sock=listener)
    # Not by create_server's `backlog`: asyncio also tries to accept that often in one
    # go, descriptors or not.
    listener.listen(BACKLOG)
    async with server:
        await asyncio.gather(server.serve_forever(), *(neighbour() for neighbour in neighbours))


# --- processes -------------------------------------------------------------------------------------------------------

def lost_child():
    """What was measured from here on would mean nothing."""
    print("echo-python: a worker has ended", file=sys.stderr)
    os._exit(1)


def fork(count):
    """Which of `count` processes this one is, 0 the parent, and its children. They end
    when it does."""
    parent = os.getpid()
    children = []
    for index in range(1, count):
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            return index, []
        children.append(child)
    return 0, children


def listen_on(address):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # Both loops set TCP_NODELAY on what they accept, but asyncio only if the listener
    # says that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError as e:
        sys.exit(f"echo-python: {address[0]}: {e.strerror}")
    listener.listen(BACKLOG)
    return listener


def announce(listener):
    host, port = listener.getsockname()[:2]
    print(f"listening on [{host}]:{port}" if ":" in host else f"listening on {host}:{port}", flush=True)


def run(options):
    listeners = [listen_on(options.listen)]
    address = listeners[0].getsockname()  # all take the port that the first one got
    listeners += [listen_on(address) for _ in range(1, options.workers)]
    index, children = fork(options.workers)
    for i, other in enumerate(listeners):
        if i != index:
            other.close()  # else the kernel would go on giving it connections if its process ended
    neighbours = [stall] * (options.stall and index == 0) + [hog] * options.hog
    if index == 0:
        announce(listeners[0])
    with asyncio.Runner(loop_factory=new_loop(options.loop)) as runner:
        runner.run(serve(listeners[index], children, neighbours))


def new_loop(name):
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # only here: asyncio must run without it
    return uvloop.new_event_loop


# --- the command line ------------------------------------------------------------------------------------------------

def host_and_port(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: not a numeric HOST:PORT")
    return host.strip("[]"), int(port)


def worker_count(text):
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text}: not a number from 1 to 256")
    return int(text)


def parse_args():
    parser = argparse.ArgumentParser(prog="echo-python", description="The echo server on asyncio or uvloop.")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="which loop (%(default)s)")
    parser.add_argument("--listen", type=host_and_port, default="127.0.0.1:0", metavar="HOST:PORT",
                        help="where to listen (%(default)s, a free port)")
    parser.add_argument("--workers", type=worker_count, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="processes that serve, 1 to 256 (one for each usable CPU)")
    parser.add_argument("--stall", action="store_true", help="every 50 ms compute for 20 ms without a pause")
    parser.add_argument("--hog", action="store_true", help="in every process, compute 1 ms at a time all the time")
    return parser.parse_args()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run(parse_args())


if __name__ == "__main__":
    main()
