"""What `docker build` would see: .dockerignore lets the whole workspace in, and the Dockerfile's sources are there.

There is no Docker where this runs, so the context is laid out by the rules of .dockerignore, cargo reads the workspace in
it, and every source of a COPY or install is looked for.
"""

import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def patterns():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def covers(pattern, name):
    """Whether a pattern is that of a path, or of a folder that it is in."""
    parts = name.split("/")
    beginnings = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    return any(beginning.count("/") == pattern.count("/") and fnmatch.fnmatchcase(beginning, pattern)
               for beginning in beginnings)


def is_seen(name, rules):
    seen = True
    for rule in rules:
        if covers(rule.removeprefix("!"), name):
            seen = rule.startswith("!")
    return seen


def main():
    rules = patterns()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seen = [name for name in tracked.split("\0") if name and is_seen(name, rules)]
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    wanted = re.findall(r"install (?:-\S+ )*(?:\d+ )?([\w./-]+) /image", dockerfile)
    missing = [name for name in wanted if not name.startswith("target/") and name not in seen]
    if missing or not wanted:
        sys.exit(f"the Dockerfile installs what it does not see: {missing}")
    with tempfile.TemporaryDirectory() as folder:
        for name in seen:
            target = pathlib.Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        # Every member of the workspace must be there, with the files that its manifest names.
        command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--offline", "--locked"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"cargo cannot read the workspace as docker would see it: {done.stderr}")
    version = re.search(r"^ARG RUST_VERSION=(\S+)$", dockerfile, re.M)[1]
    least = re.search(r'^rust-version = "(\S+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    if not (version + ".").startswith(least + "."):
        sys.exit(f"the Dockerfile builds with Rust {version}, and the workspace asks for {least}")
    print(f"{len(seen)} files of the context")


main()
