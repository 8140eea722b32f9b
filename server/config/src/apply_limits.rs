//! `limits_config`: what each of its keys sets.

use std::time::Duration;

use crate::{ConfigError, Limits, apply::Reader};

const MIB: f64 = 1_048_576.0;

/// Lays the limits of a file over others.
pub(crate) fn apply(reader: &Reader<'_>, limits: &mut Limits) -> Result<(), ConfigError> {
    ingest(reader, limits)?;
    queries(reader, limits)
}

fn key(name: &str) -> String {
    format!("limits_config.{name}")
}

fn ingest(reader: &Reader<'_>, limits: &mut Limits) -> Result<(), ConfigError> {
    let bool = |name: &str, target: &mut bool| reader.bool(&key(name), target);
    let count = |name: &str, target: &mut usize| reader.count(&key(name), target);
    let size = |name: &str, target: &mut usize| {
        let mut bytes = *target as u64;
        reader.bytes(&key(name), &mut bytes)?;
        *target = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok::<(), ConfigError>(())
    };
    let rate = |name: &str, target: &mut f64| {
        reader.read(&key(name), target, |text| match text.parse::<f64>() {
            Ok(rate) if rate >= 0.0 => Ok(rate * MIB),
            _ => Err(format!("{text:?} is not a number of megabytes")),
        })
    };
    bool("reject_old_samples", &mut limits.reject_old_samples)?;
    reader.duration(&key("reject_old_samples_max_age"), &mut limits.reject_old_samples_max_age)?;
    let mut grace = limits.creation_grace_period.unwrap_or_default();
    reader.duration(&key("creation_grace_period"), &mut grace)?;
    limits.creation_grace_period = Some(grace);
    size("max_line_size", &mut limits.max_line_size_bytes)?;
    bool("max_line_size_truncate", &mut limits.max_line_size_truncate)?;
    count("max_label_name_length", &mut limits.max_label_name_length)?;
    count("max_label_value_length", &mut limits.max_label_value_length)?;
    count("max_label_names_per_series", &mut limits.max_label_names_per_series)?;
    bool("allow_structured_metadata", &mut limits.allow_structured_metadata)?;
    size("max_structured_metadata_size", &mut limits.max_structured_metadata_size_bytes)?;
    count("max_structured_metadata_entries_count", &mut limits.max_structured_metadata_entries)?;
    reader.words(&key("discover_service_name"), &mut limits.discover_service_name)?;
    bool("discover_log_levels", &mut limits.discover_log_levels)?;
    bool("increment_duplicate_timestamp", &mut limits.increment_duplicate_timestamp)?;
    rate("ingestion_rate_mb", &mut limits.ingestion_rate_bytes)?;
    rate("ingestion_burst_size_mb", &mut limits.ingestion_burst_bytes)?;
    let mut unordered = true;
    bool("unordered_writes", &mut unordered)?;
    if !unordered {
        limits.out_of_order_window = Some(Duration::ZERO);
    }
    Ok(())
}

fn queries(reader: &Reader<'_>, limits: &mut Limits) -> Result<(), ConfigError> {
    let count = |name: &str, target: &mut usize| reader.count(&key(name), target);
    let duration = |name: &str, target: &mut Duration| reader.duration(&key(name), target);
    count("max_query_series", &mut limits.max_query_series)?;
    count("max_entries_limit_per_query", &mut limits.max_entries_limit_per_query)?;
    duration("max_query_length", &mut limits.max_query_length)?;
    duration("max_query_range", &mut limits.max_query_range)?;
    duration("max_query_lookback", &mut limits.max_query_lookback)?;
    duration("split_queries_by_interval", &mut limits.split_queries_by_interval)?;
    duration("query_timeout", &mut limits.query_timeout)?;
    count("max_streams_matchers_per_query", &mut limits.max_streams_matchers_per_query)?;
    reader.bytes(&key("max_query_bytes_read"), &mut limits.max_query_bytes_read)?;
    reader.bool(&key("volume_enabled"), &mut limits.volume_enabled)?;
    count("volume_max_series", &mut limits.volume_max_series)
}
