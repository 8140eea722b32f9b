//! Which queries a tenant may ask at all: how far back, how much, and with which matchers.

use axum::http::StatusCode;
use narvi::{
    TimeRange, Timestamp,
    logql::{
        Budget, Query,
        ast::{Expr, Stage},
    },
};
use narvi_config::{BlockedQuery, Limits};

use super::{Asked, forward::line_bytes};
use crate::{App, error::ApiError};

/// Refuses a query by its text and its selectors.
pub(super) fn check(expr: &Expr, text: &str, limits: &Limits) -> Result<(), ApiError> {
    if limits.max_query_parallelism == 0 {
        let text = "querying is disabled, please contact your Loki operator";
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, text));
    }
    if limits.blocked_queries.iter().any(|blocked| blocks(blocked, expr, text)) {
        return Err(ApiError::bad("query blocked by policy"));
    }
    for selector in expr.selectors() {
        let present: Vec<&str> = selector.matchers().iter().map(|matcher| matcher.name()).collect();
        let missing: Vec<&str> =
            limits.required_labels.iter().map(String::as_str).filter(|name| !present.contains(name)).collect();
        if !missing.is_empty() {
            return Err(ApiError::bad(format!(
                "stream selector is missing required matchers [{}], labels present in the query were [{}]",
                missing.join(", "),
                present.join(", ")
            )));
        }
        let (count, least) = (present.len(), limits.minimum_labels_number);
        if count < least {
            return Err(ApiError::bad(format!(
                "stream selector has less label matchers than required: (present: [{}], number_present: {count}, \
                 required_number_label: {least})",
                present.join(", ")
            )));
        }
    }
    Ok(())
}

fn blocks(blocked: &BlockedQuery, expr: &Expr, text: &str) -> bool {
    let kind = match expr {
        Expr::Metric(_) => "metric",
        Expr::Log(log) if log.stages.iter().any(|stage| matches!(stage, Stage::LineFilter(_))) => "filter",
        Expr::Log(_) => "limited",
    };
    let of_type = blocked.types.is_empty() || blocked.types.iter().any(|of| of == kind);
    let of_hash = blocked.hash == 0 || blocked.hash == hash(text);
    let of_text = blocked.text.as_deref().is_none_or(|blocked| blocked == text.trim());
    let of_pattern = blocked.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text.trim()));
    of_type && of_hash && of_text && of_pattern
}

/// FNV-1, as Loki's documents have it for hashes of queries.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

/// The first time that a tenant may ask for.
pub(super) fn oldest(limits: &Limits, now: Timestamp) -> i64 {
    match i64::try_from(limits.max_query_lookback.as_nanos()).unwrap_or(i64::MAX) {
        0 => i64::MIN,
        lookback => now.as_ns().saturating_sub(lookback),
    }
}

/// Refuses a query that would read more bytes of lines than the limit; counted by the index, without reading any.
pub(super) fn check_bytes(app: &App, asked: &Asked, query: &Query, budget: &Budget) -> Result<(), ApiError> {
    let limit = asked.limits.max_query_bytes_read;
    if limit == 0 {
        return Ok(());
    }
    let params = query.params();
    let longest = query.expr().ranges().iter().map(|r| r.range_ns.saturating_add(r.offset_ns.max(0))).max();
    let range = TimeRange::new(params.start_ns.saturating_sub(longest.unwrap_or(0)), params.end_ns);
    let mut bytes = 0;
    if app.logs().read.is_none() {
        for selector in query.expr().selectors() {
            bytes += line_bytes(app.forward()?, asked, &selector.to_string(), range)?;
        }
    } else {
        let view = app.view(&asked.tenants)?;
        for selector in query.expr().selectors() {
            bytes += view.stream_stats(selector, range, budget)?.line_bytes;
        }
    }
    if bytes <= limit {
        return Ok(());
    }
    Err(ApiError::bad(format!(
        "the query would read too many bytes (query: {}, limit: {}), narrow its stream selector or its time range",
        size(bytes),
        size(limit)
    )))
}

/// `1.5 GiB`: one digit behind the point below ten.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, next);
    }
    if value < 10.0 && unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use narvi::{Timestamp, logql};
    use narvi_config::{Config, Flags, Limits};

    use super::{check, hash, oldest, size};

    fn limits(text: &str) -> Limits {
        let text = format!("limits_config: {{{text}}}");
        Config::from_yaml(&text, &Flags::default()).expect("it is right").limits
    }

    fn refused(limits: &Limits, query: &str) -> Option<(u16, String)> {
        let expr = logql::parse(query).expect("it is right");
        check(&expr, query, limits).err().map(|error| (error.status.as_u16(), error.message))
    }

    #[test]
    fn selectors_need_what_the_limits_say() {
        let limits = limits("required_labels: [app, env], minimum_labels_number: 3");
        assert_eq!(
            refused(&limits, r#"rate({app="a"}[1m])"#),
            Some((
                400,
                "stream selector is missing required matchers [env], labels present in the query were [app]".into()
            ))
        );
        let few = refused(&limits, r#"{app="a", env="b"}"#).expect("refused").1;
        assert!(
            few.starts_with("stream selector has less label matchers than required: (present: [app, env]"),
            "{few}"
        );
        assert_eq!(refused(&limits, r#"{app="a", env="b", x="y"}"#), None);
    }

    #[test]
    fn queries_are_blocked_by_text_pattern_type_and_hash() {
        let query = r#"{app="a"} |= "x""#;
        let other = r#"sum(rate({app="b"}[1m]))"#;
        for (blocked, hits) in [
            (r#"{pattern: '{app="a"} |= "x"'}"#.to_owned(), [true, false]),
            ("{pattern: 'sum.*', regex: true}".to_owned(), [false, true]),
            ("{pattern: '.*', regex: true, types: [filter]}".to_owned(), [true, false]),
            ("{types: [metric]}".to_owned(), [false, true]),
            (format!("{{hash: {}}}", hash(other)), [false, true]),
        ] {
            let limits = limits(&format!("blocked_queries: [{blocked}]"));
            let found = [query, other].map(|query| refused(&limits, query).is_some());
            assert_eq!(found, hits, "{blocked}");
        }
        let off = refused(&limits("max_query_parallelism: 0"), query).expect("refused");
        assert_eq!(off, (429, "querying is disabled, please contact your Loki operator".into()));
    }

    #[test]
    fn lookback_and_sizes() {
        let now = Timestamp::from_secs(100_000);
        assert_eq!(oldest(&limits("max_query_lookback: 1h"), now), 96_400_000_000_000);
        assert_eq!(oldest(&limits(""), now), i64::MIN);
        for (bytes, text) in [(12, "12 B"), (1536, "1.5 KiB"), (10 << 20, "10 MiB"), (u64::MAX, "16 EiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
