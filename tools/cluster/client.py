"""Clients of the HTTP API that try again, as Promtail and Grafana do, and count how often."""
import base64
import http.client
import json
import os
import socket
import struct
import threading
import time
import urllib.parse

# After so long a push is given up: nobody knows whether its lines are there. Kept under the freshness of caches.
GIVE_UP = 40.0
TIMEOUT = 15.0


class Client:
    """Sends requests to several servers in turn; each thread has its own connections."""

    def __init__(self, addresses, timeout=TIMEOUT, give_up=GIVE_UP):
        self.addresses, self.timeout, self.give_up = list(addresses), timeout, give_up
        self.local, self.lock = threading.local(), threading.Lock()
        self.retries, self.reconnects, self.why, self.next = 0, 0, {}, 0

    def send(self, method, path, body=None, headers=None, fine=(200, 204)):
        """Status, body and how often it was tried again. Gives up late: the last status, or 0, and what was said."""
        deadline, pause, tries = time.monotonic() + self.give_up, 0.05, 0
        while True:
            with self.lock:
                self.next += 1
                address = self.addresses[self.next % len(self.addresses)]
            status, text = self.once(address, method, path, body, headers or {})
            # What the client did wrong will be wrong again.
            wrong = 400 <= status < 500 and status not in (408, 429, 499)
            if status in fine or wrong or time.monotonic() + pause > deadline:
                return status, text, tries
            tries += 1
            with self.lock:
                self.retries += 1
                reason = f"{status}: {text[:160].decode('utf-8', 'replace').strip()}"
                self.why[reason] = self.why.get(reason, 0) + 1
            time.sleep(pause)
            pause = min(1.0, pause * 2)

    def once(self, address, method, path, body, headers):
        connections = self.local.__dict__.setdefault("connections", {})
        connection = connections.get(address)
        for fresh in (connection is None, True):
            if connection is None:
                connection = connections[address] = http.client.HTTPConnection(*address, timeout=self.timeout)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connections.pop(address, None)
                connection = None
                # A connection that was kept may have been closed by a server at rest; that is no failure of a request.
                idle = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
                if fresh or not idle:
                    return 0, f"{type(error).__name__}: {error}".encode()
                with self.lock:
                    self.reconnects += 1
        raise AssertionError

    def reasons(self, most=6):
        ordered = sorted(self.why.items(), key=lambda pair: -pair[1])
        return {reason: count for reason, count in ordered[:most]}


def query_path(query, **parameters):
    kind = "query" if "time" in parameters else "query_range"
    return f"/loki/api/v1/{kind}?{urllib.parse.urlencode({'query': query, **parameters})}"


class Tail(threading.Thread):
    """Follows a query by a WebSocket; connects again where it left off when the connection is lost."""

    def __init__(self, address, query, tenant, take):
        super().__init__(daemon=True)
        self.address, self.query, self.tenant, self.take = address, query, tenant, take
        self.since = time.time_ns()
        self.connected, self.ending = threading.Event(), threading.Event()
        self.connects, self.dropped, self.problems, self.stream = 0, 0, {}, None

    def run(self):
        while not self.ending.is_set():
            try:
                self.follow()
            except (OSError, ValueError, struct.error) as error:
                self.note(f"{type(error).__name__}: {error}")
            self.connected.clear()
            self.ending.wait(0.3)

    def note(self, problem):
        self.problems[problem] = self.problems.get(problem, 0) + 1

    def end(self):
        self.ending.set()
        if self.stream:
            try:
                self.stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.join(5)

    def follow(self):
        with socket.create_connection(self.address, timeout=30) as self.stream:
            key = base64.b64encode(os.urandom(16)).decode()
            # Lines come out of order by a little: those that were on their way are asked for again.
            start = self.since - 5 * 10**9 if self.connects else self.since
            path = "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": self.query, "start": start, "limit": 5000})
            tenant = f"X-Scope-OrgID: {self.tenant}\r\n" if self.tenant else ""
            self.stream.sendall(
                f"GET {path} HTTP/1.1\r\nHost: tail\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{tenant}"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            reader = self.stream.makefile("rb")
            status = reader.readline()
            if b" 101 " not in status:
                raise ValueError(f"answer {status.decode('latin-1').strip()}")
            while reader.readline() not in (b"\r\n", b""):
                pass
            self.connects += 1
            self.connected.set()
            while self.frame(reader):
                pass

    def frame(self, reader):
        head = reader.read(2)
        if len(head) < 2:
            return False
        opcode, length = head[0] & 15, head[1] & 127
        if length > 125:
            length = struct.unpack(">H" if length == 126 else ">Q", reader.read(2 if length == 126 else 8))[0]
        payload = reader.read(length)
        if opcode == 8:
            return False
        if opcode == 9:
            self.stream.sendall(bytes([0x8A, 0x80, 0, 0, 0, 0]))
        if opcode == 1:
            message = json.loads(payload)
            for stream in message.get("streams") or []:
                for value in stream["values"]:
                    self.since = max(self.since, int(value[0]))
                    self.take(stream["stream"], int(value[0]), value[1])
            self.dropped += message.get("dropped_total", len(message.get("dropped_entries") or []))
        return True
