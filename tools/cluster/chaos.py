"""Pushes and queries while processes, links and servers fail: every acknowledged line is answered exactly once."""
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.parse

from .client import query_path
from .hosts import Namespaces
from .ledger import Ledger
from .load import Load
from .processes import Failed
from .report import milliseconds, say
from .running import Cluster


class Chaos:
    """One round over one cluster."""

    def __init__(self, cluster, options):
        self.cluster, self.options = cluster, options
        tenants = [""] if options.tenants < 2 else [f"tenant-{n}" for n in range(options.tenants)]
        self.ledger = Ledger("chaos", options.streams, tenants)
        self.load = Load(cluster, self.ledger, options.rate)
        self.began = time.monotonic()
        self.events = []
        self.ledger.moment = lambda: f"[{time.monotonic() - self.began:.1f} s, after {self.last()!r}] "

    def last(self):
        return self.events[-1].split(" s: ", 1)[1] if self.events else "the start"

    def event(self, text):
        self.events.append(f"{time.monotonic() - self.began:.1f} s: {text}")
        say(text)

    def run(self, script):
        """Runs a script of failures under load, then the checks. Gives the figures."""
        self.load.start()
        stop = threading.Event()
        flusher = threading.Thread(target=self.flush_now_and_then, args=(stop,), daemon=True)
        flusher.start()
        try:
            script(self)
            left = self.options.seconds - (time.monotonic() - self.began)
            self.event("all is well again")
            time.sleep(max(2.0, left))
        finally:
            stop.set()
            self.load.end()
            flusher.join(150)
        checks = {"after": self.load.check_all("after")}
        self.event("flushing all ingesters")
        self.cluster.flush()
        checks["after a flush"] = self.load.check_all("after a flush")
        if self.options.compaction:
            checks["stored once"] = self.compacted()
            checks["after compaction"] = self.load.check_all("after compaction")
        for process in self.cluster.dead():
            self.ledger.problem(f"{process.name} ended with {process.child.returncode}\n{process.tail()}")
        return self.figures(checks)

    def figures(self, checks):
        load, ledger = self.load, self.ledger
        return {
            "lines acknowledged": ledger.acknowledged(), "lines sent": ledger.sent(), "answers checked": load.checked,
            "pushes": milliseconds(load.took["push"]), "pushes given up": load.failed["push"],
            "pushes tried again": load.pusher.retries, "queries": milliseconds(load.took["query"]),
            "queries given up": load.failed["query"], "queries tried again": load.reader.retries,
            **{f"right {name}": "yes" if good else "NO" for name, good in checks.items()},
            "why pushes were tried again": load.pusher.reasons(), "why queries were tried again": load.reader.reasons(),
            "events": self.events, "problems": ledger.problems[:40], "problems in all": len(ledger.problems),
        }

    def flush_now_and_then(self, stop):
        """Moves lines from memory to the store while all goes on."""
        turn = 0
        while not stop.wait(5):
            ingesters = self.cluster.of("ingester")
            ingesters[turn % len(ingesters)].ask("POST", "/flush", timeout=60)
            turn += 1

    def wait(self, seconds):
        time.sleep(seconds * self.options.pace)

    # What can happen.

    def kill_and_start(self, process, away):
        process.kill()
        self.event(f"{process.name} was killed with -9")
        self.wait(away)
        process.start()
        self.event(f"{process.name} was started again")
        process.wait_ready(self.options.patience)
        self.event(f"{process.name} is ready")

    def restart(self, process):
        self.event(f"{process.name} is asked to end")
        stop, start = process.restart()
        self.event(f"{process.name} is back: {stop:.1f} s to end, {start:.1f} s until ready")

    def pause(self, process, seconds):
        process.pause()
        self.event(f"{process.name} is paused")
        self.wait(seconds)
        process.resume()
        self.event(f"{process.name} goes on")

    def cut(self, process, seconds):
        """Cuts the link of a host, or stops the process where hosts have no links."""
        if not self.cluster.net.can_cut:
            return self.pause(process, seconds)
        self.cluster.net.cut(process.host)
        self.event(f"the link of {process.name} is cut")
        self.wait(seconds)
        self.cluster.net.mend(process.host)
        self.event(f"the link of {process.name} is mended")
        return None

    # After it.

    def compacted(self):
        """Waits until the replicas of all lines are merged: as many lines are stored as are answered."""
        self.event("waiting for compaction")
        deadline, stored, rounds = time.monotonic() + self.options.compaction, None, 0
        answered = sum(self.answered(tenant) for tenant in self.tenants())
        # Only so many tables of one level are merged: small flushes make them enough.
        while stored != answered and time.monotonic() < deadline:
            self.fill(rounds)
            rounds += 1
            stored = sum(self.stored(tenant) for tenant in self.tenants())
        good = stored == answered
        if not good:
            self.ledger.problem(f"{stored} lines are stored, {answered} are answered, after {rounds} small flushes")
        # What was filled in last is merged later.
        rows, said = self.rows()
        most = answered + rounds * self.cluster.rf
        if not answered <= rows <= most:
            self.ledger.problem(f"the files of the store hold {rows} rows, not {answered} to {most}: {said}")
            good = False
        self.event(f"{stored} lines are stored, each once, after {rounds} small flushes" if good else "not compacted")
        return good

    def tenants(self):
        return sorted({stream.tenant for stream in self.ledger.streams})

    def fill(self, number):
        body = '{"streams":[{"stream":{"app":"fill"},"values":[["%d","fill %d"]]}]}' % (time.time_ns(), number)
        headers = {"Content-Type": "application/json", **self.load.headers(self.ledger.streams[0].tenant)}
        status, text, _ = self.load.pusher.send("POST", "/loki/api/v1/push", body, headers)
        if status != 204:
            self.ledger.problem(f"push: {status} {text[:200]!r}")
        self.cluster.flush()

    def answered(self, tenant):
        """How many lines a query counts."""
        query = f'sum(count_over_time({{app="{self.ledger.app}"}}[1d]))'
        result, _ = self.load.ask(query_path(query, time=time.time_ns() + 10**9), tenant)
        return int(result[0]["value"][1]) if result else 0

    def stored(self, tenant):
        """How many lines the summaries of blocks add up to, replicas included."""
        pairs = {"query": f'{{app="{self.ledger.app}"}}', "start": self.load.began, "end": time.time_ns()}
        path = f"/loki/api/v1/index/stats?{urllib.parse.urlencode(pairs)}"
        status, text, _ = self.load.reader.send("GET", path, headers=self.load.headers(tenant))
        return json.loads(text)["entries"] if status == 200 else 0

    def rows(self):
        """The rows in the files that the manifest names, counted by `narvi check` in a copy of the bucket."""
        said = ""
        for _ in range(3):
            with tempfile.TemporaryDirectory(dir=self.cluster.folder) as folder:
                self.cluster.store.copy(folder)
                open(os.path.join(folder, "WRITER"), "ab").close()
                arguments = [self.cluster.options.bin, "check", folder]
                done = subprocess.run(arguments, capture_output=True, text=True, check=False)
            words = done.stdout.split()
            if not done.returncode and "rows," in words:
                return int(words[words.index("rows,") - 1]), ""
            # The copy was made while a compaction committed, or files are damaged; the latter stays.
            said = (done.stdout + done.stderr)[-500:].strip()
        return -1, said


def processes_fail(chaos):
    """An ingester is killed and comes back, another is restarted in order, then other roles and servers."""
    cluster = chaos.cluster
    first, second = (cluster.of("ingester") * 2)[:2]
    chaos.wait(4)
    chaos.kill_and_start(first, 8)
    chaos.wait(3)
    chaos.restart(second)
    chaos.wait(3)
    if cluster.caches:
        for process in (cluster.memcached, cluster.redis):
            process.kill()
        chaos.event("memcached and Redis were killed")
        chaos.wait(4)
        for process in (cluster.memcached, cluster.redis):
            process.start()
        chaos.event("memcached and Redis were started again")
    chaos.pause(cluster.store.process, 5)
    chaos.wait(2)
    for role in ("querier", "query-scheduler", "index-gateway", "compactor", "distributor"):
        some = cluster.of(role)[-1]
        if some not in (first, second) and some.role != "all":
            chaos.kill_and_start(some, 0.5)


def network_fails(chaos):
    """The link of one ingester is cut and mended, then that of others."""
    cluster = chaos.cluster
    ingesters = cluster.of("ingester")
    chaos.wait(4)
    chaos.cut(ingesters[0], 15)
    chaos.wait(6)
    chaos.pause(ingesters[-1], 8)
    chaos.wait(4)
    for role in ("querier", "index-gateway"):
        some = cluster.of(role)[-1]
        if some not in ingesters:
            chaos.cut(some, 6)
            chaos.wait(2)
    chaos.cut(cluster.others[0], 4) if not cluster.net.can_cut else cut_store(chaos)


def cut_store(chaos):
    chaos.cluster.net.cut(chaos.cluster.store.host)
    chaos.event("the link of the object store is cut")
    chaos.wait(5)
    chaos.cluster.net.mend(chaos.cluster.store.host)
    chaos.event("the link of the object store is mended")


SCRIPTS = {"processes": processes_fail, "network": network_fails}


def command(options):
    """Gives (title, figures, whether all is right) for each scenario."""
    names = SCRIPTS if options.scenario == "both" else [options.scenario]
    for name in names:
        wanted, kind = options.netns, "loopback"
        if name == "network":
            options.netns = wanted or (os.geteuid() == 0 and Namespaces.allowed())
            kind = "network namespaces" if options.netns else "loopback: no namespaces here, processes are stopped"
        extra = {"auth_enabled": options.tenants > 1}
        try:
            with Cluster(options, extra=extra) as cluster:
                chaos = Chaos(cluster, options)
                try:
                    figures = chaos.run(SCRIPTS[name])
                except Failed as error:
                    figures = {**chaos.figures({}), "error": str(error)}
                good = not figures["problems"] and "error" not in figures
                if not good:
                    cluster.keep()
                    cluster.show_logs()
        finally:
            options.netns = wanted
        yield f"chaos: {name} ({kind}, replication factor {options.rf})", figures, good
