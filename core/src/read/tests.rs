//! The read side against a naive model: whatever was pushed, flushed and repeated, each distinct row is alive once.

use std::collections::BTreeSet;

use narvi_logql::{Budget, ScanRequest, Source};
use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, TimeRange, Timestamp};
use proptest::prelude::*;

use crate::{Builder, Db, PushStream};

type ModelRow = (Labels, i64, Vec<u8>, Vec<(String, String)>);

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<(u8, i64, u8, u8)>),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0u8..3, 0i64..12, 0u8..3, 0u8..3);
    let push = prop::collection::vec(row, 1..12).prop_map(Step::Push);
    prop::collection::vec(prop_oneof![3 => push, 1 => Just(Step::Flush)], 1..12)
}

fn labels(stream: u8) -> Labels {
    Labels::from_pairs([("app", "x"), ("n", stream.to_string().as_str())]).expect("valid")
}

fn entry(time: i64, line: u8, metadata: u8) -> Entry {
    let mut entry = Entry::new(Timestamp::from_ns(time), vec![b'a' + line; usize::from(line)]);
    if metadata > 0 {
        entry.metadata = Metadata::from_pairs([("k", metadata.to_string().as_str())]).expect("valid");
    }
    entry
}

/// All rows that are alive, in the order read.
fn alive(db: &Db, range: TimeRange) -> Vec<ModelRow> {
    let budget = Budget::unlimited();
    let matcher = Matcher::new("app", MatchOp::Equal, "x").expect("compiles");
    let request = ScanRequest::new(Selector::new(vec![matcher]), range);
    let mut rows = Vec::new();
    for part in db.snapshot(&Tenant::default()).parts(&request, &budget).expect("readable") {
        let batch = part.open(&budget).expect("readable");
        let (times, dead) = (batch.timestamps().expect("times"), batch.dead_rows().expect("dead"));
        let (lines, metadata) = (batch.lines().expect("lines"), batch.metadata().expect("metadata"));
        assert!(dead.is_sorted());
        for segment in part.segments() {
            let of = &times[segment.rows.start as usize..segment.rows.end as usize];
            assert!(of.is_sorted(), "rows of a segment are sorted by time");
            if segment.exact {
                assert!(
                    segment.rows.clone().all(|row| dead.binary_search(&row).is_err()),
                    "an exact segment has no dead row"
                );
            }
            for row in segment.rows.clone().filter(|row| dead.binary_search(row).is_err()) {
                let time = times[row as usize];
                if range.contains(time) {
                    let set = metadata.map(|m| &m.sets[m.ids[row as usize] as usize]);
                    let pairs = set.into_iter().flat_map(|set| set.iter().map(|(n, v)| (n.to_owned(), v.to_owned())));
                    rows.push((segment.labels.clone(), time, lines.get(row).to_vec(), pairs.collect()));
                }
            }
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_distinct_row_is_alive_once(steps in steps(), from in 0i64..12, len in 0i64..12) {
        let db = Builder::in_memory().open().expect("opens");
        let mut model: BTreeSet<ModelRow> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Flush => db.flush().expect("flushes"),
                Step::Push(rows) => {
                    for (stream, time, line, metadata) in rows {
                        let entry = entry(time, line, metadata);
                        let pairs = entry.metadata.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                        model.insert((labels(stream), time, entry.line.to_vec(), pairs));
                        let push = vec![PushStream::new(labels(stream), vec![entry])];
                        db.push(&Tenant::default(), push).expect("pushed").wait().expect("kept");
                    }
                }
            }
            for range in [TimeRange::ALL, TimeRange::new(from, from + len)] {
                let mut rows = alive(&db, range);
                rows.sort();
                let expected: Vec<_> = model.iter().filter(|row| range.contains(row.1)).cloned().collect();
                prop_assert_eq!(rows, expected);
            }
        }
    }
}

#[test]
fn streams_are_found_in_heads_and_tables_alike() {
    let db = Builder::in_memory().open().expect("opens");
    let tenant = Tenant::default();
    let push = |stream: u8, time: i64| {
        let push = vec![PushStream::new(labels(stream), vec![entry(time, 1, 0)])];
        db.push(&tenant, push).expect("pushed").wait().expect("kept");
    };
    push(0, 5);
    db.flush().expect("flushes");
    push(1, 50);
    let names = db.label_names(&tenant, &[], TimeRange::ALL).expect("readable");
    assert_eq!(names, ["app", "n"]);
    assert_eq!(db.label_values(&tenant, "n", &[], TimeRange::ALL).expect("readable"), ["0", "1"]);
    assert_eq!(db.label_values(&tenant, "n", &[], TimeRange::new(40, 60)).expect("readable"), ["1"]);
    let only = Matcher::new("n", MatchOp::Equal, "0").expect("compiles");
    assert_eq!(db.label_values(&tenant, "n", std::slice::from_ref(&only), TimeRange::ALL).expect("readable"), ["0"]);
    assert_eq!(db.series(&tenant, &[], TimeRange::ALL).expect("readable"), [labels(0), labels(1)]);
    let selector = Selector::new(vec![only]);
    assert_eq!(db.series(&tenant, std::slice::from_ref(&selector), TimeRange::ALL).expect("readable"), [labels(0)]);
    let stats = db.stream_stats(&tenant, &selector, TimeRange::ALL).expect("readable");
    assert_eq!((stats.streams, stats.blocks, stats.entries, stats.line_bytes), (1, 1, 1, 1));
    let volumes = db.stream_volumes(&tenant, &Selector::default(), TimeRange::ALL).expect("readable");
    assert_eq!(volumes, [(labels(0), 1), (labels(1), 1)]);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let db = Builder::in_memory().open().expect("opens");
    let push = |time: i64| {
        let push = vec![PushStream::new(labels(0), vec![entry(time, 1, 0)])];
        db.push(&Tenant::default(), push).expect("pushed").wait().expect("kept");
    };
    push(1);
    db.flush().expect("flushes");
    push(2);
    let before = db.state();
    push(3);
    db.flush().expect("flushes");
    assert_eq!(alive(&db, TimeRange::ALL).len(), 3);
    assert_eq!(before.manifest.tables.len(), 1);
    assert!(db.state().manifest.tables.len() > 1);
}
