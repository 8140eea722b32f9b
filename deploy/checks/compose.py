"""Compose files beyond their schema: what they name is there. Usage: compose.py FILE...

Files that are mounted exist; volumes, networks and services that are named are defined; the hosts that Narvi's and
nginx's configurations name are services; every address has the port that its service listens on.
"""

import pathlib
import re
import sys

import yaml

from tree import scalars

# What listens where, of the images that the files use.
PORTS = {"narvi": {3100, 9095, 7946}, "minio/minio": {9000}, "redis": {6379}, "nginx": {8080}, "grafana/grafana": {3000}}
TARGETS = {"distributor", "ingester", "querier", "query-frontend", "query-scheduler", "index-gateway", "compactor"}
TARGETS |= {"ruler", "all", "read", "write", "backend"}
# host:port in values of a configuration, with or without a scheme.
ADDRESS = re.compile(r"^(?:https?://)?([a-z][a-z0-9.-]*):(\d+)$")
NGINX_HOST = re.compile(r"^\s*set \$\w+ ([a-z0-9-]+);$", re.M)


def image(service):
    return re.sub(r":[^/]*$", "", service["image"])


def names(service, name):
    """What a service is called on its network."""
    networks = service.get("networks") or {}
    aliases = []
    if isinstance(networks, dict):
        aliases = [alias for network in networks.values() for alias in (network or {}).get("aliases", [])]
    return {name, *aliases}


def check(path):
    wrong = []
    compose = yaml.safe_load(path.read_text())
    services, volumes = compose["services"], compose.get("volumes") or {}
    hosts = {}
    for name, service in services.items():
        for known in names(service, name):
            hosts[known] = PORTS.get(image(service), set())
    used = set()
    for name, service in services.items():
        if image(service) not in PORTS:
            wrong.append(f"{name}: nothing is known of the ports of {image(service)}")
        for other in service.get("depends_on") or []:
            if other not in services:
                wrong.append(f"{name}: depends on {other}, which is no service")
            elif isinstance(service["depends_on"], dict) and "healthcheck" not in services[other]:
                wrong.append(f"{name}: waits until {other} is healthy, which has no health check")
        for port in service.get("ports") or []:
            inside = int(str(port).rsplit(":", 1)[-1])
            if inside not in PORTS.get(image(service), ()):
                wrong.append(f"{name}: publishes port {inside}, where nothing listens")
        for mount in service.get("volumes") or []:
            source, target = mount.split(":")[:2]
            if not source.startswith("."):
                used.add(source)
                if source not in volumes:
                    wrong.append(f"{name}: the volume {source} is not defined")
                continue
            file = path.parent / source
            if not file.is_file():
                wrong.append(f"{name}: {source} does not exist")
            elif target == "/etc/loki/config.yaml":
                wrong += narvi(name, yaml.safe_load(file.read_text()), hosts)
            elif file.name.endswith(".nginx.conf"):
                unknown = set(NGINX_HOST.findall(file.read_text())) - hosts.keys()
                wrong += [f"{name}: {source} sends to {host}, which is no service" for host in sorted(unknown)]
        if image(service) == "narvi":
            wrong += arguments(name, service)
            build = service.get("build") or {}
            if not (path.parent / build["context"] / build["dockerfile"]).is_file():
                wrong.append(f"{name}: there is no {build['dockerfile']} in {build['context']}")
    wrong += [f"the volume {name} is not used" for name in volumes if name not in used]
    return wrong


def narvi(name, config, hosts):
    wrong = []
    for key, value in scalars(config):
        found = ADDRESS.match(str(value))
        if found and int(found[2]) not in hosts.get(found[1], ()):
            wrong.append(f"{name}: {key} is {value}, where nothing listens")
    for member in (config.get("memberlist") or {}).get("join_members") or []:
        if member not in hosts:
            wrong.append(f"{name}: memberlist.join_members names {member}, which is no service")
    return wrong


def arguments(name, service):
    mounted = {mount.split(":")[1] for mount in service.get("volumes") or []}
    given = dict(arg.removeprefix("-").split("=", 1) for arg in service["command"])
    wrong = []
    if given.get("config.file") not in mounted:
        wrong.append(f"{name}: its configuration {given.get('config.file')} is not mounted")
    unknown = set(given.get("target", "all").split(",")) - TARGETS
    wrong += [f"{name}: {target} is no target" for target in sorted(unknown)]
    return wrong


def main():
    failed = False
    for argument in sys.argv[1:]:
        for line in check(pathlib.Path(argument)):
            failed = True
            print(f"{argument}: {line}")
    sys.exit(failed)


main()
