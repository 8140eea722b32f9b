//! Rows of a log query one by one, as they become certain, in bounded memory.

use std::ops::ControlFlow;

use narvi_types::{Direction, TimeRange};

use super::{
    answer::Row,
    leaf::request,
    logs::Scan,
    merge::Thin,
    partial::{Statistics, add_warnings},
    plan::{Leaf, LeafPlan, LogPlan, Query},
};
use crate::{Budget, BudgetError, Columns, Error, Executor, Part, Source};

/// What [`for_each_row`] ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowSummary {
    /// Rows given.
    pub rows: u64,
    /// What the asker should know: data left out.
    pub warnings: Vec<String>,
    /// What was read.
    pub statistics: Statistics,
}

/// Calls `row` with the rows of a log query in its order, each as soon as it is certain to be the next, until there are
/// no more, the limit is reached, or it asks to stop.
///
/// Time is taken in slices that are expected to hold at most an eighth of the budget's memory (32 MiB without a limit),
/// and a slice that turns out too large is taken in two, so that a query without a limit runs in bounded memory.
///
/// # Errors
/// As for [`evaluate`](super::evaluate); rows given before an error are good. A metric query is refused.
pub fn for_each_row(
    query: &Query,
    source: &dyn Source,
    executor: &dyn Executor,
    budget: &Budget,
    row: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<RowSummary, Error> {
    let plan = query.plan()?;
    let leaves = plan.leaves();
    let (Some(leaf), Some(LeafPlan::Logs(logs))) = (leaves.first(), plan.leaf_plan(0)) else {
        return Err(Error::Invalid("a metric query has no rows; it gives series".into()));
    };
    let request = request(leaf, Columns::default(), logs.params.direction);
    let parts = if request.range.is_empty() { Vec::new() } else { source.parts(&request, budget)? };
    let parts: Vec<&dyn Part> = parts.iter().map(AsRef::as_ref).collect();
    let mut stream = Stream {
        plan: logs,
        scan: Scan::new(logs, budget),
        executor,
        left: logs.params.limit,
        thin: Thin::new(logs.params.interval_ns),
        summary: RowSummary::default(),
    };
    stream.summary.statistics.parts = parts.len() as u64;
    for slice in slices(leaf, &parts, budget) {
        if stream.slice(&parts, slice, row)?.is_break() {
            break;
        }
    }
    Ok(stream.summary)
}

/// What a slice of time should hold at most, by default.
const SLICE_BYTES: u64 = 32 << 20;
/// Into so many pieces the time is cut at first, of which slices are made.
const PIECES: usize = 4096;

struct Stream<'a> {
    plan: &'a LogPlan,
    scan: Scan<'a>,
    executor: &'a dyn Executor,
    left: Option<usize>,
    thin: Thin,
    summary: RowSummary,
}

impl Stream<'_> {
    fn slice(
        &mut self,
        parts: &[&dyn Part],
        slice: TimeRange,
        row: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut todo = vec![slice];
        while let Some(slice) = todo.pop() {
            if self.left == Some(0) {
                return Ok(ControlFlow::Break(()));
            }
            let here: Vec<&dyn Part> = parts.iter().copied().filter(|part| part.range().overlaps(&slice)).collect();
            let found = match self.scan.rows(&here, slice, self.left, self.executor) {
                Err(Error::Budget(BudgetError::Memory { .. })) if slice.min < slice.max => {
                    let middle = slice.min + (slice.max.wrapping_sub(slice.min) as u64 / 2) as i64;
                    let halves = [TimeRange::new(slice.min, middle), TimeRange::new(middle + 1, slice.max)];
                    match self.plan.params.direction {
                        Direction::Forward => todo.extend(halves.into_iter().rev()),
                        Direction::Backward => todo.extend(halves),
                    }
                    continue;
                }
                found => found?,
            };
            self.summary.statistics.add(&found.statistics);
            add_warnings(&mut self.summary.warnings, found.warnings);
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(found.rows.rows.len());
            }
            for entry in found.rows.rows {
                let Some(shared) = found.rows.labels.get(entry.labels as usize) else { continue };
                if !self.thin.keeps(entry.ts) {
                    continue;
                }
                self.summary.rows += 1;
                let flow = row(Row {
                    labels: shared.labels.clone(),
                    ts: entry.ts,
                    line: entry.line,
                    structured: shared.structured.clone(),
                    parsed: shared.parsed.clone(),
                });
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Cuts the time of a leaf, in the order of the query, so that by the summaries no slice holds too much.
fn slices(leaf: &Leaf, parts: &[&dyn Part], budget: &Budget) -> Vec<TimeRange> {
    let LeafPlan::Logs(plan) = &*leaf.plan else { return Vec::new() };
    let wanted = leaf.range();
    let segments = || parts.iter().flat_map(|part| part.segments()).filter(|s| s.range.overlaps(&wanted));
    let all = segments().fold(TimeRange::EMPTY, |all, segment| all.cover(&segment.range)).intersect(&wanted);
    if all.is_empty() {
        return Vec::new();
    }
    let most = budget.limits().memory_bytes.map_or(SLICE_BYTES, |bytes| (bytes / 8).max(1 << 16));
    let width = (all.max.wrapping_sub(all.min) as u64 / PIECES as u64).max(1);
    let piece = |ts: i64| ((ts.wrapping_sub(all.min) as u64 / width) as usize).min(PIECES - 1);
    // Bytes begin to come and stop to come, evenly over the time of each segment.
    let mut change = vec![0f64; PIECES + 1];
    for segment in segments() {
        let (from, to) = (piece(segment.range.min.max(all.min)), piece(segment.range.max.min(all.max)));
        let rows = u64::from(segment.rows.end.saturating_sub(segment.rows.start));
        let rate = (segment.line_bytes + rows * super::rows::ROW_BYTES) as f64 / (to - from + 1) as f64;
        change[from] += rate;
        change[to + 1] -= rate;
    }
    let mut slices = Vec::new();
    let (mut rate, mut held, mut start) = (0.0, 0.0, all.min);
    for (at, change) in change.iter().take(PIECES).enumerate() {
        rate += change;
        if held > 0.0 && held + rate > most as f64 {
            let end = all.min.wrapping_add((at as u64).wrapping_mul(width) as i64);
            if start < end && end <= all.max {
                slices.push(TimeRange::new(start, end - 1));
                start = end;
            }
            held = 0.0;
        }
        held += rate;
    }
    slices.push(TimeRange::new(start, all.max));
    if plan.params.direction == Direction::Backward {
        slices.reverse();
    }
    slices
}
