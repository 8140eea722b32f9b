"""Processes: started with their output in a file, waited for, stopped, killed, paused and measured."""
import http.client
import os
import re
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """What ends a command with a sentence instead of a stack."""


class Process:
    """A program on a host. It can be started again after it ended; what it says is appended to one file."""

    def __init__(self, name, host, arguments, folder, environment=None, cwd=None):
        self.name, self.host, self.arguments = name, host, arguments
        self.log = os.path.join(folder, f"{name}.log")
        self.environment = {**os.environ, **(environment or {})}
        self.cwd = cwd
        self.child, self.starts, self.past_cpu = None, 0, 0.0

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.host.command(self.arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment, cwd=self.cwd, start_new_session=True,
            )
        self.starts += 1

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.child.pid, number)

    def kill(self):
        """Ends it as a power failure would, as far as the process can tell."""
        self.signal(signal.SIGKILL)
        self.ended(30)

    def stop(self, patience=120):
        """Asks it to end, and waits. Gives the seconds it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        if not self.ended(patience):
            self.kill()
            raise Failed(f"{self.name} did not end within {patience} s of SIGTERM\n{self.tail()}")
        return time.monotonic() - began

    def ended(self, patience):
        if self.child is None:
            return True
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def cpu(self):
        """CPU seconds, also of runs that ended by being asked to by `restart`."""
        if not self.running():
            return self.past_cpu
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return self.past_cpu + (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, name="VmRSS"):
        """Megabytes."""
        if not self.running():
            return 0
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            found = re.search(rf"{name}:\s+(\d+) kB", file.read())
        return int(found[1]) >> 10 if found else 0

    def tail(self, lines=15):
        """The last lines of its log."""
        try:
            with open(self.log, "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 16384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        # What has no effect of the file is told at every start, and is not the reason.
        rows = [row for row in text.splitlines() if row.strip() and " msg=configuration " not in row][-lines:]
        return "\n".join(f"  {self.name} | {row[:400]}" for row in rows)


class Narvi(Process):
    """A process of Narvi, with HTTP on a port of its host."""

    def __init__(self, role, port, *rest, **more):
        super().__init__(*rest, **more)
        self.role, self.port = role, port

    @property
    def address(self):
        return self.host.address, self.port

    def ask(self, method, path, headers=None, timeout=10):
        """Status and body; (0, the error's text) if nobody answers."""
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}".encode()
        finally:
            connection.close()

    def is_ready(self):
        return self.ask("GET", "/ready", timeout=3)[0] == 200

    def wait_ready(self, patience=90):
        deadline = time.monotonic() + patience
        while not self.is_ready():
            if not self.running():
                raise Failed(f"{self.name} ended with {self.child.returncode} instead of getting ready\n{self.tail()}")
            if time.monotonic() > deadline:
                status, text = self.ask("GET", "/ready", timeout=3)
                said = text[:200].decode("utf-8", "replace")
                raise Failed(f"{self.name} is not ready after {patience} s: {status} {said}\n{self.tail()}")
            time.sleep(0.1)

    def restart(self):
        """In order: SIGTERM, the end, the start, ready. Gives the seconds that ending and starting took."""
        before = self.cpu()
        took = self.stop()
        self.past_cpu = before
        began = time.monotonic()
        self.start()
        self.wait_ready()
        return took, time.monotonic() - began
