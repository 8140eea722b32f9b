"""The chart: renders it with values, and looks at what comes out. Usage: chart.py HELM CHART FOLDER [DEPLOYMENTS]

Writes to FOLDER one file of manifests for each set of values: the chart's own, those in its folder ci, and the values files
of Loki's charts in DEPLOYMENTS, as they are. Then asks what was made of some of the values, and that wrong ones are refused.
"""

import pathlib
import subprocess
import sys

import yaml

# Of values files: what is at a path in an object, after "kind/name"; a part in brackets is the element with that name.
FACTS = {
    "simple-scalable": {
        "StatefulSet/loki-narvi-write spec.replicas": 3,
        "StatefulSet/loki-narvi-write spec.volumeClaimTemplates.0.spec.resources.requests.storage": "1Gi",
        "StatefulSet/loki-narvi-write spec.volumeClaimTemplates.0.spec.storageClassName": "local-path",
        "StatefulSet/loki-narvi-write spec.template.spec.affinity.podAntiAffinity"
        ".preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.labelSelector.matchLabels":
            {"app.kubernetes.io/name": "narvi", "app.kubernetes.io/instance": "loki", "app.kubernetes.io/component": "write"},
        "Deployment/loki-narvi-read spec.replicas": 3,
        "Service/loki-minio spec.ports.0.nodePort": 32000,
        "StatefulSet/loki-minio spec.template.spec.containers.0.resources.requests.memory": "256Mi",
        "config common.replication_factor": 2,
        "config common.storage.s3.endpoint": "loki-minio.logging.svc:9000",
        "config common.storage.s3.access_key_id": "enterprise-logs",
        "config ruler.storage.s3.bucketnames": "ruler",
        "config auth_enabled": False,
        "config memberlist.join_members": ["loki-narvi-memberlist"],
    },
    "microservices-minio": {
        "StatefulSet/loki-narvi-ingester spec.replicas": 2,
        "StatefulSet/loki-narvi-querier spec.volumeClaimTemplates.0.spec.resources.requests.storage": "1Gi",
        "Deployment/loki-narvi-query-frontend spec.replicas": 2,
        "config ingester.chunk_target_size": 1536000,
        "config storage_config.aws.bucketnames": "loki-data",
        "config schema_config.configs.0.schema": "v12",
        "config frontend_worker.frontend_address": "loki-narvi-query-frontend-headless:9095",
        "config common.path_prefix": "/var/loki",
    },
    "microservices-redis": {
        "config memberlist.join_members": ["loki-narvi-memberlist"],
        "config frontend_worker.frontend_address": "loki-narvi-query-frontend:9095",
        "config limits_config.split_queries_by_interval": "24h",
        "config chunk_store_config.chunk_cache_config.redis.endpoint": "redis:6379",
        "Service/loki-narvi-query-frontend spec.clusterIP": "None",
        "Deployment/loki-narvi-ruler spec.replicas": 1,
        "PersistentVolumeClaim/loki-narvi-ruler spec.storageClassName": "local-path",
        "Deployment/loki-narvi-ruler spec.template.spec.containers.0.volumeMounts.[rules-tenant-no].mountPath":
            "/etc/loki/rules/tenant_no",
    },
    "distributed": {
        "config auth_enabled": False,
        "config common.storage.s3.region": "eu-central-1",
        "config common.replication_factor": 3,
        "config compactor.retention_enabled": True,
        "config memberlist.join_members": ["loki-loki-distributed-memberlist"],
        "config storage_config.tsdb_shipper.index_gateway_client.server_address":
            "loki-loki-distributed-index-gateway-headless:9095",
        "Deployment/loki-loki-distributed-distributor spec.replicas": None,
        "Deployment/loki-loki-distributed-distributor spec.template.metadata.annotations.of": "distributors",
        "Deployment/loki-loki-distributed-query-frontend spec.template.metadata.annotations.of": "all",
        "StatefulSet/loki-loki-distributed-compactor spec.volumeClaimTemplates": None,
        "Deployment/loki-loki-distributed-querier spec.template.spec.containers.0.image": "registry.example.com/narvi:1",
    },
    "one-process": {
        "StatefulSet/loki-narvi spec.template.spec.containers.0.args.1": "-target=all",
        "config common.storage.filesystem.chunks_directory": "/var/loki/chunks",
        "config memberlist": None,
        "Deployment/loki-narvi-gateway kind": None,
    },
}
# Values that must be refused, and what is said of them.
WRONG = [
    ("deploymentMode=Big", "deploymentMode"),
    ("ingester.replicas=many", "replicas"),
    ("loki.storage.type=floppy", "type"),
    ("loki.config=a: [", "loki.config is no YAML"),
    ("ruler.kind=Deployment,ruler.replicas=2,ruler.enabled=true,ruler.persistence.enabled=true,ingester.replicas=1", "one volume"),
    ("gateway.basicAuth.enabled=true,gateway.enabled=true", "username"),
]


def at(node, path):
    for part in path.split("."):
        if part.startswith("["):
            node = next((one for one in node if one["name"] == part[1:-1]), None)
        elif isinstance(node, list):
            node = node[int(part)]
        else:
            node = node.get(part) if node else None
    return node


def fact(objects, question):
    """What there is at a path; a path in the configuration may have dots in no key."""
    where, path = question.split(" ", 1)
    if where == "config":
        texts = [one.get("data", one.get("stringData", {})).get("config.yaml") for one in objects.values()
                 if one["kind"] in ("ConfigMap", "Secret")]
        return at(yaml.safe_load(next(text for text in texts if text)), path)
    return at(objects.get(where), path)


def main():
    helm, chart, folder, *deployments = sys.argv[1:]
    chart, folder = pathlib.Path(chart), pathlib.Path(folder)
    sets = {"one-process": None, **{path.name.removesuffix("-values.yaml"): path for path in chart.glob("ci/*.yaml")}}
    # A folder of values files as they are in use goes before the chart's own of the same name.
    for deployment in deployments:
        sets |= {path.name.removesuffix(".values.yaml"): path for path in pathlib.Path(deployment).glob("*.values.yaml")}
    wrong, asked = [], 0
    for name, values in sets.items():
        given = ["-f", str(values)] if values else []
        subprocess.run([helm, "lint", "--strict", "--quiet", str(chart), *given], check=True)
        command = [helm, "template", "loki", str(chart), "--namespace", "logging", *given]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (folder / f"{name}.yaml").write_text(text)
        # Notes are not rendered by `template`.
        command = [helm, "install", "loki", str(chart), "--namespace", "logging", "--dry-run=client", *given]
        done = subprocess.run(command, capture_output=True, text=True)
        if "Push, query and tail inside the cluster" not in done.stdout:
            wrong.append(f"{name}: no notes: {done.stderr}")
        objects = {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text) if one}
        for question, answer in FACTS.get(name, {}).items():
            asked += 1
            if (found := fact(objects, question)) != answer:
                wrong.append(f"{name}: {question} is {found!r} and not {answer!r}")
    for setting, message in WRONG:
        command = [helm, "template", "loki", str(chart), "--set", setting]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0 or message not in done.stderr:
            wrong.append(f"--set {setting} is not refused with a word of {message!r}: {done.stderr[:300]}")
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{', '.join(sets)}; {asked} facts, {len(WRONG)} refusals")
    sys.exit(bool(wrong))


main()
