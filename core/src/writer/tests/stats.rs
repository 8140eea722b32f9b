//! Tests of what is counted of pushes, flushes and look-ups.

use std::collections::BTreeMap;

use narvi_types::TimeRange;

use super::{Builder, DAY, open, quiet, stream, tenant};
use crate::{FlushReason, failpoint::Action};

#[test]
fn flushes_are_counted_when_they_are_committed() {
    let folder = tempfile::tempdir().expect("folder");
    let db = open(folder.path());
    let empty = db.writer_stats();
    assert_eq!((empty.flushes, empty.wal.records, empty.blocks.rows.count()), (0, 0, 0));
    let hour = DAY / 24;
    db.push(&tenant("a"), vec![stream("x", &[(0, "one"), (2 * hour, "three")]), stream("y", &[(0, "")])])
        .expect("pushed");
    db.push(&tenant("b"), vec![stream("x", &[(5, "one"), (5, "one"), (DAY, "next day")])]).expect("pushed");
    let pushed = db.writer_stats().wal;
    assert!(pushed.records == 2 && pushed.bytes > empty.wal.bytes, "{pushed:?}");
    let points = &db.inner.writer.failpoints;
    points.arm("flush.commit", Action::Fail, 0, 1);
    db.flush().expect_err("told to fail");
    let failed = db.writer_stats();
    assert_eq!((failed.flushes, failed.flush_failures, failed.waiting_streams), (0, 1, 3));
    db.flush().expect("flushed");
    let stats = db.writer_stats();
    assert_eq!((stats.flushes, stats.flush_failures, stats.waiting_streams), (1, 1, 0));
    assert_eq!(stats.blocks_by_reason, BTreeMap::from([(FlushReason::Forced, 4)]));
    let blocks = &stats.blocks;
    assert_eq!((blocks.rows.count(), blocks.rows.sum()), (4, 5.0), "rows that are there twice count once");
    assert_eq!(blocks.span_hours.sum(), 2.0);
    let packs: u64 = db.state().manifest.packs.iter().map(|pack| pack.bytes).sum();
    assert!((blocks.bytes.sum() - packs as f64).abs() < 1.0, "{} of {packs}", blocks.bytes.sum());
    let tenants: Vec<_> = blocks.tenants.iter().map(|(tenant, (count, _))| (tenant.as_str(), *count)).collect();
    assert_eq!(tenants, [("a", 2), ("b", 2)]);
    assert!(blocks.tenants.values().map(|(_, bytes)| bytes).sum::<u64>().abs_diff(packs) <= 1);
    assert!(blocks.age_secs.sum() > 1e9, "all of it is from 1970");
    assert_eq!(stats.table_secs.count(), 1);
    db.flush().expect("nothing to do");
    assert_eq!(db.writer_stats().flushes, 1);
}

#[test]
fn look_ups_are_counted_by_kind() {
    let db = Builder::in_memory().settings(quiet()).open().expect("opened");
    db.push(&tenant("a"), vec![stream("x", &[(1, "one")])]).expect("pushed");
    db.flush().expect("flushed");
    db.label_names(&tenant("a"), &[], TimeRange::ALL).expect("found");
    db.label_values(&tenant("a"), "app", &[], TimeRange::ALL).expect("found");
    db.query(r#"{app="x"}"#).tenant(&tenant("a")).run().expect("answered");
    let stats = db.index_stats();
    let counts =
        [&stats.blocks, &stats.label_names, &stats.label_values].map(|l| (l.answered.count(), l.failed.count()));
    assert_eq!(counts, [(1, 0); 3]);
    assert_eq!(stats.all().answered.count(), 3);
}
