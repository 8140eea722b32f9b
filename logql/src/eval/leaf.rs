//! Evaluates a leaf over a source: its parts in groups, each on one job of the executor, put together in part order.

use std::sync::OnceLock;

use super::{
    logs,
    metric::Worker,
    partial::{Body, Kind, Partial, Statistics, add_warnings},
    plan::{Leaf, LeafPlan, MetricPlan},
};
use crate::{Budget, Columns, Error, Executor, Part, ScanRequest, Source};
use narvi_types::{Direction, TimeRange};

/// Evaluates one leaf.
///
/// The parts that the source finds are evaluated independently on the executor and put together in their order, in
/// groups that do not depend on its width, so that sums of floats repeat. A log leaf stops as soon as its limit is
/// certain. A corrupt part gives a warning.
///
/// # Errors
/// The source fails, the budget is used up, or there are too many series. A sample with `__error__` is no error yet: it
/// may lie in a later partial too, and [`Plan::merge`](super::Plan::merge) reports the first.
pub fn evaluate_leaf(
    leaf: &Leaf,
    source: &dyn Source,
    executor: &dyn Executor,
    budget: &Budget,
) -> Result<Partial, Error> {
    budget.check()?;
    match &*leaf.plan {
        LeafPlan::Logs(plan) => logs::evaluate(leaf, plan, source, executor, budget),
        LeafPlan::Metric(plan) => evaluate_metric(leaf, plan, source, executor, budget),
    }
}

/// What a leaf asks a source.
pub(crate) fn request(leaf: &Leaf, columns: Columns, direction: Direction) -> ScanRequest {
    let pipeline = match &*leaf.plan {
        LeafPlan::Logs(plan) => &plan.pipeline,
        LeafPlan::Metric(plan) => &plan.pipeline,
    };
    let mut request = ScanRequest::new(leaf.selector().clone(), leaf.range());
    let own = pipeline.columns();
    request.columns = Columns {
        timestamps: true,
        lengths: own.lengths || columns.lengths,
        lines: own.lines || columns.lines,
        metadata: own.metadata || columns.metadata,
    };
    request.needles = pipeline.needles();
    request.direction = direction;
    request.shard = leaf.shard;
    request
}

fn evaluate_metric(
    leaf: &Leaf,
    plan: &MetricPlan,
    source: &dyn Source,
    executor: &dyn Executor,
    budget: &Budget,
) -> Result<Partial, Error> {
    let columns = Columns { lengths: plan.kind() == Kind::Bytes, ..Columns::default() };
    // Oldest first: cells are then filled in order.
    let request = request(leaf, columns, Direction::Forward);
    let parts = if request.range.is_empty() { Vec::new() } else { source.parts(&request, budget)? };
    let group = parts.len().div_ceil(GROUPS).clamp(1, GROUP_PARTS);
    let groups: Vec<_> = parts.chunks(group).collect();
    let mut partial: Option<Partial> = None;
    for wave in groups.chunks(executor.width().max(1).saturating_mul(2)) {
        for done in run_all(executor, wave.len(), |at| run_group(leaf, plan, wave[at], request.range, budget)) {
            let done = done?;
            match &mut partial {
                None => partial = Some(done),
                Some(partial) => partial.merge(done, leaf.plan.shape())?,
            }
        }
        if let Some(partial) = &mut partial {
            // Series that several groups had are held once now.
            partial.charges.clear();
            partial.charges.push(budget.charge(partial.body.bytes())?);
        }
    }
    let mut partial = match partial {
        Some(partial) => partial,
        None => run_group(leaf, plan, &[], TimeRange::EMPTY, budget)?,
    };
    partial.statistics.parts = parts.len() as u64;
    Ok(partial)
}

/// Groups are at most so many, unless that makes them larger than [`GROUP_PARTS`].
const GROUPS: usize = 64;
/// The most parts in a group.
const GROUP_PARTS: usize = 32;

/// Runs jobs on the executor and gives their results in order.
pub(crate) fn run_all<T: Send + Sync>(
    executor: &dyn Executor,
    jobs: usize,
    job: impl Fn(usize) -> Result<T, Error> + Sync,
) -> Vec<Result<T, Error>> {
    let slots: Vec<OnceLock<Result<T, Error>>> = (0..jobs).map(|_| OnceLock::new()).collect();
    executor.run(jobs, &|at| {
        if let Some(slot) = slots.get(at) {
            // A second call of the same job would be a mistake of the executor; the first result counts.
            let _ = slot.set(job(at));
        }
    });
    let missing = || Err(Error::Evaluation("the executor left out a job".into()));
    slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(missing)).collect()
}

fn run_group(
    leaf: &Leaf,
    plan: &MetricPlan,
    parts: &[Box<dyn Part>],
    range: TimeRange,
    budget: &Budget,
) -> Result<Partial, Error> {
    macro_rules! with_kind {
        ($($kind:ident),*) => {
            match plan.kind() {
                $(Kind::$kind => {
                    let mut worker = Worker::new(plan, range, budget)?;
                    for part in parts {
                        worker.part(&**part)?;
                    }
                    let done = worker.finish();
                    (Body::$kind(done.table), done.error, done.warnings, done.statistics, done.charge)
                })*
            }
        };
    }
    let (body, error, warnings, statistics, charge) =
        with_kind!(Count, Bytes, Sum, Min, Max, Moments, First, Last, Values, Points);
    let mut unique = Vec::new();
    add_warnings(&mut unique, warnings);
    let charges = vec![charge];
    let statistics: Statistics = statistics;
    Ok(Partial { leaf: leaf.number, body, error, warnings: unique, statistics, charges })
}
