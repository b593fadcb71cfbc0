"""HAProxy as a relay, in the foreground: it inherits a listening socket, so the port is
free, and reads its configuration from memory, so nothing is left behind."""
import argparse
import os
import socket

CONFIG = """
global
    nbthread {workers}
    maxconn 2000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    {splice}
listen relay
    bind fd@{listener}
    server echo {to}
"""
SPLICE = {"auto": "option splice-auto", "always": "option splice-request\n    option splice-response", "never": ""}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--listen", default="127.0.0.1:0")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--to", required=True)
    options.add_argument("--splice", choices=list(SPLICE), default="auto")
    args = options.parse_args()
    host, _, port = args.listen.rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=1024)
    memory = os.memfd_create("haproxy.cfg", 0)
    config = CONFIG.format(workers=args.workers, splice=SPLICE[args.splice], listener=listener.fileno(), to=args.to)
    os.write(memory, config.encode())
    os.set_inheritable(listener.fileno(), True)
    print("listening on {}:{}".format(*listener.getsockname()), flush=True)
    os.execvp("haproxy", ["haproxy", "-db", "-q", "-f", f"/proc/self/fd/{memory}"])


if __name__ == "__main__":
    main()
