"""Pods on one bridge, in namespaces that nothing outlives."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from .checks import ask
from .names import Names

WORK = pathlib.Path("/run/narvi-pods")
DNS = "10.42.0.10"
SUFFIXES = ["logging.svc.cluster.local", "svc.cluster.local", "cluster.local"]
PATIENCE = 120
# What a process of a pod does before it becomes the program: its host name, its own /etc, /var and /tmp.
ENTER = """
hostname "$1" && cd "$2" || exit
if [ -d etc ]; then mount --bind etc /etc; fi
mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf || exit
if [ "$3" = True ]; then mount --bind var /var && mount --bind tmp /tmp || exit; fi
shift 3
exec "$@"
"""


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def enter(script, arguments):
    """Runs a script again in namespaces of its own, and ends with its status; says why if that cannot be."""
    if os.geteuid() != 0:
        sys.exit("SKIPPED: only root may make network namespaces")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    sys.exit(subprocess.run([*unshare, sys.executable, os.path.realpath(script), *arguments]).returncode)


def lay_out(hidden):
    """Inside: makes the network. `hidden` are files and folders by name that pods need where /tmp and /var are others; gives
    where pods see them."""
    opened = {name: os.open(path, os.O_PATH) for name, path in hidden.items()}
    run("mount", "-t", "tmpfs", "none", "/run")
    (WORK / "seen").mkdir(parents=True)
    seen = {}
    for name, descriptor in opened.items():
        seen[name] = WORK / "seen" / name
        seen[name].mkdir() if os.path.isdir(hidden[name]) else seen[name].touch()
        source = f"/proc/self/fd/{descriptor}"
        subprocess.run(["mount", "--bind", source, seen[name]], check=True, pass_fds=[descriptor])
    run("ip", "link", "set", "lo", "up")
    # An address of its own: else it takes that of a pod, another one when that pod ends, and is not found for a while.
    run("ip", "link", "add", "pods0", "address", "02:00:00:00:00:01", "type", "bridge")
    run("ip", "address", "add", "10.42.0.1/24", "dev", "pods0")
    run("ip", "address", "add", f"{DNS}/24", "dev", "pods0")
    run("ip", "link", "set", "pods0", "up")
    return seen


class Cluster:
    """Starts pods, and ends them."""

    def __init__(self):
        self.names = Names(DNS)
        self.names.start()
        self.last = 10
        self.pods, self.addresses, self.last_ones = {}, {}, set()

    def pod(self, name, command, services=(), files=None, apart=True, environment=None):
        """Starts a process in a pod, as one of those that services stand for. `files` are texts by path, below /etc, /var or
        /tmp; `apart` says whether /var and /tmp are the pod's own, as those of Narvi and nginx; others end after these. Gives
        its address."""
        self.last += 1
        address, folder = f"10.42.0.{self.last}", WORK / name
        for below in ["var/loki", "var/log/nginx", "tmp"]:
            (folder / below).mkdir(parents=True)
        (folder / "hosts").write_text(
            f"127.0.0.1 localhost\n{address} {name}\n{DNS} kube-dns.kube-system.svc.cluster.local\n"
        )
        (folder / "resolv.conf").write_text(f"nameserver {DNS}\nsearch {' '.join(SUFFIXES)}\noptions ndots:5 timeout:1\n")
        for path, text in (files or {}).items():
            if path.startswith("/etc/") and not (folder / "etc").exists():
                run("cp", "-a", "/etc", str(folder / "etc"))
            place = folder / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"pod{self.last}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", f"pod{self.last}", "master", "pods0", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "route", "add", "default", "via", "10.42.0.1")
        for service in services:
            self.names.addresses.setdefault(service, []).append(address)
        entered = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", ENTER, "sh", name, str(folder), str(apart)]
        environment = {**os.environ, "HOSTNAME": name, **(environment or {})}
        with open(folder / "log", "wb") as log:
            self.pods[name] = subprocess.Popen(
                [*entered, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self.addresses[name] = address
        if not apart:
            self.last_ones.add(name)
        return address

    def names_inside(self, pod, address):
        """Has the names of now answered at an address of a pod's own, as Docker does."""
        file = WORK / pod / "names.json"
        file.write_text(json.dumps(self.names.addresses))
        script = pathlib.Path(__file__).with_name("names.py")
        command = ["ip", "netns", "exec", pod, sys.executable, str(script), address, str(file)]
        self.pods[f"{pod}-names"] = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def log(self, name):
        """The end of what a process said, without what it says of its configuration."""
        file = WORK / name / "log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join([line[:500] for line in lines if "msg=configuration" not in line][-15:])

    def logs(self):
        """The ends of all logs."""
        return "\n".join(f"--- log of {name}\n{self.log(name)}" for name in self.pods)

    def wait(self, name, port, path):
        """Waits until a pod answers 200."""
        deadline = time.time() + PATIENCE
        while True:
            try:
                if ask(self.addresses[name], port, "GET", path)[0] == 200:
                    return
            except OSError:
                pass
            if self.pods[name].poll() is not None:
                raise Failed(f"{name} ended with {self.pods[name].returncode}")
            if time.time() > deadline:
                raise Failed(f"{name} is not ready after {PATIENCE} s")
            time.sleep(0.2)

    def stop(self):
        """Ends all pods; those that others write to when they end, at last."""
        for names in [self.pods.keys() - self.last_ones, self.last_ones]:
            for name in names:
                self.pods[name].terminate()
            for name in names:
                self.end(name)
        self.pods, self.addresses, self.last_ones = {}, {}, set()
        self.names.addresses, self.names.services = {}, {}

    def end(self, name):
        process = self.pods[name]
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            print(f"{name} does not end within 60 s and is killed\n{self.log(name)}")
            process.kill()
            process.wait()
        if name in self.addresses:
            run("ip", "netns", "delete", name)
            shutil.rmtree(WORK / name)


class Failed(Exception):
    """A pod does not do what it should."""
