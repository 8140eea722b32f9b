"""The servers that a cluster uses and that are not Narvi: an object store, memcached, Redis."""
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse

from .processes import Failed, Process

BUCKET, KEY, SECRET = "narvi-test", "cluster", "cluster-secret"
S3_PORT, MEMCACHED_PORT, REDIS_PORT = 8333, 11211, 6379
TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def program(name, script):
    """A program of the PATH, or from the folder that one of the scripts in tools/servers installs it in."""
    if not runs(name):
        done = subprocess.run([os.path.join(TOOLS, "servers", script)], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Failed(f"{name} is not on the PATH, and tools/servers/{script} failed")
        os.environ["PATH"] += os.pathsep + done.stdout.strip()
    if not runs(name):
        raise Failed(f"{name} is not on the PATH: PATH=$PATH:$(tools/servers/{script})")
    return shutil.which(name)


def runs(name):
    # A shim of what is not installed ends with 127.
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return shutil.which(name) and subprocess.run([name, "--help"], check=False, **quiet).returncode < 126


class ObjectStore:
    """An S3 server with one bucket: SeaweedFS or moto."""

    def __init__(self, kind, host, folder):
        self.kind, self.host, self.folder = kind, host, folder
        self.endpoint = f"{host.address}:{S3_PORT}"
        os.makedirs(folder, exist_ok=True)
        start = self.weed if kind == "weed" else self.moto
        self.process = start()
        self.process.start()
        self.wait(lambda: self.send("GET", "/")[0] != 0, f"{kind} does not answer")
        if kind == "weed":
            self.wait(self.make_bucket, "SeaweedFS makes no bucket")
        else:
            self.send("PUT", f"/{BUCKET}")

    def weed(self):
        config, data = os.path.join(self.folder, "s3.json"), os.path.join(self.folder, "objects")
        os.makedirs(data, exist_ok=True)
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "n", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
        with open(config, "w", encoding="ascii") as file:
            json.dump({"identities": [identity]}, file)
        address = self.host.address
        arguments = [
            program("weed", "stores.sh"), "server", f"-ip={address}", f"-ip.bind={address}", "-s3", "-volume.max=10",
            "-master.volumeSizeLimitMB=64", f"-dir={data}", f"-s3.config={config}", f"-s3.port={S3_PORT}",
            "-master.port=9333", "-volume.port=8080", "-filer.port=8888",
        ]
        return Process("s3", self.host, arguments, self.folder, cwd=self.folder)

    def moto(self):
        arguments = [program("moto_server", "stores.sh"), "-H", self.host.address, "-p", str(S3_PORT)]
        return Process("s3", self.host, arguments, self.folder)

    def wait(self, done, otherwise):
        deadline = time.monotonic() + 90
        while not done():
            if time.monotonic() > deadline or not self.process.running():
                raise Failed(f"{otherwise}\n{self.process.tail()}")
            time.sleep(0.2)

    def make_bucket(self):
        # By the administrator's shell, which also waits until there are volumes to write to.
        shell = [program("weed", "stores.sh"), "shell", f"-master={self.host.address}:9333"]
        words = f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\n"
        try:
            done = subprocess.run(
                self.host.command(shell), input=words, capture_output=True, text=True, timeout=30, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return any(row.strip().startswith(BUCKET) for row in done.stdout.splitlines())

    def send(self, method, path, query=""):
        """A request signed as S3 wants it. Gives status and body, (0, b"") if nobody answers."""
        connection = http.client.HTTPConnection(self.host.address, S3_PORT, timeout=60)
        try:
            connection.request(method, f"{path}?{query}" if query else path, headers=self.signed(method, path, query))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def signed(self, method, path, query):
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        nothing = hashlib.sha256(b"").hexdigest()
        headers = {"host": self.endpoint, "x-amz-content-sha256": nothing, "x-amz-date": moment}
        names = ";".join(headers)
        listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = "\n".join([method, path, query, listed, names, nothing])
        scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}

    def keys(self):
        """The names of all objects."""
        found, token = [], ""
        while True:
            pairs = {"list-type": "2", "max-keys": "1000", **({"continuation-token": token} if token else {})}
            query = urllib.parse.urlencode(sorted(pairs.items()), quote_via=urllib.parse.quote)
            status, body = self.send("GET", f"/{BUCKET}", query)
            if status != 200:
                raise Failed(f"cannot list the bucket: {status} {body[:200]!r}")
            text = body.decode()
            found += [unescape(key) for key in re.findall(r"<Key>([^<]*)</Key>", text)]
            more = re.search(r"<NextContinuationToken>([^<]*)</NextContinuationToken>", text)
            if "<IsTruncated>true</IsTruncated>" not in text or not more:
                return found
            token = unescape(more[1])

    def copy(self, folder, prefix="narvi/"):
        """Copies all objects below a prefix into a folder. Gives how many."""
        keys = [key for key in self.keys() if key.startswith(prefix)]
        for key in keys:
            status, body = self.send("GET", f"/{BUCKET}/{urllib.parse.quote(key)}")
            if status == 404:  # It was retired since the list was made.
                continue
            if status != 200:
                raise Failed(f"cannot read the object {key}: {status}")
            path = os.path.join(folder, key[len(prefix):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(body)
        return len(keys)


def unescape(text):
    return text.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def memcached(host, folder):
    arguments = [program("memcached", "debian.sh"), "-l", host.address, "-p", str(MEMCACHED_PORT), "-m", "64"]
    # It does not run as root unless it is told to.
    return Process("memcached", host, arguments + (["-u", "root"] if os.geteuid() == 0 else []), folder)


def redis(host, folder):
    arguments = [
        program("redis-server", "debian.sh"), "--bind", host.address, "--port", str(REDIS_PORT), "--save", "",
        "--appendonly", "no", "--protected-mode", "no", "--dir", folder, "--maxmemory", "64mb",
        "--maxmemory-policy", "allkeys-lru",
    ]
    return Process("redis", host, arguments, folder)
