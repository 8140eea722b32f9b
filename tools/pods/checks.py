"""What is asked of Narvi through a gateway: pushes, queries of all kinds, tails, large bodies; over the old paths too."""
import base64
import http.client
import json
import os
import socket
import struct
import threading
import time
import urllib.parse


def ask(host, port, method, path, body=None, kind="application/json"):
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Tail:
    """A WebSocket that collects the lines which a tail sends."""

    def __init__(self, host, port, path):
        self.lines, self.stream = [], socket.create_connection((host, port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.reader = self.stream.makefile("rb")
        self.status = self.reader.readline().decode().strip()
        while self.reader.readline() not in (b"\r\n", b""):
            pass
        if " 101 " in self.status:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while len(head := self.reader.read(2)) == 2:
                length = head[1] & 127
                if length > 125:
                    size, form = (2, ">H") if length == 126 else (8, ">Q")
                    [length] = struct.unpack(form, self.reader.read(size))
                payload = self.reader.read(length)
                if head[0] & 15 == 9:
                    self.stream.sendall(bytes([0x8A, 0x80, 0, 0, 0, 0]))
                if head[0] & 15 == 1:
                    streams = json.loads(payload).get("streams") or []
                    # The old tail and the new have entries in different forms.
                    self.lines += [value[1] for stream in streams for value in stream.get("values", [])]
                    self.lines += [entry["line"] for stream in streams for entry in stream.get("entries", [])]
        except OSError:
            pass

    def close(self):
        self.stream.close()


class Checks:
    """What is asked through a gateway."""

    def __init__(self, host, largest, rules):
        """`largest` is the size of the largest body that the gateway lets through; `rules` whether it leads to a ruler."""
        self.host, self.largest, self.rules, self.failures, self.done = host, largest, rules, [], 0

    def told(self):
        return f"{self.done - len(self.failures)} of {self.done} as expected"

    def ask(self, method, path, body=None, **parameters):
        if parameters:
            path += "?" + urllib.parse.urlencode(parameters)
        return ask(self.host, 8080, method, path, body)

    def expect(self, what, found, wanted):
        self.done += 1
        if found != wanted:
            self.failures.append(what)
            print(f"  WRONG {what}: {str(found)[:600]} and not {str(wanted)[:200]}")

    def json(self, path, **parameters):
        status, body = self.ask("GET", path, **parameters)
        try:
            return json.loads(body) if status == 200 else (status, body[:300])
        except ValueError:
            return status, body[:300]

    def push(self, lines, way, **more):
        now = time.time_ns()
        values = [[str(now + n), line] for n, line in enumerate(lines)]
        body = json.dumps({"streams": [{"stream": {"app": "gateway", "way": way, **more}, "values": values}]})
        return self.ask("POST", "/loki/api/v1/push", body)

    def push_legacy(self, lines, way):
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        entries = [{"ts": f"{stamp}.{n:09d}Z", "line": line} for n, line in enumerate(lines)]
        body = json.dumps({"streams": [{"labels": f'{{app="gateway",way="{way}"}}', "entries": entries}]})
        return self.ask("POST", "/api/prom/push", body)

    def lines(self, path, way):
        parameters = {"query": f'{{app="gateway",way="{way}"}}', "start": time.time_ns() - 3600 * 10**9, "limit": 5000}
        answer = self.json(path, **parameters)
        if not isinstance(answer, dict):
            return answer
        streams = answer["data"]["result"] if "data" in answer else answer.get("streams") or []
        values = [value[1] for stream in streams for value in stream.get("values", [])]
        return sorted(values + [entry["line"] for stream in streams for entry in stream.get("entries", [])])

    def all(self):
        status, text = self.ask("GET", "/")
        self.expect("the gateway itself", (status, text.strip()), (200, b"OK"))
        self.pushes_and_queries()
        self.tails()
        self.sizes()
        if self.rules:
            for path in ["/prometheus/api/v1/rules", "/prometheus/api/v1/alerts"]:
                answer = self.json(path)
                self.expect(path, isinstance(answer, dict) and answer["status"], "success")

    def pushes_and_queries(self):
        lines = sorted(f"line {n} of the gateway" for n in range(500))
        for begin in range(0, 500, 50):
            part = lines[begin : begin + 50]
            self.expect("push", self.push(part, "new"), (204, b""))
            self.expect("push, old path", self.push_legacy(part, "old"), (204, b""))
        for way in ["new", "old"]:
            for path in ["/loki/api/v1/query_range", "/api/prom/query"]:
                self.expect(f"{path} for {way}", self.lines(path, way), lines)
        answer = self.json("/loki/api/v1/query", query='sum by (way) (count_over_time({app="gateway"}[1h]))')
        counts = answer["data"]["result"] if isinstance(answer, dict) else answer
        found = {row["metric"]["way"]: row["value"][1] for row in counts} if isinstance(answer, dict) else counts
        self.expect("/loki/api/v1/query", found, {"new": "500", "old": "500"})
        for path, wanted in [
            ("/loki/api/v1/labels", {"app", "way"}),
            ("/loki/api/v1/label", {"app", "way"}),
            ("/loki/api/v1/label/way/values", {"new", "old"}),
            ("/api/prom/label", {"app", "way"}),
            # Names, whatever label is asked for: so does Loki 3.
            ("/api/prom/label/way/values", {"app", "way"}),
        ]:
            answer = self.json(path)
            found = set(answer.get("data") or answer.get("values") or []) if isinstance(answer, dict) else answer
            self.expect(path, found & wanted if isinstance(found, set) else found, wanted)
        for path in ["/loki/api/v1/series", "/api/prom/series"]:
            answer = self.json(path, **{"match[]": '{app="gateway"}'})
            ways = {row["way"] for row in answer["data"]} if isinstance(answer, dict) else answer
            self.expect(path, ways, {"new", "old"})
        answer = self.json("/loki/api/v1/index/stats", query='{app="gateway"}')
        self.expect("/loki/api/v1/index/stats", isinstance(answer, dict) and answer.get("streams", 0) > 1, True)
        status, _ = self.ask("GET", "/loki/api/v1/query_range", query="{app=")
        self.expect("a wrong query", status, 400)
        self.expect("a path of nobody", self.ask("GET", "/loki/api/v1/nothing")[0], 404)

    def tails(self):
        for path, way in [("/loki/api/v1/tail", "tail"), ("/api/prom/tail", "old-tail")]:
            query = urllib.parse.urlencode({"query": f'{{app="gateway",way="{way}"}}'})
            tail = Tail(self.host, 8080, f"{path}?{query}")
            self.expect(f"{path} begins", " 101 " in tail.status, True)
            lines = [f"{way} line {n}" for n in range(300)]
            if " 101 " in tail.status:
                # A tail that goes over several ingesters need not be set up yet when it is accepted.
                deadline, n = time.time() + 30, 0
                while "early" not in tail.lines and time.time() < deadline:
                    self.push(["early"], way, n=str(n := n + 1))
                    time.sleep(0.5)
                for begin in range(0, 300, 50):
                    self.expect("push while tailed", self.push(lines[begin : begin + 50], way), (204, b""))
                while len(set(tail.lines) - {"early"}) < 300 and time.time() < deadline + 30:
                    time.sleep(0.1)
                self.expect(f"{path} sends each line once", sorted(line for line in tail.lines if line != "early"), sorted(lines))
            tail.close()

    def sizes(self):
        """Bodies up to what the file of nginx lets through."""
        for megabytes in [0.9, 3]:
            lines = [f"{n:06d} " + "x" * 10000 for n in range(int(megabytes * 100))]
            allowed = megabytes * (1 << 20) < self.largest
            self.expect(f"a push of {megabytes} MB", self.push(lines, "large")[0], 204 if allowed else 413)
