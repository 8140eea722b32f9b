#!/usr/bin/env python3
"""Gateways: nginx with the files that people put before Loki, as they are, with Narvi behind the names in them.

    gateway.py --bin NARVI --deployments FOLDER [--only NAME]

Builds a small cluster of network namespaces on one bridge: each process is a pod with an address, a host name, an
/etc/hosts, an /etc/resolv.conf and a /var of its own. A DNS server answers the names of services as Kubernetes' does, so
that neither nginx's files nor Narvi's are edited, nor get any flag but -target. Pushes, queries and tails go through the
gateway. First one process stands behind all names, then the roles of the deployment do.

Needs root, iproute2, nginx and moto_server on the PATH; nothing of it is left behind. The exit status is 1 if something
was answered otherwise than expected.
"""
import argparse
import base64
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

WORK = pathlib.Path("/run/narvi-gateway")
DNS = "10.42.0.10"
SUFFIXES = ["logging.svc.cluster.local", "svc.cluster.local", "cluster.local"]
PATIENCE = 120
ONE_PROCESS = """
auth_enabled: false
common: {path_prefix: /var/loki, replication_factor: 1, ring: {kvstore: {store: inmemory}}}
ruler: {storage: {type: local, local: {directory: /var/loki/rules}}}
"""
# File of nginx, its configuration of Narvi, and which roles stand behind which service. A service of no role is one that
# others need: the object store, the members of the gossip.
DEPLOYMENTS = {
    "simple-scalable": {
        "nginx": "simple-scalable-gateway.nginx.conf",
        "config": "simple-scalable.yaml",
        "buckets": ["chunks", "ruler"],
        "store": "loki-minio.logging.svc.cluster.local",
        "members": "loki-memberlist.logging.svc.cluster.local",
        "roles": {"write": ("loki-write", 3), "read": ("loki-read", 2)},
        "largest": 1 << 20,
        "rules": False,
    },
    "microservices": {
        "nginx": "microservices-gateway.nginx.conf",
        "config": "microservices.yaml",
        "buckets": ["loki-data"],
        "store": "minio.logging.svc.cluster.local",
        "members": "loki-loki-distributed-memberlist.logging.svc.cluster.local",
        "roles": {
            "ingester": ("loki-loki-distributed-ingester", 2),
            "distributor": ("loki-loki-distributed-distributor", 2),
            "query-frontend": ("loki-loki-distributed-query-frontend", 1),
            "querier": ("loki-loki-distributed-querier", 2),
            "ruler": ("loki-loki-distributed-ruler", 1),
        },
        "largest": 100 << 20,
        "rules": True,
    },
}


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Names(threading.Thread):
    """A DNS server with the addresses of services."""

    def __init__(self):
        super().__init__(daemon=True)
        self.addresses = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((DNS, 53))

    def run(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(query), client)
            except (IndexError, struct.error, UnicodeDecodeError):
                pass

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, _ = struct.unpack_from(">HH", query, at + 1)
        known = self.addresses.get(".".join(labels).lower())
        # Kubernetes' DNS has no fixed order, either.
        found = random.sample(known, len(known)) if known and kind == 1 else []
        head = query[:2] + struct.pack(">HHHHH", 0x8580 if known else 0x8583, 1, len(found), 0, 0)
        records = [struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address) for address in found]
        return head + query[12 : at + 5] + b"".join(records)


class Cluster:
    """Pods on one bridge."""

    def __init__(self):
        self.names = Names()
        self.names.start()
        self.last = 10
        self.pods = []

    def pod(self, name, command, services=(), config=None, apart=True):
        """Starts a process in a pod, as one of those that services stand for; gives its address."""
        self.last += 1
        address, folder = f"10.42.0.{self.last}", WORK / name
        for below in ["var/loki", "var/log/nginx", "tmp"]:
            (folder / below).mkdir(parents=True)
        (folder / "hosts").write_text(
            f"127.0.0.1 localhost\n{address} {name}\n{DNS} kube-dns.kube-system.svc.cluster.local\n"
        )
        (folder / "resolv.conf").write_text(f"nameserver {DNS}\nsearch {' '.join(SUFFIXES)}\noptions ndots:5 timeout:1\n")
        if config:
            (folder / "config.yaml").write_text(config)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"pod{self.last}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"pod{self.last}", "master", "pods0", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "route", "add", "default", "via", "10.42.0.1")
        for service in services:
            self.names.addresses.setdefault(service, []).append(address)
        enter = (
            'hostname "$1" && cd "$2" && mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf'
            ' && if [ "$3" = True ]; then mount --bind var /var && mount --bind tmp /tmp; fi && shift 3 && exec "$@"'
        )
        entered = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", enter, "sh", name, str(folder), str(apart)]
        with open(folder / "log", "wb") as log:
            environment = {**os.environ, "HOSTNAME": name}
            process = subprocess.Popen(
                [*entered, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self.pods.append((name, process))
        return address

    def log(self, name):
        """The end of what a process said, without what it says of its configuration."""
        lines = (WORK / name / "log").read_text(errors="replace").splitlines()
        return "\n".join([line[:500] for line in lines if "msg=configuration" not in line][-15:])

    def wait(self, name, address, port, path, status=200):
        deadline, process = time.time() + PATIENCE, dict(self.pods)[name]
        while True:
            try:
                if ask(address, port, "GET", path)[0] == status:
                    return
            except OSError:
                pass
            if process.poll() is not None:
                sys.exit(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            if time.time() > deadline:
                sys.exit(f"{name} is not ready after {PATIENCE} s:\n{self.log(name)}")
            time.sleep(0.2)

    def stop(self):
        for _, process in reversed(self.pods):
            process.terminate()
        for name, process in self.pods:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            run("ip", "netns", "delete", name)
            shutil.rmtree(WORK / name)
        self.pods, self.names.addresses = [], {}


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

    def __init__(self, host, deployment):
        self.host, self.deployment, self.failures, self.done = host, deployment, [], 0

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
        self.expect("the gateway itself", self.ask("GET", "/"), (200, b"OK"))
        self.pushes_and_queries()
        self.tails()
        self.sizes()
        if self.deployment["rules"]:
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
            allowed = megabytes * (1 << 20) < self.deployment["largest"]
            self.expect(f"a push of {megabytes} MB", self.push(lines, "large")[0], 204 if allowed else 413)


def fqdn(service):
    return f"{service}.{SUFFIXES[0]}"


def one_process(cluster, options, deployment):
    """All services are the same process."""
    services = {fqdn(service) for service, _ in deployment["roles"].values()}
    folder = WORK / "narvi-0"
    command = [options.bin, f"-config.file={folder}/config.yaml", "-target=all"]
    address = cluster.pod("narvi-0", command, services, ONE_PROCESS)
    cluster.wait("narvi-0", address, 3100, "/ready")


def roles(cluster, options, deployment):
    """The roles of a deployment, with its file as it is."""
    config = (options.deployments / deployment["config"]).read_text()
    # Else it takes the name of the host for that of a bucket.
    moto = ["env", "S3_IGNORE_SUBDOMAIN_BUCKETNAME=true", "moto_server", "-H", "0.0.0.0", "-p", "9000"]
    store = cluster.pod("store", moto, [deployment["store"]], apart=False)
    cluster.wait("store", store, 9000, "/moto-api/")
    for bucket in deployment["buckets"]:
        status, text = ask(store, 9000, "PUT", f"/{bucket}")
        assert status == 200, text
    started = []
    for role, (service, count) in deployment["roles"].items():
        for number in range(count):
            name = f"{service}-{number}"
            command = [options.bin, f"-config.file={WORK}/{name}/config.yaml", f"-target={role}"]
            started.append((name, cluster.pod(name, command, [fqdn(service), deployment["members"]], config)))
    for name, address in started:
        cluster.wait(name, address, 3100, "/ready")


def case(options, name, behind):
    deployment, cluster = DEPLOYMENTS[name], options.cluster
    began = time.time()
    try:
        behind(cluster, options, deployment)
        conf = options.deployments / deployment["nginx"]
        nginx = [options.nginx, "-e", "stderr", "-g", "daemon off;", "-c", str(conf)]
        address = cluster.pod("gateway", nginx)
        cluster.wait("gateway", address, 8080, "/")
        checks = Checks(address, deployment)
        checks.all()
        print(f"{conf.name}, {behind.__doc__[:-1].lower()}: {checks.done - len(checks.failures)} of {checks.done}"
              f" as expected, {time.time() - began:.0f} s", flush=True)
        if checks.failures:
            for pod, _ in cluster.pods:
                print(f"--- log of {pod}\n{cluster.log(pod)}")
        return not checks.failures
    finally:
        cluster.stop()


def has_roles(options):
    command = [options.bin, f"-config.file={options.deployments}/simple-scalable.yaml", "-target=write", "-verify-config"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0 or "cannot run alone yet" not in done.stderr


def inside(options):
    """In namespaces of its own: lays out the network and runs all cases."""
    files, nginx = options.deployments, pathlib.Path(shutil.which("nginx"))
    # In pods /tmp and /var are others: what is needed there is laid where they can see it.
    hidden = {"narvi": options.bin, "deployments": files, "nginx": nginx.parent.parent}
    opened = {name: os.open(path, os.O_PATH) for name, path in hidden.items()}
    run("mount", "-t", "tmpfs", "none", "/run")
    WORK.mkdir()
    for name, descriptor in opened.items():
        place = WORK / "seen" / name
        place.parent.mkdir(exist_ok=True)
        place.touch() if name == "narvi" else place.mkdir()
        subprocess.run(["mount", "--bind", f"/proc/self/fd/{descriptor}", place], check=True, pass_fds=[descriptor])
    options.bin, options.deployments = str(WORK / "seen/narvi"), WORK / "seen/deployments"
    options.nginx = str(WORK / "seen/nginx" / nginx.relative_to(nginx.parent.parent))
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "pods0", "type", "bridge")
    run("ip", "address", "add", "10.42.0.1/24", "dev", "pods0")
    run("ip", "address", "add", f"{DNS}/24", "dev", "pods0")
    run("ip", "link", "set", "pods0", "up")
    options.cluster = Cluster()
    right = True
    cases = [name for name in DEPLOYMENTS if options.only in (None, name)]
    for name in cases:
        right &= case(options, name, one_process)
    if has_roles(options):
        for name in cases:
            right &= case(options, name, roles)
    else:
        print("roles: skipped, this binary runs as one process only")
    sys.exit(not right)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--deployments", required=True, type=pathlib.Path)
    parser.add_argument("--only", choices=DEPLOYMENTS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    if os.geteuid() != 0:
        sys.exit("SKIPPED: only root may make network namespaces")
    missing = [program for program in ["ip", "unshare", "nginx", "moto_server"] if not shutil.which(program)]
    if missing:
        sys.exit(f"{' and '.join(missing)} must be on the PATH; see tools/servers")
    options.bin, options.deployments = os.path.realpath(options.bin), options.deployments.resolve()
    # With a PID namespace nothing outlives this process.
    arguments = ["--bin", options.bin, "--deployments", str(options.deployments), "--inside"]
    arguments += ["--only", options.only] if options.only else []
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    sys.exit(subprocess.run([*unshare, sys.executable, os.path.realpath(__file__), *arguments]).returncode)


if __name__ == "__main__":
    main()
