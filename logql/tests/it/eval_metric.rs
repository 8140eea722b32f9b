//! Metric queries against the naive evaluator, and their partials.

use std::collections::BTreeMap;

use narvi_logql::{
    Answer, Budget, BudgetLimits, Data, Error, Inline, Params, Partial, Query, StreamShard, align_to_step,
    ast::{Expr, Grouping, LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, VectorAggregation, VectorOp},
    evaluate, evaluate_leaf,
};
use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, TimeRange, Timestamp};
use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{
    eval_support::{Generated, Logs, Threads, UNIT, logs, metric_expr, source},
    naive::{self, LabelMap, Value},
};

type Points = BTreeMap<(LabelMap, i64), f64>;

fn params() -> impl Strategy<Value = Params> {
    (0..40i64, 1..30i64, 0..30i64, any::<bool>()).prop_map(|(start, step, span, instant)| {
        let mut params = Params::range(start * UNIT, (start + span) * UNIT, step * UNIT / 2);
        params.instant = instant;
        params.max_series = None;
        params
    })
}

fn label_map(labels: &Labels) -> LabelMap {
    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn points(answer: &Answer) -> Points {
    match &answer.data {
        Data::Matrix(series) => {
            series.iter().flat_map(|s| s.points.iter().map(|&(t, v)| ((label_map(&s.labels), t), v))).collect()
        }
        Data::Vector(samples) => samples.iter().map(|s| ((label_map(&s.labels), s.time_ms), s.value)).collect(),
        Data::Scalar { time_ms, value } => [((LabelMap::new(), *time_ms), *value)].into(),
        Data::Streams(_) => panic!("not a metric answer"),
    }
}

fn naive_points(expr: &MetricExpr, logs: &Logs, params: &Params) -> Result<Points, String> {
    let mut out = Points::new();
    for t in naive::instants(params) {
        let vector = match naive::eval(expr, logs, t)? {
            Value::Scalar(v) => vec![(LabelMap::new(), v)],
            Value::Vector(v) => v,
        };
        out.extend(vector.into_iter().map(|(labels, v)| ((labels, t / 1_000_000), v)));
    }
    Ok(out)
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn assert_same(got: &Points, expected: &Points) -> Result<(), TestCaseError> {
    let keys = |p: &Points| p.keys().cloned().collect::<Vec<_>>();
    prop_assert_eq!(keys(got), keys(expected));
    for (key, value) in got {
        prop_assert!(same(*value, expected[key]), "{:?}: {} is not {}", key, value, expected[key]);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn answers_are_those_of_the_naive_evaluator(
        logs in logs(), expr in metric_expr(), params in params(), part_rows in 1..40usize,
    ) {
        let Generated { expr, .. } = expr;
        let query = Query::new(Expr::Metric(expr.clone()), params.clone());
        let answer = evaluate(&query, &source(&logs, part_rows), &Inline, &Budget::unlimited());
        match (answer, naive_points(&expr, &logs, &params)) {
            (Ok(answer), Ok(expected)) => assert_same(&points(&answer), &expected)?,
            (Err(Error::Evaluation(_)), Err(_)) => {}
            (got, expected) => prop_assert!(false, "{:?} instead of {:?}", got, expected),
        }
    }

    #[test]
    fn partials_of_any_split_merge_into_the_same_answer(
        logs in logs(), expr in metric_expr(), params in params(), part_rows in 1..40usize,
        shards in 1..4u32, cut in -20..60i64,
    ) {
        let query = Query::new(Expr::Metric(expr.expr), params);
        let (source, budget) = (source(&logs, part_rows), Budget::unlimited());
        let whole = evaluate(&query, &source, &Inline, &budget);
        let plan = query.plan().expect("plans");
        let mut partials = Vec::new();
        for leaf in plan.leaves() {
            for index in 0..shards {
                for rows in [TimeRange::new(i64::MIN, cut * UNIT), TimeRange::new(cut * UNIT + 1, i64::MAX)] {
                    let leaf = leaf.clone().with_shard(StreamShard { index, of: shards }).within(rows);
                    let leaf = plan.leaf(leaf.scope()).expect("has it");
                    let partial = evaluate_leaf(&leaf, &source, &Threads, &budget).expect("evaluates");
                    let bytes = partial.encode();
                    let back = Partial::decode(&bytes, &plan).expect("decodes");
                    prop_assert_eq!(back.encode(), bytes);
                    partials.push(back);
                }
            }
        }
        match (plan.merge(partials, &budget), whole) {
            (Ok(merged), Ok(whole)) => assert_same(&points(&merged), &points(&whole))?,
            (Err(_), Err(_)) => {}
            (merged, whole) => prop_assert!(false, "{:?} instead of {:?}", merged, whole),
        }
    }

    #[test]
    fn answers_do_not_depend_on_the_executor(
        logs in logs(), expr in metric_expr(), params in params(), part_rows in 1..10usize,
    ) {
        let query = Query::new(Expr::Metric(expr.expr), params);
        let source = source(&logs, part_rows);
        let one = evaluate(&query, &source, &Inline, &Budget::unlimited());
        let four = evaluate(&query, &source, &Threads, &Budget::unlimited());
        // Compared as text, in which NaN equals itself and other floats only themselves.
        prop_assert_eq!(format!("{one:?}"), format!("{four:?}"));
    }

    #[test]
    fn pieces_that_know_no_start_and_end_merge_into_the_same_answer(
        logs in logs(), expr in metric_expr(), params in params(), part_rows in 1..40usize,
        shards in 1..4u32, interval in 1..40i64, moved in -3..4i64,
    ) {
        let expr = Expr::Metric(expr.expr);
        let query = Query::new(expr.clone(), params.clone());
        let (source, budget) = (source(&logs, part_rows), Budget::unlimited());
        let whole = evaluate(&query, &source, &Inline, &budget);
        let plan = query.plan().expect("plans");
        let mut gathered = plan.gather(&budget);
        for leaf in plan.leaves() {
            for cut in -30..=120 / interval + 1 {
                let rows = TimeRange::new(cut * interval * UNIT, (cut + 1) * interval * UNIT - 1);
                let leaf = leaf.clone().within(rows.intersect(&leaf.range()));
                let Some(piece) = plan.piece(&leaf) else {
                    gathered.add(evaluate_leaf(&leaf, &source, &Inline, &budget).expect("evaluates")).expect("gathers");
                    continue;
                };
                // The same query at another time, in the same steps, has the same piece.
                let by = moved * params.step_ns;
                let mut other = params.clone();
                (other.start_ns, other.end_ns) = (params.start_ns + by, params.end_ns + by);
                let other = Query::new(expr.clone(), other).plan().expect("plans");
                let there = other.leaf(piece.scope(None)).and_then(|leaf| other.piece(&leaf));
                prop_assert!(there.is_none_or(|there| there.params() == piece.params()));
                let own = Query::new(expr.clone(), piece.params().clone()).plan().expect("plans");
                let of_shards: Vec<Vec<u8>> = (0..shards).map(|index| {
                    let scope = piece.scope(Some(StreamShard { index, of: shards }));
                    evaluate_leaf(&own.leaf(scope).expect("has it"), &source, &Inline, &budget).expect("evaluates").encode()
                }).collect();
                let mut partial = piece.read(&of_shards).expect("reads");
                let kept = piece.keep(&mut partial);
                prop_assert!(!partial.is_empty() || kept.is_some());
                let again = match &kept {
                    Some(kept) => piece.read(&[kept]).expect("reads"),
                    None => partial,
                };
                gathered.add(piece.place(again).expect("fits")).expect("gathers");
            }
        }
        match (gathered.finish(), whole) {
            (Ok(merged), Ok(whole)) => assert_same(&points(&merged), &points(&whole))?,
            (merged, whole) => prop_assert_eq!(merged.is_err(), whole.is_err()),
        }
    }

    #[test]
    fn damaged_partials_never_panic(
        logs in logs(), expr in metric_expr(), params in params(), at: usize, bits: u8, noise: Vec<u8>,
    ) {
        let query = Query::new(Expr::Metric(expr.expr), params);
        let (source, budget) = (source(&logs, 10), Budget::unlimited());
        let plan = query.plan().expect("plans");
        let _ = Partial::decode(&noise, &plan);
        for leaf in plan.leaves() {
            let mut bytes = evaluate_leaf(&leaf, &source, &Inline, &budget).expect("evaluates").encode();
            let at = at % bytes.len();
            bytes[at] ^= bits;
            if let Ok(partial) = Partial::decode(&bytes, &plan) {
                let _ = plan.merge(vec![partial], &budget);
            }
            let _ = Partial::decode(&bytes[..at], &plan);
        }
    }
}

const S: i64 = 1_000_000_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid")
}

fn count(range_ns: i64) -> MetricExpr {
    let selector = Selector::new(vec![Matcher::new("app", MatchOp::Equal, "a").expect("valid")]);
    let log = LogExpr { selector, stages: Vec::new() };
    let range = LogRange { log, range_ns, offset_ns: 0, unwrap: None };
    MetricExpr::Range(RangeAggregation { op: RangeOp::CountOverTime, parameter: None, range, grouping: None })
}

fn streams(number: usize) -> Logs {
    let entry = |n: i64| Entry::new(Timestamp::from_ns(n * S), "x");
    (0..number).map(|n| (labels(&[("app", "a"), ("n", &format!("{n:05}"))]), entry(n as i64 % 50))).collect()
}

#[test]
fn counting_whole_segments_opens_nothing() {
    let source = source(&streams(100), 10);
    let query = Query::new(Expr::Metric(count(60 * S)), Params::instant(59 * S));
    let answer = evaluate(&query, &source, &Inline, &Budget::unlimited()).expect("answers");
    assert_eq!(answer.statistics.parts, 10);
    assert_eq!(answer.statistics.parts_by_summary, 10);
    assert_eq!(answer.statistics.lines, 100);
    assert!(matches!(answer.data, Data::Vector(samples) if samples.len() == 100));
}

#[test]
fn metadata_that_reaches_the_labels_is_not_summed_up() {
    let mut logs = streams(2);
    logs[0].1.metadata = Metadata::from_pairs([("k", "v")]).expect("valid");
    let query = Query::new(Expr::Metric(count(60 * S)), Params::instant(59 * S));
    let answer = evaluate(&query, &source(&logs, 1), &Inline, &Budget::unlimited()).expect("answers");
    assert_eq!(answer.statistics.parts_by_summary, 1);
    let Data::Vector(samples) = answer.data else { panic!("not a vector") };
    assert_eq!(samples[0].labels, labels(&[("app", "a"), ("k", "v"), ("n", "00000")]));
}

#[test]
fn duplicates_and_metadata_are_told_apart_without_reading_lines() {
    let stream = labels(&[("app", "a"), ("zone", "x")]);
    let entry = |ns, line: &'static str, pairs: &[(&str, &str)]| {
        let mut entry = Entry::new(Timestamp::from_ns(ns), line);
        entry.metadata = Metadata::from_pairs(pairs.iter().copied()).expect("valid");
        (stream.clone(), entry)
    };
    let logs: Logs = vec![
        entry(S, "12345", &[]),
        entry(S, "12345", &[]),
        entry(2 * S, "123", &[("k", "1"), ("zone", "m")]),
        entry(2 * S, "123", &[("k", "1"), ("zone", "m")]),
        entry(2 * S, "1234567", &[("k", "2")]),
    ];
    let by = |names: &[&str]| Some(Grouping { without: false, labels: names.iter().map(|n| (*n).into()).collect() });
    for (op, grouping, expected) in [
        (RangeOp::BytesOverTime, None, vec![("{}", 15.0)]),
        (RangeOp::CountOverTime, None, vec![("{}", 3.0)]),
        (RangeOp::BytesOverTime, by(&["zone"]), vec![(r#"{zone="x"}"#, 15.0)]),
        (RangeOp::BytesOverTime, by(&["k"]), vec![("{}", 5.0), (r#"{k="1"}"#, 3.0), (r#"{k="2"}"#, 7.0)]),
        (RangeOp::CountOverTime, by(&["zone_extracted"]), vec![("{}", 2.0), (r#"{zone_extracted="m"}"#, 1.0)]),
    ] {
        let MetricExpr::Range(mut range) = count(60 * S) else { panic!("is a range") };
        range.op = op;
        let expr = Box::new(MetricExpr::Range(range));
        let sum = MetricExpr::Vector(VectorAggregation { op: VectorOp::Sum, parameter: None, expr, grouping });
        for part_rows in [1, 2, 100] {
            let query = Query::new(Expr::Metric(sum.clone()), Params::instant(59 * S));
            let answer = evaluate(&query, &source(&logs, part_rows), &Inline, &Budget::unlimited()).expect("answers");
            let Data::Vector(samples) = answer.data else { panic!("not a vector") };
            let got: Vec<_> = samples.iter().map(|s| (s.labels.to_string(), s.value)).collect();
            let expected: Vec<_> = expected.iter().map(|(l, v)| ((*l).to_owned(), *v)).collect();
            assert_eq!(got, expected, "{op:?} {part_rows}");
        }
    }
}

#[test]
fn too_many_series_are_refused_or_cut_off() {
    let source = source(&streams(501), 100);
    let mut params = Params::instant(59 * S);
    let ask = |params: &Params| {
        evaluate(&Query::new(Expr::Metric(count(60 * S)), params.clone()), &source, &Inline, &Budget::unlimited())
    };
    assert_eq!(ask(&params), Err(Error::SeriesLimit(500)));
    params.partial_series = true;
    let answer = ask(&params).expect("answers in part");
    assert_eq!(answer.warnings.len(), 1);
    assert!(matches!(answer.data, Data::Vector(samples) if samples.len() == 500));
    params.max_series = Some(501);
    assert!(ask(&params).expect("answers").warnings.is_empty());
}

#[test]
fn memory_is_limited() {
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(1000);
    let query = Query::new(Expr::Metric(count(60 * S)), Params::instant(59 * S));
    let answer = evaluate(&query, &source(&streams(300), 100), &Inline, &Budget::new(limits));
    assert!(matches!(answer, Err(Error::Budget(_))), "{answer:?}");
}

#[test]
fn instants_are_cut_to_milliseconds() {
    let query = Query::new(Expr::Metric(MetricExpr::VectorFn(2.0)), Params::instant(1_500_999_999));
    let answer = evaluate(&query, &source(&streams(0), 1), &Inline, &Budget::unlimited()).expect("answers");
    assert!(matches!(&answer.data, Data::Vector(v) if v.len() == 1 && v[0].time_ms == 1500), "{answer:?}");
    let (start, end) = align_to_step(7 * S, 100 * S, 30 * S);
    let query = Query::new(Expr::Metric(MetricExpr::Literal(1.0)), Params::range(start, end, 30 * S));
    let answer = evaluate(&query, &source(&streams(0), 1), &Inline, &Budget::unlimited()).expect("answers");
    let Data::Matrix(series) = answer.data else { panic!("not a matrix") };
    assert_eq!(series[0].points.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 30_000, 60_000, 90_000, 120_000]);
}
