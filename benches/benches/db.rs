//! A database from end to end: pushing, flushing, and queries over what was flushed. Throughput is in lines.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use narvi::{Db, Labels, PushStream, Result, Tenant, Timestamp};
use narvi_benches::{START_NS, STEP_NS, STREAMS, Shape, entries, lines, stream};

/// Lines in the database.
const ROWS: usize = 100_000;
/// Lines of one push.
const PUSH: usize = 1_000;

fn pushes() -> Vec<Vec<PushStream>> {
    let entries = entries(&lines(Shape::Json, ROWS));
    let streams: Vec<Labels> = (0..STREAMS).map(stream).collect();
    let push = |batch: &[narvi::Entry]| {
        let part = |n: usize| batch.iter().skip(n).step_by(STREAMS).cloned().collect();
        streams.iter().enumerate().map(|(n, labels)| PushStream::new(labels.clone(), part(n))).collect()
    };
    entries.chunks(PUSH).map(push).collect()
}

fn filled(pushes: Vec<Vec<PushStream>>, flush: bool) -> Result<(tempfile::TempDir, Db)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(folder.path())?;
    for streams in pushes {
        db.push(&Tenant::default(), streams)?;
    }
    if flush {
        db.flush()?;
    }
    Ok((folder, db))
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("db");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).throughput(Throughput::Elements(ROWS as u64));
    let pushes = pushes();
    for (name, flush) in [("push", false), ("push-flush", true)] {
        group.bench_function(name, |b| {
            // The database is given back, so that closing it is not measured.
            b.iter_batched(|| pushes.clone(), |pushes| filled(pushes, flush).expect("pushes"), BatchSize::PerIteration);
        });
    }

    let (_folder, db) = filled(pushes, true).expect("pushes");
    let end = Timestamp::from_ns(START_NS + ROWS as i64 * STEP_NS);
    let start = Timestamp::from_ns(START_NS);
    let logs = |text: &str| db.query(text).range(start, end).limit(ROWS).run().expect("answers");
    let count = |text: &str| db.query(text).at(end).run().expect("answers");
    group.bench_function("logs/filter-rare", |b| b.iter(|| logs(r#"{app="web"} |= "deadlock""#)));
    group.bench_function("logs/newest-100", |b| {
        b.iter(|| db.query(r#"{app="web"} |= "GET""#).range(start, end).limit(100).run().expect("answers"));
    });
    group.bench_function("count/by-label", |b| {
        b.iter(|| count(r#"sum by (zone) (count_over_time({app="web"}[1h]))"#));
    });
    group.bench_function("count/by-json-field", |b| {
        b.iter(|| count(r#"sum by (status) (count_over_time({app="web"} | json [1h]))"#));
    });
    group.finish();
    criterion.final_summary();
}
