"""A running cluster: its hosts, the servers it uses, and Narvi's processes."""
import concurrent.futures
import os
import shutil
import sys
import tempfile
import time

from . import servers, settings
from .hosts import Loopback, Namespaces
from .processes import Failed, Narvi
from .report import say


class Stores:
    """Addresses of the servers that are not Narvi."""

    def __init__(self, s3, memcached, redis):
        self.s3, self.memcached, self.redis = s3, memcached, redis


class Cluster:
    """Starts everything when entered and ends everything when left."""

    def __init__(self, options, layout=None, rf=None, extra=None, caches=True):
        self.options, self.extra, self.caches = options, extra, caches
        self.layout = settings.LAYOUTS[layout or options.layout]
        self.rf = rf or options.rf
        self.processes, self.others = [], []
        self.net = self.store = self.memcached = self.redis = None
        self.folder, self.kept = None, False

    def __enter__(self):
        if not os.access(self.options.bin, os.X_OK):
            raise Failed(f"{self.options.bin} is no program; build one, or name it with --bin")
        if self.options.folder:
            os.makedirs(self.options.folder, exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="narvi-cluster-", dir=self.options.folder)
        try:
            self.net = Namespaces() if self.options.netns else Loopback()
            self.start_others()
            self.start_narvi()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def start_others(self):
        say("starting the object store and the caches")
        self.store = servers.ObjectStore(self.options.s3, self.net.host("s3"), os.path.join(self.folder, "s3"))
        self.others = [self.store.process]
        if self.caches:
            self.memcached = servers.memcached(self.net.host("memcached"), self.folder)
            self.redis = servers.redis(self.net.host("redis"), self.folder)
            for process in (self.memcached, self.redis):
                process.start()
                self.others.append(process)

    def start_narvi(self):
        names = [(role, f"{role}-{n + 1}") for role, count in self.layout.items() for n in range(count)]
        places = [(role, name, self.net.host(name)) for role, name in names]

        def hosts(role):
            return [host.address for mine, _, host in places if role in (None, mine) or settings.answers(mine, role)]

        memcached = self.memcached and f"{self.memcached.host.address}:{servers.MEMCACHED_PORT}"
        redis = self.redis and f"{self.redis.host.address}:{servers.REDIS_PORT}"
        shared = settings.shared(hosts, Stores(self.store.endpoint, memcached, redis), self.rf, self.extra)
        file = os.path.join(self.folder, "loki.yaml")
        with open(file, "w", encoding="ascii") as out:
            out.write(settings.to_yaml(shared))
        for role, name, host in places:
            data = os.path.join(self.folder, "data", name)
            os.makedirs(data)
            arguments = [self.options.bin, *settings.flags(role, name, host, data, file), *self.options.flag]
            environment = {"HOSTNAME": name, "RUST_BACKTRACE": "1"}
            self.processes.append(Narvi(role, settings.HTTP, name, host, arguments, self.folder, environment, data))
        say(f"starting {len(self.processes)} processes of Narvi")
        for process in self.processes:
            process.start()
        with concurrent.futures.ThreadPoolExecutor(len(self.processes)) as pool:
            for waited in [pool.submit(process.wait_ready, self.options.patience) for process in self.processes]:
                waited.result()
        # Rings settle: whoever is ready knows itself, and the others soon.
        time.sleep(2 if len(self.processes) > 1 else 0)

    def __exit__(self, kind, error, stack):
        failed = kind is not None and kind is not KeyboardInterrupt
        for process in self.processes if failed else ():
            if process.child is not None and not process.running() and process.child.returncode not in (0, -9):
                print(f"{process.name} ended with {process.child.returncode}\n{process.tail()}", file=sys.stderr)
        for process in self.processes + self.others:
            process.resume()
        for process in reversed(self.processes):
            process.signal(15)
        # A process that asks for those that ended before may take its time: nobody waits for it here.
        deadline = time.monotonic() + 20
        for process in self.processes:
            if not process.ended(max(0.1, deadline - time.monotonic())):
                process.kill()
        for process in self.others:
            process.kill()
        if self.net:
            self.net.close()
        if self.folder and (self.kept or self.options.keep):
            print(f"logs and data are kept in {self.folder}", file=sys.stderr)
        elif self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self):
        """Leaves logs and data where they are, to look at."""
        self.kept = True

    def of(self, role):
        """The processes that do what a role does."""
        return [process for process in self.processes if process.role == role or settings.answers(process.role, role)]

    def named(self, name):
        return next(process for process in self.processes if process.name == name)

    def pushed_to(self):
        return [process.address for process in self.of("distributor")]

    def asked(self):
        return [process.address for process in self.of(self.options.ask)]

    def dead(self):
        """Processes that should run and do not."""
        return [process for process in self.processes if not process.running()]

    def show_logs(self, lines=15):
        for process in self.processes:
            text = process.tail(lines)
            if text:
                print(text, file=sys.stderr)

    def cpu(self):
        return sum(process.cpu() for process in self.processes)

    def flush(self, attempts=20):
        """Flushes every ingester."""
        for process in self.of("ingester"):
            for attempt in range(attempts):
                status, text = process.ask("POST", "/flush", timeout=120)
                if status == 204:
                    break
                if attempt + 1 == attempts:
                    raise Failed(f"{process.name} does not flush: {status} {text[:200]!r}\n{process.tail()}")
                time.sleep(0.5)
