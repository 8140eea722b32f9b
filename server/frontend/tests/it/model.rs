//! Split, sharded, merged and kept results are those of one evaluation.

use narvi::{
    Direction, Entry, Labels, Metadata, Timestamp,
    logql::{self, Budget, Data, Inline, Params, Query},
};
use narvi_frontend::FrontendSettings;
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestCaseError};

use crate::queriers::{Fakes, Logs, limits, made, made_of, source};

/// A second: rates over powers of two of it are exact.
const UNIT: i64 = 1_000_000_000;

/// Every piece of which anything is known is cut by stream.
fn small_shards() -> FrontendSettings {
    FrontendSettings { shard_bytes: 20, ..FrontendSettings::default() }
}

fn logs() -> impl Strategy<Value = Logs> {
    let row = (0..6usize, 1..9i64, select(vec!["x", "y one", "x two y", ""]), option::of((0..20i32, 0..3u8)), 0..9u8);
    vec(row, 0..80).prop_map(|rows| {
        let mut out = Logs::new();
        let mut ts = -20 * UNIT;
        for (stream, gap, line, metadata, twice) in rows {
            ts += gap * UNIT / 4;
            let (app, zone) = (["a", "b"][stream / 3], ["x", "y", "z"][stream % 3]);
            let labels = Labels::from_pairs([("app", app), ("zone", zone)]).expect("valid");
            let mut entry = Entry::new(Timestamp::from_ns(ts), line.as_bytes().to_vec());
            if let Some((n, kind)) = metadata {
                let (n, kind) = (n.to_string(), kind.to_string());
                entry.metadata = Metadata::from_pairs([("n", n.as_str()), ("kind", kind.as_str())]).expect("valid");
            }
            if twice == 0 {
                out.push((labels.clone(), entry.clone()));
            }
            out.push((labels, entry));
        }
        out
    })
}

fn selector() -> impl Strategy<Value = String> {
    let stages = vec!["", r#" |= "x""#, r#" | kind!="1""#, " | drop zone", r#" != "two" | keep app, kind, n"#];
    (select(vec![r#"{app="a"}"#, r#"{app=~".+"}"#, r#"{zone!="x",app=~".+"}"#]), select(stages))
        .prop_map(|(selector, stages)| format!("{selector}{stages}"))
}

fn range() -> impl Strategy<Value = String> {
    let ops = vec![
        "count_over_time",
        "rate",
        "bytes_over_time",
        "absent_over_time",
        "sum_over_time",
        "max_over_time",
        "min_over_time",
        "first_over_time",
        "last_over_time",
        "avg_over_time",
        "quantile_over_time",
        "rate_counter",
        "stddev_over_time",
    ];
    (select(ops), selector(), 0..6u32, select(vec![0i64, 0, 3, -4])).prop_map(|(op, log, width, offset)| {
        let plain = ["count_over_time", "rate", "bytes_over_time", "absent_over_time"].contains(&op);
        let unwrap = if plain { "" } else { " | unwrap n" };
        let quantile = if op == "quantile_over_time" { "0.5, " } else { "" };
        let offset = if offset == 0 { String::new() } else { format!(" offset {}ms", offset * 500) };
        format!("{op}({quantile}{log}{unwrap}[{}s]{offset})", 1 << width)
    })
}

fn metric() -> impl Strategy<Value = String> {
    let vector =
        (select(vec!["sum", "sum by (app)", "max by (zone)", "count", "min without (zone)", "avg by (kind)"]), range())
            .prop_map(|(op, inner)| format!("{op}({inner})"));
    let one = prop_oneof![range(), vector].boxed();
    prop_oneof![
        4 => one.clone(),
        1 => (one.clone(), select(vec!["+", "or", "unless"]), one).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
    ]
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn points(data: &Data) -> Vec<(String, i64, f64)> {
    match data {
        Data::Matrix(series) => {
            series.iter().flat_map(|one| one.points.iter().map(|&(t, v)| (one.labels.to_string(), t, v))).collect()
        }
        Data::Vector(samples) => samples.iter().map(|one| (one.labels.to_string(), one.time_ms, one.value)).collect(),
        other => panic!("not of a metric: {other:?}"),
    }
}

/// The same, but for how sums of floats are rounded.
fn assert_same(got: &Data, expected: &Data) -> Result<(), TestCaseError> {
    let (got, expected) = (points(got), points(expected));
    prop_assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        prop_assert!(got.0 == expected.0 && got.1 == expected.1 && same(got.2, expected.2), "{:?} {:?}", got, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn metric_queries(
        logs in logs(), text in metric(), start in 0..40i64, step in 1..30i64, span in 0..60i64, instant: bool,
        split in 0..40u64, moved in vec((-6..7i64, -6..7i64), 1..4), part_rows in vec(1..40usize, 1..3),
    ) {
        let made = made_of(Fakes::of(&logs, &part_rows), limits(split * UNIT as u64), true, small_shards());
        let source = source(&logs, 7);
        // The same again, and moved by steps: pieces that were kept are used.
        for (from, to) in [(0, 0)].into_iter().chain(moved) {
            let step = step * UNIT / 2;
            let start = start * UNIT + from * step;
            let mut params = Params::range(start, (start + span * UNIT + to * step).max(start), step);
            params.instant = instant;
            params.max_series = None;
            let query = Query::new(logql::parse(&text).expect("right"), params);
            let direct = logql::evaluate(&query, &source, &Inline, &Budget::unlimited());
            match (made.ask(&query), direct) {
                (Ok(got), Ok(expected)) => assert_same(&got.data, &expected.data)?,
                (Err(got), Err(expected)) => prop_assert_eq!(got.to_string(), expected.to_string()),
                (got, expected) => prop_assert!(false, "{:?} instead of {:?}", got, expected),
            }
        }
    }

    #[test]
    fn log_queries(
        logs in logs(), text in selector(), start in -30..60i64, span in 0..90i64, limit in option::of(0..30usize),
        forward: bool, interval in 0..3i64, split in 0..40u64, part_rows in vec(1..40usize, 1..3),
    ) {
        let made = made(Fakes::of(&logs, &part_rows), limits(split * UNIT as u64), true);
        let mut params = Params::range(start * UNIT, (start + span) * UNIT, 0);
        params.limit = limit;
        params.interval_ns = interval * UNIT;
        params.direction = if forward { Direction::Forward } else { Direction::Backward };
        let query = Query::new(logql::parse(&text).expect("right"), params);
        let direct = logql::evaluate(&query, &source(&logs, 7), &Inline, &Budget::unlimited()).expect("answers");
        for _ in 0..2 {
            prop_assert_eq!(made.ask(&query).expect("answers").data, direct.data.clone());
        }
    }
}
