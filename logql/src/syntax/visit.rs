//! Questions about a whole query.

use narvi_types::Selector;

use crate::ast::{Expr, LogExpr, LogRange, MetricExpr};

impl Expr {
    /// Whether it gives lines.
    pub fn is_log(&self) -> bool {
        matches!(self, Self::Log(_))
    }

    /// Whether it gives numbers.
    pub fn is_metric(&self) -> bool {
        matches!(self, Self::Metric(_))
    }

    /// The selectors from left to right.
    pub fn selectors(&self) -> Vec<&Selector> {
        self.log_exprs().into_iter().map(|log| &log.selector).collect()
    }

    /// The log expressions from left to right, those inside ranges included.
    pub fn log_exprs(&self) -> Vec<&LogExpr> {
        match self {
            Self::Log(log) => vec![log],
            Self::Metric(metric) => metric.ranges().into_iter().map(|range| &range.log).collect(),
        }
    }

    /// The log ranges from left to right; a log query has none.
    pub fn ranges(&self) -> Vec<&LogRange> {
        match self {
            Self::Log(_) => Vec::new(),
            Self::Metric(metric) => metric.ranges(),
        }
    }
}

impl MetricExpr {
    /// The log ranges from left to right.
    pub fn ranges(&self) -> Vec<&LogRange> {
        let mut ranges = Vec::new();
        self.for_each(&mut |expr| match expr {
            Self::Range(aggregation) => ranges.push(&aggregation.range),
            Self::Variants(variants) => ranges.push(&variants.range),
            _ => {}
        });
        ranges
    }

    /// Calls `visit` for this expression and all inside it, outer ones first, left before right.
    pub fn for_each<'e>(&'e self, visit: &mut impl FnMut(&'e Self)) {
        visit(self);
        match self {
            Self::Range(_) | Self::Literal(_) | Self::VectorFn(_) => {}
            Self::Vector(aggregation) => aggregation.expr.for_each(visit),
            Self::LabelReplace(replace) => replace.expr.for_each(visit),
            Self::Binary(binary) => {
                binary.left.for_each(visit);
                binary.right.for_each(visit);
            }
            Self::Variants(variants) => variants.variants.iter().for_each(|variant| variant.for_each(visit)),
        }
    }
}
