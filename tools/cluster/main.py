"""The command line."""
import argparse
import os
import signal
import sys

from . import chaos, conformance, rolling, servers, settings, test, throughput
from .processes import Failed
from .report import say, show
from .running import Cluster

TOP = os.path.dirname(servers.TOOLS)
SUITE = os.path.join(os.path.dirname(TOP), "shared", "conformance")


def arguments():
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(TOP, "target"))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bin", default=os.path.join(target, "debug", "narvi"), help="the program (%(default)s)")
    common.add_argument("--layout", choices=settings.LAYOUTS, default="micro", help="which processes (%(default)s)")
    common.add_argument("--rf", type=int, default=3, help="replication factor (%(default)s)")
    common.add_argument("--ask", choices=("query-frontend", "querier"), default="query-frontend", help="(%(default)s)")
    common.add_argument("--netns", action="store_true", help="hosts are network namespaces; needs root")
    common.add_argument("--s3", choices=("weed", "moto"), default="weed", help="the object store (%(default)s)")
    common.add_argument("--folder", help="where logs and data are (a temporary folder)")
    common.add_argument("--keep", action="store_true", help="keep logs and data also if all is well")
    common.add_argument("--flag", action="append", default=[], metavar="-NAME=VALUE", help="one more for all processes")
    common.add_argument("--patience", type=float, default=90, help="seconds to get ready (%(default)s)")
    common.add_argument("--json", action="store_true", help="results as one JSON object a line")
    load = argparse.ArgumentParser(add_help=False)
    load.add_argument("--seconds", type=float, default=60, help="how long pushes go on at least (%(default)s)")
    load.add_argument("--rate", type=float, default=800, help="lines a second (%(default)s)")
    load.add_argument("--streams", type=int, default=24, help="(%(default)s)")
    load.add_argument("--tenants", type=int, default=1, help="(%(default)s)")
    load.add_argument("--pace", type=float, default=1.0, help="how long failures last, as a factor")
    load.add_argument("--compaction", type=float, default=180, help="seconds to wait for compaction; 0: not at all")
    parser = argparse.ArgumentParser(prog="cluster.py", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="run a cluster until interrupted")
    some = commands.add_parser("chaos", parents=[common, load], help="failures under load")
    some.add_argument("--scenario", choices=[*chaos.SCRIPTS, "both"], default="both")
    commands.add_parser("rolling", parents=[common, load], help="restart every process under load")
    some = commands.add_parser("conformance", parents=[common], help="run a conformance suite")
    some.add_argument("--suite", default=SUITE, help="its folder (%(default)s)")
    some.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case of each category")
    some.add_argument("--known", action="append", default=[], metavar="ID", help="cases that may fail")
    some.add_argument("--max-diffs", type=int, default=20, help="differences printed (%(default)s)")
    some.add_argument("--results-cache", action="store_true", help="with caches that the suite's file switches off")
    some.add_argument("options", nargs="*", help="more options of run.py, after --")
    some = commands.add_parser("throughput", parents=[common], help="one process against clusters")
    some.add_argument("--mb", type=int, default=128, help="megabytes of lines (%(default)s)")
    some.add_argument("--corpus", metavar="FOLDER", help="with bodies.bin and meta.json, instead of lines made here")
    some.add_argument("--connections", type=int, default=2, help="that push (%(default)s)")
    some.add_argument("--runs", type=int, default=3, help="of each query (%(default)s)")
    some.add_argument("--compacted", action="store_true", help="ask the queries again after compaction")
    some.add_argument("--split", default="1h", help="split_queries_by_interval (%(default)s)")
    some.add_argument("--mode", action="append", choices=throughput.MODES, help="only this one; may be repeated")
    some.add_argument("--most", type=float, default=0, metavar="RATIO", help="of CPU at RF 1; more is a failure")
    some = commands.add_parser("test", parents=[common], help="short forms of chaos, rolling and conformance")
    some.add_argument("--suite", default=SUITE, help="the folder of a conformance suite (%(default)s)")
    some.add_argument("--only", action="append", choices=("chaos", "network", "rolling", "conformance"))
    return parser


def up(options):
    with Cluster(options) as cluster:
        for process in cluster.processes:
            print(f"{process.name:18} http://{process.address[0]}:{process.port}  pid {process.pid}  log {process.log}")
        push, ask = cluster.pushed_to()[0], cluster.asked()[0]
        print(f"push to http://{push[0]}:{push[1]}, query http://{ask[0]}:{ask[1]}; Ctrl-C ends all", flush=True)
        while not cluster.dead():
            signal.sigtimedwait([signal.SIGINT, signal.SIGTERM], 1) and sys.exit(0)
        raise Failed("\n".join(f"{process.name} ended\n{process.tail()}" for process in cluster.dead()))


COMMANDS = {
    "chaos": chaos.command, "conformance": conformance.command, "rolling": rolling.command, "test": test.command,
    "throughput": throughput.command,
}


def main():
    options = arguments().parse_args()
    # Processes have folders of their own.
    options.bin = os.path.abspath(options.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = True
    try:
        if options.command == "up":
            up(options)
            return 0
        for title, figures, right in COMMANDS[options.command](options):
            show(title, {"result": "passed" if right else "FAILED", **figures}, options.json)
            good &= right
    except Failed as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 0 if good else 1
