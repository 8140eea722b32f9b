"""Kubernetes manifests: their schemas, and what they name. Usage: manifests.py NARVI NGINX FOLDER FILE...

Each file has the objects of one deployment. They follow the schemas of two versions of Kubernetes without unknown keys; what
one object names is there: config maps, secrets, claims, ports, service accounts, what selectors select; Narvi starts with the
configuration that its pods have, and every host in it is a service with that port; nginx starts with the gateway's file.
FOLDER is for files made on the way.
"""

import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml

from tree import scalars

VERSIONS = ["1.30", "1.37"]
# Of the Prometheus operator, whose schemas are not at hand.
UNCHECKED = {"ServiceMonitor", "PrometheusRule"}
WORKLOADS = {"Deployment", "StatefulSet"}
HOST = re.compile(r"^(?:https?://|dnssrvnoa\+_\w+\._tcp\.|dns\+)?([a-z][a-z0-9.-]*?)(?::(\d+))?$")
ADDRESS_KEYS = re.compile(r"(_address|_addresses|tail_proxy_url|endpoint|addresses|join_members|scheduler_address)$")


class Deployment:
    """The objects of one file."""

    def __init__(self, path, narvi, nginx, folder):
        self.narvi, self.nginx, self.folder = narvi, nginx, folder
        self.objects = [document for document in yaml.safe_load_all(path.read_text()) if document]
        self.name = ""
        self.wrong = []
        self.named = {}
        for one in self.objects:
            key = (one["kind"], one["metadata"]["name"])
            if key in self.named:
                self.wrong.append(f"{key} is there twice")
            self.named[key] = one

    def of(self, *kinds):
        return [one for one in self.objects if one["kind"] in kinds]

    def expect(self, condition, message):
        if not condition:
            self.wrong.append(message)

    def schemas(self):
        for one in self.objects:
            name = f"{one['kind']} {one['metadata']['name']}"
            if one["kind"] in UNCHECKED:
                continue
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(one, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    self.wrong.append(f"{name}, Kubernetes {version}: {error.message} at {list(error.path)}")
                    break

    def references(self):
        for one in self.of(*WORKLOADS):
            name, spec = f"{one['kind']} {one['metadata']['name']}", one["spec"]
            labels, pod = spec["template"]["metadata"]["labels"], spec["template"]["spec"]
            self.expect(spec["selector"]["matchLabels"].items() <= labels.items(), f"{name} does not select its own pods")
            claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
            volumes = claims | {volume["name"] for volume in pod.get("volumes", [])}
            mounts = set()
            for container in pod["containers"] + pod.get("initContainers", []):
                ports = {port["name"] for port in container.get("ports", [])}
                for mount in container.get("volumeMounts", []):
                    mounts.add(mount["name"])
                    self.expect(mount["name"] in volumes, f"{name} mounts {mount['name']}, which is no volume")
                for probe in ["readinessProbe", "livenessProbe"]:
                    port = (container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket") or {}).get("port")
                    self.expect(port is None or port in ports, f"{name}: {probe} asks port {port}, which is not there")
                for variable in container.get("env", []):
                    secret = variable.get("valueFrom", {}).get("secretKeyRef")
                    self.expect(not secret or secret["key"] in self.keys("Secret", secret["name"]),
                                f"{name}: {variable['name']} is of a secret that is not there")
            self.expect(volumes == mounts, f"{name}: volumes {volumes ^ mounts} are not mounted")
            for volume in pod.get("volumes", []):
                for kind, field, key in [("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName"),
                                         ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName")]:
                    # What is called my-... is there already.
                    if field in volume and not volume[field][key].startswith("my-"):
                        self.expect((kind, volume[field][key]) in self.named, f"{name}: no {kind} {volume[field][key]}")
            account = pod.get("serviceAccountName")
            self.expect(not account or ("ServiceAccount", account) in self.named, f"{name}: no account {account}")
            if one["kind"] == "StatefulSet":
                service = self.named.get(("Service", spec["serviceName"]))
                self.expect(service, f"{name}: no service {spec['serviceName']}")
        for one in self.of("Service"):
            self.service(one)
        for one in self.of("PodDisruptionBudget"):
            chosen = self.selected(one["spec"]["selector"]["matchLabels"])
            self.expect(len(chosen) == 1, f"the budget {one['metadata']['name']} is of {len(chosen)} workloads")
        for one in self.of("HorizontalPodAutoscaler"):
            target = one["spec"]["scaleTargetRef"]
            scaled = self.named.get((target["kind"], target["name"]))
            self.expect(scaled and "replicas" not in scaled["spec"], f"{target} is not there, or has replicas of its own")
        for one in self.of("Ingress"):
            for path, value in scalars(one["spec"]):
                if path.endswith("service.name"):
                    self.expect(("Service", value) in self.named, f"the ingress sends to {value}, which is not there")

    def keys(self, kind, name):
        one = self.named.get((kind, name), {})
        return one.get("data", {}).keys() | one.get("stringData", {}).keys()

    def selected(self, labels):
        return [one for one in self.of(*WORKLOADS)
                if labels.items() <= one["spec"]["template"]["metadata"]["labels"].items()]

    def service(self, one):
        chosen = self.selected(one["spec"]["selector"])
        name = one["metadata"]["name"]
        self.expect(chosen, f"the service {name} selects nothing")
        for workload in chosen:
            ports = {port["name"] for container in workload["spec"]["template"]["spec"]["containers"]
                     for port in container.get("ports", [])}
            for port in one["spec"]["ports"]:
                self.expect(port["targetPort"] in ports, f"{name} sends to {port['targetPort']}, which is not there")

    def configurations(self):
        """Starts what is configured; gives how many configurations there were."""
        found = 0
        for one in self.of("ConfigMap", "Secret"):
            texts = one.get("data", {}) if one["kind"] == "ConfigMap" else one.get("stringData", {})
            if "config.yaml" in texts:
                found += 1
                self.configuration(texts["config.yaml"])
            if "nginx.conf" in texts:
                found += 1
                self.gateway(texts["nginx.conf"])
        return found

    def configuration(self, text):
        file = self.folder / "config.yaml"
        file.write_text(text)
        members = [one["metadata"]["name"] for one in self.of("Service") if one["metadata"]["name"].endswith("-memberlist")]
        self.name = members[0].removesuffix("-memberlist") if members else "narvi"
        targets = set()
        for one in self.of(*WORKLOADS):
            for container in one["spec"]["template"]["spec"]["containers"]:
                targets |= {arg for arg in container.get("args", []) if arg.startswith("-target=")}
        self.expect(targets, "no pod has a target")
        for target in sorted(targets):
            command = [self.narvi, f"-config.file={file}", target, "-verify-config"]
            done = subprocess.run(command, capture_output=True, text=True)
            self.expect(done.returncode == 0 or "cannot run alone yet" in done.stderr,
                        f"Narvi refuses its configuration for {target}: {done.stderr}")
        for path, value in scalars(yaml.safe_load(text)):
            host = HOST.match(str(value))
            # Hosts that are not called as our services are, and caches of Redis, are others' business.
            if not ADDRESS_KEYS.search(path) or not host or ".redis." in path:
                continue
            if "." in host[1] and not host[1].startswith(self.name):
                continue
            service = self.named.get(("Service", host[1].split(".")[0]))
            self.expect(service, f"{path} is {value}: there is no such service")
            ports = {port["port"] for port in service["spec"]["ports"]} if service else set()
            self.expect(not host[2] or int(host[2]) in ports, f"{path} is {value}: nothing listens there")
            self.expect("join_members" not in path or 7946 in ports, f"{path} is {value}: there is no gossip")

    def gateway(self, text):
        """The file is right for nginx, and names services that are there."""
        hosts = set(re.findall(r"proxy_pass\s+http://([a-z0-9-]+)\.", text))
        self.expect(hosts, "the gateway sends nothing anywhere")
        for host in sorted(hosts):
            self.expect(("Service", host) in self.named, f"the gateway sends to {host}, which is no service")
        file = self.folder / "nginx.conf"
        # Where this runs there is no DNS of a cluster, and no file of passwords.
        file.write_text(re.sub(r"resolver [^;]+;", "resolver 127.0.0.1;", text))
        done = subprocess.run([self.nginx, "-e", "stderr", "-t", "-c", str(file)], capture_output=True, text=True)
        self.expect(done.returncode == 0, f"nginx refuses the gateway's file: {done.stderr}")


def main():
    narvi, nginx, folder, *files = sys.argv[1:]
    wrong, objects, configurations = [], 0, 0
    for file in files:
        deployment = Deployment(pathlib.Path(file), narvi, nginx, pathlib.Path(folder))
        deployment.schemas()
        deployment.references()
        configurations += deployment.configurations()
        objects += len(deployment.objects)
        wrong += [f"{file}: {line}" for line in deployment.wrong]
        if not deployment.objects:
            wrong.append(f"{file}: there is nothing in it")
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{objects} objects, {configurations} configurations")
    sys.exit(bool(wrong))


main()
