//! Which parts of an expression must stand in parentheses to be read as they are.

use crate::ast::{Binary, Conjunction, LabelFilter, MetricExpr};

/// How a label filter joins its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    None,
    Or,
    And,
    Comma,
    Space,
}

impl Joint {
    pub(super) fn of(filter: &LabelFilter) -> Self {
        match filter {
            LabelFilter::And(_, _, Conjunction::And) => Self::And,
            LabelFilter::And(_, _, Conjunction::Comma) => Self::Comma,
            LabelFilter::And(_, _, Conjunction::Space) => Self::Space,
            LabelFilter::Or(..) => Self::Or,
            _ => Self::None,
        }
    }

    /// Whether the left part needs parentheses.
    pub(super) fn closes_left(self, left: &LabelFilter) -> bool {
        match (self, Self::of(left)) {
            (_, Self::None) => false,
            (Self::Or, Self::Or | Self::And) | (Self::And, Self::And) => reads_on(left),
            // A comma or space takes only what stands directly before it.
            _ => true,
        }
    }

    /// Whether the right part needs parentheses.
    pub(super) fn closes_right(self, right: &LabelFilter) -> bool {
        matches!((self, Self::of(right)), (Self::Or | Self::And, Self::Or) | (Self::And, Self::And))
    }
}

/// Whether the filter ends in something that would take what is written after it: a comma or space groups all to its
/// right.
fn reads_on(filter: &LabelFilter) -> bool {
    let (LabelFilter::And(_, right, _) | LabelFilter::Or(_, right)) = filter else { return false };
    match Joint::of(filter) {
        Joint::Comma | Joint::Space => true,
        joint => !joint.closes_right(right) && reads_on(right),
    }
}

impl Binary {
    /// Whether an operand must stand in parentheses to stay one.
    pub(super) fn needs_parentheses(&self, left: bool) -> bool {
        match if left { &self.left } else { &self.right } {
            MetricExpr::Binary(child) => {
                let (own, around) = (child.op.precedence(), self.op.precedence());
                own < around || own == around && left == self.op.is_right_associative()
            }
            _ => false,
        }
    }
}
