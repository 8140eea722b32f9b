#!/usr/bin/env python3
"""Load: four connections push, four query and one tails, all at once, against one server.

    load.py --bin NARVI [--seconds 60] [--rate 2000]

Pushes `rate` lines a second over the four connections, queries as fast as answers come, reads the tail, and samples the
server's memory. At the end it flushes, counts what is stored, and prints a table. The exit status is 1 if a request
failed, if a line that was acknowledged is missing or doubled, or if the tail lost lines without saying so.
"""
import argparse
import base64
import http.client
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

QUERIES = [
    ('{app="load"}', {"limit": 100}),
    ('{app="load"} |= "status=500" | logfmt | took > 900ms', {"limit": 50}),
    ('sum by (status) (count_over_time({app="load"} | logfmt [1m]))', {"step": 5}),
    ('topk(3, sum by (pod) (rate({app="load"}[30s])))', {"step": 5}),
]
PUSHERS, READERS, LINES_PER_PUSH = 4, 4, 100


class Load:
    def __init__(self, port, seconds, rate):
        self.port, self.rate, self.end = port, rate, 0.0
        self.seconds = seconds
        self.tailing = threading.Event()
        self.lock = threading.Lock()
        self.acknowledged, self.errors, self.took = 0, [], {"push": [], "query": []}
        self.tailed, self.dropped = 0, 0

    def fail(self, what):
        with self.lock:
            self.errors.append(what)

    def done(self, kind, began, lines=0):
        with self.lock:
            self.took[kind].append(time.time() - began)
            self.acknowledged += lines

    def push(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        pause, n = LINES_PER_PUSH * PUSHERS / self.rate, 0
        after = time.time()
        while time.time() < self.end:
            now, values = time.time_ns(), []
            for i in range(LINES_PER_PUSH):
                status = 500 if n % 50 == 0 else 200
                line = f"pod={number} seq={n} status={status} took={n % 1000}ms id={n * 2654435761 % 2**32:08x} path=/items/{n % 977}"
                values.append([str(now + i), line])
                n += 1
            body = json.dumps({"streams": [{"stream": {"app": "load", "pod": f"p{number}"}, "values": values}]})
            began = time.time()
            try:
                connection.request("POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 204:
                    self.done("push", began, LINES_PER_PUSH)
                else:
                    self.fail(f"push: {answer.status} {text[:200]}")
            except OSError as error:
                return self.fail(f"push: {error}")
            after += pause
            time.sleep(max(0, after - time.time()))

    def query(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        n = number
        while time.time() < self.end:
            query, more = QUERIES[n % len(QUERIES)]
            n += 1
            now = time.time()
            parameters = {"query": query, "start": f"{now - 60:.3f}", "end": f"{now:.3f}", **more}
            began = time.time()
            try:
                connection.request("GET", f"/loki/api/v1/query_range?{urllib.parse.urlencode(parameters)}")
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    self.done("query", began)
                else:
                    self.fail(f"{query}: {answer.status} {text[:200]}")
            except OSError as error:
                return self.fail(f"{query}: {error}")

    def tail(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        path = "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": '{app="load"}', "start": time.time_ns()})
        stream.sendall(
            f"GET {path} HTTP/1.1\r\nHost: load\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        reader = stream.makefile("rb")
        status = reader.readline()
        if b" 101 " not in status:
            return self.fail(f"tail: {status!r}")
        while reader.readline() not in (b"\r\n", b""):
            pass
        self.tailing.set()
        try:
            while True:
                head = reader.read(2)
                if len(head) < 2:
                    return
                opcode, length = head[0] & 15, head[1] & 127
                if length > 125:
                    length = struct.unpack(">H" if length == 126 else ">Q", reader.read(2 if length == 126 else 8))[0]
                payload = reader.read(length)
                if opcode == 8:
                    return
                if opcode == 9:
                    stream.sendall(bytes([0x8A, 0x80, 0, 0, 0, 0]))
                if opcode == 1:
                    frame = json.loads(payload)
                    self.tailed += sum(len(s["values"]) for s in frame.get("streams") or [])
                    # Counts the lines that were dropped but are not listed, too.
                    self.dropped += frame.get("dropped_total", 0)
        except (TimeoutError, OSError):
            return

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def run(self, pid):
        tail = threading.Thread(target=self.tail, daemon=True)
        tail.start()
        if not self.tailing.wait(10):
            self.fail("tail: no answer")
        self.end = time.time() + self.seconds
        threads = [threading.Thread(target=self.push, args=(n,)) for n in range(PUSHERS)]
        threads += [threading.Thread(target=self.query, args=(n,)) for n in range(READERS)]
        memory = []
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(status(pid, "RssAnon"))
            time.sleep(1)
        for thread in threads:
            thread.join()
        # The tail may be behind; it has told of every line once it is done.
        patience = time.time() + 30
        while tail.is_alive() and self.tailed + self.dropped < self.acknowledged and time.time() < patience:
            time.sleep(0.1)
        return memory


def status(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{name}:\s+(\d+) kB", file.read())[1]) >> 10


def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = [options.bin, "serve", "--data-dir", f"{folder}/data", "--http-listen", "127.0.0.1:0"]
        server = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        try:
            port = next(int(found[1]) for line in server.stderr if (found := re.search(r" http=[^ ]*:(\d+)", line)))
            threading.Thread(target=server.stderr.read, daemon=True).start()
            load = Load(port, options.seconds, options.rate)
            memory = load.run(server.pid)
            used = cpu(server.pid)
            flushed, _ = load.get("/flush")
            query = urllib.parse.urlencode({"query": 'sum(count_over_time({app="load"}[1d]))'})
            code, body = load.get(f"/loki/api/v1/query?{query}")
            result = json.loads(body)["data"]["result"] if code == 200 else []
            stored = int(result[0]["value"][1]) if result else 0
        finally:
            server.terminate()
            server.wait(60)
    third = max(1, len(memory) // 3)
    print(f"lines acknowledged {load.acknowledged}, stored {stored}, tailed {load.tailed}, reported as dropped {load.dropped}")
    for kind, took in load.took.items():
        took.sort()
        if took:
            middle, late = statistics.median(took) * 1000, took[int(len(took) * 0.99)] * 1000
            print(f"{kind}: {len(took)} requests, median {middle:.1f} ms, 99 % {late:.1f} ms, longest {took[-1] * 1000:.1f} ms")
    means = [round(statistics.mean(part)) for part in (memory[:third], memory[third : 2 * third] or memory, memory[-third:])]
    print(f"memory (RssAnon), mean of each third of the time: {means} MB, most {max(memory)} MB; server CPU {used:.1f} s")
    print(f"errors: {len(load.errors)} {load.errors[:3]}")
    if flushed != 204 or load.errors or stored != load.acknowledged or load.tailed + load.dropped != load.acknowledged:
        sys.exit(1)


if __name__ == "__main__":
    main()
