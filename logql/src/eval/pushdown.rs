//! Which vector aggregations move into the leaf below them, and which parts of an expression Loki computes apart from the
//! rest, which shows where it counts series against its limit.

use crate::ast::{MetricExpr, RangeAggregation, RangeOp, Stage, VectorAggregation, VectorOp};

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
