//! Log queries: rows, limits, splits, and rows one by one.

use std::ops::ControlFlow;

use narvi_logql::{
    Answer, Budget, BudgetLimits, Data, Inline, Params, Partial, Query, StreamShard,
    ast::{Expr, LogExpr, LogRange},
    evaluate, evaluate_leaf, for_each_row,
};
use narvi_types::{Direction, Entry, Labels, MatchOp, Matcher, Selector, TimeRange, Timestamp};
use proptest::prelude::*;

use crate::eval_support::{Logs, Threads, UNIT, log_expr, logs, source};

type Row = (i64, String, Vec<u8>);

fn params() -> impl Strategy<Value = Params> {
    (-30..60i64, 0..90i64, proptest::option::of(0..30usize), any::<bool>()).prop_map(|(start, span, limit, forward)| {
        let mut params = Params::range(start * UNIT, (start + span) * UNIT, 0);
        params.limit = limit;
        params.direction = if forward { Direction::Forward } else { Direction::Backward };
        params
    })
}

/// The rows of an answer, those of each stream in order, put in the order of the query.
fn rows(answer: &Answer, direction: Direction) -> Vec<Row> {
    let Data::Streams(streams) = &answer.data else { panic!("not lines") };
    let mut out: Vec<Row> = Vec::new();
    for stream in streams {
        let labels = stream.labels.to_string();
        out.extend(stream.entries.iter().map(|e| (e.ts, labels.clone(), e.line.to_vec())));
    }
    out.sort_by_key(|row| row.0);
    if direction == Direction::Backward {
        out.reverse();
    }
    out
}

/// What a scan of all entries gives. Times are unique but for duplicates.
fn naive(log: &LogExpr, logs: &Logs, params: &Params) -> Vec<Row> {
    let range = LogRange { log: log.clone(), range_ns: 1, offset_ns: 0, unwrap: None };
    let mut out: Vec<Row> = Vec::new();
    for (ts, labels, line) in crate::naive::lines(&range, logs) {
        if params.start_ns <= ts && ts < params.end_ns {
            let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("valid");
            out.push((ts, labels.to_string(), line));
        }
    }
    if params.direction == Direction::Backward {
        out.reverse();
    }
    out.truncate(params.limit.unwrap_or(usize::MAX));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_are_those_of_a_scan(logs in logs(), log in log_expr(), params in params(), part_rows in 1..40usize) {
        let query = Query::new(Expr::Log(log.clone()), params.clone());
        let source = source(&logs, part_rows);
        let expected = naive(&log, &logs, &params);
        let answer = evaluate(&query, &source, &Threads, &Budget::unlimited()).expect("answers");
        prop_assert_eq!(rows(&answer, params.direction), expected.clone());
        for memory_bytes in [None, Some(2000)] {
            let mut limits = BudgetLimits::default();
            limits.memory_bytes = memory_bytes;
            let mut streamed = Vec::new();
            let summary = for_each_row(&query, &source, &Inline, &Budget::new(limits), &mut |row| {
                streamed.push((row.ts, row.labels.to_string(), row.line.to_vec()));
                ControlFlow::Continue(())
            });
            prop_assert_eq!(summary.expect("streams").rows as usize, expected.len());
            prop_assert_eq!(&streamed, &expected);
        }
    }

    #[test]
    fn partials_of_any_split_merge_into_the_same_rows(
        logs in logs(), log in log_expr(), params in params(), part_rows in 1..40usize, shards in 1..4u32, cut in -20..60i64,
    ) {
        let query = Query::new(Expr::Log(log), params.clone());
        let (source, budget) = (source(&logs, part_rows), Budget::unlimited());
        let whole = evaluate(&query, &source, &Inline, &budget).expect("answers");
        let plan = query.plan().expect("plans");
        let mut partials = Vec::new();
        for index in 0..shards {
            for range in [TimeRange::new(i64::MIN, cut * UNIT), TimeRange::new(cut * UNIT + 1, i64::MAX)] {
                let leaf = plan.leaves()[0].clone().with_shard(StreamShard { index, of: shards }).within(range);
                let bytes = evaluate_leaf(&leaf, &source, &Threads, &budget).expect("evaluates").encode();
                let back = Partial::decode(&bytes, &plan).expect("decodes");
                prop_assert_eq!(back.encode(), bytes);
                partials.push(back);
            }
        }
        let merged = plan.merge(partials, &budget).expect("merges");
        prop_assert_eq!(merged.data, whole.data);
    }

    #[test]
    fn damaged_partials_never_panic(logs in logs(), log in log_expr(), params in params(), at: usize, bits: u8) {
        let query = Query::new(Expr::Log(log), params);
        let plan = query.plan().expect("plans");
        let leaf = plan.leaves()[0].clone();
        let mut bytes = evaluate_leaf(&leaf, &source(&logs, 9), &Inline, &Budget::unlimited()).expect("evaluates").encode();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        if let Ok(partial) = Partial::decode(&bytes, &plan) {
            let _ = plan.merge(vec![partial], &Budget::unlimited());
        }
    }
}

fn all() -> LogExpr {
    let selector = Selector::new(vec![Matcher::new("app", MatchOp::Regex, ".+").expect("valid")]);
    LogExpr { selector, stages: Vec::new() }
}

fn hundred() -> Logs {
    many(100)
}

fn many(rows: i64) -> Logs {
    let labels = Labels::from_pairs([("app", "a")]).expect("valid");
    (0..rows).map(|n| (labels.clone(), Entry::new(Timestamp::from_ns(n * 10), format!("line {n}")))).collect()
}

#[test]
fn a_limit_leaves_older_parts_alone() {
    let mut params = Params::range(0, 1_000_000, 0);
    params.limit = Some(6000);
    let query = Query::new(Expr::Log(all()), params);
    let answer = evaluate(&query, &source(&many(50_000), 5000), &Inline, &Budget::unlimited()).expect("answers");
    assert_eq!(answer.statistics.parts, 10);
    assert_eq!(answer.statistics.parts_skipped, 8);
    assert_eq!(rows(&answer, Direction::Backward).last().map(|row| row.0), Some(440_000));
}

#[test]
fn equal_times_keep_their_order_and_reverse_it() {
    let labels = Labels::from_pairs([("app", "a")]).expect("valid");
    let logs: Logs =
        ["first", "second", "third"].map(|line| (labels.clone(), Entry::new(Timestamp::from_ns(5), line))).to_vec();
    for (direction, expected) in
        [(Direction::Forward, ["first", "second", "third"]), (Direction::Backward, ["third", "second", "first"])]
    {
        let mut params = Params::range(0, 10, 0);
        params.direction = direction;
        let query = Query::new(Expr::Log(all()), params);
        let answer = evaluate(&query, &source(&logs, 10), &Inline, &Budget::unlimited()).expect("answers");
        let Data::Streams(streams) = answer.data else { panic!("not lines") };
        let lines: Vec<_> = streams[0].entries.iter().map(|e| String::from_utf8_lossy(&e.line).into_owned()).collect();
        assert_eq!(lines, expected);
    }
}

#[test]
fn an_interval_thins_out() {
    let mut params = Params::range(0, 1000, 0);
    params.limit = Some(1000);
    params.interval_ns = 105;
    let query = Query::new(Expr::Log(all()), params);
    let answer = evaluate(&query, &source(&hundred(), 7), &Inline, &Budget::unlimited()).expect("answers");
    let times: Vec<_> = rows(&answer, Direction::Backward).iter().map(|row| row.0).collect();
    assert_eq!(times, [990, 880, 770, 660, 550, 440, 330, 220, 110, 0]);
}

#[test]
fn a_reader_may_stop() {
    let mut params = Params::range(0, 1000, 0);
    params.limit = None;
    let query = Query::new(Expr::Log(all()), params);
    let mut seen = 0;
    let summary = for_each_row(&query, &source(&hundred(), 7), &Inline, &Budget::unlimited(), &mut |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(summary.expect("streams").rows, 3);
}
