//! A log leaf: rows of all parts in the order of the query, as many as are wanted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use narvi_types::{Direction, TimeRange};

use super::{
    leaf::{request, run_all},
    partial::{Body, Partial, Statistics, add_warnings},
    plan::{Leaf, LogPlan},
    rows::{ROW_BYTES, RowEntry, RowLabels, Rows},
};
use crate::{Batch, Budget, Charge, Columns, Error, Executor, Part, RowOut, Runner, Segment, Source, SourceError};

/// Evaluates a log leaf.
pub(crate) fn evaluate(
    leaf: &Leaf,
    plan: &LogPlan,
    source: &dyn Source,
    executor: &dyn Executor,
    budget: &Budget,
) -> Result<Partial, Error> {
    let request = request(leaf, Columns::default(), plan.params.direction);
    let parts = if request.range.is_empty() { Vec::new() } else { source.parts(&request, budget)? };
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    let scan = Scan::new(plan, budget);
    let found = scan.rows(&parts, request.range, plan.params.limit, executor)?;
    let mut statistics = found.statistics;
    statistics.parts = parts.len() as u64;
    Ok(Partial {
        leaf: leaf.number,
        body: Body::Rows(found.rows),
        error: None,
        warnings: found.warnings,
        statistics,
        charges: found.charges,
    })
}

/// Reads rows of parts.
pub(crate) struct Scan<'a> {
    plan: &'a LogPlan,
    budget: &'a Budget,
    /// Runners that no job uses; each keeps its caches.
    runners: Mutex<Vec<Runner>>,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rows: Rows,
    pub(crate) warnings: Vec<String>,
    pub(crate) statistics: Statistics,
    /// Held as long as the rows are.
    pub(crate) charges: Vec<Charge>,
}

/// Collected rows may hold so many bytes before the budget is asked.
const UNCHARGED_BYTES: u64 = 256 << 10;
/// A runner that holds more is not used again, to give the memory back.
const RUNNER_BYTES: usize = 4 << 20;
/// As is one that knows more series.
const RUNNER_SERIES: u32 = 10_000;
/// Rows of a segment that are looked at before asking whether that was enough.
const FIRST_ROWS: usize = 1024;

impl<'a> Scan<'a> {
    pub(crate) fn new(plan: &'a LogPlan, budget: &'a Budget) -> Self {
        Self { plan, budget, runners: Mutex::new(Vec::new()) }
    }

    /// The first `limit` rows inside the range, or all. The parts come in the order of the query, so that reading stops
    /// when what is left cannot be among them.
    pub(crate) fn rows(
        &self,
        parts: &[&dyn Part],
        range: TimeRange,
        limit: Option<usize>,
        executor: &dyn Executor,
    ) -> Result<Found, Error> {
        let direction = self.plan.params.direction;
        let mut found = Found::default();
        let mut wanted = range;
        let mut rest = parts;
        let mut all = Vec::new();
        while !rest.is_empty() && limit != Some(0) {
            self.budget.check()?;
            let mut wave = Vec::new();
            while wave.len() < executor.width().max(1) && !rest.is_empty() {
                let (group, after) = rest.split_at(group_len(rest, limit));
                wave.push(group);
                rest = after;
            }
            for done in run_all(executor, wave.len(), |at| self.group(wave[at], wanted, limit)) {
                let done = done?;
                found.statistics.add(&done.statistics);
                add_warnings(&mut found.warnings, done.warnings);
                all.push(done.rows);
                found.charges.extend(done.charges);
            }
            if limit.is_none() {
                continue;
            }
            found.rows.merge(all.drain(..), direction, limit);
            // What the parts held is given back, what is kept is charged anew.
            found.charges.clear();
            found.charges.push(self.budget.charge(found.rows.bytes())?);
            if let Some(bound) = found.rows.bound(limit) {
                narrow(&mut wanted, past(bound, direction), direction);
                let keep = rest.partition_point(|part| !beyond(part.range(), wanted, direction));
                found.statistics.parts_skipped += (rest.len() - keep) as u64;
                rest = &rest[..keep];
            }
        }
        found.rows.merge(all, direction, limit);
        Ok(found)
    }

    /// The first `limit` rows of a few parts.
    fn group(&self, parts: &[&dyn Part], range: TimeRange, limit: Option<usize>) -> Result<PartRows, Error> {
        let direction = self.plan.params.direction;
        let mut wanted = range;
        let mut group = PartRows::default();
        for part in parts {
            let done = self.part(*part, wanted, limit)?;
            group.statistics.add(&done.statistics);
            group.warnings.extend(done.warnings);
            group.charges.extend(done.charges);
            group.rows.merge([done.rows], direction, limit);
            if let Some(bound) = group.rows.bound(limit) {
                narrow(&mut wanted, past(bound, direction), direction);
            }
        }
        Ok(group)
    }

    /// The first `limit` rows of one part.
    fn part(&self, part: &dyn Part, range: TimeRange, limit: Option<usize>) -> Result<PartRows, Error> {
        self.budget.check()?;
        let mut rows = PartRows::default();
        if !part.segments().iter().any(|segment| segment.range.overlaps(&range)) {
            return Ok(rows);
        }
        let idle = self.runners.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut runner = match idle {
            Some(runner) => runner,
            None => self.plan.pipeline.runner(self.budget)?,
        };
        let forward = self.plan.params.direction == Direction::Forward;
        let charge = self.budget.charge(0)?;
        let mut collector = Collector { forward, limit, rows: Vec::new(), bytes: 0, sorted: 0, charge };
        let result = self.segments(part, range, &mut runner, &mut collector, &mut rows);
        let settled = collector.settle();
        rows.charges.push(collector.charge);
        let mut numbers = HashMap::new();
        for row in collector.rows {
            let labels = *numbers.entry(row.series).or_insert_with(|| {
                let series = runner.series(row.series);
                let own = if self.plan.params.categorize { &series.stream } else { &series.labels };
                rows.rows.intern(RowLabels {
                    labels: part.added().map_or_else(|| own.clone(), |added| added.to(own)),
                    structured: series.structured.clone(),
                    parsed: series.parsed.clone(),
                })
            });
            rows.rows.rows.push(RowEntry { ts: row.ts, labels, line: row.line });
        }
        if runner.series_len() <= RUNNER_SERIES && runner.memory_bytes() <= RUNNER_BYTES {
            self.runners.lock().unwrap_or_else(PoisonError::into_inner).push(runner);
        }
        match result.and(settled) {
            Err(Error::Source(SourceError::Corrupt(what))) => {
                rows.warnings.push(format!("some data could not be read and is left out: {what}"));
                Ok(rows)
            }
            result => result.map(|()| rows),
        }
    }

    fn segments(
        &self,
        part: &dyn Part,
        range: TimeRange,
        runner: &mut Runner,
        collector: &mut Collector,
        rows: &mut PartRows,
    ) -> Result<(), Error> {
        let batch = part.open(self.budget)?;
        let mut wanted = range;
        for segment in part.segments() {
            if !segment.range.overlaps(&wanted) {
                continue;
            }
            self.budget.check()?;
            self.segment(&*batch, segment, wanted, runner, collector, rows)?;
            if let Some(bound) = collector.bound() {
                narrow(&mut wanted, bound, self.plan.params.direction);
            }
        }
        Ok(())
    }

    /// Runs the pipeline over a segment in pieces, from the wanted end on, until there are enough rows.
    fn segment(
        &self,
        batch: &dyn Batch,
        segment: &Segment,
        range: TimeRange,
        runner: &mut Runner,
        collector: &mut Collector,
        rows: &mut PartRows,
    ) -> Result<(), Error> {
        let short = || SourceError::Corrupt("a column has fewer rows than its segments".into());
        let span = segment.rows.start as usize..segment.rows.end as usize;
        let times = batch.timestamps()?.get(span).ok_or_else(short)?;
        let mut from = times.partition_point(|&ts| ts < range.min);
        let mut to = times.partition_point(|&ts| ts <= range.max).max(from);
        let all = (to - from).max(1) as u64;
        let mut size = match collector.limit {
            Some(limit) => limit.saturating_mul(2).max(FIRST_ROWS),
            None => usize::MAX,
        };
        let mut given = 0;
        while from < to && collector.limit.is_none_or(|limit| given < limit) {
            let piece = if collector.forward {
                from..to.min(from.saturating_add(size))
            } else {
                to.saturating_sub(size).max(from)..to
            };
            let mut part = segment.clone();
            part.rows = segment.rows.start + piece.start as u32..segment.rows.start + piece.end as u32;
            part.range = TimeRange::new(times[piece.start], times[piece.end - 1]);
            rows.statistics.lines += piece.len() as u64;
            rows.statistics.bytes +=
                (u128::from(segment.line_bytes) * piece.len() as u128 / u128::from(all.max(times.len() as u64))) as u64;
            let start = collector.rows.len();
            runner.run(batch, &part, range, &mut |row: RowOut<'_>| collector.push(&row))?;
            let new = collector.rows.len() - start;
            rows.statistics.lines_kept += new as u64;
            given += new;
            if collector.forward {
                from = piece.end;
            } else {
                to = piece.start;
            }
            size = size.saturating_mul(4);
        }
        collector.trim()
    }
}

/// What one part gives.
#[derive(Default)]
struct PartRows {
    rows: Rows,
    warnings: Vec<String>,
    statistics: Statistics,
    /// Held until the rows are among those of the other parts.
    charges: Vec<Charge>,
}

struct Collected {
    ts: i64,
    row: u32,
    series: u32,
    line: Bytes,
}

/// Rows of one part, of which only the first `limit` are wanted.
struct Collector {
    forward: bool,
    limit: Option<usize>,
    rows: Vec<Collected>,
    /// Bytes collected that the budget has not been asked for.
    bytes: u64,
    /// How many of the rows are in order, and are all that is wanted of what was seen before them.
    sorted: usize,
    charge: Charge,
}

impl Collector {
    fn push(&mut self, row: &RowOut<'_>) -> Result<(), Error> {
        self.bytes += ROW_BYTES + row.line.len() as u64;
        if self.bytes > UNCHARGED_BYTES {
            self.charge.grow(std::mem::take(&mut self.bytes))?;
        }
        let line = Bytes::copy_from_slice(row.line);
        self.rows.push(Collected { ts: row.ts, row: row.row, series: row.series, line });
        Ok(())
    }

    /// Forgets rows that are not among the wanted ones, when there are many.
    fn trim(&mut self) -> Result<(), Error> {
        match self.limit {
            Some(limit) if self.rows.len() >= limit.saturating_mul(2).max(limit + 1) => self.settle(),
            _ => Ok(()),
        }
    }

    /// Puts the rows in order, forgets those that are not wanted, and reserves what the others need.
    fn settle(&mut self) -> Result<(), Error> {
        self.sort();
        self.bytes = 0;
        let bytes = self.rows.iter().map(|row| ROW_BYTES + row.line.len() as u64).sum();
        Ok(self.charge.set(bytes)?)
    }

    fn sort(&mut self) {
        if self.sorted < self.rows.len() {
            if self.forward {
                self.rows.sort_unstable_by_key(|row| (row.ts, row.row));
            } else {
                self.rows.sort_unstable_by_key(|row| std::cmp::Reverse((row.ts, row.row)));
            }
        }
        self.rows.truncate(self.limit.unwrap_or(usize::MAX));
        self.sorted = self.rows.len();
    }

    /// The time of the last wanted row, if there are enough.
    fn bound(&mut self) -> Option<i64> {
        let limit = self.limit.filter(|&limit| limit > 0 && self.rows.len() >= limit)?;
        self.sort();
        self.rows.get(limit - 1).map(|row| row.ts)
    }
}

/// The next time before the bound, in the order of the query: of rows at the same time those of earlier parts win.
fn past(bound: i64, direction: Direction) -> i64 {
    match direction {
        Direction::Forward => bound.saturating_sub(1),
        Direction::Backward => bound.saturating_add(1),
    }
}

/// Rows beyond the bound are not wanted any more; those at it may be.
fn narrow(wanted: &mut TimeRange, bound: i64, direction: Direction) {
    match direction {
        Direction::Forward => wanted.max = wanted.max.min(bound),
        Direction::Backward => wanted.min = wanted.min.max(bound),
    }
}

/// Whether the range lies behind all that is wanted, in the order of the query.
fn beyond(range: TimeRange, wanted: TimeRange, direction: Direction) -> bool {
    match direction {
        Direction::Forward => range.min > wanted.max,
        Direction::Backward => range.max < wanted.min,
    }
}

/// How many of the parts one job takes: one large part, or several small ones, as heads of streams are.
fn group_len(parts: &[&dyn Part], limit: Option<usize>) -> usize {
    // A small limit is soon reached.
    let enough = limit.map_or(GROUP_ROWS, |limit| limit.saturating_mul(4).clamp(16, GROUP_ROWS));
    let mut rows = 0;
    let small = |part: &&&dyn Part| {
        let fits = rows < enough;
        rows += part.segments().iter().map(|segment| segment.rows.len()).sum::<usize>();
        fits
    };
    parts.iter().take(GROUP_PARTS).take_while(small).count().max(1)
}

/// Parts are put together until they have so many rows, at the most.
const GROUP_ROWS: usize = 4096;
/// The most parts that are put together.
const GROUP_PARTS: usize = 64;
