//! Runs a pipeline over batches, one thread each.

use std::collections::HashMap;

use narvi_types::{Labels, Metadata, Pairs, TimeRange, regex::Groups, regex::Regex};

use super::{
    Pipeline,
    compile::{Op, Program},
    drop_keep, format, json,
    keys::{Keys, Name, Names},
    line_filter::{Check, Selection},
    needs::{LabelNeeds, RowOut, SeriesLabels, ValueNeeds},
    parser::Tools,
    row::{Row, Scratch, Stream, Verdict},
    series::SeriesTable,
    table::ByteTable,
    unpack,
};
use crate::{Batch, Budget, Charge, Error, Lines, MetadataColumn, Segment};

/// Runs a pipeline on one thread. Series ids are its own: those of another runner mean something else.
#[derive(Debug)]
pub struct Runner {
    pipeline: Pipeline,
    names: Names,
    streams: Vec<Stream>,
    stream_ids: HashMap<Labels, u32>,
    shapes: Shapes,
    ops: Vec<OpState>,
    /// The checks of the line filters that run over buffers.
    checks: Vec<Vec<Check>>,
    scratch: Scratch,
    stack: Vec<u32>,
    series: SeriesTable,
    sets: Vec<SetState>,
    run: u32,
    budget: Budget,
    /// For what is held between rows.
    charge: Charge,
}

/// What an operation keeps between rows.
#[derive(Debug)]
struct OpState {
    keys: Keys,
    checks: Vec<Check>,
    regex: Option<(Regex, Groups)>,
}

/// The names that streams and structured metadata take, as numbers.
#[derive(Debug)]
struct Shapes {
    table: ByteTable,
    targets: Vec<Vec<Name>>,
    key: Vec<u8>,
}

/// What is known about a set of structured metadata in the current run.
#[derive(Clone, Copy, Debug, Default)]
struct SetState {
    run: u32,
    shape: u32,
    /// The series of rows that no stage has changed, plus 1.
    series: u32,
}

/// Caches are dropped when they hold more names or keys than this.
const MAX_NAMES: usize = 1 << 17;
/// Or more bytes than this.
const MAX_NAME_BYTES: usize = 64 << 20;
/// Or more streams than this.
const MAX_STREAMS: usize = 1 << 16;
/// What may be held without asking the budget.
const UNSETTLED_BYTES: u64 = 64 << 10;
/// After so many rows at the most, a query that was cancelled or takes too long stops.
const CHECK_ROWS: usize = 256;

impl Runner {
    pub(super) fn new(pipeline: &Pipeline, budget: &Budget) -> Result<Self, Error> {
        let program = pipeline.program();
        let mut names = Names::new(&program.names);
        let ops = program.ops.iter().map(|(op, known)| OpState::new(op, known, &mut names)).collect();
        Ok(Self {
            names,
            streams: Vec::new(),
            stream_ids: HashMap::new(),
            shapes: Shapes { table: ByteTable::new(), targets: Vec::new(), key: Vec::new() },
            ops,
            checks: program.line_tests.iter().map(super::line_filter::LineTest::checks).collect(),
            scratch: Scratch::default(),
            stack: Vec::new(),
            series: SeriesTable::new(),
            sets: Vec::new(),
            run: 0,
            pipeline: pipeline.clone(),
            budget: budget.clone(),
            charge: budget.charge(0)?,
        })
    }

    /// Calls the sink for every alive row of the segment inside the range that survives, in row order.
    ///
    /// # Errors
    /// Those of the batch and of the sink; result labels too long to be stored; the budget is used up.
    pub fn run(
        &mut self,
        batch: &dyn Batch,
        segment: &Segment,
        range: TimeRange,
        sink: &mut dyn FnMut(RowOut<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let program = self.pipeline.program_arc();
        if program.nothing {
            return Ok(());
        }
        let timestamps = batch.timestamps()?;
        let mut rows = rows_in_range(segment, timestamps, range);
        let columns = program.columns();
        let lines = if columns.lines { Some(batch.lines()?) } else { None };
        if let Some(lines) = &lines {
            for (test, checks) in program.line_tests.iter().zip(&self.checks) {
                if rows.is_empty() {
                    return Ok(());
                }
                test.narrow(lines, &mut rows, checks);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let metadata = if program.minds_metadata(segment) { batch.metadata()? } else { None };
        let lengths = if columns.lengths && lines.is_none() { Some(batch.lengths()?) } else { None };
        let input = Input { timestamps, lines, metadata, lengths, dead: batch.dead_rows()? };
        self.start(segment);
        let stream_id = self.stream_id(&segment.labels);
        self.rows(&program, &input, stream_id, &rows, sink)
    }

    /// The labels of a series.
    ///
    /// # Panics
    /// If the id is not one that this runner gave out.
    pub fn series(&self, id: u32) -> &SeriesLabels {
        self.series.get(id)
    }

    /// How many series it has given out: ids are below this.
    pub fn series_len(&self) -> u32 {
        self.series.len()
    }

    /// Roughly the bytes held by series, caches and scratch space.
    pub fn memory_bytes(&self) -> usize {
        self.series.bytes() + self.names.bytes() + self.scratch.bytes()
    }

    /// Asks the budget for what has been added, or gives back what has gone.
    fn settle(&mut self) -> Result<(), Error> {
        let bytes = self.memory_bytes() as u64;
        if bytes.abs_diff(self.charge.bytes()) > UNSETTLED_BYTES {
            self.charge.set(bytes)?;
        }
        Ok(())
    }

    /// Forgets all series; their ids are given out anew. For log queries over rows whose labels are all different, where few
    /// rows are kept.
    pub fn forget_series(&mut self) {
        self.series.clear();
        self.sets.clear();
    }

    /// Begins a run, dropping caches that have grown too large.
    fn start(&mut self, segment: &Segment) {
        let keys = self.ops.iter().map(|op| op.keys.len()).max().unwrap_or(0);
        let full = self.names.len() > MAX_NAMES
            || keys > MAX_NAMES
            || self.names.bytes() > MAX_NAME_BYTES
            || self.streams.len() > MAX_STREAMS && !self.stream_ids.contains_key(&segment.labels);
        if full {
            let program = self.pipeline.program_arc();
            self.names = Names::new(&program.names);
            self.ops = program.ops.iter().map(|(op, known)| OpState::new(op, known, &mut self.names)).collect();
            self.streams.clear();
            self.stream_ids.clear();
            self.shapes.table.clear();
            self.shapes.targets.clear();
            self.series.forget_keys();
            self.scratch = Scratch::default();
        }
        self.run = self.run.wrapping_add(1);
        if self.run == 0 {
            self.sets.clear();
            self.run = 1;
        }
    }

    fn stream_id(&mut self, labels: &Labels) -> u32 {
        if let Some(id) = self.stream_ids.get(labels) {
            return *id;
        }
        let id = self.streams.len() as u32;
        self.streams.push(Stream::new(labels, &mut self.names));
        self.stream_ids.insert(labels.clone(), id);
        id
    }

    fn rows(
        &mut self,
        program: &Program,
        input: &Input<'_>,
        stream_id: u32,
        rows: &Selection,
        sink: &mut dyn FnMut(RowOut<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut dead = input.dead.iter().copied().peekable();
        let one = Pairs::default();
        let labels_change = program.labels_change();
        for index in 0.. {
            let Some(number) = rows.get(index) else { break };
            if !program.ops.is_empty() && index % CHECK_ROWS == CHECK_ROWS - 1 {
                self.budget.check()?;
            }
            while dead.peek().is_some_and(|d| *d < number) {
                dead.next();
            }
            if dead.peek() == Some(&number) {
                continue;
            }
            let at = number as usize;
            let set_id = input.metadata.and_then(|m| m.ids.get(at)).copied().unwrap_or(0);
            let metadata: &Pairs =
                input.metadata.and_then(|m| m.sets.get(set_id as usize)).map_or(&one, |m: &Metadata| m);
            let set = self.set(stream_id, set_id, metadata);
            let line = input.lines.as_ref().map_or(&[][..], |l| l.get(number));
            let ts = input.timestamps.get(at).copied().unwrap_or(0);
            let stored_length = || match &input.lengths {
                Some(lengths) => lengths.get(at).copied().unwrap_or(0) as usize,
                None => line.len(),
            };
            if !labels_change && set.series != 0 && program.ops.is_empty() {
                let series = set.series - 1;
                let value = match program.needs.value {
                    ValueNeeds::One => 1.0,
                    ValueNeeds::LineBytes => stored_length() as f64,
                };
                let line = if program.needs.lines { line } else { &[] };
                sink(RowOut { row: number, ts, line, value, series, error: self.series.has_error(series) })?;
                continue;
            }
            let Some(stream) = self.streams.get(stream_id as usize) else { continue };
            let mut row = Row { ts, original: line, metadata, stream, shape: set.shape, s: &mut self.scratch };
            let mut tools = Stages { names: &mut self.names, ops: &mut self.ops, stack: &mut self.stack };
            let targets = self.shapes.targets.get(set.shape as usize).map_or(&[][..], Vec::as_slice);
            if !tools.run(program, &mut row, targets) {
                continue;
            }
            let mut value = match program.needs.value {
                ValueNeeds::LineBytes if row.s.rewritten => row.line().len() as f64,
                ValueNeeds::LineBytes => stored_length() as f64,
                ValueNeeds::One => 1.0,
            };
            if let Some(unwrap) = &program.unwrap {
                match unwrap.value(&mut row) {
                    Some(unwrapped) => value = unwrapped,
                    None => continue,
                }
            }
            let cached = if labels_change || row.s.error.is_some() { 0 } else { set.series };
            let series = match cached {
                0 => self.series.of(&row, stream_id, program, &self.names)?,
                known => known - 1,
            };
            let line = if program.needs.lines { row.line() } else { &[] };
            sink(RowOut { row: number, ts, line, value, series, error: self.series.has_error(series) })?;
            if !labels_change && row.s.error.is_none() {
                self.sets[set_id as usize].series = series + 1;
            }
            if labels_change || cached == 0 {
                self.settle()?;
            }
        }
        self.settle()
    }

    /// The state of a set of structured metadata under the current stream.
    fn set(&mut self, stream_id: u32, set_id: u32, metadata: &Pairs) -> SetState {
        let index = set_id as usize;
        if index >= self.sets.len() {
            self.sets.resize(index + 1, SetState::default());
        }
        if self.sets[index].run != self.run {
            let shape = self.shape(stream_id, metadata);
            self.sets[index] = SetState { run: self.run, shape, series: 0 };
        }
        self.sets[index]
    }

    fn shape(&mut self, stream_id: u32, metadata: &Pairs) -> u32 {
        let Some(stream) = self.streams.get(stream_id as usize) else { return 0 };
        let shapes = &mut self.shapes;
        shapes.key.clear();
        shapes.key.extend_from_slice(&stream_id.to_le_bytes());
        for (name, _) in metadata {
            let mut name = self.names.intern(name.as_bytes());
            if stream.find(name).is_some() {
                name = self.names.extracted(name);
            }
            shapes.key.extend_from_slice(&name.to_le_bytes());
        }
        let (id, new) = shapes.table.intern(&shapes.key);
        if new {
            let names = shapes.key.get(4..).unwrap_or(&[]).chunks_exact(4);
            shapes.targets.push(names.filter_map(|n| n.try_into().ok().map(u32::from_le_bytes)).collect());
        }
        id
    }
}

/// The columns of a run.
struct Input<'a> {
    timestamps: &'a [i64],
    lines: Option<Lines<'a>>,
    metadata: Option<&'a MetadataColumn>,
    lengths: Option<&'a [u32]>,
    dead: &'a [u32],
}

impl OpState {
    fn new(op: &Op, known: &[Name], names: &mut Names) -> Self {
        let keys = Keys::with_names(names, known);
        let (mut checks, mut regex) = (Vec::new(), None);
        match op {
            Op::LineTest(test) => checks = test.checks(),
            Op::Regexp(stage) => regex = Some((stage.regex.clone(), stage.regex.groups())),
            _ => {}
        }
        Self { keys, checks, regex }
    }
}

/// What the operations work with.
struct Stages<'s> {
    names: &'s mut Names,
    ops: &'s mut [OpState],
    stack: &'s mut Vec<u32>,
}

impl Stages<'_> {
    /// Runs all operations on a row; false if it is dropped.
    fn run(&mut self, program: &Program, row: &mut Row<'_>, targets: &[Name]) -> bool {
        match self.attempt(program, row, targets, false) {
            Verdict::Keep => true,
            Verdict::Drop => false,
            Verdict::Restart => self.attempt(program, row, targets, true) == Verdict::Keep,
        }
    }

    fn attempt(&mut self, program: &Program, row: &mut Row<'_>, targets: &[Name], exact: bool) -> Verdict {
        row.begin(exact);
        row.add_structured(targets);
        for ((op, _), state) in program.ops.iter().zip(self.ops.iter_mut()) {
            let mut tools = Tools {
                names: self.names,
                keys: &mut state.keys,
                hints: &program.hints,
                early: &program.early,
                stack: self.stack,
            };
            let verdict = match op {
                Op::LineTest(test) => keep(test.passes(row.line(), &state.checks)),
                Op::Json => json::run(row, &mut tools),
                Op::JsonPaths(stage) => stage.run(row, &mut tools),
                Op::Logfmt(stage) => stage.run(row, &mut tools),
                Op::Regexp(stage) => match &mut state.regex {
                    Some((regex, groups)) => stage.run(row, &mut tools, regex, groups),
                    None => Verdict::Keep,
                },
                Op::Pattern(stage) => stage.run(row, &mut tools),
                Op::Unpack => unpack::run(row, &mut tools),
                Op::Filter(filter) => keep(filter.keeps(row)),
                Op::LineFormat(template) => {
                    format::line(template, row, self.names);
                    Verdict::Keep
                }
                Op::LabelFormat(assignments) => {
                    format::labels(assignments, row, self.names);
                    Verdict::Keep
                }
                Op::Decolorize(stage) => {
                    stage.run(row);
                    Verdict::Keep
                }
                Op::Drop(items) => {
                    drop_keep::drop(items, row);
                    Verdict::Keep
                }
                Op::Keep(items) => {
                    drop_keep::keep(items, row);
                    Verdict::Keep
                }
            };
            if verdict != Verdict::Keep {
                return verdict;
            }
        }
        Verdict::Keep
    }
}

fn keep(passes: bool) -> Verdict {
    if passes { Verdict::Keep } else { Verdict::Drop }
}

/// The rows of a segment whose times are in range: times ascend inside a segment.
fn rows_in_range(segment: &Segment, timestamps: &[i64], range: TimeRange) -> Selection {
    let len = timestamps.len();
    let (first, end) = (segment.rows.start as usize, (segment.rows.end as usize).min(len));
    let times = timestamps.get(first..end).unwrap_or(&[]);
    let from = times.partition_point(|ts| *ts < range.min);
    let to = times.partition_point(|ts| *ts <= range.max).max(from);
    Selection::Range((first + from) as u32, (first + to) as u32)
}

impl Program {
    /// Whether structured metadata can make a difference for rows of the segment.
    fn minds_metadata(&self, segment: &Segment) -> bool {
        if segment.metadata_keys.is_empty() {
            return false;
        }
        if self.ops.iter().any(|(op, _)| op.touches_labels()) || self.unwrap.is_some() {
            return true;
        }
        match &self.needs.labels {
            LabelNeeds::All | LabelNeeds::Without(_) => true,
            LabelNeeds::None => segment.metadata_keys.iter().any(|k| &**k == "__error__"),
            LabelNeeds::By(_) => true,
        }
    }

    /// Whether stages can change the labels of rows, or tell them apart.
    fn labels_change(&self) -> bool {
        self.unwrap.is_some()
            || self
                .ops
                .iter()
                .any(|(op, _)| !matches!(op, Op::LineTest(_) | Op::Decolorize(_) | Op::Filter(_) | Op::LineFormat(_)))
    }
}
