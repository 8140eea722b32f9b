"""The same pushes and queries against one process and against a cluster: what does distribution cost?"""
import concurrent.futures
import json
import time
import urllib.parse

from .client import Client, query_path
from .corpus import Corpus
from .report import say, table
from .running import Cluster

# One process, the cluster with one replica of each line, and with three.
MODES = {"one process": ("all", 1), "cluster, RF 1": ("micro", 1), "cluster, RF 3": ("micro", 3)}


def queries(corpus):
    """Name, query, step in seconds; lines are asked for where there is no step."""
    every, hour = corpus.cluster, (corpus.end - corpus.start) // 10**9 // 24 or 1
    last = f"[{hour}s]) by (method)"
    return [
        ("last 100", '{app="nginx"}', 0),
        ("rare lines", f'{every} |= "level=error" |= "duration=77ms"', 0),
        ("count all", f"sum(count_over_time({every}[{hour}s]))", hour),
        ("rate by app", f"sum by (app) (rate({every}[{hour}s]))", hour),
        ("substring", f'sum(count_over_time({every} |= "error" [{hour}s]))', hour),
        ("json", f'sum by (status) (rate({{app="nginx"}} | json status="status" | status >= 500 [{hour}s]))', hour),
        ("json top", f'topk(5, sum by (path) (count_over_time({{app="nginx"}} | json [{hour}s])))', hour),
        ("logfmt p99", f'quantile_over_time(0.99, {{app="api"}} | logfmt | unwrap duration(duration) {last}', hour),
    ]


def push(cluster, corpus, connections, problems):
    client = Client(cluster.pushed_to(), timeout=120, give_up=120)
    headers = {"Content-Type": "application/x-protobuf"}

    def send(body):
        status, text, _ = client.send("POST", "/loki/api/v1/push", body, headers)
        if status != 204:
            problems.append(f"push: {status} {text[:200]!r}")

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, corpus.bodies))
    if client.retries:
        problems.append(f"pushes were tried again {client.retries} times: {client.reasons()}")


def ask(cluster, corpus, runs, problems):
    """Seconds and answers of each query, the first run left out of the seconds if there are more."""
    client = Client(cluster.asked(), timeout=300, give_up=300)
    took, answers = {}, {}
    for name, query, step in queries(corpus):
        times = []
        for _ in range(runs):
            path = query_path(query, start=corpus.start, end=corpus.end, limit=100, **({"step": step} if step else {}))
            began = time.monotonic()
            status, text, _ = client.send("GET", path)
            times.append(time.monotonic() - began)
            if status != 200:
                problems.append(f"{name}: {status} {text[:200]!r}")
                break
            answers[name] = json.loads(text)["data"]["result"]
        times = sorted(times[1:] or times)
        took[name] = times[len(times) // 2]
    if client.retries:
        problems.append(f"queries were tried again {client.retries} times: {client.reasons()}")
    return took, answers


def compact(cluster, corpus, problems):
    """Flushes single lines until there are enough tables for a compaction, and waits until each line is stored once."""
    client, number, stored = Client(cluster.pushed_to()), 0, 0
    asked, deadline = Client(cluster.asked(), timeout=120), time.monotonic() + 300
    pairs = {"query": corpus.cluster, "start": corpus.start, "end": corpus.end + 1}
    while stored != corpus.lines and time.monotonic() < deadline:
        # Other lines than the corpus has, and another stream.
        number += 1
        body = '{"streams":[{"stream":{"app":"fill"},"values":[["%d","%d"]]}]}' % (time.time_ns(), number)
        client.send("POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
        cluster.flush()
        status, text, _ = asked.send("GET", f"/loki/api/v1/index/stats?{urllib.parse.urlencode(pairs)}")
        stored = json.loads(text)["entries"] if status == 200 else 0
        time.sleep(0.5 if number < 10 else 2)
    if stored != corpus.lines:
        problems.append(f"{stored} lines are stored, not {corpus.lines}, after {number} small flushes")


def same(one, other):
    """Whether two answers are equal, floats as far as their sums in another order are."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if one == other:
        return True
    try:
        return abs(float(one) - float(other)) <= 1e-9 * max(abs(float(one)), abs(float(other)))
    except (TypeError, ValueError):
        return False


def measure(options, corpus, mode, problems):
    layout, rf = MODES[mode]
    extra = {
        "querier": {"query_ingesters_within": 0}, "query_range": {"cache_results": False},
        "compactor": {"compaction_interval": "2s"}, "server": {"log_level": "warn"},
        "limits_config": {"split_queries_by_interval": options.split, "query_timeout": "5m"},
        # What is left of replicas is merged after the sum. Lines may be half the age behind the newest.
        "ingester": {"chunk_idle_period": "20s", "max_chunk_age": "3m"},
    }
    with Cluster(options, layout=layout, rf=rf, extra=extra) as cluster:
        figures = {}

        def phase(name, work):
            before, began = cluster.cpu(), time.monotonic()
            result = work()
            figures[f"{name}, s"] = round(time.monotonic() - began, 2)
            figures[f"{name}, CPU s"] = round(cluster.cpu() - before, 2)
            return result

        say(f"{mode}: pushing {corpus.bytes >> 20} MiB")
        phase("push", lambda: push(cluster, corpus, options.connections, problems))
        phase("flush", cluster.flush)
        figures["lines/s"] = int(corpus.lines / max(figures["push, s"], 0.01))
        figures["MB/s"] = round(corpus.bytes / 1e6 / max(figures["push, s"], 0.01), 1)
        figures["push and flush, CPU s"] = round(figures["push, CPU s"] + figures["flush, CPU s"], 2)
        figures["memory after pushes, MB"] = {process.name: process.memory() for process in cluster.processes}
        say(f"{mode}: querying")
        took, answers = phase("queries", lambda: ask(cluster, corpus, options.runs, problems))
        figures["queries"] = {name: round(seconds, 4) for name, seconds in took.items()}
        if options.compacted:
            say(f"{mode}: compacting")
            phase("compaction", lambda: compact(cluster, corpus, problems))
            took, after = phase("queries, compacted", lambda: ask(cluster, corpus, options.runs, problems))
            figures["queries, compacted"] = {name: round(seconds, 4) for name, seconds in took.items()}
            problems += [f"{mode}: {name} changed" for name in after if not same(after[name], answers.get(name))]
        figures["memory, MB"] = {process.name: process.memory() for process in cluster.processes}
        figures["CPU s of each"] = {process.name: round(process.cpu(), 2) for process in cluster.processes}
        before = cluster.cpu()
        time.sleep(4)
        figures["CPU at rest, % of a core"] = round((cluster.cpu() - before) / 4 * 100, 1)
        for process in cluster.dead():
            problems.append(f"{process.name} ended with {process.child.returncode}")
        if problems:
            cluster.keep()
            cluster.show_logs()
    return figures, answers


def command(options):
    say("making the bodies")
    corpus = Corpus(options.corpus, options.mb)
    modes = [mode for mode in MODES if not options.mode or mode in options.mode]
    results, right, problems = {}, None, []
    for mode in modes:
        results[mode], answers = measure(options, corpus, mode, problems)
        if right is None:
            right = answers
        problems += [
            f"{mode}: {name} is not answered as by {modes[0]}"
            for name in right if not same(right[name], answers.get(name))
        ]
    if not options.json:
        compare(corpus, results)
    ratios = {
        f"{name}, {mode} to {modes[0]}": round(results[mode][name] / max(0.01, results[modes[0]][name]), 2)
        for mode in modes[1:]
        for name in ("push, CPU s", "push and flush, CPU s", "queries, CPU s", "queries, compacted, CPU s")
        if name in results[mode]
    }
    figures = {"lines": corpus.lines, "MB": corpus.bytes / 1e6, "ratios": ratios, "problems": problems}
    if options.json:
        figures["modes"] = results
    asked = [ratio for name, ratio in ratios.items() if "RF 1" in name and name.startswith("push,")]
    good = not problems and (not options.most or all(ratio <= options.most for ratio in asked))
    yield "throughput", figures, good


def compare(corpus, results):
    """A table with a column for each mode."""
    names = [name for name, value in next(iter(results.values())).items() if not isinstance(value, dict)]
    rows = [["", *results]]
    rows += [[name, *(figures[name] for figures in results.values())] for name in names]
    for kind in ("queries", "queries, compacted"):
        for name, _, _ in queries(corpus):
            rows.append([f"{kind}: {name}, s", *(figures.get(kind, {}).get(name, "-") for figures in results.values())])
    for what in ("memory after pushes, MB", "memory, MB", "CPU s of each"):
        for process in dict.fromkeys(name for figures in results.values() for name in figures[what]):
            rows.append([f"{process}: {what}", *(figures[what].get(process, "") for figures in results.values())])
    table(rows)
