//! Random logs and random metric expressions.

use narvi_logql::{
    Executor,
    ast::{
        Binary, BinaryModifier, BinaryOp, Conversion, GroupSide, Grouping, LabelFilter, LineFilter, LineMatch,
        LineOperand, LogExpr, LogRange, MetricExpr, NameOrMatcher, RangeAggregation, RangeOp, Stage, Unwrap,
        VectorAggregation, VectorMatching, VectorOp,
    },
    memory::MemorySource,
};
use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Timestamp};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A power of two in seconds, so that rates are exact.
pub(crate) const UNIT: i64 = 1_953_125;

pub(crate) type Logs = Vec<(Labels, Entry)>;

/// Rows with times of their own, some pushed twice, in any order.
pub(crate) fn logs() -> impl Strategy<Value = Logs> {
    let row = (0..6usize, 1..9i64, select(vec!["x", "y one", "x two y", ""]), option::of((0..20i32, 0..3u8)), 0..9u8);
    vec(row, 0..60).prop_map(|rows| {
        let mut out = Logs::new();
        let mut ts = -20 * UNIT;
        for (stream, gap, line, metadata, twice) in rows {
            ts += gap * UNIT / 4;
            let (app, zone) = (["a", "b"][stream / 3], ["x", "y", "z"][stream % 3]);
            let labels = Labels::from_pairs([("app", app), ("zone", zone)]).expect("valid");
            let mut entry = Entry::new(Timestamp::from_ns(ts), line.as_bytes().to_vec());
            if let Some((n, kind)) = metadata {
                let (n, kind) = (n.to_string(), kind.to_string());
                let mut pairs = vec![("n", n.as_str()), ("kind", kind.as_str())];
                if n.len() == 1 {
                    pairs.push(("zone", "meta"));
                }
                entry.metadata = Metadata::from_pairs(pairs).expect("valid");
            }
            if twice == 0 {
                out.insert(out.len() / 2, (labels.clone(), entry.clone()));
            }
            out.push((labels, entry));
        }
        out
    })
}

pub(crate) fn source(logs: &Logs, part_rows: usize) -> MemorySource {
    let mut source = MemorySource::with_part_rows(part_rows);
    for (labels, entry) in logs {
        source.push(labels, entry.clone());
    }
    source
}

fn selector() -> impl Strategy<Value = Selector> {
    select(vec![
        ("app", MatchOp::Equal, "a"),
        ("app", MatchOp::Regex, ".+"),
        ("zone", MatchOp::NotEqual, "x"),
        ("app", MatchOp::Equal, "c"),
    ])
    .prop_map(|(name, op, value)| Selector::new(vec![Matcher::new(name, op, value).expect("valid")]))
}

fn stage() -> impl Strategy<Value = Stage> {
    let line = |op, text: &str| {
        let operands = vec![LineOperand { value: text.into(), ip: false }];
        Stage::LineFilter(LineFilter { op, operands })
    };
    let names = |names: &[&str]| names.iter().map(|n| NameOrMatcher::Name((*n).into())).collect::<Vec<_>>();
    select(vec![
        line(LineMatch::Contains, "x"),
        line(LineMatch::NotContains, "two"),
        Stage::LabelFilter(LabelFilter::String(Matcher::new("kind", MatchOp::NotEqual, "1").expect("valid"))),
        Stage::Keep(names(&["app", "n", "kind"])),
        Stage::Drop(names(&["zone"])),
    ])
}

pub(crate) fn log_expr() -> impl Strategy<Value = LogExpr> {
    let stages = prop_oneof![vec(stage(), 0..1), vec(stage(), 1..3)];
    (selector(), stages).prop_map(|(selector, stages)| LogExpr { selector, stages })
}

fn grouping() -> impl Strategy<Value = Grouping> {
    (any::<bool>(), vec(select(vec!["app", "zone", "kind", "zone_extracted"]), 0..3)).prop_map(|(without, labels)| {
        let mut labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
        labels.dedup();
        Grouping { without, labels }
    })
}

/// An expression, and whether its values are the same bits however they are computed.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    pub(crate) expr: MetricExpr,
    pub(crate) exact: bool,
}

const RANGE_OPS: [RangeOp; 17] = [
    RangeOp::CountOverTime,
    RangeOp::CountOverTime,
    RangeOp::BytesOverTime,
    RangeOp::Rate,
    RangeOp::BytesOverTime,
    RangeOp::BytesRate,
    RangeOp::AbsentOverTime,
    RangeOp::SumOverTime,
    RangeOp::AvgOverTime,
    RangeOp::MaxOverTime,
    RangeOp::MinOverTime,
    RangeOp::FirstOverTime,
    RangeOp::LastOverTime,
    RangeOp::StdvarOverTime,
    RangeOp::StddevOverTime,
    RangeOp::QuantileOverTime,
    RangeOp::RateCounter,
];

fn range() -> impl Strategy<Value = Generated> {
    let shape = (select(RANGE_OPS.to_vec()), log_expr(), any::<bool>(), option::of(grouping()));
    (shape, 0..6u32, select(vec![0, 0, 3, -4, 10]), select(vec![0.0, 0.3, 0.5, 1.0])).prop_map(
        |((op, log, plain, grouping), width, offset, q)| {
            let countable = matches!(op, RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::BytesRate);
            let plain = countable || plain && matches!(op, RangeOp::Rate | RangeOp::AbsentOverTime);
            let unwrap =
                (!plain).then(|| Unwrap { label: "n".into(), conversion: Conversion::None, post_filters: vec![] });
            let groups = !countable
                && !matches!(op, RangeOp::Rate | RangeOp::AbsentOverTime | RangeOp::SumOverTime | RangeOp::RateCounter);
            let expr = MetricExpr::Range(RangeAggregation {
                op,
                parameter: (op == RangeOp::QuantileOverTime).then_some(q),
                range: LogRange { log, range_ns: UNIT << width, offset_ns: offset * UNIT / 2, unwrap },
                grouping: grouping.filter(|_| groups),
            });
            let exact = !matches!(
                op,
                RangeOp::AvgOverTime
                    | RangeOp::StddevOverTime
                    | RangeOp::StdvarOverTime
                    | RangeOp::QuantileOverTime
                    | RangeOp::RateCounter
            );
            Generated { expr, exact }
        },
    )
}

fn vector(inner: impl Strategy<Value = Generated>) -> impl Strategy<Value = Generated> {
    let ops = vec![
        VectorOp::Sum,
        VectorOp::Sum,
        VectorOp::Avg,
        VectorOp::Count,
        VectorOp::Min,
        VectorOp::Max,
        VectorOp::Stddev,
        VectorOp::Stdvar,
        VectorOp::Topk,
        VectorOp::Bottomk,
        VectorOp::Sort,
    ];
    (select(ops), inner, option::of(grouping()), 1..4i64).prop_map(|(op, inner, grouping, k)| {
        let picks = matches!(op, VectorOp::Topk | VectorOp::Bottomk);
        // Which of nearly equal values is greater depends on rounding.
        let op = if picks && !inner.exact { VectorOp::Sum } else { op };
        let picks = matches!(op, VectorOp::Topk | VectorOp::Bottomk);
        let exact = inner.exact && !matches!(op, VectorOp::Avg | VectorOp::Stddev | VectorOp::Stdvar);
        let exact = exact || op == VectorOp::Count;
        let grouping = grouping.filter(|_| op != VectorOp::Sort);
        let parameter = picks.then_some(k);
        Generated {
            expr: MetricExpr::Vector(VectorAggregation { op, parameter, expr: Box::new(inner.expr), grouping }),
            exact,
        }
    })
}

fn modifier() -> impl Strategy<Value = BinaryModifier> {
    let labels = vec(select(vec!["app", "zone", "kind"]), 0..3);
    let side = option::of((any::<bool>(), vec(select(vec!["zone", "kind"]), 0..2)));
    (any::<bool>(), option::of((any::<bool>(), labels, side))).prop_map(|(return_bool, matching)| BinaryModifier {
        return_bool,
        matching: matching.map(|(on, labels, side)| VectorMatching {
            on,
            labels: labels.into_iter().map(str::to_owned).collect(),
            group: side
                .map(|(left, include)| GroupSide { left, include: include.into_iter().map(str::to_owned).collect() }),
        }),
    })
}

fn binary(inner: impl Strategy<Value = Generated> + Clone) -> impl Strategy<Value = Generated> {
    let ops = vec![
        BinaryOp::Or,
        BinaryOp::And,
        BinaryOp::Unless,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Greater,
        BinaryOp::LessOrEqual,
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Mod,
    ];
    (select(ops), inner.clone(), inner, modifier()).prop_map(|(op, left, right, mut modifier)| {
        let compares = matches!(op, BinaryOp::Equal | BinaryOp::NotEqual | BinaryOp::Greater | BinaryOp::LessOrEqual);
        let is_set = matches!(op, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless);
        let literal = |e: &Generated| is_number(&e.expr);
        let rounded = !(left.exact && right.exact) && matches!(op, BinaryOp::Mod);
        let op = match op {
            _ if compares && !(left.exact && right.exact) => BinaryOp::Add,
            _ if rounded || is_set && (literal(&left) || literal(&right)) => BinaryOp::Sub,
            op => op,
        };
        let is_set = matches!(op, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless);
        if is_set {
            modifier.return_bool = false;
            if let Some(matching) = &mut modifier.matching {
                matching.group = None;
            }
        }
        if literal(&left) || literal(&right) {
            modifier.matching = None;
        }
        // Not a number must not be compared or ranked: ties and filters then hang on it.
        let exact = left.exact && right.exact && !matches!(op, BinaryOp::Div | BinaryOp::Mod);
        let expr = MetricExpr::Binary(Box::new(Binary { op, left: left.expr, right: right.expr, modifier }));
        Generated { expr, exact }
    })
}

fn is_number(expr: &MetricExpr) -> bool {
    match expr {
        MetricExpr::Literal(_) => true,
        MetricExpr::Binary(b) => is_number(&b.left) && is_number(&b.right),
        _ => false,
    }
}

pub(crate) fn metric_expr() -> impl Strategy<Value = Generated> {
    let constant = |expr| Generated { expr, exact: true };
    let leaf = prop_oneof![
        6 => range(),
        1 => (0..4i32).prop_map(move |v| constant(MetricExpr::Literal(f64::from(v)))),
        1 => (0..4i32).prop_map(move |v| constant(MetricExpr::VectorFn(f64::from(v)))),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let operand = inner.clone();
        let vectors = inner.prop_filter("an aggregation wants a vector", |e| !is_number(&e.expr));
        prop_oneof![2 => vector(vectors), 1 => binary(operand)]
    })
}

/// Runs jobs on four threads.
pub(crate) struct Threads;

impl Executor for Threads {
    fn width(&self) -> usize {
        4
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || (thread..jobs).step_by(4).for_each(job));
            }
        });
    }
}
