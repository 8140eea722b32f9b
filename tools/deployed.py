#!/usr/bin/env python3
"""Deployments: starts what a compose file or Kubernetes manifests say, and pushes, queries and tails through their gateway.

    deployed.py --bin NARVI FILE...

Each container is a process in a pod of its own (see gateway.py), with the arguments, files, host names and numbers of replicas
of the file; services are found by their names. In place of images run Narvi, nginx, moto for MinIO, and the real Redis and
memcached. What a file says of resources, probes, users and volumes is not looked at: that is `deploy/check.sh`' business.

Needs root, iproute2, PyYAML, and nginx, moto_server, redis-server and memcached on the PATH.
"""
import argparse
import os
import pathlib
import re
import shutil
import sys
import time

import yaml
from pods.checks import Checks, ask
from pods.cluster import SUFFIXES, Cluster, Failed, enter, lay_out

PROGRAMS = {"nginx": "nginx", "moto": "moto_server", "redis": "redis-server", "memcached": "memcached"}
# What a container of an image is.
IMAGES = {"narvi": "narvi", "nginx": "nginx", "nginx-unprivileged": "nginx", "minio": "moto", "redis": "redis"}
IMAGES |= {"memcached": "memcached"}
# Where each kind listens, and what tells that it is ready.
READY = {"narvi": (3100, "/ready"), "moto": (9000, "/moto-api/"), "nginx": (8080, "/")}
# Others go first.
ORDER = ["moto", "redis", "memcached", "narvi", "nginx"]
LARGEST = 100 << 20


class Container:
    """What runs in each replica of a part of a deployment."""

    def __init__(self, name, image, arguments):
        self.name, self.arguments = name, arguments
        self.kind = IMAGES.get(image.split("/")[-1].split(":")[0].split("@")[0])
        self.names, self.files, self.replicas, self.hostname = [], {}, 1, None

    def hosts(self):
        if self.hostname and self.replicas == 1:
            return [self.hostname]
        return [f"{self.name}-{number}" for number in range(self.replicas)]


def of_compose(path):
    """The containers of a compose file."""
    found = []
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        if service.get("profiles"):
            continue
        one = Container(name, service["image"], service.get("command") or [])
        one.hostname = service.get("hostname")
        one.replicas = service.get("deploy", {}).get("replicas", 1)
        networks = service.get("networks") or {}
        one.names = [name] + [alias for network in networks.values() for alias in (network or {}).get("aliases", [])]
        for mount in service.get("volumes") or []:
            source, target = mount.split(":")[:2]
            if source.startswith("."):
                one.files[target] = (path.parent / source).read_text()
        found.append(one)
    return found, {}


def of_kubernetes(path):
    """The containers of manifests, and the ports of their services that have SRV records."""
    objects = [one for one in yaml.safe_load_all(path.read_text()) if one]
    texts = {(one["kind"], one["metadata"]["name"]): one.get("stringData", one.get("data", {})) for one in objects
             if one["kind"] in ("ConfigMap", "Secret")}
    services = [one for one in objects if one["kind"] == "Service"]
    ports = {}
    for service in services:
        host = f"{service['metadata']['name']}.{SUFFIXES[0]}"
        for port in service["spec"]["ports"]:
            ports[f"_{port['name']}._tcp.{host}"] = (port["port"], host)
    found = []
    for one in objects:
        if one["kind"] not in ("Deployment", "StatefulSet"):
            continue
        template = one["spec"]["template"]
        [container] = template["spec"]["containers"]
        part = Container(one["metadata"]["name"], container["image"], container.get("args", []))
        part.replicas = one["spec"].get("replicas", 1)
        part.names = [f"{service['metadata']['name']}.{SUFFIXES[0]}" for service in services
                      if service["spec"]["selector"].items() <= template["metadata"]["labels"].items()]
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            volume = volumes.get(mount["name"], {})
            kind, name = ("ConfigMap", volume["configMap"]["name"]) if "configMap" in volume else ("Secret", "")
            name = volume.get("secret", {}).get("secretName", name)
            for file, text in texts.get((kind, name), {}).items():
                if mount.get("subPath") in (None, file):
                    place = mount["mountPath"] if "subPath" in mount else f"{mount['mountPath']}/{file}"
                    part.files[place] = text
        found.append(part)
    return found, ports


def command(container, seen, address_of_names):
    """What to run, and with which files."""
    files = dict(container.files)
    if container.kind == "narvi":
        return [str(seen["narvi"]), *container.arguments], files
    if container.kind == "moto":
        return ["env", "S3_IGNORE_SUBDOMAIN_BUCKETNAME=true", "moto_server", "-H", "0.0.0.0", "-p", "9000"], {}
    if container.kind == "nginx":
        conf = files["/etc/nginx/nginx.conf"]
        found = re.search(r"resolver ([\d.]+)", conf)
        address_of_names.append(found[1] if found else None)
        return [str(seen["nginx"]), "-e", "stderr", "-g", "daemon off;", "-c", "/etc/nginx/nginx.conf"], files
    if container.kind == "redis":
        arguments = container.arguments[1:] + ["--protected-mode", "no", "--bind", "0.0.0.0"]
        return ["redis-server", *arguments], files
    return ["memcached", "-u", "nobody", "-l", "0.0.0.0", *without_user(container.arguments)], files


def without_user(arguments):
    """The arguments of memcached but for the user, which has another name here."""
    at = arguments.index("-u") if "-u" in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2 :]


def buckets(container):
    """Folders that MinIO is started with are buckets."""
    return re.findall(r"/data/([\w.-]+)", " ".join(container.arguments))


def external(containers):
    """Hosts of object stores and caches that no container is, and the buckets wanted there."""
    config = next(text for one in containers for path, text in one.files.items() if path.endswith("config.yaml"))
    tree = yaml.safe_load(config)
    known = {name for one in containers for name in one.names}
    sections = [tree.get("common", {}).get("storage", {}).get("s3", {}), tree.get("storage_config", {}).get("aws", {})]
    for section in sections:
        host = section.get("endpoint", "").split(":")[0]
        fqdn = host if host.endswith(".cluster.local") else f"{host}.{SUFFIXES[-1]}"
        if host and host not in known and fqdn not in known:
            one = Container("store", "minio", [f"/data/{name}" for name in section["bucketnames"].split(",")])
            one.names = [fqdn]
            return [one]
    return []


def start(cluster, containers, ports, seen):
    """Starts all of them; gives the gateway's address."""
    gateway, resolvers = None, []
    cluster.names.services = ports
    for kind in ORDER:
        for container in (one for one in containers if one.kind == kind):
            line, files = command(container, seen, resolvers)
            for host in container.hosts():
                address = cluster.pod(host, line, container.names, files, apart=kind in ("narvi", "nginx"))
                if kind == "nginx":
                    gateway = address
                    if resolvers[-1]:
                        cluster.names_inside(host, resolvers[-1])
                if kind == "moto":
                    cluster.wait(host, *READY[kind])
                    for bucket in buckets(container):
                        status, text = ask(address, 9000, "PUT", f"/{bucket}")
                        assert status == 200, text
    for container in containers:
        for host in container.hosts():
            if container.kind in READY:
                cluster.wait(host, *READY[container.kind])
    return gateway


def deployment(cluster, path, seen):
    began = time.time()
    is_compose = "services" in (yaml.safe_load_all(path.read_text()).__next__() or {})
    containers, ports = (of_compose if is_compose else of_kubernetes)(path)
    unknown = [one.name for one in containers if not one.kind]
    if unknown:
        sys.exit(f"{path.name}: nothing is known of the images of {', '.join(unknown)}")
    containers += external(containers)
    try:
        gateway = start(cluster, containers, ports, seen)
        rules = any("ruler" in " ".join(one.arguments) or "backend" in " ".join(one.arguments) for one in containers)
        checks = Checks(gateway, LARGEST, rules)
        checks.all()
        count = sum(one.replicas for one in containers)
        print(f"{path.name}, {count} processes: {checks.told()}, {time.time() - began:.0f} s", flush=True)
        if checks.failures:
            print(cluster.logs())
        return not checks.failures
    except Failed as failed:
        print(f"{path.name}: {failed}\n{cluster.logs()}")
        return False
    finally:
        cluster.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    if not options.inside:
        missing = [program for program in ["ip", "unshare", *PROGRAMS.values()] if not shutil.which(program)]
        if missing:
            sys.exit(f"{' and '.join(missing)} must be on the PATH; see tools/servers")
        enter(__file__, ["--inside", "--bin", os.path.realpath(options.bin), *[str(f.resolve()) for f in options.files]])
    nginx = pathlib.Path(shutil.which("nginx"))
    seen = lay_out({"narvi": options.bin, "nginx-folder": nginx.parent.parent})
    seen["nginx"] = seen["nginx-folder"] / nginx.relative_to(nginx.parent.parent)
    cluster = Cluster()
    right = True
    for path in options.files:
        right &= deployment(cluster, path, seen)
    sys.exit(not right)


if __name__ == "__main__":
    main()
