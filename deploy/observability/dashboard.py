#!/usr/bin/env python3
"""Writes Grafana's dashboard of Narvi: dashboard.py > dashboard.json. The JSON is made from the list below, and never edited."""

import json
import sys

# Of the processes that the variables choose.
WHERE = 'namespace=~"$namespace", job=~"$job"'
# A row is a title and panels; a panel is a title, a unit, and queries with their legends. "#" stands for WHERE.
ROWS = [
    ("Requests", [
        ("Requests by route and status", "reqps",
         ["sum by (route, status_code) (rate(loki_request_duration_seconds_count{#}[$__rate_interval]))",
          "{{route}} {{status_code}}"]),
        ("Share of requests that failed", "percentunit",
         ['sum by (route) (rate(loki_request_duration_seconds_count{#, status_code=~"5.."}[$__rate_interval]))'
          " / sum by (route) (rate(loki_request_duration_seconds_count{#}[$__rate_interval]))", "{{route}}"]),
        ("Pushes: time", "s",
         ['histogram_quantile(0.99, sum by (le) (rate(loki_request_duration_seconds_bucket'
          '{#, route=~"loki_api_v1_push|api_prom_push|otlp_v1_logs"}[$__rate_interval])))', "99 %"],
         ['histogram_quantile(0.5, sum by (le) (rate(loki_request_duration_seconds_bucket'
          '{#, route=~"loki_api_v1_push|api_prom_push|otlp_v1_logs"}[$__rate_interval])))', "50 %"]),
        ("Queries: time", "s",
         ['histogram_quantile(0.99, sum by (le, route) (rate(loki_request_duration_seconds_bucket'
          '{#, ws="false", method!="POST"}[$__rate_interval])))', "99 % {{route}}"]),
    ]),
    ("Writes", [
        ("Lines received by tenant", "short",
         ["sum by (tenant) (rate(loki_distributor_lines_received_total{#}[$__rate_interval]))", "{{tenant}}"]),
        ("Bytes received by tenant", "Bps",
         ["sum by (tenant) (rate(loki_distributor_bytes_received_total{#}[$__rate_interval]))", "{{tenant}}"]),
        ("Lines refused", "short",
         ["sum by (tenant, reason) (rate(loki_discarded_samples_total{#}[$__rate_interval]))", "{{tenant}} {{reason}}"]),
        ("Writes to ingesters that failed", "percentunit",
         ["sum by (ingester) (rate(loki_distributor_ingester_append_failures_total{#}[$__rate_interval]))"
          " / sum by (ingester) (rate(loki_distributor_ingester_appends_total{#}[$__rate_interval]))", "{{ingester}}"]),
        ("Streams in memory", "short",
         ["sum by (instance) (loki_ingester_memory_streams{#})", "{{instance}}"]),
        ("Lines in memory", "bytes",
         ["sum by (instance) (loki_ingester_memory_bytes{#})", "{{instance}}"]),
        ("Write-ahead log", "bytes",
         ["sum by (instance) (loki_ingester_wal_bytes_in_use{#})", "{{instance}}"]),
        ("Blocks flushed by reason", "short",
         ["sum by (reason) (rate(loki_ingester_chunks_flushed_total{#}[$__rate_interval]))", "{{reason}}"]),
        ("Bytes flushed", "Bps",
         ["sum by (tenant) (rate(loki_ingester_chunk_stored_bytes_total{#}[$__rate_interval]))", "{{tenant}}"]),
        ("Age of the oldest line of a block", "s",
         ["histogram_quantile(0.99, sum by (le) (rate(loki_ingester_chunk_age_seconds_bucket{#}[$__rate_interval])))",
          "99 %"]),
    ]),
    ("Reads", [
        ("LogQL: time by kind", "s",
         ["histogram_quantile(0.99, sum by (le, query_type) "
          "(rate(logql_query_duration_seconds_bucket{#}[$__rate_interval])))", "99 % {{query_type}}"]),
        ("Bytes that a query reads in a second, median", "Bps",
         ["histogram_quantile(0.5, sum by (le, type) "
          "(rate(loki_logql_querystats_bytes_processed_per_seconds_bucket{#}[$__rate_interval])))", "{{type}}"]),
        ("Queries that wait", "short", ["sum by (instance) (loki_query_scheduler_queue_length{#})", "{{instance}}"]),
        ("Time that queries wait", "s",
         ["histogram_quantile(0.99, sum by (le) "
          "(rate(loki_query_scheduler_queue_duration_seconds_bucket{#}[$__rate_interval])))", "99 %"]),
        ("Tails", "short", ["sum by (instance) (loki_querier_tail_active{#})", "{{instance}}"]),
        ("Look-ups in the index: time", "s",
         ["histogram_quantile(0.99, sum by (le, operation) "
          "(rate(loki_index_request_duration_seconds_bucket{#}[$__rate_interval])))", "99 % {{operation}}"]),
    ]),
    ("Object store", [
        ("Requests", "reqps",
         ["sum by (operation, status_code) (rate(loki_s3_request_duration_seconds_count{#}[$__rate_interval]))",
          "{{operation}} {{status_code}}"]),
        ("Time", "s",
         ["histogram_quantile(0.99, sum by (le, operation) "
          "(rate(loki_s3_request_duration_seconds_bucket{#}[$__rate_interval])))", "99 % {{operation}}"]),
    ]),
    ("Caches", [
        ("Share of keys that were there", "percentunit",
         ["sum by (name) (rate(loki_cache_hits{#}[$__rate_interval]))"
          " / sum by (name) (rate(loki_cache_fetched_keys{#}[$__rate_interval]))", "{{name}}"]),
        ("Time of requests", "s",
         ["histogram_quantile(0.99, sum by (le, method) "
          "(rate(loki_cache_request_duration_seconds_bucket{#}[$__rate_interval])))", "99 % {{method}}"]),
        ("In memory", "bytes", ["sum by (instance, cache) (loki_embeddedcache_memory_bytes{#})", "{{instance}} {{cache}}"]),
        ("Left alone because it failed", "short",
         ["sum by (instance) (increase(loki_cache_breaker_opened_total{#}[$__rate_interval]))", "{{instance}}"]),
    ]),
    ("Rings", [
        ("Members by state", "short", ["max by (name, state) (loki_ring_members{#})", "{{name}} {{state}}"]),
        ("Share of the ring", "percent",
         ["max by (name, member) (loki_ring_member_ownership_percent{#})", "{{name}} {{member}}"]),
        ("Processes known by gossip", "short",
         ["loki_memberlist_client_cluster_members_count{#}", "{{instance}}"]),
    ]),
    ("Upkeep", [
        ("Since the last compaction", "s",
         ["time() - (loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds{#} > 0)",
          "{{instance}}"]),
        ("Since retention was applied", "s",
         ["time() - (loki_compactor_apply_retention_last_successful_run_timestamp_seconds{#} > 0)", "{{instance}}"]),
        ("Runs of compaction", "short",
         ["sum by (status) (increase(loki_boltdb_shipper_compact_tables_operation_total{#}[$__rate_interval]))",
          "{{status}}"]),
        ("Delete requests that wait", "short",
         ["loki_compactor_pending_delete_requests_count{#}", "{{instance}}"]),
    ]),
    ("Rules", [
        ("Evaluations and failures", "short",
         ["sum(rate(loki_prometheus_rule_evaluations_total{#}[$__rate_interval]))", "evaluated"],
         ["sum(rate(loki_prometheus_rule_evaluation_failures_total{#}[$__rate_interval]))", "failed"]),
        ("Time of a group", "s",
         ["topk(10, loki_prometheus_rule_group_last_duration_seconds{#})", "{{user}} {{rule_group}}"]),
        ("Alerts sent", "short",
         ["sum(rate(loki_prometheus_notifications_sent_total{#}[$__rate_interval]))", "sent"],
         ["sum(rate(loki_prometheus_notifications_errors_total{#}[$__rate_interval]))", "failed"]),
        ("Recorded samples that wait", "short",
         ["loki_ruler_wal_prometheus_remote_storage_samples_pending{#}", "{{tenant}} {{remote_name}}"]),
    ]),
    ("Processes", [
        ("CPU", "short", ["rate(process_cpu_seconds_total{#}[$__rate_interval]) and on (job, instance) loki_build_info",
                          "{{instance}}"]),
        ("Resident memory", "bytes", ["process_resident_memory_bytes{#} and on (job, instance) loki_build_info",
                                      "{{instance}}"]),
        ("Open files", "short", ["process_open_fds{#} and on (job, instance) loki_build_info", "{{instance}}"]),
        ("Versions", "short", ["count by (version) (loki_build_info{#})", "{{version}}"]),
    ]),
]
SOURCE = {"type": "prometheus", "uid": "$datasource"}


def variable(name, query):
    return {
        "name": name, "label": name, "type": "query", "datasource": SOURCE, "query": query, "definition": query,
        "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*", "sort": 1,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def panel(number, place, title, unit, queries):
    x, y = place
    return {
        "id": number, "type": "timeseries", "title": title, "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": 6, "h": 7},
        "targets": [
            {"refId": "ABCDEF"[n], "datasource": SOURCE, "expr": expr.replace("#", WHERE), "legendFormat": legend}
            for n, (expr, legend) in enumerate(queries)
        ],
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}},
                        "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def dashboard():
    panels, y, number = [], 0, 0
    for title, row in ROWS:
        number += 1
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for at, (name, unit, *queries) in enumerate(row):
            number += 1
            panels.append(panel(number, (at % 4 * 6, y + at // 4 * 7), name, unit, queries))
        y += (len(row) + 3) // 4 * 7
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1,
              "current": {}}
    return {
        "uid": "narvi", "title": "Narvi", "tags": ["narvi", "logs"], "schemaVersion": 39, "version": 1, "editable": True,
        "time": {"from": "now-3h", "to": "now"}, "refresh": "30s", "graphTooltip": 1, "annotations": {"list": []},
        "templating": {"list": [
            source,
            variable("namespace", "label_values(loki_build_info, namespace)"),
            variable("job", 'label_values(loki_build_info{namespace=~"$namespace"}, job)'),
        ]},
        "panels": panels,
    }


json.dump(dashboard(), sys.stdout, indent=1)
print()
