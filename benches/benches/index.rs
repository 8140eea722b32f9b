//! Index tables: building, opening, look-ups and merging. Throughput is in series.

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use narvi_index::{BlockRef, KeepAll, Table, TableBuilder, merge};
use narvi_types::{Labels, MatchOp, Matcher, TimeRange};

/// Series of the table.
const SERIES: u32 = 50_000;
/// Distinct values of `app`.
const APPS: u32 = 500;
/// Tables that are merged.
const MERGED: u32 = 4;

fn build(from: u32, to: u32) -> Bytes {
    let mut builder = TableBuilder::new();
    builder.pack("packs/a.pack");
    for n in from..to {
        let (pod, app) = (format!("pod-{n:06}"), format!("app-{}", n % APPS));
        let (env, zone) = (["prod", "dev"][n as usize % 2], ["a", "b", "c"][n as usize % 3]);
        let labels = Labels::from_pairs([("app", app.as_str()), ("env", env), ("pod", &pod), ("zone", zone)]);
        let start = i64::from(n) * 1_000_000;
        let block = BlockRef {
            pack: 0,
            frame: n / 100,
            first_row: n % 100 * 50,
            rows: 50,
            line_bytes: 10_000,
            range: TimeRange::new(start, start + 60_000_000_000),
            metadata_keys: 0,
        };
        builder.add("t", &labels.expect("valid names"), block).expect("a valid block");
    }
    builder.finish().expect("fits").into()
}

fn matchers(of: &[(&str, MatchOp, &str)]) -> Vec<Matcher> {
    of.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value).expect("compiles")).collect()
}

fn main() {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("index");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    group.throughput(Throughput::Elements(SERIES.into()));
    let bytes = build(0, SERIES);
    group.bench_function("build", |b| b.iter(|| build(0, SERIES)));
    let parts: Vec<Table> = (0..MERGED)
        .map(|n| Table::open(build(n * SERIES / MERGED / 2, (n + 2) * SERIES / MERGED / 2)).expect("opens"))
        .collect();
    group.bench_function("merge", |b| {
        b.iter(|| merge(&parts, &KeepAll, &mut std::io::sink()).expect("merges"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("index");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    group.bench_function("open", |b| {
        b.iter(|| {
            let table = Table::open(bytes.clone()).expect("opens");
            table.part("t").expect("sound").expect("there").stats()
        });
    });
    let table = Table::open(bytes).expect("opens");
    let part = table.part("t").expect("sound").expect("there");
    type Question<'a> = (&'a str, &'a [(&'a str, MatchOp, &'a str)]);
    let questions: [Question<'_>; 7] = [
        ("equal", &[("app", Equal, "app-7")]),
        ("equal-two", &[("app", Equal, "app-7"), ("env", Equal, "dev")]),
        ("not-equal", &[("app", Equal, "app-7"), ("pod", NotEqual, "pod-000007")]),
        ("regex-alternation", &[("app", Regex, "app-1|app-2|app-3")]),
        ("regex-prefix", &[("pod", Regex, "pod-0000.*")]),
        ("regex-all-values", &[("pod", Regex, ".*99.*7")]),
        ("not-regex", &[("app", Regex, "app-4.."), ("zone", NotRegex, "a|b")]),
    ];
    for (name, question) in questions {
        let matchers = matchers(question);
        group.bench_function(format!("select/{name}"), |b| b.iter(|| part.select(&matchers).expect("sound").len()));
    }
    let some = part.select(&matchers(&[("app", Equal, "app-7")])).expect("sound");
    group.bench_function("blocks", |b| b.iter(|| part.blocks_of(&some, TimeRange::ALL).count()));
    group.bench_function("label-values", |b| b.iter(|| part.label_values("app", None).expect("sound").len()));
    group.finish();
    criterion.final_summary();
}
