//! One job of a metric leaf: parts, one after the other, into a table of series.

use narvi_types::{Labels, TimeRange};

use super::{
    accumulator::{Accumulator, Runs},
    cells::{Cells, Table, series_bytes},
    grid::Cell,
    grouping::{group_labels, names_reach},
    partial::{SampleError, Statistics},
    plan::MetricPlan,
};
use crate::{AddedLabel, Batch, Budget, Charge, Error, LabelNeeds, Part, RowOut, Runner, Segment, SourceError};

/// Evaluates parts of a metric leaf.
pub(crate) struct Worker<'a, A> {
    plan: &'a MetricPlan,
    /// Rows outside are not looked at; inside the span of the grid.
    range: TimeRange,
    budget: &'a Budget,
    runner: Runner,
    /// Series of the table by series of the runner, of rows that get this label.
    numbers: Vec<Option<u32>>,
    added: Option<AddedLabel>,
    /// What a part gave, by series of the runner.
    local: Vec<Cells<A>>,
    /// Which of `local` are in use.
    touched: Vec<u32>,
    /// By set of metadata of a batch; those of an older generation belong to another segment.
    sets: Vec<SetSlot>,
    generation: u64,
    table: Table<A>,
    error: Option<SampleError>,
    warnings: Vec<String>,
    statistics: Statistics,
    charge: Charge,
}

/// What cells may grow before the budget is asked.
const UNCHARGED_BYTES: u64 = 64 << 10;

/// What a [`Worker`] ends with.
pub(crate) struct Done<A> {
    pub(crate) table: Table<A>,
    pub(crate) error: Option<SampleError>,
    pub(crate) warnings: Vec<String>,
    pub(crate) statistics: Statistics,
    pub(crate) charge: Charge,
}

impl<'a, A: Accumulator> Worker<'a, A> {
    pub(crate) fn new(plan: &'a MetricPlan, range: TimeRange, budget: &'a Budget) -> Result<Self, Error> {
        Ok(Self {
            plan,
            range: range.intersect(&plan.grid.span()),
            budget,
            runner: plan.pipeline.runner(budget)?,
            numbers: Vec::new(),
            added: None,
            local: Vec::new(),
            touched: Vec::new(),
            sets: Vec::new(),
            generation: 0,
            table: Table::default(),
            error: None,
            warnings: Vec::new(),
            statistics: Statistics::default(),
            charge: budget.charge(0)?,
        })
    }

    pub(crate) fn finish(self) -> Done<A> {
        let Self { table, error, warnings, statistics, charge, .. } = self;
        Done { table, error, warnings, statistics, charge }
    }

    /// Adds the rows of a part. A corrupt one gives a warning and what was read before the damage.
    pub(crate) fn part(&mut self, part: &dyn Part) -> Result<(), Error> {
        self.budget.check()?;
        if part.added() != self.added.as_ref() {
            self.numbers.clear();
            self.added = part.added().cloned();
        }
        let mut rest = Vec::new();
        for segment in part.segments() {
            if segment.range.overlaps(&self.range) && !self.by_summary(segment)? {
                rest.push(segment);
            }
        }
        if rest.is_empty() {
            self.statistics.parts_by_summary += 1;
            return Ok(());
        }
        let result = self.open(part, &rest);
        self.settle()?;
        match result {
            Err(Error::Source(SourceError::Corrupt(what))) => {
                self.warnings.push(format!("some data could not be read and is left out: {what}"));
                Ok(())
            }
            result => result,
        }
    }

    fn open(&mut self, part: &dyn Part, segments: &[&Segment]) -> Result<(), Error> {
        let batch = part.open(self.budget)?;
        for segment in segments {
            self.budget.check()?;
            self.statistics.lines += u64::from(segment.rows.end.saturating_sub(segment.rows.start));
            self.statistics.bytes += segment.line_bytes;
            if self.counts_runs(segment) {
                self.runs(&*batch, segment)?;
            } else if !self.counts_sets(&*batch, segment)? {
                self.rows(&*batch, segment)?;
            }
        }
        Ok(())
    }

    /// Whether the rows of the segment need only be counted: no stage touches them and their labels are known.
    fn counts_runs(&self, segment: &Segment) -> bool {
        A::RUNS != Runs::No
            && self.plan.pipeline.is_identity()
            && self.plan.aggregation.range.unwrap.is_none()
            && !names_reach(&segment.metadata_keys, self.plan.final_needs())
    }

    /// Counts a segment without opening its part, if it lies in one cell and its summary is exact.
    fn by_summary(&mut self, segment: &Segment) -> Result<bool, Error> {
        if !segment.exact || !self.counts_runs(segment) || !self.range.covers(&segment.range) {
            return Ok(false);
        }
        let cell = self.plan.grid.cell(segment.range.min);
        if !cell.times.covers(&segment.range) {
            return Ok(false);
        }
        let rows = u64::from(segment.rows.end.saturating_sub(segment.rows.start));
        self.statistics.lines += rows;
        self.statistics.bytes += segment.line_bytes;
        if let Some(index) = cell.index
            && rows > 0
        {
            let series = self.stream_series(segment)?;
            self.add_run(series, index, rows, segment.line_bytes)?;
        }
        Ok(true)
    }

    /// Counts the rows of a segment between window boundaries, touching a few times only.
    fn runs(&mut self, batch: &dyn Batch, segment: &Segment) -> Result<(), Error> {
        let columns = Columns::new::<A>(batch, segment)?;
        let (mut at, end) = columns.within(self.range);
        let mut series = None;
        while at < end {
            let cell = self.plan.grid.cell(columns.times[at]);
            let next = at + gallop(&columns.times[at..end], cell.times.max).max(1);
            if let Some(index) = cell.index {
                let (rows, bytes) = columns.count(at, next);
                if rows > 0 {
                    let series = match series {
                        Some(series) => series,
                        None => *series.insert(self.stream_series(segment)?),
                    };
                    self.add_run(series, index, rows, bytes)?;
                }
            }
            at = next;
        }
        Ok(())
    }

    /// As [`Worker::runs`] where structured metadata joins the labels: rows are counted by their set of metadata, of which
    /// the pipeline sees one row each. False if that is not possible or of no use.
    fn counts_sets(&mut self, batch: &dyn Batch, segment: &Segment) -> Result<bool, Error> {
        let plain =
            A::RUNS != Runs::No && self.plan.pipeline.is_identity() && self.plan.aggregation.range.unwrap.is_none();
        if !plain || segment.metadata_keys.iter().any(|name| &**name == "__error__") {
            return Ok(false);
        }
        let Some(metadata) = batch.metadata()? else { return Ok(false) };
        // Asking the pipeline for single rows pays only where sets are shared.
        if metadata.sets.len() > 64 && metadata.sets.len() * 8 > metadata.ids.len() {
            return Ok(false);
        }
        let columns = Columns::new::<A>(batch, segment)?;
        let Some(ids) = metadata.ids.get(columns.first..columns.first + columns.times.len()) else { return Ok(false) };
        if metadata.sets.len() > self.sets.len() {
            self.sets.resize(metadata.sets.len(), SetSlot::default());
        }
        self.generation += 1;
        let (mut at, end) = columns.within(self.range);
        let mut counts: Vec<(u32, u64, u64)> = Vec::new();
        while at < end {
            let cell = self.plan.grid.cell(columns.times[at]);
            let next = at + gallop(&columns.times[at..end], cell.times.max).max(1);
            let Some(index) = cell.index else {
                at = next;
                continue;
            };
            for row in at..next {
                if columns.is_dead(row) {
                    continue;
                }
                let Some(&slot) = self.sets.get(ids[row] as usize) else { return Err(short().into()) };
                let place = if slot.generation == self.generation {
                    slot.place as usize
                } else {
                    let Some(series) = self.series_of_row(batch, segment, columns.first + row)? else {
                        return Err(Error::Evaluation("a pipeline without stages dropped a row".into()));
                    };
                    self.sets[ids[row] as usize] = SetSlot { generation: self.generation, place: counts.len() as u32 };
                    counts.push((series, 0, 0));
                    counts.len() - 1
                };
                counts[place].1 += 1;
                counts[place].2 += columns.lengths.map_or(0, |lengths| u64::from(lengths[row]));
            }
            for (series, rows, bytes) in &mut counts {
                if *rows > 0 {
                    self.add_run(*series, index, std::mem::take(rows), std::mem::take(bytes))?;
                }
            }
            at = next;
        }
        Ok(true)
    }

    /// The series of the table that a single row belongs to, by the pipeline.
    fn series_of_row(&mut self, batch: &dyn Batch, segment: &Segment, row: usize) -> Result<Option<u32>, Error> {
        let mut one = segment.clone();
        one.rows = row as u32..row as u32 + 1;
        let mut series = None;
        self.runner.run(batch, &one, TimeRange::ALL, &mut |row: RowOut<'_>| {
            series = Some(row.series);
            Ok(())
        })?;
        series.map(|series| self.number(series)).transpose()
    }

    /// Runs the pipeline over the rows of a segment.
    fn rows(&mut self, batch: &dyn Batch, segment: &Segment) -> Result<(), Error> {
        let (grid, width) = (self.plan.grid, self.plan.grid.cells());
        let (local, touched) = (&mut self.local, &mut self.touched);
        let (mut kept, mut grown) = (0u64, 0u64);
        let charge = &mut self.charge;
        let mut error: Option<(i64, u32)> = None;
        let mut cell = Cell { index: None, times: TimeRange::EMPTY };
        let mut sink = |row: RowOut<'_>| {
            kept += 1;
            if !cell.times.contains(row.ts) {
                cell = grid.cell(row.ts);
            }
            let Some(index) = cell.index else { return Ok(()) };
            if row.error {
                if error.is_none_or(|(ts, _)| row.ts < ts) {
                    error = Some((row.ts, row.series));
                }
                return Ok(());
            }
            let at = row.series as usize;
            if at >= local.len() {
                local.resize_with(at + 1, Cells::default);
            }
            let cells = &mut local[at];
            if cells.is_unused() {
                touched.push(row.series);
            }
            let before = cells.bytes();
            cells.at(index, width).add(row.ts, row.value);
            grown += cells.bytes() - before + A::SAMPLE_BYTES;
            if grown > UNCHARGED_BYTES {
                charge.grow(std::mem::take(&mut grown))?;
            }
            Ok(())
        };
        let result = self.runner.run(batch, segment, self.range, &mut sink);
        self.statistics.lines_kept += kept;
        self.charge.grow(grown)?;
        if let Some((ts, series)) = error {
            let text = pipeline_error(&self.runner.series(series).labels);
            self.error = [self.error.take(), Some(SampleError { ts, text })].into_iter().flatten().min();
        }
        result
    }

    /// Moves what was collected by series of the runner, which names them only between its runs, into the table.
    fn settle(&mut self) -> Result<(), Error> {
        for series in std::mem::take(&mut self.touched) {
            let number = self.number(series)?;
            let later = std::mem::take(&mut self.local[series as usize]);
            self.table.cells(number).absorb(later, self.plan.grid.cells());
        }
        Ok(())
    }

    /// The series of the table for a series of the runner.
    fn number(&mut self, series: u32) -> Result<u32, Error> {
        let at = series as usize;
        if let Some(Some(number)) = self.numbers.get(at) {
            return Ok(*number);
        }
        let labels = self.outcome(&self.runner.series(series).labels)?;
        let number = self.intern(&labels)?;
        if at >= self.numbers.len() {
            self.numbers.resize(at + 1, None);
        }
        self.numbers[at] = Some(number);
        Ok(number)
    }

    /// The series that the rows of a segment belong to if nothing changes their labels.
    fn stream_series(&mut self, segment: &Segment) -> Result<u32, Error> {
        let labels = match &self.plan.extract {
            LabelNeeds::All => self.outcome(&segment.labels)?,
            extract => self.outcome(&group_labels(&segment.labels, extract)?)?,
        };
        self.intern(&labels)
    }

    /// What a series of the table is called, by the labels that rows have after all stages.
    fn outcome(&self, labels: &Labels) -> Result<Labels, Error> {
        match &self.added {
            // The pipeline left out what is not wanted, but not this.
            Some(added) => group_labels(&group_labels(&added.to(labels), &self.plan.extract)?, &self.plan.keep),
            None => group_labels(labels, &self.plan.keep),
        }
    }

    fn intern(&mut self, labels: &Labels) -> Result<u32, Error> {
        let before = self.table.series.len();
        let number = self.table.intern(labels);
        if number as usize == before {
            self.charge.grow(series_bytes(labels))?;
            if let Some(limit) = self.plan.max_series
                && self.table.series.len() > limit
            {
                return Err(Error::SeriesLimit(limit));
            }
        }
        Ok(number)
    }

    fn add_run(&mut self, series: u32, cell: u32, rows: u64, bytes: u64) -> Result<(), Error> {
        self.statistics.lines_kept += rows;
        let cells = self.table.cells(series);
        let before = cells.bytes();
        cells.at(cell, self.plan.grid.cells()).add_run(rows, bytes);
        let grown = cells.bytes().saturating_sub(before);
        if grown > 0 {
            self.charge.grow(grown)?;
        }
        Ok(())
    }
}

/// Where the rows of a set of metadata are counted.
#[derive(Clone, Copy, Default)]
struct SetSlot {
    generation: u64,
    place: u32,
}

/// The columns of a segment that counting needs; places count from its first row.
struct Columns<'a> {
    first: usize,
    times: &'a [i64],
    lengths: Option<&'a [u32]>,
    dead: &'a [u32],
}

impl<'a> Columns<'a> {
    fn new<A: Accumulator>(batch: &'a dyn Batch, segment: &Segment) -> Result<Self, SourceError> {
        let (first, last) = (segment.rows.start as usize, segment.rows.end as usize);
        let times = batch.timestamps()?.get(first..last).ok_or_else(short)?;
        let lengths = match A::RUNS {
            Runs::Bytes => Some(batch.lengths()?.get(first..last).ok_or_else(short)?),
            _ => None,
        };
        let dead = batch.dead_rows()?;
        let dead = &dead[dead.partition_point(|&row| row < segment.rows.start)..];
        let dead = &dead[..dead.partition_point(|&row| row < segment.rows.end)];
        Ok(Self { first, times, lengths, dead })
    }

    /// The places of the rows inside the range.
    fn within(&self, range: TimeRange) -> (usize, usize) {
        let from = self.times.partition_point(|&ts| ts < range.min);
        (from, self.times.partition_point(|&ts| ts <= range.max))
    }

    fn is_dead(&self, place: usize) -> bool {
        !self.dead.is_empty() && self.dead.binary_search(&((self.first + place) as u32)).is_ok()
    }

    /// How many rows are alive, and the bytes of their lines.
    fn count(&self, from: usize, to: usize) -> (u64, u64) {
        let dead_from = self.dead.partition_point(|&row| (row as usize) < self.first + from);
        let dead_to = self.dead.partition_point(|&row| (row as usize) < self.first + to);
        let dead = &self.dead[dead_from..dead_to];
        let bytes = self.lengths.map_or(0, |lengths| {
            let all: u64 = lengths[from..to].iter().map(|&n| u64::from(n)).sum();
            let gone: u64 = dead.iter().map(|&row| u64::from(lengths[row as usize - self.first])).sum();
            all - gone
        });
        ((to - from - dead.len()) as u64, bytes)
    }
}

fn short() -> SourceError {
    SourceError::Corrupt("a column has fewer rows than its segments".into())
}

/// How many of the times, which ascend, are at most `max`; the first is.
fn gallop(times: &[i64], max: i64) -> usize {
    let mut step = 1;
    while step < times.len() && times[step] <= max {
        step *= 2;
    }
    let from = step / 2;
    let to = step.min(times.len());
    from + times[from..to].partition_point(|&ts| ts <= max)
}

/// Loki's words, up to the advice.
fn pipeline_error(labels: &Labels) -> String {
    let error = labels.get("__error__").unwrap_or("");
    format!(
        "pipeline error: '{error}' for series: '{labels}'.\nTo leave such lines out, filter on the error (for example | \
         __error__!=\"{error}\"),\nor on all errors (| __error__=\"\"); the filter may also follow unwrap (| unwrap \
         latency | __error__=\"\")\n"
    )
}

#[cfg(test)]
mod tests {
    use super::gallop;

    #[test]
    fn galloping_counts_as_a_scan_does() {
        for len in 1..40usize {
            let times: Vec<i64> = (0..len as i64).map(|n| n / 3).collect();
            for max in 0..14 {
                assert_eq!(gallop(&times, max), times.iter().filter(|&&ts| ts <= max).count(), "{len} {max}");
            }
        }
    }
}
