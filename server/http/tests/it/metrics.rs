//! The metrics that a process tells which stands alone: all of Loki's that have a meaning here.

use std::{collections::BTreeSet, time::Duration};

use narvi::{CompactionSettings, Db, RetentionSettings, Settings};
use narvi_http::StoreTimes;

use crate::{Server, encoded};

/// What must be told once lines were pushed, refused, flushed, asked for and deleted: the names that operators' dashboards and
/// alerts use. A histogram is named without `_bucket`.
///
/// Not here, since they would tell nothing true of one process without those parts:
/// - `loki_ingester_checkpoint_*`: the write-ahead log has no checkpoints; a flush lets its segments go.
/// - `loki_chunk_store_deduped_chunks_total`: repeated rows are dropped one by one, and no object is written twice.
/// - `loki_chunk_store_index_entries_per_chunk`: it is one by design.
/// - `loki_boltdb_shipper_retention_marker_table_processed_duration_seconds`, `loki_boltdb_shipper_retention_sweeper_*`,
///   `loki_compactor_locked_table_successive_compaction_skips`: one run of retention marks and sweeps, without files of
///   marked chunks and without locks on tables; its duration is told.
/// - `loki_objstore_bucket_*`: the metrics of another client; operations of object stores are told under the name of
///   their kind.
/// - `loki_memcache_*`, `loki_embeddedcache_*`, `loki_cache_*`: told by processes that have caches.
/// - `loki_query_scheduler_inflight_requests`, `_connected_querier_clients`, `_discarded_requests_total`: of a scheduler that is
///   a process of its own.
/// - `loki_logql_querystats_duplicates_total`, `_ingester_sent_lines_total`, `_chunk_download_latency_seconds`: a query does not
///   tell these apart.
/// - `loki_prometheus_*`, `loki_ruler_*`: told by the ruler, which is not part of this server; its own tests have them.
/// - `loki_index_gateway_*`, `loki_consul_*`, `loki_canary_*`: of other processes.
/// - `go_*`: there is no Go here.
const NAMES: &[&str] = &[
    "loki_request_duration_seconds",
    "loki_build_info",
    "loki_panic_total",
    "loki_distributor_lines_received_total",
    "loki_distributor_bytes_received_total",
    "loki_distributor_structured_metadata_bytes_received_total",
    "loki_distributor_ingester_appends_total",
    "loki_distributor_ingester_append_failures_total",
    "loki_discarded_samples_total",
    "loki_discarded_bytes_total",
    "loki_ingester_memory_streams",
    "loki_ingester_memory_chunks",
    "loki_ingester_streams_created_total",
    "loki_ingester_streams_removed_total",
    "loki_ingester_chunks_flushed_total",
    "loki_ingester_flush_queue_length",
    "loki_ingester_chunk_utilization",
    "loki_ingester_chunk_size_bytes",
    "loki_ingester_chunk_entries",
    "loki_ingester_chunk_age_seconds",
    "loki_ingester_chunk_bounds_hours",
    "loki_ingester_chunks_stored_total",
    "loki_ingester_chunk_stored_bytes_total",
    "loki_ingester_wal_records_logged_total",
    "loki_ingester_wal_replay_active",
    "loki_ingester_wal_replay_duration_seconds",
    "loki_ingester_wal_corruptions_total",
    "loki_ingester_wal_disk_full_failures_total",
    "loki_ingester_wal_bytes_in_use",
    "loki_index_request_duration_seconds",
    "loki_boltdb_shipper_request_duration_seconds",
    "loki_boltdb_shipper_compactor_running",
    "loki_boltdb_shipper_compact_tables_operation_duration_seconds",
    "loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds",
    "loki_boltdb_shipper_compact_tables_operation_total",
    "loki_boltdb_shipper_retention_marker_table_processed_total",
    "loki_boltdb_shipper_retention_marker_count_total",
    "loki_compactor_apply_retention_operation_total",
    "loki_compactor_apply_retention_operation_duration_seconds",
    "loki_compactor_apply_retention_last_successful_run_timestamp_seconds",
    "loki_compactor_delete_requests_received_total",
    "loki_compactor_delete_requests_processed_total",
    "loki_compactor_pending_delete_requests_count",
    "loki_compactor_oldest_pending_delete_request_age_seconds",
    "loki_compactor_deleted_lines",
    "loki_compactor_load_pending_requests_attempts_total",
    "loki_s3_request_duration_seconds",
    "logql_query_duration_seconds",
    "loki_logql_querystats_latency_seconds",
    "loki_logql_querystats_bytes_processed_per_seconds",
    "loki_logql_querystats_downloaded_chunk_total",
    "loki_query_scheduler_queue_length",
    "loki_query_scheduler_queue_duration_seconds",
    "loki_querier_tail_active",
    "loki_querier_tail_active_streams",
    "loki_querier_tail_bytes_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
];

const T0: i64 = 1_700_000_000;

fn push(lines: usize) -> String {
    let values: Vec<_> = (0..lines).map(|i| format!(r#"["{}000000000","line {i}"]"#, T0 + i as i64 * 60)).collect();
    format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[{}]}}]}}"#, values.join(","))
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{sample} is missing in\n{text}")).parse().expect("a number")
}

#[test]
fn a_process_alone_tells_all_metrics_that_have_a_meaning() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        compaction: CompactionSettings { enabled: false, ..CompactionSettings::default() },
        retention: RetentionSettings { cancel_period_secs: 0, ..RetentionSettings::default() },
        ..Settings::default()
    };
    let db = Db::builder(folder.path()).settings(settings).open().expect("opens");
    let times = StoreTimes::new("s3");
    times.count("put", 200, Duration::from_millis(3));
    let server = Server::over(db.clone(), |settings| {
        settings.limits = narvi_config::Limits::loki();
        (settings.limits.reject_old_samples, settings.limits.max_line_size_bytes) = (false, 20);
        settings.limits.max_query_length = Duration::ZERO;
        settings.store_times = Some(times);
    });
    let waiting = server.get("t", "/metrics").text();
    server.push("t", &push(60));
    let head = "X-Scope-OrgID: t\r\nContent-Type: application/json\r\n";
    let long = br#"{"streams":[{"stream":{"app":"a"},"values":[["1","much longer than is allowed"]]}]}"#;
    assert_eq!(server.ask("POST", "/loki/api/v1/push", head, long).status, 400);
    let logged = server.get("t", "/metrics").text();
    assert_eq!(server.ask("POST", "/flush", "", b"").status, 204);
    let range = format!("start={T0}&end={}", T0 + 3600);
    let lines = format!("/loki/api/v1/query_range?query={}&limit=1000&{range}", encoded(r#"{app="a"}"#));
    assert_eq!(server.get("t", &lines).status, 200);
    let rate = encoded(r#"sum(count_over_time({app="a"} |= "line" [1h]))"#);
    assert_eq!(server.get("t", &format!("/loki/api/v1/query?query={rate}&time={}", T0 + 3600)).status, 200);
    assert_eq!(server.get("t", &format!("/loki/api/v1/labels?{range}")).status, 200);
    let delete =
        format!("/loki/api/v1/delete?query={}&start={T0}&end={}", encoded(r#"{app="a"} |= "line 7""#), T0 + 3600);
    assert_eq!(server.ask("POST", &delete, "X-Scope-OrgID: t\r\n", b"").status, 204);
    db.apply_retention().expect("applied");
    let text = server.get("t", "/metrics").text();
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<_> = NAMES.iter().filter(|name| !told.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in\n{text}");
    // They are measurements.
    for (sample, expected) in [
        ("loki_ingester_chunks_flushed_total{reason=\"forced\"}", 1.0),
        ("loki_ingester_chunks_flushed_total{reason=\"full\"}", 0.0),
        ("loki_ingester_chunk_entries_sum", 60.0),
        ("loki_ingester_chunk_entries_count", 1.0),
        ("loki_ingester_chunk_bounds_hours_bucket{le=\"1\"}", 1.0),
        ("loki_ingester_chunk_bounds_hours_bucket{le=\"0.5\"}", 0.0),
        ("loki_ingester_chunks_stored_total{tenant=\"t\"}", 1.0),
        ("loki_ingester_wal_records_logged_total", 1.0),
        ("loki_distributor_ingester_appends_total{ingester=\"127.0.0.1\"}", 1.0),
        ("loki_index_request_duration_seconds_count{operation=\"index_chunk\",status_code=\"200\"}", 1.0),
        ("loki_logql_querystats_latency_seconds_count{status_code=\"200\",type=\"filter\",range=\"range\"}", 1.0),
        ("loki_ingester_flush_queue_length", 0.0),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample} in\n{text}");
    }
    for more in [
        "loki_ingester_chunk_size_bytes_sum",
        "loki_ingester_chunk_stored_bytes_total{tenant=\"t\"}",
        "loki_ingester_chunk_age_seconds_sum",
        "loki_ingester_chunk_utilization_sum",
        "loki_ingester_wal_bytes_in_use",
        "loki_index_request_duration_seconds_count{operation=\"chunk_refs\",status_code=\"200\"}",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ] {
        assert!(value(&text, more) > 0.0, "{more} in\n{text}");
    }
    let log_bytes = |text: &str| value(text, "loki_ingester_wal_bytes_in_use");
    assert!(
        log_bytes(&logged) > log_bytes(&waiting) && log_bytes(&text) < log_bytes(&logged),
        "the log grows and ends"
    );
}
