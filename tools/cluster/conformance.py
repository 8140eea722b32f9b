"""A conformance suite for Loki's API against a cluster: queries at the frontend, pushes at the distributors."""
import json
import os
import subprocess
import sys

from . import settings
from .gateway import Gateway
from .processes import Failed
from .report import say
from .running import Cluster

ROLES = ("distributor", "ingester", "query-frontend", "ruler", "compactor")
# What a cluster has otherwise than the file that the suite was recorded with.
OURS = {"common", "server", "schema_config", "storage_config", "ruler_storage"}


def suite_settings(folder):
    """The settings of the suite's own file, without what says where this process listens and keeps its data."""
    with open(os.path.join(folder, "loki.yaml.tmpl"), encoding="utf-8") as file:
        read = settings.from_yaml(file.read())
    result = {key: value for key, value in read.items() if key not in OURS}
    result.get("ruler", {}).pop("rule_path", None)
    if "delete_request_store" in result.get("compactor", {}):
        result["compactor"]["delete_request_store"] = "s3"
    # The suite was recorded with these; the cluster's own are for other tests.
    defaults = {
        "ingestion_rate_mb": 4, "ingestion_burst_size_mb": 6, "per_stream_rate_limit": "3MB",
        "per_stream_rate_limit_burst": "15MB", "max_entries_limit_per_query": 5000, "max_query_series": 500,
        "max_global_streams_per_user": 5000, "split_queries_by_interval": "1h", "max_cache_freshness_per_query": "10m",
    }
    result["limits_config"] = {**defaults, **result.get("limits_config", {})}
    result["query_range"] = {"align_queries_with_step": False, **result.get("query_range", {})}
    return result


def sample(folder, every, out):
    """Writes the ids of every so many-th case of each category into a file. Gives how many."""
    seen, chosen = {}, []
    sys.path.insert(0, folder)
    try:
        import run  # The suite's own reader of its files.
    finally:
        sys.path.remove(folder)
    for case in run.load_dir(os.path.join(folder, "cases")):
        if case.get("profile", "default") != "default":
            continue
        number = seen[case["category"]] = seen.get(case["category"], -1) + 1
        if number % every == 0:
            chosen.append(case["id"])
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(chosen))
    return len(chosen)


def run_suite(options, profile, more):
    """Gives the figures of one profile, on a cluster of its own."""
    extra = suite_settings(options.suite)
    if profile == "federation":
        extra.setdefault("querier", {})["multi_tenant_queries_enabled"] = True
    if options.results_cache:
        extra["query_range"] = {key: True for key in extra["query_range"] if key.startswith("cache_")}
    with Cluster(options, extra=extra) as cluster:
        # One process of each role: which lines lie too far behind is known to the distributor that took the others.
        places = {role: [process.address for process in cluster.of(role)][:1] for role in ROLES}
        gateway = Gateway({**places, "query-frontend": cluster.asked()[:1]})
        out = os.path.join(cluster.folder, "results.json")
        arguments = [sys.executable, os.path.join(options.suite, "run.py"), "--url", gateway.url, "--push"]
        arguments += ["--json", out, "--max-diffs", "0" if options.json else str(options.max_diffs)]
        if options.every > 1:
            ids = os.path.join(cluster.folder, "ids")
            sample(options.suite, options.every, ids)
            arguments += ["--ids", ids]
        say(f"running the suite at {gateway.url}")
        quiet = subprocess.DEVNULL if options.json else None
        done = subprocess.run([*arguments, "--profile", profile, *more], stdout=quiet, check=False)
        gateway.close()
        try:
            with open(out, encoding="utf-8") as file:
                results = json.load(file)
        except (OSError, ValueError):
            raise Failed(f"the suite ended with {done.returncode} and no results") from None
        known = [failure for failure in results["failures"] if failure["id"] in options.known]
        unknown = [failure for failure in results["failures"] if failure["id"] not in options.known]
        dead = [f"{process.name} ended with {process.child.returncode}" for process in cluster.dead()]
        if unknown or dead:
            cluster.keep()
            if dead:
                cluster.show_logs()
        said = [f"{failure['id']}: {failure['difference'][:300]}" for failure in unknown[: options.max_diffs]]
        return {
            "passed": results["passed"], "failed": len(unknown),
            "failed as in one process": ", ".join(failure["id"] for failure in known) or "none",
            "not in full": {
                name: f"{good}/{of}" for name, (good, of) in results["categories"].items() if good != of
            },
            "problems": said + dead,
        }


def command(options):
    if not os.path.isfile(os.path.join(options.suite, "run.py")):
        raise Failed(f"there is no conformance suite in {options.suite}; name its folder with --suite")
    profiles = ["default"] if options.every > 1 or options.options else ["default", "federation"]
    for profile in profiles:
        figures = run_suite(options, profile, options.options)
        good = not figures["failed"] and not figures["problems"]
        yield f"conformance, profile {profile} (replication factor {options.rf})", figures, good
