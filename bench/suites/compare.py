"""Compares weft with what its users would pick instead: builds all that can be built,
runs it in turn, and reports."""
import dataclasses
import sys

from bench.peers import peers
from bench.pipeline.run import between, names, parser
from bench.suites import compare_page, compare_plan, tables
from bench.suites.goals import goals

NAME, COMMAND, WHO, STRICT = "compare", "bench/compare", "who", False
PEERS = [peer.name for peer in peers.ALL]

page = compare_page.page


def parse_args():
    options = parser(COMMAND, __doc__, compare_plan.EXPERIMENTS, f". Participants: {', '.join(PEERS)}.")
    options.set_defaults(scope="default", rounds=3, loader=f"{peers.BIN}/echo-load")
    options.add_argument("--quick", dest="scope", action="store_const", const="quick",
                         help="a part of it, in under five minutes after building")
    options.add_argument("--peers", type=names(PEERS, "participant"), default=PEERS, metavar="NAMES",
                         help="only these participants, separated by commas, and weft")
    options.add_argument("--workers", type=between(int, 1, 256), default=2, metavar="N",
                         help="workers where server and client are free (%(default)s)")
    options.add_argument("--out", default="build/compare", metavar="DIR", help="where the results go (%(default)s)")
    how = options.add_mutually_exclusive_group()
    how.add_argument("--build-only", action="store_true", help="build, say who is missing, and stop")
    how.add_argument("--no-build", dest="build", action="store_false", help="run what is already built")
    return options.parse_args()


def participants(args):
    """weft takes part in any case, and in `light`, which is about its cost, the floor
    that is built along with it."""
    found = [p for p in peers.ALL if p.name in args.peers or p.kind in ("weft", "variant")]
    floors = [dataclasses.replace(p, only=("light",)) for p in peers.ALL
              if p.name not in args.peers and p.kind == "floor" and p.name in compare_plan.IN_LIGHT]
    return found + floors if "light" in (args.only or compare_plan.EXPERIMENTS) else found


def check(args, absent):
    if "weft" in absent:
        sys.exit(f"{COMMAND}: weft itself is missing: {absent['weft']}")


def plan(args):
    return compare_plan.plan(compare_plan.SCOPES[args.scope], args.only, args.rounds, args.workers)


def show(results):
    return tables.show(results, goals(results))
