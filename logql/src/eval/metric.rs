//! One job of a metric leaf: parts, one after the other, into a table of series.

use narvi_types::{Labels, TimeRange};

use super::{
    accumulator::{Accumulator, Runs},
    cells::{Cells, Table},
    grid::Cell,
    grouping::{group_labels, names_reach},
    partial::{SampleError, Statistics},
    plan::MetricPlan,
};
use crate::{Batch, Budget, Charge, Error, LabelNeeds, Part, RowOut, Runner, Segment, SourceError};

/// Evaluates parts of a metric leaf.
pub(crate) struct Worker<'a, A> {
    plan: &'a MetricPlan,
    /// Rows outside are not looked at; inside the span of the grid.
    range: TimeRange,
    budget: &'a Budget,
    runner: Runner,
    /// Series of the table by series of the runner.
    numbers: Vec<Option<u32>>,
    /// What a part gave, by series of the runner.
    local: Vec<Cells<A>>,
    /// Which of `local` are in use.
    touched: Vec<u32>,
    table: Table<A>,
    error: Option<SampleError>,
    warnings: Vec<String>,
    statistics: Statistics,
    charge: Charge,
}

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
            runner: plan.pipeline.runner(),
            numbers: Vec::new(),
            local: Vec::new(),
            touched: Vec::new(),
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
            } else {
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
        let (first, last) = (segment.rows.start as usize, segment.rows.end as usize);
        let short = || SourceError::Corrupt("a column has fewer rows than its segments".into());
        let times = batch.timestamps()?.get(first..last).ok_or_else(short)?;
        let lengths = match A::RUNS {
            Runs::Bytes => Some(batch.lengths()?.get(first..last).ok_or_else(short)?),
            _ => None,
        };
        let dead = batch.dead_rows()?;
        let dead = &dead[dead.partition_point(|&row| row < segment.rows.start)..];
        let dead = &dead[..dead.partition_point(|&row| row < segment.rows.end)];
        let end = times.partition_point(|&ts| ts <= self.range.max);
        let mut at = times.partition_point(|&ts| ts < self.range.min);
        let mut series = None;
        while at < end {
            let cell = self.plan.grid.cell(times[at]);
            let next = at + gallop(&times[at..end], cell.times.max);
            if let Some(index) = cell.index {
                let from = dead.partition_point(|&row| (row as usize) < first + at);
                let to = dead.partition_point(|&row| (row as usize) < first + next);
                let rows = (next - at - (to - from)) as u64;
                let bytes = lengths.map_or(0, |lengths| {
                    let all: u64 = lengths[at..next].iter().map(|&n| u64::from(n)).sum();
                    let gone: u64 = dead[from..to].iter().map(|&row| u64::from(lengths[row as usize - first])).sum();
                    all - gone
                });
                if rows > 0 {
                    let series = match series {
                        Some(series) => series,
                        None => *series.insert(self.stream_series(segment)?),
                    };
                    self.add_run(series, index, rows, bytes)?;
                }
            }
            at = next.max(at + 1);
        }
        Ok(())
    }

    /// Runs the pipeline over the rows of a segment.
    fn rows(&mut self, batch: &dyn Batch, segment: &Segment) -> Result<(), Error> {
        let (grid, width) = (self.plan.grid, self.plan.grid.cells());
        let (local, touched) = (&mut self.local, &mut self.touched);
        let (mut kept, mut grown) = (0u64, 0u64);
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
        self.numbers.resize(self.local.len(), None);
        for series in std::mem::take(&mut self.touched) {
            let number = match self.numbers[series as usize] {
                Some(number) => number,
                None => {
                    let labels = group_labels(&self.runner.series(series).labels, &self.plan.keep)?;
                    let number = self.intern(&labels)?;
                    self.numbers[series as usize] = Some(number);
                    number
                }
            };
            let later = std::mem::take(&mut self.local[series as usize]);
            self.table.cells(number).absorb(later, self.plan.grid.cells());
        }
        Ok(())
    }

    /// The series that the rows of a segment belong to if nothing changes their labels.
    fn stream_series(&mut self, segment: &Segment) -> Result<u32, Error> {
        let labels = match &self.plan.extract {
            LabelNeeds::All => group_labels(&segment.labels, &self.plan.keep)?,
            extract => group_labels(&group_labels(&segment.labels, extract)?, &self.plan.keep)?,
        };
        self.intern(&labels)
    }

    fn intern(&mut self, labels: &Labels) -> Result<u32, Error> {
        let before = self.table.series.len();
        let number = self.table.intern(labels);
        if number as usize == before {
            self.charge.grow(labels.packed().len() as u64 * 2 + SERIES_BYTES)?;
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

/// Bytes of a series besides its labels and cells: its places in a list and a map.
const SERIES_BYTES: u64 = 128;

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
