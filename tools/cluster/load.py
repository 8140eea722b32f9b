"""Pushes and queries that go on while things happen to a cluster, and the checks after it."""
import json
import random
import threading
import time
import urllib.parse

from .client import Client, Tail, query_path

LINES_PER_STREAM, STREAMS_PER_PUSH = 10, 4


class Load:
    """Threads that push to the distributors, and others that query the frontend and check what it answers."""

    def __init__(self, cluster, ledger, rate, pushers=3, readers=2):
        self.cluster, self.ledger, self.rate = cluster, ledger, rate
        self.pusher, self.reader = Client(cluster.pushed_to()), Client(cluster.asked())
        self.pushers, self.readers = pushers, readers
        self.ending = threading.Event()
        self.threads, self.tails = [], []
        self.lock = threading.Lock()
        self.took = {"push": [], "query": []}
        self.failed = {"push": 0, "query": 0}
        self.checked, self.began = 0, time.time_ns()
        self.tailed = {}

    def headers(self, tenant):
        return {"X-Scope-OrgID": tenant} if tenant else {}

    def start(self, tail=False):
        for tenant in {stream.tenant for stream in self.ledger.streams} if tail else ():
            follower = Tail(self.cluster.asked()[0], f'{{app="{self.ledger.app}"}}', tenant, self.take_tailed)
            follower.start()
            self.tails.append(follower)
        for follower in self.tails:
            if not follower.connected.wait(20):
                self.ledger.problem(f"the tail does not begin: {follower.problems}")
        self.began = time.time_ns()
        self.threads = [threading.Thread(target=self.push, args=(n,), daemon=True) for n in range(self.pushers)]
        self.threads += [threading.Thread(target=self.query, args=(n,), daemon=True) for n in range(self.readers)]
        for thread in self.threads:
            thread.start()

    def end(self):
        """Ends all threads; those that try again do so until they succeed or give up."""
        self.ending.set()
        for thread in self.threads:
            thread.join(120)
            if thread.is_alive():
                self.ledger.problem("a request did not end")

    def end_tails(self):
        """Waits until the tails told of all lines, and ends them. Gives how many acknowledged lines none told of."""
        deadline = time.monotonic() + 15
        while self.untold() > sum(tail.dropped for tail in self.tails) and time.monotonic() < deadline:
            time.sleep(0.2)
        for follower in self.tails:
            follower.end()
        return self.untold()

    def untold(self):
        return sum(
            1 for stream in self.ledger.streams for seq in stream.snapshot() if (stream.number, seq) not in self.tailed
        )

    def take_tailed(self, labels, _time, line):
        words = line.split(" ", 1)[0]
        key = (int(labels.get("stream", -1)), int(words[4:]) if words.startswith("seq=") else -1)
        self.tailed[key] = self.tailed.get(key, 0) + 1

    def push(self, number):
        mine = self.ledger.streams[number :: self.pushers]
        pause = LINES_PER_STREAM * min(STREAMS_PER_PUSH, len(mine)) * self.pushers / self.rate
        turn, after = 0, time.monotonic()
        while not self.ending.is_set():
            # Pushes are of one tenant.
            first = mine[turn % len(mine)]
            chosen = [stream for stream in mine[turn % len(mine) :] + mine if stream.tenant == first.tenant]
            chosen = list(dict.fromkeys(chosen))[:STREAMS_PER_PUSH]
            turn += len(chosen)
            sent = [(stream, stream.lines(LINES_PER_STREAM, time.time_ns())) for stream in chosen]
            streams = [
                {"stream": stream.labels(self.ledger.app), "values": [[str(at), line] for at, line in lines]}
                for stream, lines in sent
            ]
            headers = {"Content-Type": "application/json", **self.headers(first.tenant)}
            began = time.monotonic()
            status, text, _ = self.pusher.send("POST", "/loki/api/v1/push", json.dumps({"streams": streams}), headers)
            if status == 204:
                for stream, lines in sent:
                    stream.acknowledge([at for at, _ in lines])
            self.done("push", began, status == 204, f"push: {status} {text[:200]!r}")
            after = max(after + pause, time.monotonic() - 1)
            self.ending.wait(max(0.0, after - time.monotonic()))

    def done(self, kind, began, good, what):
        with self.lock:
            self.took[kind].append(time.monotonic() - began)
            if not good:
                self.failed[kind] += 1
        if not good:
            self.ledger.problem(f"failed after {time.monotonic() - began:.1f} s: {what}")

    def query(self, number):
        dice = random.Random(number)
        while not self.ending.is_set():
            if not any(stream.acknowledged for stream in self.ledger.streams):
                time.sleep(0.1)
            elif dice.random() < 0.4:
                count = dice.choice((self.count, self.count_by_time))
                count(dice.choice(self.ledger.streams).tenant, f"{count.__name__} during")
            else:
                stream = dice.choice(self.ledger.streams)
                now = time.time_ns()
                start = max(self.began, now - dice.choice([10, 30, 60]) * 10**9)
                self.lines(stream, start, now + 10**9, dice.choice(["forward", "backward"]), "lines during")
            self.ending.wait(0.02)

    def ask(self, path, tenant):
        began = time.monotonic()
        status, text, tries = self.reader.send("GET", path, headers=self.headers(tenant))
        self.done("query", began, status == 200, f"{path}: {status} {text[:200]!r}")
        return (json.loads(text)["data"]["result"] if status == 200 else None), tries

    def lines(self, stream, start, end, direction, what):
        """Asks for the lines of a stream, and checks them."""
        expected = stream.snapshot()
        query = f'{{app="{self.ledger.app}", stream="{stream.number}"}}'
        limit = 20000
        path = query_path(query, start=start, end=end, direction=direction, limit=limit)
        asked = time.time()
        result, tries = self.ask(path, stream.tenant)
        if result is None:
            return False
        self.checked += 1
        what = f"{what}, {direction}, asked at {asked:.1f} ({tries} retries)"
        return self.ledger.check_lines(stream, expected, start, end, result, what)

    def count(self, tenant, what):
        """Counts the lines of all streams of a tenant by an instant query, and checks the counts."""
        streams = [stream for stream in self.ledger.streams if stream.tenant == tenant]
        least = {stream.number: len(stream.acknowledged) for stream in streams}
        # From before the first line to beyond the last.
        now = time.time_ns() + 10**9
        seconds = (now - self.began) // 10**9 + 5
        query = f'sum by (stream) (count_over_time({{app="{self.ledger.app}"}}[{seconds}s]))'
        asked = time.time()
        result, tries = self.ask(query_path(query, time=now), tenant)
        if result is None:
            return False
        self.checked += 1
        counts = {int(series["metric"]["stream"]): int(series["value"][1]) for series in result}
        good = True
        for stream in streams:
            count = counts.get(stream.number, 0)
            said = f"{what}, asked at {asked:.1f} ({tries} retries)"
            good &= self.ledger.check_count(stream, least[stream.number], len(stream.times), count, said)
        return good

    def count_by_time(self, tenant, what):
        """Counts lines of each window of time by a range query, which is split, and cached where it is old enough."""
        window = 10 * 10**9
        start, end = self.began // window * window, (time.time_ns() // window + 1) * window
        streams = [stream for stream in self.ledger.streams if stream.tenant == tenant]
        # Windows are open on the left.
        least = {stream.number: stream.acknowledged_in(start + 1, end + 1) for stream in streams}
        query = f'sum by (stream) (count_over_time({{app="{self.ledger.app}"}}[10s]))'
        asked = time.time()
        result, tries = self.ask(query_path(query, start=start + window, end=end, step="10s"), tenant)
        if result is None:
            return False
        self.checked += 1
        counts = {int(one["metric"]["stream"]): sum(int(value) for _, value in one["values"]) for one in result}
        good = True
        for stream in streams:
            said = f"{what}, asked at {asked:.1f} ({tries} retries)"
            most = stream.sent_in(start + 1, end + 1)
            good &= self.ledger.check_count(stream, least[stream.number], most, counts.get(stream.number, 0), said)
        return good

    def series(self, tenant, what):
        """Asks for the streams, and checks that all are there."""
        expected = {stream.number for stream in self.ledger.streams if stream.tenant == tenant and stream.acknowledged}
        sent = {stream.number for stream in self.ledger.streams if stream.tenant == tenant and stream.times}
        pairs = {"match[]": f'{{app="{self.ledger.app}"}}', "start": self.began, "end": time.time_ns() + 10**9}
        path = f"/loki/api/v1/series?{urllib.parse.urlencode(pairs)}"
        began = time.monotonic()
        status, text, _ = self.reader.send("GET", path, headers=self.headers(tenant))
        self.done("query", began, status == 200, f"{path}: {status} {text[:200]!r}")
        if status != 200:
            return False
        self.checked += 1
        found = [int(labels.get("stream", -1)) for labels in json.loads(text)["data"]]
        if len(found) != len(set(found)) or not expected <= set(found) <= sent:
            self.ledger.problem(f"{what}: streams {sorted(found)} are listed, {sorted(expected)} are there")
            return False
        return True

    def check_all(self, what):
        """Asks for every line of every stream, for the counts and the streams. Whether all is right."""
        good = True
        for stream in self.ledger.streams:
            if stream.times:
                good &= self.lines(stream, stream.times[0], stream.times[-1] + 1, "forward", what)
        for tenant in {stream.tenant for stream in self.ledger.streams}:
            good &= self.count(tenant, what) and self.series(tenant, what)
            # The second time some of it may come from a cache.
            good &= self.count_by_time(tenant, what) and self.count_by_time(tenant, f"{what}, again")
        return good
