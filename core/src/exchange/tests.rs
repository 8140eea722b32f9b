//! Several writers and a reader over one store: whatever was pushed where, flushed and merged, each row is read once.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use narvi_logql::{Budget, BudgetLimits, NeedleGroup, Needles, ScanRequest, Source, StreamShard};
use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, TimeRange, Timestamp};
use proptest::prelude::*;

use super::{HeadsDetail, HeadsRequest, RemoteHeads};
use crate::{Builder, Db, ErrorKind, MemoryStore, PushStream, Reader, ReaderSettings, Settings, Snapshot, Store};

type ModelRow = (Labels, i64, Vec<u8>, String);

const WRITERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Rows go to all writers whose bit is set.
    Push {
        writers: u8,
        rows: Vec<(u8, i64, u8)>,
    },
    Flush(usize),
    Compact(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0u8..3, 0i64..12, 0u8..4), 1..8);
    let step = prop_oneof![
        5 => (1u8..8, rows).prop_map(|(writers, rows)| Step::Push { writers, rows }),
        2 => (0..WRITERS).prop_map(Step::Flush),
        1 => (0..WRITERS).prop_map(Step::Compact),
    ];
    prop::collection::vec(step, 1..16)
}

fn labels(stream: u8) -> Labels {
    Labels::from_pairs([("app", "x"), ("n", stream.to_string().as_str())]).expect("valid")
}

fn entry(time: i64, line: u8) -> Entry {
    let mut entry = Entry::new(Timestamp::from_ns(time), format!("line {line}").into_bytes());
    if line == 3 {
        entry.metadata = Metadata::from_pairs([("trace", "7")]).expect("valid");
    }
    entry
}

fn writers(store: &Arc<dyn Store>) -> Vec<Db> {
    let mut settings = Settings { garbage_grace_secs: 3600, ..Settings::default() };
    settings.compaction.enabled = false;
    settings.compaction.tables_per_level = 2;
    let open = |_| Builder::in_memory().store(store.clone()).settings(settings.clone()).open().expect("opens");
    (0..WRITERS).map(open).collect()
}

fn fetch(db: &Db, request: &HeadsRequest, detail: HeadsDetail) -> RemoteHeads {
    let budget = Budget::unlimited();
    let mut remote = RemoteHeads::new(&request.tenant, &budget).expect("fits");
    let sent = HeadsRequest::decode(&request.encode()).expect("reads back");
    assert_eq!(sent.encode(), request.encode());
    let mut give = |frame: Bytes| {
        remote.add(&frame).expect("a frame of ours");
        ControlFlow::Continue(())
    };
    db.heads().export(&sent, detail, &budget, &mut give).expect("no limit");
    remote
}

fn all() -> Selector {
    Selector::new(vec![Matcher::new("app", MatchOp::Equal, "x").expect("compiles")])
}

/// All rows that are alive.
fn alive(snapshot: &Snapshot) -> Vec<ModelRow> {
    let budget = Budget::unlimited();
    let mut rows = Vec::new();
    for part in snapshot.parts(&ScanRequest::new(all(), TimeRange::ALL), &budget).expect("readable") {
        let batch = part.open(&budget).expect("readable");
        let (times, dead) = (batch.timestamps().expect("times"), batch.dead_rows().expect("dead"));
        let (lines, metadata) = (batch.lines().expect("lines"), batch.metadata().expect("metadata"));
        for segment in part.segments() {
            for row in segment.rows.clone().filter(|row| dead.binary_search(row).is_err()) {
                let set = metadata.map(|m| m.sets[m.ids[row as usize] as usize].packed().to_owned());
                let line = lines.get(row).to_vec();
                rows.push((segment.labels.clone(), times[row as usize], line, set.unwrap_or_default()));
            }
        }
    }
    rows.sort();
    rows
}

fn limited(bytes: u64) -> Budget {
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(bytes);
    Budget::new(limits)
}

fn reader(store: &Arc<dyn Store>) -> Reader {
    Reader::open(store.clone(), ReaderSettings { max_age_ms: 3_600_000, query_threads: 1 }).expect("opens")
}

fn run(step: &Step, writers: &[Db], model: &mut BTreeSet<ModelRow>) {
    match step {
        Step::Push { writers: bits, rows } => {
            let rows = rows.iter().map(|(stream, time, line)| (labels(*stream), entry(*time, *line)));
            let streams: Vec<_> = rows.map(|(labels, entry)| PushStream::new(labels, vec![entry])).collect();
            for (_, db) in writers.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0) {
                db.push(&Tenant::default(), streams.clone()).expect("pushed");
            }
            for stream in streams {
                let entry = &stream.entries[0];
                let set = entry.metadata.packed().to_owned();
                model.insert((stream.labels.clone(), entry.timestamp.as_ns(), entry.line.to_vec(), set));
            }
        }
        Step::Flush(at) => writers[*at].flush().expect("flushes"),
        Step::Compact(at) => {
            writers[*at].compact().expect("compacts");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_sees_each_row_of_all_writers_once(before in steps(), between in steps(), detail_rows in 0i64..12) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (writers, reader) = (writers(&store), reader(&store));
        let tenant = Tenant::default();
        let mut model = BTreeSet::new();
        before.iter().for_each(|step| run(step, &writers, &mut model));
        // What is flushed or merged between the writers' answers and the look at the files must not matter.
        let request = HeadsRequest::new(&tenant, all(), TimeRange::ALL);
        let remote: Vec<_> = writers.iter().map(|db| fetch(db, &request, HeadsDetail::Rows)).collect();
        for step in &between {
            if !matches!(step, Step::Push { .. }) {
                run(step, &writers, &mut model);
            }
        }
        let seen = alive(&reader.snapshot_with(&tenant, remote).expect("complete"));
        prop_assert_eq!(&seen, &model.iter().cloned().collect::<Vec<_>>());

        let range = TimeRange::new(detail_rows, detail_rows);
        let request = HeadsRequest::new(&tenant, all(), range);
        let remote: Vec<_> = writers.iter().map(|db| fetch(db, &request, HeadsDetail::Summaries)).collect();
        let series = reader.snapshot_with(&tenant, remote).expect("complete").series(&[all()], range).expect("readable");
        for (labels, _, _, _) in model.iter().filter(|row| row.1 == detail_rows) {
            prop_assert!(series.contains(labels), "{} is missing", labels);
        }
    }

    #[test]
    fn frames_of_anyone_never_panic(bytes: Vec<u8>, kind in 0u8..5) {
        let tenant = Tenant::default();
        let budget = limited(1 << 20);
        let mut remote = RemoteHeads::new(&tenant, &budget).expect("fits");
        let mut frame = vec![super::VERSION, kind];
        frame.extend_from_slice(&bytes);
        let _ = remote.add(&Bytes::from(vec![super::VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        let _ = remote.add(&frame.into());
        let _ = HeadsRequest::decode(&bytes);
    }
}

#[test]
fn only_wanted_rows_are_given() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (writers, reader) = (writers(&store), reader(&store));
    let tenant = Tenant::default();
    let mut model = BTreeSet::new();
    let rows = (0..3).flat_map(|stream| (0..10).map(move |time| (stream, time, (time % 4) as u8))).collect();
    run(&Step::Push { writers: 1, rows }, &writers, &mut model);
    let lines = |request: &HeadsRequest| {
        let remote = vec![fetch(&writers[0], request, HeadsDetail::Rows)];
        alive(&reader.snapshot_with(&tenant, remote).expect("complete"))
    };
    let mut request = HeadsRequest::new(&tenant, all(), TimeRange::new(2, 6));
    assert_eq!(lines(&request).len(), 15);
    let group = NeedleGroup { any: vec![b"LINE 2".to_vec(), b"line 3".to_vec()], ignore_case: true };
    request.needles = Needles(vec![group]);
    assert!(lines(&request).iter().all(|row| row.2 == b"line 2" || row.2 == b"line 3"));
    assert_eq!(lines(&request).len(), 9);
    let mut shards = 0;
    for index in 0..2 {
        request.shard = Some(StreamShard { index, of: 2 });
        shards += lines(&request).len();
    }
    assert_eq!(shards, 9);
}

#[test]
fn an_answer_that_ends_early_is_refused() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (writers, reader) = (writers(&store), reader(&store));
    let tenant = Tenant::default();
    run(&Step::Push { writers: 1, rows: vec![(0, 1, 1)] }, &writers, &mut BTreeSet::new());
    let request = HeadsRequest::new(&tenant, all(), TimeRange::ALL);
    let budget = Budget::unlimited();
    let mut remote = RemoteHeads::new(&tenant, &budget).expect("fits");
    let mut left = 2;
    let mut give = |frame: Bytes| {
        remote.add(&frame).expect("a frame of ours");
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    writers[0].heads().export(&request, HeadsDetail::Rows, &budget, &mut give).expect("no limit");
    let error = reader.snapshot_with(&tenant, vec![remote]).expect_err("not complete");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn memory_of_rows_is_asked_of_the_budget() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let writers = writers(&store);
    let tenant = Tenant::default();
    let line = Entry::new(Timestamp::from_ns(1), vec![b'x'; 1 << 20]);
    writers[0].push(&tenant, vec![PushStream::new(labels(0), vec![line])]).expect("pushed");
    let budget = limited(1 << 19);
    let mut remote = RemoteHeads::new(&tenant, &budget).expect("fits");
    let mut failed = None;
    let mut give = |frame: Bytes| match remote.add(&frame) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    };
    let request = HeadsRequest::new(&tenant, all(), TimeRange::ALL);
    writers[0].heads().export(&request, HeadsDetail::Rows, &Budget::unlimited(), &mut give).expect("no limit");
    assert!(failed.expect("too much").to_string().contains("memory limit of 524288 bytes"));
}

#[test]
fn deleted_rows_are_hidden_from_readers_too() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (writers, reader) = (writers(&store), reader(&store));
    let tenant = Tenant::default();
    let rows = (0..8).map(|time| (0, time, (time % 4) as u8)).collect();
    run(&Step::Push { writers: 3, rows }, &writers, &mut BTreeSet::new());
    writers[0].flush().expect("flushes");
    writers[1].create_delete(&tenant, r#"{app="x"} |= "line 2""#, TimeRange::new(0, 4)).expect("kept");
    let request = HeadsRequest::new(&tenant, all(), TimeRange::ALL);
    let remote: Vec<_> = writers.iter().map(|db| fetch(db, &request, HeadsDetail::Rows)).collect();
    let seen: Vec<_> =
        alive(&reader.snapshot_with(&tenant, remote).expect("complete")).iter().map(|row| row.1).collect();
    assert_eq!(seen, [0, 1, 3, 4, 5, 6, 7]);
}
