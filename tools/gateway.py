#!/usr/bin/env python3
"""Gateways: nginx with the files that people put before Loki, as they are, with Narvi behind the names in them.

    gateway.py --bin NARVI --deployments FOLDER [--only NAME]

Each process is a pod: it has a network namespace on one bridge, a host name, an /etc/hosts, an /etc/resolv.conf and a /var
of its own. A DNS server answers the names of services as Kubernetes' does, so that neither nginx's files nor Narvi's are
edited, nor get any flag but -target. Pushes, queries and tails go through the
gateway. First one process stands behind all names, then the roles of the deployment do.

Needs root, iproute2, nginx and moto_server on the PATH; nothing of it is left behind. The exit status is 1 if something
was answered otherwise than expected.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

from pods.checks import Checks, ask
from pods.cluster import SUFFIXES, Cluster, Failed, enter, lay_out

CONFIG = "/var/narvi.yaml"
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


def fqdn(service):
    return f"{service}.{SUFFIXES[0]}"


def one_process(cluster, options, deployment):
    """All services are the same process."""
    services = {fqdn(service) for service, _ in deployment["roles"].values()}
    cluster.pod("narvi-0", [options.bin, f"-config.file={CONFIG}", "-target=all"], services, {CONFIG: ONE_PROCESS})
    cluster.wait("narvi-0", 3100, "/ready")


def roles(cluster, options, deployment):
    """The roles of a deployment, with its file as it is."""
    config = (options.deployments / deployment["config"]).read_text()
    object_store(cluster, [deployment["store"]], deployment["buckets"])
    started = []
    for role, (service, count) in deployment["roles"].items():
        for number in range(count):
            started.append(f"{service}-{number}")
            command = [options.bin, f"-config.file={CONFIG}", f"-target={role}"]
            cluster.pod(started[-1], command, [fqdn(service), deployment["members"]], {CONFIG: config})
    for name in started:
        cluster.wait(name, 3100, "/ready")


def object_store(cluster, services, buckets):
    """moto, in place of MinIO."""
    # Else it takes the name of the host for that of a bucket.
    moto = ["env", "S3_IGNORE_SUBDOMAIN_BUCKETNAME=true", "moto_server", "-H", "0.0.0.0", "-p", "9000"]
    address = cluster.pod("store", moto, services, apart=False)
    cluster.wait("store", 9000, "/moto-api/")
    for bucket in buckets:
        status, text = ask(address, 9000, "PUT", f"/{bucket}")
        assert status == 200, text


def case(options, name, behind):
    deployment, cluster = DEPLOYMENTS[name], options.cluster
    began = time.time()
    try:
        behind(cluster, options, deployment)
        conf = options.deployments / deployment["nginx"]
        address = cluster.pod("gateway", [options.nginx, "-e", "stderr", "-g", "daemon off;", "-c", str(conf)])
        cluster.wait("gateway", 8080, "/")
        checks = Checks(address, deployment["largest"], deployment["rules"])
        checks.all()
        print(f"{conf.name}, {behind.__doc__[:-1].lower()}: {checks.told()}, {time.time() - began:.0f} s", flush=True)
        if checks.failures:
            print(cluster.logs())
        return not checks.failures
    except Failed as failed:
        print(f"{name}: {failed}\n{cluster.logs()}")
        return False
    finally:
        cluster.stop()


def has_roles(options):
    command = [options.bin, f"-config.file={options.deployments}/simple-scalable.yaml", "-target=write", "-verify-config"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0 or "cannot run alone yet" not in done.stderr


def inside(options):
    """In namespaces of its own: runs all cases."""
    nginx = pathlib.Path(shutil.which("nginx"))
    seen = lay_out({"narvi": options.bin, "deployments": options.deployments, "nginx": nginx.parent.parent})
    options.bin, options.deployments = str(seen["narvi"]), seen["deployments"]
    options.nginx = str(seen["nginx"] / nginx.relative_to(nginx.parent.parent))
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
    missing = [program for program in ["ip", "unshare", "nginx", "moto_server"] if not shutil.which(program)]
    if missing:
        sys.exit(f"{' and '.join(missing)} must be on the PATH; see tools/servers")
    arguments = ["--bin", os.path.realpath(options.bin), "--deployments", str(options.deployments.resolve()), "--inside"]
    enter(__file__, arguments + (["--only", options.only] if options.only else []))


if __name__ == "__main__":
    main()
