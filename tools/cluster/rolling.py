"""A rolling restart of every role under pushes, queries and a tail: nothing fails, and the tail tells of every line."""
import time

from .ledger import Ledger
from .load import Load
from .processes import Failed
from .report import milliseconds, say
from .running import Cluster

# The order in which people update a Loki: those who write first.
ORDER = [
    "ingester", "write", "distributor", "index-gateway", "query-scheduler", "backend", "querier", "query-frontend",
    "read", "compactor", "ruler", "all",
]


def roll(cluster, options, load, times):
    """Restarts all processes, one after the other."""
    processes = sorted(cluster.processes, key=lambda process: ORDER.index(process.role))
    pause = max(0.5, options.seconds / len(processes) / 2)
    for process in processes:
        before = load.pusher.retries, load.reader.retries
        stop, start = process.restart()
        time.sleep(pause)
        tried = load.pusher.retries - before[0], load.reader.retries - before[1]
        times[process.name] = (
            f"{stop:.1f} s to end, {start:.1f} s until ready; tried again: {tried[0]} pushes, {tried[1]} queries"
        )
        say(f"{process.name}: {times[process.name]}")


def command(options):
    with Cluster(options) as cluster:
        ledger = Ledger("rolling", options.streams, [""])
        load = Load(cluster, ledger, options.rate)
        times, error = {}, None
        ledger.moment = lambda: f"[after the restart of {(list(times) or ['none'])[-1]}] "
        load.start(tail=True)
        try:
            time.sleep(2)
            roll(cluster, options, load, times)
        except Failed as failed:
            error = str(failed)
        load.end()
        untold = load.end_tails()
        right = load.check_all("after")
        dropped = sum(tail.dropped for tail in load.tails)
        if untold > dropped:
            ledger.problem(f"the tail told of {len(load.tailed)} lines; {untold} are missing, {dropped} dropped")
        good = not ledger.problems and not error
        figures = {
            "lines acknowledged": ledger.acknowledged(), "right after": "yes" if right else "NO",
            "pushes": milliseconds(load.took["push"]), "pushes failed": load.failed["push"],
            "pushes tried again": load.pusher.retries, "queries": milliseconds(load.took["query"]),
            "queries failed": load.failed["query"], "queries tried again": load.reader.retries,
            "idle connections opened again": load.pusher.reconnects + load.reader.reconnects,
            "tail": f"{len(load.tailed)} lines told, {untold} not told, {dropped} reported as dropped, connected "
                    f"{sum(tail.connects for tail in load.tails)} times",
            "restarts": times, "why pushes were tried again": load.pusher.reasons(),
            "why queries were tried again": load.reader.reasons(),
            "why tails ended": {reason: n for tail in load.tails for reason, n in list(tail.problems.items())[:4]},
            "problems": ledger.problems[:40] + ([error] if error else []),
        }
        if not good:
            cluster.keep()
            cluster.show_logs()
    yield f"rolling restart ({options.layout}, replication factor {options.rf})", figures, good
