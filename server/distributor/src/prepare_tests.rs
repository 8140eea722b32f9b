//! Tests of what is stored and what is said of a push.

use narvi_config::Limits;
use narvi_types::{Entry, Metadata, Timestamp};

use super::{DiscardReason, Distributor, RawStream};

const NOW: Timestamp = Timestamp::from_secs(1_789_866_000);
const T0: i64 = 1_789_862_400_000_000_000;

fn stream(labels: &[(&str, &str)], lines: &[(i64, &str)]) -> RawStream {
    RawStream {
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        entries: lines.iter().map(|(ns, line)| Entry::new(Timestamp::from_ns(*ns), line.as_bytes().to_vec())).collect(),
    }
}

fn loki() -> Limits {
    let mut limits = Limits::loki();
    limits.reject_old_samples = false;
    limits
}

#[test]
fn service_and_level_are_added() {
    let streams = vec![stream(&[("job", "j"), ("name", "n"), ("empty", "")], &[(T0, "level=warn x")])];
    let prepared = Distributor::new().prepare("t", streams, &loki(), NOW);
    assert_eq!(prepared.error, None);
    assert_eq!(prepared.streams[0].labels.to_string(), r#"{job="j", name="n", service_name="n"}"#);
    assert_eq!(prepared.streams[0].entries[0].metadata.get("detected_level"), Some("warn"));
    assert_eq!((prepared.lines, prepared.line_bytes), (1, 12));
}

#[test]
fn metadata_is_normalised_and_keeps_a_given_level() {
    let mut raw = stream(&[("app", "a")], &[(T0, "level=info x")]);
    let pairs = [("a.b", "1"), ("k", ""), ("detected_level", "ERROR")];
    raw.entries[0].metadata = Metadata::from_pairs(pairs).expect("valid");
    let prepared = Distributor::new().prepare("t", vec![raw], &loki(), NOW);
    let pairs: Vec<_> = prepared.streams[0].entries[0].metadata.iter().collect();
    assert_eq!(pairs, [("a_b", "1"), ("detected_level", "error")]);
}

#[test]
fn good_entries_of_a_bad_push_are_kept() {
    let far = 4_102_444_800_000_000_000;
    let streams = vec![stream(&[("app", "odd")], &[(T0, "good"), (far, "a"), (far + 1, "b")])];
    let prepared = Distributor::new().prepare("t", streams, &loki(), NOW);
    assert_eq!(
        prepared.error.as_deref(),
        Some(
            "2 errors like: entry for stream '{app=\"odd\", service_name=\"odd\"}' has timestamp too new: \
             2100-01-01T00:00:00Z"
        )
    );
    assert_eq!(prepared.streams[0].entries.len(), 1);
    assert_eq!(prepared.discarded[0].reason, DiscardReason::TooFarInFuture);
    assert_eq!(prepared.discarded[0].lines, 2);
}

#[test]
fn late_entries_are_refused_line_by_line() {
    let hour = 3_600_000_000_000;
    let lines = [(T0 + hour, "new"), (T0, "old"), (T0 - 1_000_000_000, "too old")];
    let prepared = Distributor::new().prepare("t", vec![stream(&[("app", "a")], &lines)], &loki(), NOW);
    assert_eq!(
        prepared.error.as_deref(),
        Some(
            "entry with timestamp 2026-09-19 23:59:59 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp \
             is: 2026-09-19T23:59:59Z, oldest acceptable timestamp is: 2026-09-20T00:00:00Z',\nuser 't', total ignored: 1 \
             out of 3 for stream: {app=\"a\", service_name=\"a\"}"
        )
    );
    assert_eq!(prepared.streams[0].entries.len(), 2);
}

#[test]
fn without_a_file_any_time_and_size_is_taken() {
    let long = "x".repeat(1 << 20);
    let lines = [(i64::MIN, "first"), (i64::MAX, "last"), (0, long.as_str())];
    let prepared = Distributor::new().prepare("t", vec![stream(&[("a", "b")], &lines)], &Limits::default(), NOW);
    assert_eq!(prepared.error, None);
    assert_eq!(prepared.lines, 3);
}

#[test]
fn bad_labels_drop_their_stream_only() {
    let many: Vec<(String, String)> = (0..16).map(|n| (format!("l{n:02}"), "x".to_owned())).collect();
    let mut wide = stream(&[], &[(T0, "x")]);
    wide.labels = many;
    let twice = stream(&[("app", "x"), ("app", "y")], &[(T0, "x")]);
    let good = stream(&[("app", "b")], &[(T0, "kept")]);
    let prepared = Distributor::new().prepare("t", vec![wide, twice, good], &loki(), NOW);
    let error = prepared.error.expect("told");
    assert!(error.contains("has 16 label names; limit 15"), "{error}");
    let expected = r#"stream '{app="x", app="y", service_name="x"}' has duplicate label name: 'app'"#;
    assert!(error.contains(expected), "{error}");
    assert_eq!(prepared.streams.len(), 1);
}
