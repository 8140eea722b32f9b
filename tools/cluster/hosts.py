"""Hosts of a cluster on one machine: addresses of the loopback, or network namespaces behind a bridge.

Each process of the cluster has a host of its own, so all of them can use the same ports.
"""
import atexit
import os
import subprocess


class Host:
    """A place to run programs at, with an address."""

    def __init__(self, name, address, namespace=None, link=None):
        self.name, self.address, self.namespace, self.link = name, address, namespace, link

    def command(self, arguments):
        """What runs a program on this host."""
        if self.namespace is None:
            return list(arguments)
        return ["ip", "netns", "exec", self.namespace, *arguments]


class Loopback:
    """Hosts are addresses in a /24 of 127.0.0.0/8 that is taken from this process' id."""

    can_cut = False

    def __init__(self):
        number = os.getpid()
        self.prefix = f"127.{1 + number // 250 % 250}.{number % 250}"
        self.used = 0

    def host(self, name):
        self.used += 1
        return Host(name, f"{self.prefix}.{self.used}")

    def close(self):
        pass


class Namespaces:
    """Hosts are network namespaces, each with a cable to a bridge, over which this process reaches them too.

    Needs root and iproute2. A cut link loses what is sent, as a pulled cable does: nobody is told.
    """

    can_cut = True

    def __init__(self):
        number = os.getpid()
        self.tag = f"nv{number % 100000}"
        self.bridge = f"{self.tag}b"
        self.prefix = f"10.{64 + number // 250 % 64}.{number % 250}"
        self.used, self.namespaces = 0, []
        atexit.register(self.close)
        # An address of its own, else it changes with each link.
        ip("link", "add", self.bridge, "address", "02:00:00:00:00:02", "type", "bridge")
        ip("addr", "add", f"{self.prefix}.254/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    @staticmethod
    def allowed():
        """Whether this machine lets us make some."""
        name = f"nv{os.getpid() % 100000}try"
        try:
            ip("netns", "add", name)
        except (OSError, RuntimeError):
            return False
        try:
            ip("link", "add", f"{name[:13]}a", "type", "veth", "peer", "name", f"{name[:13]}b")
            ip("link", "del", f"{name[:13]}a")
            return True
        except RuntimeError:
            return False
        finally:
            ip("netns", "del", name)

    def host(self, name):
        self.used += 1
        namespace, link = f"{self.tag}-{self.used}", f"{self.tag}v{self.used}"
        address = f"{self.prefix}.{self.used}"
        ip("netns", "add", namespace)
        self.namespaces.append(namespace)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("link", "set", link, "master", self.bridge)
        ip("link", "set", link, "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        for end in ("eth0", "lo"):
            ip("-n", namespace, "link", "set", end, "up")
        return Host(name, address, namespace, link)

    def cut(self, host):
        ip("link", "set", host.link, "down")

    def mend(self, host):
        ip("link", "set", host.link, "up")

    def close(self):
        # The ends of the cables go with the namespaces.
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)
        self.namespaces = []
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL, check=False)


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
