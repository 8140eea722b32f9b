//! What a request says of itself: tags, and limits tighter than those of its tenant.

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use narvi::Tenant;
use narvi_config::Limits;
use serde::Deserialize;

use crate::{App, error::ApiError, params::prometheus_duration};

/// The header that says who asks.
const TAGS: &str = "X-Query-Tags";
/// The header with tighter limits.
pub(super) const LIMITS: &str = "X-Loki-Query-Limits";

/// The tags of a request, `name=value` joined by commas; what is none of Loki's characters is `_`.
pub(crate) fn tags(headers: &HeaderMap) -> String {
    let text = headers.get(TAGS).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    let kept = |c: char| c.is_ascii_alphanumeric() || "-=.@, ".contains(c);
    text.chars().map(|c| if kept(c) { c } else { '_' }).collect()
}

/// Loki's names; what is missing or unknown changes nothing.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    max_query_length: Option<String>,
    max_query_range: Option<String>,
    max_query_lookback: Option<String>,
    query_timeout: Option<String>,
    max_entries_limit_per_query: Option<usize>,
    max_query_series: Option<usize>,
    max_query_bytes_read: Option<serde_json::Value>,
}

/// The limits of the tenants, tightened by the request where the settings allow it.
pub(super) fn tightened(app: &App, tenants: &[Tenant], headers: &HeaderMap) -> Result<Arc<Limits>, ApiError> {
    let limits = app.limits_of(tenants);
    let Some(header) = headers.get(LIMITS).filter(|_| app.settings.per_request_limits) else { return Ok(limits) };
    let wrong = |what: String| ApiError::bad(format!("invalid header {LIMITS}: {what}"));
    let wanted: Wanted = serde_json::from_slice(header.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let mut tight = Limits::clone(&limits);
    let durations = [
        (&mut tight.max_query_length, wanted.max_query_length),
        (&mut tight.max_query_range, wanted.max_query_range),
        (&mut tight.max_query_lookback, wanted.max_query_lookback),
        (&mut tight.query_timeout, wanted.query_timeout),
    ];
    for (limit, text) in durations {
        let Some(text) = text else { continue };
        let ns = prometheus_duration(&text).map_err(|error| wrong(error.to_string()))?;
        *limit = tighter(*limit, Duration::from_nanos(ns.unsigned_abs()));
    }
    let counts = [
        (&mut tight.max_entries_limit_per_query, wanted.max_entries_limit_per_query),
        (&mut tight.max_query_series, wanted.max_query_series),
    ];
    for (limit, wanted) in counts {
        *limit = tighter(*limit, wanted.unwrap_or_default());
    }
    if let Some(bytes) = wanted.max_query_bytes_read {
        let text = bytes.as_str().map_or_else(|| bytes.to_string(), str::to_owned);
        let bytes = narvi::logql::value::parse_bytes(text.as_bytes());
        let bytes = bytes.map_err(|_| wrong(format!("{text:?} is not a number of bytes")))?;
        tight.max_query_bytes_read = tighter(tight.max_query_bytes_read, bytes);
    }
    Ok(Arc::new(tight))
}

/// The smaller one; the default of the type is no limit.
fn tighter<T: Default + Ord + Copy>(limit: T, wanted: T) -> T {
    let none = T::default();
    match (limit == none, wanted == none) {
        (_, true) => limit,
        (true, false) => wanted,
        (false, false) => limit.min(wanted),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{tags, tighter};

    #[test]
    fn tags_keep_lokis_characters() {
        let mut headers = HeaderMap::new();
        assert_eq!(tags(&headers), "");
        headers.insert("X-Query-Tags", "Source=a/b,feature=x y@z!".parse().expect("valid"));
        assert_eq!(tags(&headers), "Source=a_b,feature=x y@z_");
    }

    #[test]
    fn limits_only_get_tighter() {
        assert_eq!(tighter(0, 5), 5);
        assert_eq!(tighter(10, 5), 5);
        assert_eq!(tighter(3, 5), 3);
        assert_eq!(tighter(3, 0), 3);
    }
}
