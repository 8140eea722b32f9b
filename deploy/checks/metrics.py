"""Every metric that the dashboard and the rules name is one of Narvi's. 

    metrics.py NARVI DASHBOARD RULES
    metrics.py --rules DASHBOARD    prints the dashboard's queries as rules, for promtool to read

Names come from where Narvi registers them (the first argument of `register`, below the prefix of its registry), so that a
metric counts which no process tells without work; and, as a check of that reading, a running Narvi must tell no other ones.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
STRING = re.compile(r'"([a-z][a-z0-9_]*)"')
REGISTERED = re.compile(r'\.register\(\s*"([a-z0-9_]+)"')
PREFIX = re.compile(r'sub_registry_with_prefix\("([a-z0-9_]+)"\)')
SUFFIXES = ["_total", "_bucket", "_sum", "_count", "_info", ""]


def registered():
    """Names as they are registered, with every prefix of the same file."""
    names = set()
    for path in ROOT.glob("server/*/src/**/*.rs"):
        text = path.read_text()
        own = set(REGISTERED.findall(text)) | {name for name in STRING.findall(text) if name.startswith("loki_")}
        prefixes = PREFIX.findall(text)
        names |= own
        names |= {f"{prefix}_{name}" for prefix in prefixes for name in own}
        names |= {f"{a}_{b}_{name}" for a in prefixes for b in prefixes for name in own}
    # Counted under the kind of the object store.
    names |= {f"loki_{kind}_request_duration_seconds" for kind in ["s3", "gcs", "azure_blob"]}
    return names


def is_known(name, names):
    return any(name.endswith(suffix) and name.removesuffix(suffix) in names for suffix in SUFFIXES)


def told(narvi):
    """What a running Narvi tells after a push, a flush and a query."""
    with tempfile.TemporaryDirectory() as folder:
        command = [narvi, "serve", "--data-dir", folder + "/data", "--http-listen", "127.0.0.1:0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            found = next(found for line in server.stderr if (found := re.search(r" http=(\S+)", line)))
            base = f"http://{found[1]}"
            value = [str(time.time_ns()), "a line"]
            body = json.dumps({"streams": [{"stream": {"app": "a"}, "values": [value]}]}).encode()
            push = urllib.request.Request(base + "/loki/api/v1/push", body, {"Content-Type": "application/json"})
            urllib.request.urlopen(push).close()
            urllib.request.urlopen(base + "/flush").close()
            urllib.request.urlopen(base + "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D").close()
            page = urllib.request.urlopen(base + "/metrics").read().decode()
        finally:
            server.terminate()
            server.wait(60)
            server.stderr.close()
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}


def metrics(expression):
    """The metrics of an expression of PromQL."""
    text = re.sub(r'"[^"]*"|\'[^\']*\'', '""', expression)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    words = re.finditer(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text)
    functions = re.compile(r"\s*\(")
    keywords = {"and", "or", "unless", "group_left", "group_right", "bool", "offset"}
    return {word[0] for word in words if not functions.match(text, word.end()) and word[0] not in keywords
            and not re.fullmatch(r"\d*e\d+|e\d+", word[0])}


def as_rules(dashboard):
    """The queries of a dashboard with its variables filled in, as recording rules."""
    targets = [target for panel in json.load(open(dashboard))["panels"] for target in panel.get("targets", [])]
    rules = [{"record": f"panel:{n}", "expr": re.sub(r"\$\w+", "5m", target["expr"])} for n, target in enumerate(targets)]
    return {"groups": [{"name": "panels", "rules": rules}]}


def main():
    if sys.argv[1] == "--rules":
        return yaml.safe_dump(as_rules(sys.argv[2]), sys.stdout)
    narvi, dashboard, rules = sys.argv[1:]
    names = registered()
    asked, recorded = {}, set()
    for panel in json.load(open(dashboard))["panels"]:
        for target in panel.get("targets", []):
            for name in metrics(target["expr"]):
                asked.setdefault(name, f"panel {panel['title']!r}")
    for group in yaml.safe_load(open(rules))["groups"]:
        for rule in group["rules"]:
            recorded |= {rule["record"]} if "record" in rule else set()
            for name in metrics(rule["expr"]):
                asked.setdefault(name, f"rule {rule.get('alert') or rule['record']!r}")
    wrong = [f"{place}: no process tells {name}" for name, place in asked.items()
             if name not in recorded and not is_known(name, names)]
    running = told(narvi)
    wrong += [f"the running server tells {name}, which this check did not find in the source" for name in sorted(running)
              if not is_known(name, names)]
    print("\n".join(wrong) if wrong else f"{len(asked)} metrics, all of them Narvi's; a running one tells {len(running)}")
    sys.exit(bool(wrong))


main()
