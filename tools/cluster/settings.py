"""The configuration file that all processes of a cluster share, in Loki's format; reading and writing such files."""
import json
import re

from . import servers

HTTP, GRPC, GOSSIP = 3100, 9095, 7946

# How many processes of which role. Names are `ROLE-N`.
LAYOUTS = {
    "micro": {
        "ingester": 3, "distributor": 2, "query-scheduler": 1, "index-gateway": 1, "querier": 2, "query-frontend": 1,
        "compactor": 1, "ruler": 1,
    },
    "simple": {"write": 3, "backend": 1, "read": 2},
    "all": {"all": 1},
}
# Which role answers for another one, if that one has no process of its own.
GROUPS = {
    "write": {"ingester", "distributor"},
    "read": {"query-frontend", "querier"},
    "backend": {"query-scheduler", "index-gateway", "compactor", "ruler"},
}


def answers(role, wanted):
    """Whether a process with this target does what another role does."""
    return role in ("all", wanted) or wanted in GROUPS.get(role, ())


def shared(hosts, stores, rf, extra=None):
    """The settings, as nested dictionaries. `hosts` gives the addresses for a role; `stores` those of other servers."""
    one = len(hosts("all")) == 1
    ring = {"kvstore": {"store": "inmemory" if one else "memberlist"}, "heartbeat_timeout": "10s"}
    result = {
        "auth_enabled": False,
        "server": {"http_listen_port": HTTP, "grpc_listen_port": GRPC, "log_level": "info"},
        "common": {
            "replication_factor": rf,
            "ring": ring,
            "storage": {
                "s3": {
                    "endpoint": stores.s3, "bucketnames": servers.BUCKET, "access_key_id": servers.KEY,
                    "secret_access_key": servers.SECRET, "s3forcepathstyle": True, "insecure": True,
                    "region": "us-east-1",
                }
            },
        },
        "schema_config": {
            "configs": [
                {"from": "2020-01-01", "store": "tsdb", "object_store": "s3", "schema": "v13",
                 "index": {"prefix": "index_", "period": "24h"}}
            ]
        },
        "ingester": {
            "lifecycler": {
                "ring": {**ring, "replication_factor": rf}, "heartbeat_period": "1s", "min_ready_duration": "1s",
                "final_sleep": "0s",
            }
        },
        "compactor": {"compaction_interval": "5s"},
        "ruler": {"enable_api": True},
        "querier": {"query_ingesters_within": "3h"},
        "limits_config": {
            "reject_old_samples": False, "ingestion_rate_mb": 10000, "ingestion_burst_size_mb": 10000,
            "per_stream_rate_limit": "10GB", "per_stream_rate_limit_burst": "10GB",
            "max_entries_limit_per_query": 50000, "max_query_series": 10000, "max_global_streams_per_user": 0,
            "split_queries_by_interval": "1m",
            # Pushes are not tried again for longer than this.
            "max_cache_freshness_per_query": "1m",
        },
        "query_range": {"cache_results": True, "align_queries_with_step": True, "max_retries": 5},
    }
    if not one:
        result = merged(result, joined(hosts))
    if stores.memcached:
        client = {"addresses": stores.memcached, "timeout": "500ms"}
        cache = {"memcached": {"expiration": "1h"}, "memcached_client": client}
        result["chunk_store_config"] = {"chunk_cache_config": cache}
    if stores.redis:
        cache = {"redis": {"endpoint": stores.redis, "expiration": "1h"}}
        result["query_range"]["results_cache"] = {"cache": cache}
        result = merged(result, {"storage_config": {"index_queries_cache_config": cache}})
    return merged(result, extra or {})


def joined(hosts):
    """What processes need to know of each other."""
    def first(role, port):
        return f"{hosts(role)[0]}:{port}"

    return {
        "memberlist": {"join_members": [f"{address}:{GOSSIP}" for address in hosts(None)], "bind_port": GOSSIP},
        "common": {"compactor_address": f"http://{first('compactor', HTTP)}"},
        "frontend": {
            "scheduler_address": first("query-scheduler", GRPC), "tail_proxy_url": f"http://{first('querier', HTTP)}"
        },
        "frontend_worker": {"scheduler_address": first("query-scheduler", GRPC), "dns_lookup_duration": "1s"},
        "storage_config": {
            "tsdb_shipper": {"index_gateway_client": {"server_address": f"{first('index-gateway', GRPC)}"}}
        },
    }


def flags(role, name, host, folder, file):
    """The command line of one process."""
    return [
        f"-target={role}", f"-config.file={file}", f"-server.http-listen-address={host.address}",
        f"-server.grpc-listen-address={host.address}", f"-memberlist.bind-addr={host.address}",
        f"-memberlist.advertise-addr={host.address}", f"-memberlist.nodename={name}",
        f"-common.instance-addr={host.address}", f"-common.path-prefix={folder}",
    ]


def merged(under, over):
    """Nested dictionaries as one; where both have a value, the second's."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    result = dict(under)
    for key, value in over.items():
        result[key] = merged(result[key], value) if key in result else value
    return result


def to_yaml(value, indent=0):
    """Text of nested dictionaries and lists."""
    space = "  " * indent
    if isinstance(value, dict) and value:
        rows = []
        for key, inner in value.items():
            nested = isinstance(inner, (dict, list)) and inner
            rows.append(f"{space}{key}:" + (f"\n{to_yaml(inner, indent + 1)}" if nested else f" {json.dumps(inner)}\n"))
        return "".join(rows)
    if isinstance(value, list) and value:
        rows = []
        for inner in value:
            text = to_yaml(inner, indent + 1)
            nested = isinstance(inner, (dict, list))
            rows.append(f"{space}- " + (text.lstrip() if nested else f"{json.dumps(inner)}\n"))
        return "".join(rows)
    return f"{space}{json.dumps(value)}\n"


def from_yaml(text):
    """Reads what the files of conformance suites use: nested maps, lists of maps, plain scalars, comments."""
    rows = []
    for row in text.splitlines():
        row = re.sub(r"(^|\s)#.*$", "", row).rstrip()
        if row:
            rows.append((len(row) - len(row.lstrip()), row.lstrip()))

    def scalar(word):
        if word in ("true", "false"):
            return word == "true"
        if re.fullmatch(r"-?\d+", word):
            return int(word)
        return word.strip("\"'")

    def block(at, indent):
        result = [] if rows[at][1].startswith("- ") else {}
        while at < len(rows) and rows[at][0] == indent:
            row = rows[at][1]
            if isinstance(result, list):
                # The first key of the entry stands where the dash leaves off.
                rows[at] = (indent + 2, row[2:])
                inner, at = block(at, indent + 2)
                result.append(inner)
                continue
            key, _, rest = row.partition(":")
            at += 1
            if rest.strip():
                result[key] = scalar(rest.strip())
            elif at < len(rows) and rows[at][0] > indent:
                result[key], at = block(at, rows[at][0])
            else:
                result[key] = None
        return result, at

    return block(0, 0)[0] if rows else {}
