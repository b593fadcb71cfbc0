"""Runs a suite, or makes its page anew from what a run has written, from the repository's root:

    python3 -B -m bench.pipeline SUITE [OPTION...]
    python3 -B -m bench.pipeline page results.json > report.html
"""
import importlib
import json
import sys

from bench.pipeline import page, run


def suite(name):
    return importlib.import_module("bench.suites." + name)


if sys.argv[1] == "page":
    with open(sys.argv[2]) as f:
        data = json.load(f)
    sys.stdout.write(page.page(suite(data["suite"]), data))
else:
    run.main(suite(sys.argv.pop(1)))
