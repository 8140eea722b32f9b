//! Tests of limits that depend on what was pushed before.

use narvi_config::{Limits, PolicyRule, RateStrategy};
use narvi_types::{Entry, MatchOp, Matcher, Metadata, Selector, Timestamp};

use super::byte_size;
use crate::{Discard, DiscardReason, Distributor, Prepared, RawStream, Shares, Taken};

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_789_862_400;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(T0 + secs)
}

fn stream(app: &str, lines: &[&str]) -> RawStream {
    let entry =
        |(n, line): (usize, &&str)| Entry::new(Timestamp::from_ns(T0 * SECOND + n as i64), line.as_bytes().to_vec());
    RawStream {
        labels: vec![("app".to_owned(), app.to_owned())],
        entries: lines.iter().enumerate().map(entry).collect(),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::loki();
    limits.reject_old_samples = false;
    limits.discover_log_levels = false;
    limits.discover_service_name.clear();
    limits
}

fn told(prepared: &Prepared) -> (u16, &str) {
    (prepared.status, prepared.error.as_deref().unwrap_or("nothing"))
}

fn discarded(reason: DiscardReason, lines: u64, bytes: u64) -> Vec<Discard> {
    vec![Discard { reason, policy: String::new(), lines, bytes }]
}

#[test]
fn a_tenant_beyond_its_rate_is_refused_as_a_whole() {
    let mut limits = limits();
    (limits.ingestion_rate_bytes, limits.ingestion_burst_bytes) = (10.0, 20.0);
    let distributor = Distributor::new();
    let push = |secs, tenant| {
        let mut with_metadata = stream("a", &["12345678"]);
        with_metadata.entries[0].metadata = Metadata::from_pairs([("k", "v")]).expect("valid");
        distributor.prepare(tenant, vec![with_metadata, stream("b", &["1234", "123456"])], &limits, at(secs))
    };
    assert_eq!(push(0, "t").error, None);
    let refused = push(1, "t");
    assert_eq!(
        told(&refused),
        (
            429,
            "ingestion rate limit exceeded for user t (limit: 10 bytes/sec) while attempting to ingest '3' lines totaling \
             '20' bytes, send less or have ingestion_rate_mb and ingestion_burst_size_mb raised"
        )
    );
    assert_eq!((refused.streams.len(), refused.lines), (0, 0));
    assert_eq!(refused.discarded, discarded(DiscardReason::RateLimited, 3, 20));
    // Other tenants have a rate of their own, and time gives it back.
    assert_eq!((push(1, "u").error, push(2, "t").error), (None, None));
}

#[test]
fn a_stream_beyond_its_rate_is_refused_as_a_whole_or_entry_by_entry() {
    let mut limits = limits();
    (limits.per_stream_rate_bytes, limits.per_stream_burst_bytes) = (4.0, 8.0);
    let refused =
        Distributor::new().prepare("t", vec![stream("a", &["12345", "12345"]), stream("b", &["1"])], &limits, at(0));
    let (status, text) = told(&refused);
    assert_eq!(status, 429);
    let start = "entry with timestamp 2026-09-20 00:00:00 +0000 UTC ignored, reason: 'Per stream rate limit exceeded \
                 (limit: 4B/sec) while attempting to ingest for stream '{app=\"a\"}' totaling 10B, ";
    assert!(
        text.starts_with(start) && text.ends_with("user 't', total ignored: 2 out of 2 for stream: {app=\"a\"}"),
        "{text}"
    );
    assert_eq!(refused.streams.len(), 1);
    assert_eq!(refused.discarded, discarded(DiscardReason::PerStreamRateLimit, 2, 10));

    limits.shard_streams = false;
    let partly = Distributor::new().prepare("t", vec![stream("a", &["12345", "12345", "123"])], &limits, at(0));
    assert_eq!(partly.streams[0].entries.len(), 2);
    assert!(told(&partly).1.contains("totaling 5B") && told(&partly).0 == 429, "{partly:?}");
}

#[test]
fn new_streams_beyond_the_limit_are_refused_and_old_ones_go_on() {
    let mut limits = limits();
    limits.max_global_streams_per_user = 5;
    limits.max_streams_per_user = 2;
    let distributor = Distributor::new();
    let streams = ["a", "b", "c", "a"].map(|app| stream(app, &["x"])).to_vec();
    let prepared = distributor.prepare("t", streams, &limits, at(0));
    let (status, text) = told(&prepared);
    assert!(
        status == 429
            && text.starts_with("maximum active stream limit exceeded when trying to create stream {app=\"c\"}, ")
            && text.ends_with("user: 't'"),
        "{status} {text}"
    );
    assert_eq!(prepared.streams.len(), 3);
    assert_eq!(prepared.discarded, discarded(DiscardReason::StreamLimit, 1, 1));
    assert_eq!(distributor.prepare("t", vec![stream("b", &["y"])], &limits, at(1)).error, None);
    // Idle streams make room.
    assert_eq!(distributor.prepare("t", vec![stream("c", &["y"])], &limits, at(1802)).error, None);
    assert_eq!(distributor.active_streams()[0].removed, 2);
}

#[test]
fn ordered_writes_refuse_what_is_older() {
    let mut limits = limits();
    limits.out_of_order_window = Some(std::time::Duration::ZERO);
    let mut raw = stream("a", &["1", "2", "3"]);
    raw.entries.swap(1, 2);
    let prepared = Distributor::new().prepare("t", vec![raw], &limits, at(0));
    let (status, text) = told(&prepared);
    assert!(
        status == 400 && text.contains("ignored, reason: 'entry out of order',\nuser 't', total ignored: 1 out of 3"),
        "{text}"
    );
    assert_eq!(prepared.discarded, discarded(DiscardReason::OutOfOrder, 1, 1));
}

#[test]
fn blocked_tenants_and_missing_labels() {
    let mut limits = limits();
    limits.enforced_labels = vec!["app".into(), "team".into(), "env".into()];
    let prepared = Distributor::new().prepare("t", vec![stream("a", &["x"])], &limits, at(0));
    assert_eq!(
        told(&prepared),
        (400, "missing required labels 'team,env' for user 't' for stream '{app=\"a\"}' (policy: '')")
    );
    assert_eq!(prepared.discarded, discarded(DiscardReason::MissingEnforcedLabels, 1, 1));
    limits.block_ingestion_until = Some(at(10));
    let push = |limits: &Limits, secs| Distributor::new().prepare("t", vec![stream("a", &["x"])], limits, at(secs));
    let blocked = push(&limits, 0);
    assert_eq!(
        told(&blocked),
        (260, "ingestion blocked for user 't' until '2026-09-20T00:00:10Z' with status code '260'")
    );
    assert_eq!(blocked.discarded, discarded(DiscardReason::BlockedIngestion, 1, 1));
    limits.block_ingestion_status_code = 200;
    let silent = push(&limits, 0);
    assert_eq!((silent.error.as_deref(), silent.streams.len()), (None, 0));
    assert_eq!(push(&limits, 11).status, 400);
}

#[test]
fn policies_block_their_streams_and_ask_for_labels() {
    let mut limits = limits();
    let rule = |app: &str, priority| PolicyRule {
        selector: Selector::new(vec![Matcher::new("app", MatchOp::Equal, app).expect("valid")]),
        priority,
    };
    limits.policies.mapping.insert("bills".into(), vec![rule("pay", 1), rule("books", 1)]);
    limits.policies.mapping.insert("tests".into(), vec![rule("books", 2)]);
    limits.policies.enforced_labels.insert("bills".into(), vec!["cost".into()]);
    limits.policies.blocked_until.insert("tests".into(), at(10));
    let streams = || vec![stream("pay", &["1"]), stream("books", &["22", "2"]), stream("other", &["333"])];
    let push = |limits: &Limits, streams, secs| Distributor::new().prepare("t", streams, limits, at(secs));
    let prepared = push(&limits, streams(), 0);
    assert_eq!(
        told(&prepared),
        (
            400,
            "missing required labels 'cost' for user 't' for stream '{app=\"pay\"}' (policy: 'bills'); ingestion blocked for \
             user 't' (policy: 'tests') until '2026-09-20T00:00:10Z' with status code '260'"
        )
    );
    let discard = |reason, policy: &str, lines, bytes| Discard { reason, policy: policy.into(), lines, bytes };
    let discarded = [
        discard(DiscardReason::MissingEnforcedLabels, "bills", 1, 1),
        discard(DiscardReason::BlockedIngestionPolicy, "tests", 2, 3),
    ];
    assert_eq!(prepared.discarded, discarded);
    let taken = |policy: &str, lines, line_bytes| Taken { policy: policy.into(), lines, line_bytes, metadata_bytes: 0 };
    assert_eq!(prepared.by_policy, [taken("", 1, 3)]);
    // When the time is over, and with a status of its own when nothing else is wrong.
    assert_eq!(push(&limits, streams(), 10).by_policy, [taken("tests", 2, 3), taken("", 1, 3)]);
    assert_eq!(push(&limits, streams().split_off(1), 0).status, 260);
    limits.block_ingestion_status_code = 200;
    let silent = push(&limits, streams().split_off(1), 0);
    assert_eq!((silent.error.as_deref(), silent.discarded.len(), silent.streams.len()), (None, 1, 1));
    limits.policies.blocked_until.insert("*".into(), at(10));
    limits.policies.enforced_labels.insert("*".into(), vec!["cost".into()]);
    let text = push(&limits, streams(), 0).error.unwrap_or_default();
    assert_eq!(text.matches("missing required labels 'cost'").count(), 3, "{text}");
}

#[test]
fn long_lines_are_cut() {
    let mut limits = limits();
    (limits.max_line_size_bytes, limits.max_line_size_truncate) = (5, true);
    let cut = |limits: &Limits| {
        let prepared = Distributor::new().prepare("t", vec![stream("a", &["123456789"])], limits, at(0));
        assert_eq!((prepared.error.as_deref(), prepared.truncated_lines, prepared.truncated_bytes), (None, 1, 4));
        prepared.streams[0].entries[0].line.clone()
    };
    assert_eq!(cut(&limits), "12345");
    limits.max_line_size_truncate_identifier = "...".into();
    assert_eq!(cut(&limits), "12...");
}

#[test]
fn sizes_are_written_without_fractions() {
    for (bytes, expected) in [(0, "0B"), (1127, "1127B"), (1 << 20, "1MB"), (1536 << 10, "1536KB"), (3 << 20, "3MB")] {
        assert_eq!(byte_size(bytes), expected);
    }
}

/// Four distributors; each stream is on half of the ingesters.
#[derive(Debug)]
struct Four;

impl Shares for Four {
    fn distributors(&self) -> usize {
        4
    }

    fn ingesters(&self) -> f64 {
        2.0
    }
}

#[test]
fn those_who_share_a_limit_have_a_part_each() {
    let mut limits = limits();
    (limits.ingestion_rate_bytes, limits.ingestion_burst_bytes) = (8.0, 4.0);
    // The burst is there for each as a whole; what fills it again is a quarter.
    for (strategy, later) in [(RateStrategy::Global, 2), (RateStrategy::Local, 1)] {
        limits.ingestion_rate_strategy = strategy;
        let distributor = Distributor::new().sharing(std::sync::Arc::new(Four));
        let push = |secs| distributor.prepare("t", vec![stream("a", &["1234"])], &limits, at(secs)).status;
        assert_eq!((push(0), push(0)), (400, 429));
        assert_eq!((push(later - 1), push(later)), (429, 400), "{strategy:?}");
    }
    let mut limits = self::limits();
    limits.max_streams_per_user = 2;
    let distributor = Distributor::new().sharing(std::sync::Arc::new(Four));
    let streams = ["a", "b", "c", "d", "e"].map(|app| stream(app, &["x"])).to_vec();
    let prepared = distributor.prepare("t", streams, &limits, at(0));
    assert_eq!((prepared.streams.len(), prepared.status), (4, 429));
}
