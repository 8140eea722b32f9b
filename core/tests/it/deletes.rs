//! Requests to delete: every kind of query sees them at once, and none sees them when they are cancelled.

use std::sync::Arc;

use narvi::{
    Builder, CompactionSettings, Db, DeleteId, DeleteStatus, Entry, ErrorKind, FlushSettings, Labels, MemoryStore,
    Metadata, PushStream, RetentionSettings, Selector, Settings, Tenant, TimeRange, Timestamp, logql::Data,
};

const SECOND: i64 = 1_000_000_000;

fn settings(cancel_period_secs: u64) -> Settings {
    Settings {
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings { enabled: false, tables_per_level: 2, ..CompactionSettings::default() },
        retention: RetentionSettings { cancel_period_secs, ..RetentionSettings::default() },
        garbage_grace_secs: 0,
        ..Settings::default()
    }
}

fn open(cancel_period_secs: u64) -> (Db, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let builder = Builder::in_memory().store(store.clone()).settings(settings(cancel_period_secs));
    (builder.open().expect("opened"), store)
}

fn line(i: i64) -> String {
    format!("{{\"n\":{i},\"kind\":\"{}\"}}", if i % 2 == 1 { "odd" } else { "even" })
}

/// Every row of a hundred, at `i` seconds, in one of two streams.
fn fill(db: &Db, rows: impl Iterator<Item = i64>) {
    for i in rows {
        let app = if i % 10 == 0 { "b" } else { "a" };
        let labels = Labels::from_pairs([("app", app)]).expect("valid");
        let metadata = Metadata::from_pairs([("parity", if i % 2 == 1 { "1" } else { "0" })]).expect("valid");
        let entry = Entry { metadata, ..Entry::new(Timestamp::from_ns(i * SECOND), line(i)) };
        db.push(&Tenant::default(), vec![PushStream::new(labels, vec![entry])]).expect("pushed");
    }
}

/// What a metric query gives in all.
fn value(db: &Db, text: &str) -> f64 {
    let answer = db.query(text).at(Timestamp::from_secs(200)).run().expect("evaluated");
    match answer.data {
        Data::Vector(samples) => samples.iter().map(|sample| sample.value).sum(),
        other => panic!("no vector: {other:?}"),
    }
}

/// Looks with queries of all kinds for the rows that should be there.
fn expect(db: &Db, what: &str, alive: impl Fn(i64) -> bool) {
    let wanted: Vec<i64> = (0..100).filter(|i| alive(*i)).collect();
    let all = r#"{app=~"a|b"}"#;
    let rows: Vec<_> = db.query(all).forward().rows().expect("runs").map(|row| row.expect("read").line).collect();
    let lines: Vec<_> = wanted.iter().map(|i| line(*i).into_bytes()).collect();
    assert_eq!(rows.iter().map(|line| line.to_vec()).collect::<Vec<_>>(), lines, "{what}: lines");
    let newest: Vec<_> = db.query(all).limit(7).rows().expect("runs").map(|row| row.expect("read").line).collect();
    let last: Vec<_> = lines.iter().rev().take(7).cloned().collect();
    assert_eq!(newest.iter().map(|line| line.to_vec()).collect::<Vec<_>>(), last, "{what}: the newest lines");
    let bytes: usize = lines.iter().map(Vec::len).sum();
    for (text, count) in [
        (format!("count_over_time({all}[300s])"), wanted.len() as f64),
        (format!("sum by (app) (count_over_time({all}[300s]))"), wanted.len() as f64),
        (format!("rate({all}[300s]) * 300"), wanted.len() as f64),
        (format!("bytes_over_time({all}[300s])"), bytes as f64),
        (
            format!("sum(count_over_time({all} |= `\"odd\"`[300s]))"),
            wanted.iter().filter(|i| *i % 2 == 1).count() as f64,
        ),
        (
            format!("sum(count_over_time({all} | parity=`0`[300s]))"),
            wanted.iter().filter(|i| *i % 2 == 0).count() as f64,
        ),
        (format!("sum(sum_over_time({all} | json | unwrap n [300s]))"), wanted.iter().sum::<i64>() as f64),
    ] {
        let found = value(db, &text);
        assert!((found - count).abs() < 1e-6, "{what}: {text} gives {found}, not {count}");
    }
}

/// The ways in which the rows can lie when a request is made.
const PLACES: [&str; 5] = ["heads", "files", "both", "repeated", "compacted"];

fn lay(db: &Db, place: &str) {
    match place {
        "heads" => fill(db, 0..100),
        "files" => {
            fill(db, 0..100);
            db.flush().expect("flushed");
        }
        "both" => {
            fill(db, (0..100).step_by(3));
            db.flush().expect("flushed");
            fill(db, (0..100).filter(|i| i % 3 > 0));
        }
        "repeated" => {
            fill(db, 0..60);
            db.flush().expect("flushed");
            fill(db, (40..100).rev());
        }
        _ => {
            fill(db, 0..50);
            db.flush().expect("flushed");
            fill(db, 30..100);
            db.flush().expect("flushed");
            assert_eq!(db.compact().expect("compacted").tables_in, 2);
        }
    }
}

#[test]
fn queries_of_every_kind_see_requests_and_cancellations_at_once() {
    let tenant = Tenant::default();
    let range = TimeRange::new(10 * SECOND, 59 * SECOND);
    let inside = |i: i64| (10..60).contains(&i);
    type Hits = fn(i64) -> bool;
    let cases: [(&str, Hits); 8] = [
        ("{}", |_| true),
        (r#"{app="a"}"#, |i| i % 10 != 0),
        (r#"{app="b"}"#, |i| i % 10 == 0),
        (r#"{app=~".+"}"#, |_| true),
        (r#"{app="a"} |= "odd""#, |i| i % 10 != 0 && i % 2 == 1),
        (r#"{app="a"} | parity="0""#, |i| i % 10 != 0 && i % 2 == 0),
        (r#"{app=~"a|b"} | json | n > 30"#, |i| i > 30),
        (r#"{app=~"a|b"} | json"#, |_| true),
    ];
    for place in PLACES {
        let (db, _) = open(u64::MAX);
        lay(&db, place);
        expect(&db, place, |_| true);
        for (query, hits) in cases {
            let what = format!("{query} on rows in {place}");
            let request = db.create_delete(&tenant, query, range).expect("made");
            expect(&db, &what, |i| !(inside(i) && hits(i)));
            let before = db.snapshot(&tenant);
            assert!(db.cancel_delete(&tenant, request.id, false).expect("cancelled"));
            expect(&db, &format!("{what}, cancelled"), |_| true);
            drop(before);
        }
        // Several at once, of which one is cancelled.
        let ids: Vec<_> =
            cases[..5].iter().map(|(query, _)| db.create_delete(&tenant, query, range).expect("made").id).collect();
        db.cancel_delete(&tenant, ids[2], false).expect("cancelled");
        expect(&db, &format!("several on rows in {place}"), |i| !inside(i));
        db.flush().expect("flushed");
        expect(&db, &format!("several on rows in {place}, flushed"), |i| !inside(i));
    }
}

#[test]
fn a_request_belongs_to_a_tenant_and_outlives_the_process() {
    let folder = tempfile::tempdir().expect("folder");
    let (a, b) = (Tenant::default(), Tenant::new("b").expect("valid"));
    let id = {
        let db = Db::builder(folder.path()).settings(settings(60)).open().expect("opened");
        lay(&db, "both");
        assert_eq!(db.deletes_version(&a), 0);
        let request = db.create_delete(&a, r#"{app="a"} |= "odd""#, TimeRange::new(0, 50 * SECOND)).expect("made");
        let version = db.deletes_version(&a);
        assert!(version != 0 && db.deletes_version(&b) == 0);
        db.create_delete(&b, r#"{app="a"}"#, TimeRange::ALL).expect("made");
        assert!(db.deletes_version(&a) == version && ![0, version].contains(&db.deletes_version(&b)));
        assert_eq!(db.delete_requests(&a), std::slice::from_ref(&request));
        assert_eq!(db.all_delete_requests().len(), 2);
        assert!(!db.cancel_delete(&b, request.id, false).expect("another tenant's"));
        db.close().expect("closed");
        request.id
    };
    let db = Db::builder(folder.path()).settings(settings(0)).open().expect("opened again");
    assert_eq!(db.delete_requests(&a)[0].status, DeleteStatus::Received);
    expect(&db, "opened again", |i| i > 50 || i % 2 == 0);
    let error = db.cancel_delete(&a, id, false).expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(db.cancel_delete(&a, id, true).expect("forced"));
    assert_eq!(db.deletes_version(&a), 0);
    expect(&db, "cancelled by force", |_| true);
    assert!(!db.cancel_delete(&a, id, true).expect("there is none"));
    assert!(!db.cancel_delete(&a, "00000000".parse::<DeleteId>().expect("a number"), true).expect("none"));
}

#[test]
fn bad_requests_are_refused() {
    let (db, _) = open(60);
    let tenant = Tenant::default();
    let kind = |query: &str, range| db.create_delete(&tenant, query, range).expect_err(query).kind();
    assert_eq!(kind("app", TimeRange::ALL), ErrorKind::Query);
    assert_eq!(kind(r#"rate({app="a"}[1m])"#, TimeRange::ALL), ErrorKind::Query);
    assert_eq!(kind(r#"{app="a"}"#, TimeRange::new(2, 1)), ErrorKind::Invalid);
    assert_eq!(kind(&format!("{{app=\"{}\"}}", "x".repeat(20_000)), TimeRange::ALL), ErrorKind::Invalid);
    assert!(db.all_delete_requests().is_empty());
    for _ in 0..1000 {
        db.create_delete(&tenant, r#"{app="a"}"#, TimeRange::new(0, 1)).expect("made");
    }
    assert_eq!(kind(r#"{app="a"}"#, TimeRange::new(0, 1)), ErrorKind::Busy);
}

#[test]
fn what_is_counted_by_blocks_leaves_out_what_is_hidden_as_a_whole() {
    let (db, _) = open(u64::MAX);
    let tenant = Tenant::default();
    lay(&db, "both");
    let entries = |db: &Db| db.stream_stats(&tenant, &Selector::default(), TimeRange::ALL).expect("counted");
    assert_eq!((entries(&db).streams, entries(&db).entries), (2, 100));
    let request = db.create_delete(&tenant, r#"{app="b"}"#, TimeRange::ALL).expect("made");
    assert_eq!((entries(&db).streams, entries(&db).entries), (1, 90));
    assert_eq!(db.series(&tenant, &[], TimeRange::ALL).expect("listed").len(), 1);
    assert_eq!(db.stream_volumes(&tenant, &Selector::default(), TimeRange::ALL).expect("counted").len(), 1);
    db.cancel_delete(&tenant, request.id, false).expect("cancelled");
    assert_eq!(entries(&db).entries, 100);
}
