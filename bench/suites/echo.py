"""The echo benchmark: runs weft and a bare epoll loop a thread on the same load, in
turn, and compares."""
import dataclasses
import pathlib
import sys

from bench.peers import peers
from bench.pipeline import machine
from bench.pipeline.run import between, names, parser
from bench.suites import echo_page, echo_plan

NAME, COMMAND, WHO, STRICT = "echo", "echo-bench", "server", True
ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVERS = {"weft": "echo-weft", "epoll": "echo-epoll"}

page, show = echo_page.page, echo_page.show


def parse_args():
    options = parser(COMMAND, __doc__, echo_plan.EXPERIMENTS)
    options.set_defaults(scope="default", build=False, build_only=False)
    how_much = options.add_mutually_exclusive_group()
    how_much.add_argument("--full", dest="scope", action="store_const", const="full",
                          help="the whole grid: about twenty minutes")
    how_much.add_argument("--quick", dest="scope", action="store_const", const="quick",
                          help="ten seconds: shows that everything works, measures nothing")
    options.add_argument("--seconds", type=between(float, 0.05, 3600), metavar="S", help="measured time of each run")
    options.add_argument("--servers", type=names(SERVERS, "server"), default=list(SERVERS), metavar="NAMES",
                         help="which servers, separated by commas: weft, epoll")
    options.add_argument("--bin", default=ROOT / "build/bench/bench", metavar="DIR", help="where the programs are")
    options.add_argument("--out", default=ROOT / "build/echo-bench", metavar="DIR", help="where the results go")
    args = options.parse_args()
    args.rounds = args.rounds or echo_plan.SCOPES[args.scope].rounds
    args.loader = f"{args.bin}/echo-load"
    return args


def participants(args):
    return [dataclasses.replace(peer, echo=f"{args.bin}/{SERVERS[peer.name]}", micro="", relay="", breadth="")
            for peer in peers.ALL if peer.name in args.servers]


def check(args, absent):
    missing = [*absent.values()] + [f"{args.loader} is missing"] * (not pathlib.Path(args.loader).exists())
    if missing:
        sys.exit(f"{COMMAND}: {'; '.join(missing)}. scripts/echo-bench builds them.")


def plan(args):
    found = echo_plan.plan(echo_plan.SCOPES[args.scope], args, len(machine.usable_cpus()))
    need = max((case.descriptors for cases in found.cases.values() for case in cases), default=0)
    limit = machine.descriptor_limit()
    if not need:
        sys.exit(f"{COMMAND}: nothing to run, with these servers and so many CPUs")
    if need > limit:
        sys.exit(f"{COMMAND}: {need} open files are needed, and a process may have {limit} here. Raise the hard limit "
                 "(ulimit -Hn, /etc/security/limits.conf, docker --ulimit nofile=...), or choose experiments that need "
                 "less with --only, or --quick.")
    return found
