"""The short forms of all tests, for every change: some five minutes on two cores."""
import copy
import os

from . import chaos, conformance, rolling
from .report import say

CHAOS = {"seconds": 60.0, "rate": 300.0, "streams": 12, "tenants": 1, "pace": 0.8, "compaction": 90.0}
ROLLING = {"seconds": 20.0, "rate": 300.0, "streams": 12}
CONFORMANCE = {"every": 15, "known": [], "max_diffs": 10, "results_cache": False, "options": []}


def command(options):
    rounds = [
        ("chaos", chaos.command, {**CHAOS, "scenario": "processes"}),
        ("network", chaos.command, {**CHAOS, "scenario": "network", "compaction": 0.0}),
        ("rolling", rolling.command, ROLLING),
        ("conformance", conformance.command, CONFORMANCE),
    ]
    for name, run, more in rounds:
        if options.only and name not in options.only:
            continue
        if name == "conformance" and not os.path.isfile(os.path.join(options.suite, "run.py")):
            say(f"conformance is skipped: there is no suite in {options.suite}")
            continue
        chosen = copy.copy(options)
        vars(chosen).update(more)
        yield from run(chosen)
