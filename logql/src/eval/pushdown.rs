//! Which vector aggregations move into the leaf below them, which parts of an expression Loki computes apart from the
//! rest, which shows where it counts series against its limit, and what it computes in another way than is written.

use crate::ast::{
    Binary, BinaryModifier, BinaryOp, Grouping, LogRange, MetricExpr, RangeAggregation, RangeOp, Stage,
    VectorAggregation, VectorOp,
};

/// Whether the vector aggregation gives the same over the windows of single rows as over the windows of series.
pub(crate) fn takes_grouping(op: VectorOp, range: &RangeAggregation) -> bool {
    if range.grouping.is_some() {
        return false;
    }
    match op {
        VectorOp::Sum => matches!(
            range.op,
            RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::SumOverTime
        ),
        VectorOp::Max => range.op == RangeOp::MaxOverTime,
        VectorOp::Min => range.op == RangeOp::MinOverTime,
        _ => false,
    }
}

/// Whether Loki computes the expression as a whole by shards of streams whose results it puts together. What it cannot
/// compute so it descends into, and holds each part that it can to the limit of series.
pub(crate) fn reads_apart(expr: &MetricExpr) -> bool {
    match expr {
        MetricExpr::Range(range) => match range.op {
            RangeOp::CountOverTime
            | RangeOp::Rate
            | RangeOp::BytesOverTime
            | RangeOp::BytesRate
            | RangeOp::SumOverTime
            | RangeOp::MaxOverTime
            | RangeOp::MinOverTime => true,
            RangeOp::AvgOverTime => range.grouping.is_some(),
            _ => false,
        },
        MetricExpr::Vector(vector) => vector_reads_apart(vector),
        _ => false,
    }
}

fn vector_reads_apart(vector: &VectorAggregation) -> bool {
    match (vector.op, &*vector.expr) {
        (VectorOp::Sum, MetricExpr::Vector(inner)) => inner.op == VectorOp::Sum && vector_reads_apart(inner),
        (VectorOp::Sum | VectorOp::Max | VectorOp::Min, MetricExpr::Range(range)) => {
            range.op != RangeOp::AvgOverTime && range.grouping.is_none() && reads_apart(&vector.expr)
        }
        // The same labels may come from several streams, and so from several shards.
        (VectorOp::Count | VectorOp::Avg, MetricExpr::Range(range)) => {
            range.op != RangeOp::AvgOverTime
                && range.grouping.is_none()
                && !range
                    .range
                    .log
                    .stages
                    .iter()
                    .any(|s| matches!(s, Stage::Drop(_) | Stage::Keep(_) | Stage::LabelFormat(_)))
                && reads_apart(&vector.expr)
        }
        _ => false,
    }
}

/// The average of groups as Loki computes it by shards: the sum of values, divided by the number of lines. So a line without a
/// value, or with one that is no number, counts where `__error__=""` lets it pass. `None` for other aggregations, and where
/// the two have different labels.
pub(crate) fn average_as_quotient(range: &RangeAggregation) -> Option<MetricExpr> {
    let (RangeOp::AvgOverTime, Some(unwrap), Some(grouping)) = (range.op, &range.range.unwrap, &range.grouping) else {
        return None;
    };
    if grouping.labels.contains(&unwrap.label) != grouping.without {
        return None;
    }
    let sums = RangeAggregation { op: RangeOp::SumOverTime, ..range.clone() };
    let mut log = range.range.log.clone();
    log.stages.extend(unwrap.post_filters.iter().cloned().map(Stage::LabelFilter));
    let lines = LogRange { log, unwrap: None, ..range.range.clone() };
    let counts = RangeAggregation { op: RangeOp::CountOverTime, parameter: None, range: lines, grouping: None };
    let counts = VectorAggregation {
        op: VectorOp::Sum,
        parameter: None,
        expr: Box::new(MetricExpr::Range(counts)),
        grouping: Some(Grouping { without: grouping.without, labels: grouping.labels.clone() }),
    };
    let quotient = Binary {
        op: BinaryOp::Div,
        left: MetricExpr::Range(sums),
        right: MetricExpr::Vector(counts),
        modifier: BinaryModifier { return_bool: false, matching: None },
    };
    Some(MetricExpr::Binary(Box::new(quotient)))
}
