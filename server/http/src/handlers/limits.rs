//! The limits that hold for a tenant, told as YAML and, some of them, as JSON.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use narvi_config::Limits;
use serde_json::{Value, json};

use super::Asked;
use crate::{App, params::print_prometheus_duration};

/// Loki's name of each limit that is kept, with its value.
fn all(limits: &Limits) -> Vec<(&'static str, Value)> {
    let duration = |duration| Value::from(print_prometheus_duration(duration));
    let mib = |bytes: f64| if bytes.is_finite() { json!(bytes / 1_048_576.0) } else { json!(0) };
    vec![
        ("ingestion_rate_mb", mib(limits.ingestion_rate_bytes)),
        ("ingestion_burst_size_mb", mib(limits.ingestion_burst_bytes)),
        ("max_label_name_length", json!(limits.max_label_name_length)),
        ("max_label_value_length", json!(limits.max_label_value_length)),
        ("max_label_names_per_series", json!(limits.max_label_names_per_series)),
        ("reject_old_samples", json!(limits.reject_old_samples)),
        ("reject_old_samples_max_age", duration(limits.reject_old_samples_max_age)),
        ("creation_grace_period", duration(limits.creation_grace_period.unwrap_or_default())),
        ("max_line_size", json!(limits.max_line_size_bytes)),
        ("max_line_size_truncate", json!(limits.max_line_size_truncate)),
        ("increment_duplicate_timestamp", json!(limits.increment_duplicate_timestamp)),
        ("discover_service_name", json!(limits.discover_service_name)),
        ("discover_log_levels", json!(limits.discover_log_levels)),
        ("allow_structured_metadata", json!(limits.allow_structured_metadata)),
        ("max_structured_metadata_size", json!(limits.max_structured_metadata_size_bytes)),
        ("max_structured_metadata_entries_count", json!(limits.max_structured_metadata_entries)),
        ("max_query_series", json!(limits.max_query_series)),
        ("max_query_lookback", duration(limits.max_query_lookback)),
        ("max_query_length", duration(limits.max_query_length)),
        ("max_query_range", duration(limits.max_query_range)),
        ("max_streams_matchers_per_query", json!(limits.max_streams_matchers_per_query)),
        ("max_concurrent_tail_requests", json!(limits.max_concurrent_tail_requests)),
        ("max_entries_limit_per_query", json!(limits.max_entries_limit_per_query)),
        ("max_query_bytes_read", json!(limits.max_query_bytes_read)),
        ("query_timeout", duration(limits.query_timeout)),
        ("split_queries_by_interval", duration(limits.split_queries_by_interval)),
        ("volume_enabled", json!(limits.volume_enabled)),
        ("volume_max_series", json!(limits.volume_max_series)),
    ]
}

/// The limits of the tenant that asks.
pub(crate) async fn tenant_limits(asked: Asked) -> Response {
    let mut out = String::new();
    for (name, value) in all(&asked.limits) {
        // JSON's scalars and lists of texts are YAML too. Writing to a string cannot fail.
        let _ = writeln!(out, "{name}: {value}");
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], out).into_response()
}

/// The limits that Grafana's page to drill down into logs goes by.
pub(crate) async fn drilldown_limits(State(app): State<Arc<App>>, asked: Asked) -> Response {
    const TOLD: [&str; 11] = [
        "discover_log_levels",
        "discover_service_name",
        "max_entries_limit_per_query",
        "max_line_size_truncate",
        "max_query_bytes_read",
        "max_query_length",
        "max_query_lookback",
        "max_query_range",
        "max_query_series",
        "query_timeout",
        "volume_enabled",
    ];
    let told = all(&asked.limits).into_iter().filter(|(name, _)| TOLD.contains(name) || *name == "volume_max_series");
    let limits: serde_json::Map<String, Value> = told.map(|(name, value)| (name.to_owned(), value)).collect();
    let body = json!({
        "limits": limits,
        "pattern_ingester_enabled": app.patterns.is_some(),
        "version": super::LOKI_VERSION,
    });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
