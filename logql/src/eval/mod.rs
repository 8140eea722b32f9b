//! Plans and evaluates queries: leaves that read logs, partials that merge, and the tree above them.

mod accumulator;
mod answer;
mod binary;
mod cells;
mod gather;
mod grid;
mod grouping;
mod leaf;
mod logs;
mod merge;
mod metric;
mod params;
mod partial;
mod piece;
mod plan;
mod pushdown;
mod rows;
mod stream;
mod vector;
mod windows;
mod wire;

pub use self::{
    answer::{Answer, Data, ResultEntry, Row, Sample, Series, StreamResult},
    gather::Gathered,
    leaf::evaluate_leaf,
    params::{MAX_POINTS, Params, align_to_step, check_resolution, floor_to_step},
    partial::{Partial, Statistics},
    piece::Piece,
    plan::{Leaf, LeafScope, Plan, Query},
    stream::{RowSummary, for_each_row},
};
use crate::{Budget, Error, Executor, Source};

/// Evaluates a query: plans it, evaluates every leaf, and merges what they give.
///
/// # Errors
/// What the query asks for is refused, a sample carries `__error__`, there are too many series, the source fails, or the
/// budget is used up; Loki's words where it has some.
pub fn evaluate(query: &Query, source: &dyn Source, executor: &dyn Executor, budget: &Budget) -> Result<Answer, Error> {
    let plan = query.plan()?;
    let partials = plan
        .leaves()
        .iter()
        .map(|leaf| evaluate_leaf(leaf, source, executor, budget))
        .collect::<Result<Vec<_>, _>>()?;
    plan.merge(partials, budget)
}
