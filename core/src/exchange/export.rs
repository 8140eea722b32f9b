//! The writer's side: gives the rows of its generations out.

use std::{ops::ControlFlow, sync::Arc};

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use narvi_logql::{Budget, Needles};
use narvi_types::{Entry, Labels, Matcher, Metadata, Tenant, TimeRange, Timestamp, wire::Writer as _};

use super::{FRAME_BYTES, HeadsRequest, KIND_END, KIND_HEAD, KIND_ROWS, KIND_SUMMARY, VERSION};
use crate::{
    Db, Error, Result,
    head::{self, Generation, HeadPiece, StreamHead},
    state::State,
    wal::RecordBuilder,
};

/// What is given of each stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum HeadsDetail {
    /// Its rows.
    Rows,
    /// Its labels, times and counts, as the look-ups of series, statistics and volumes need them.
    Summaries,
}

/// The rows of a database that were not in files at one moment, to be given to readers in other processes.
#[derive(Debug)]
pub struct Heads {
    writer: u64,
    state: Arc<State>,
}

impl Db {
    /// Takes a view of the rows that are in memory. Costs nothing; rows pushed later to the newest generation show too.
    pub fn heads(&self) -> Heads {
        Heads { writer: self.inner.writer.id().0, state: self.state() }
    }
}

impl Heads {
    /// The number of the newest manifest that the writer knows: a reader must not use an older one with these rows.
    pub fn manifest(&self) -> u64 {
        self.state.manifest.sequence
    }

    /// The names of labels of streams that may have rows in memory in the range; all streams, or those that pass the
    /// matchers.
    pub fn label_names(&self, tenant: &Tenant, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        head::label_names(&self.state.generations, tenant, matchers, &range).into_iter().collect()
    }

    /// The values of a label of those streams.
    pub fn label_values(&self, tenant: &Tenant, name: &str, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        head::label_values(&self.state.generations, tenant, name, matchers, &range).into_iter().collect()
    }

    /// Gives what is asked for, frame by frame, until `give` breaks off. Costs one copy of the rows.
    ///
    /// # Errors
    /// The budget is used up; nothing else can fail.
    pub fn export(
        &self,
        request: &HeadsRequest,
        detail: HeadsDetail,
        budget: &Budget,
        give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut head = frame(KIND_HEAD);
        head.put_u64(self.writer);
        head.put_varint(self.state.manifest.sequence);
        let mut flow = give(head.into());
        for generation in &self.state.generations {
            if flow.is_break() {
                return Ok(());
            }
            budget.check().map_err(Error::from)?;
            let mut streams = generation.select(&request.tenant, request.selector.matchers(), &request.range);
            streams.retain(|stream| request.selects(stream.labels()));
            flow = match detail {
                HeadsDetail::Rows => rows(generation, &streams, request, budget, give)?,
                HeadsDetail::Summaries => summaries(generation, &streams, give),
            };
        }
        if flow.is_continue() {
            let _ = give(frame(KIND_END).into());
        }
        Ok(())
    }
}

fn frame(kind: u8) -> Vec<u8> {
    vec![VERSION, kind]
}

/// Frames of rows being filled.
struct RowFrames<'a> {
    request: &'a HeadsRequest,
    generation: u64,
    record: RecordBuilder,
    /// Whether the record holds any row.
    filled: bool,
    give: &'a mut dyn FnMut(Bytes) -> ControlFlow<()>,
}

fn rows(
    generation: &Generation,
    streams: &[Arc<StreamHead>],
    request: &HeadsRequest,
    budget: &Budget,
    give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let filter = LineFilter::new(&request.needles);
    let mut frames =
        RowFrames { request, generation: generation.id(), record: RecordBuilder::default(), filled: false, give };
    frames.record.start(&request.tenant);
    for stream in streams {
        budget.check().map_err(Error::from)?;
        for piece in stream.snapshot().pieces {
            if piece.range.overlaps(&request.range) && frames.piece(stream, &piece, &filter).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(frames.flush())
}

impl RowFrames<'_> {
    fn piece(&mut self, stream: &StreamHead, piece: &HeadPiece, filter: &LineFilter) -> ControlFlow<()> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for (row, &ts) in piece.timestamps.iter().enumerate() {
            let line = piece.line(row);
            if !self.request.range.contains(ts) || !filter.passes(line) {
                continue;
            }
            let metadata = piece.row_metadata(row).cloned().unwrap_or_else(Metadata::default);
            bytes += line.len() + metadata.packed().len() + 16;
            // The piece shares its lines; they are copied once, into the record.
            let start = piece.starts.get(row).map_or(0, |start| *start as usize);
            let line = piece.buffer.slice(start..start + line.len());
            entries.push(Entry { timestamp: Timestamp::from_ns(ts), line, metadata });
            if bytes >= FRAME_BYTES {
                self.add(stream.id(), stream.labels(), &entries);
                self.flush()?;
                entries.clear();
                bytes = 0;
            }
        }
        if !entries.is_empty() {
            self.add(stream.id(), stream.labels(), &entries);
        }
        if self.record.payload().len() >= FRAME_BYTES { self.flush() } else { ControlFlow::Continue(()) }
    }

    fn add(&mut self, id: u32, labels: &Labels, entries: &[Entry]) {
        self.record.stream(id, Some(labels), entries);
        self.filled = true;
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if !self.filled {
            return ControlFlow::Continue(());
        }
        let mut out = Vec::with_capacity(self.record.payload().len() + 12);
        out.put(&[VERSION, KIND_ROWS]);
        out.put_varint(self.generation);
        out.put(self.record.payload());
        self.record.start(&self.request.tenant);
        self.filled = false;
        (self.give)(out.into())
    }
}

fn summaries(
    generation: &Generation,
    streams: &[Arc<StreamHead>],
    give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let start = |out: &mut Vec<u8>| {
        out.put(&[VERSION, KIND_SUMMARY]);
        out.put_varint(generation.id());
    };
    let mut out = Vec::new();
    for stream in streams {
        if out.is_empty() {
            start(&mut out);
        }
        let (range, snapshot) = (stream.range(), stream.snapshot());
        out.put_varint(stream.labels().len() as u64);
        for (name, value) in stream.labels() {
            out.put_str(name);
            out.put_str(value);
        }
        out.put_i64(range.min);
        out.put_i64(range.max);
        out.put_varint(snapshot.rows);
        out.put_varint(snapshot.line_bytes);
        if out.len() >= FRAME_BYTES {
            give(std::mem::take(&mut out).into())?;
        }
    }
    if out.is_empty() { ControlFlow::Continue(()) } else { give(out.into()) }
}

/// Whether a line can pass the filters of a query; leaves out what surely does not.
struct LineFilter(Vec<AhoCorasick>);

impl LineFilter {
    fn new(needles: &Needles) -> Self {
        let build = |group: &narvi_logql::NeedleGroup| {
            let mut builder = AhoCorasick::builder();
            // A group that cannot be built filters nothing, which is right, if slower.
            builder.ascii_case_insensitive(group.ignore_case).build(&group.any).ok()
        };
        Self(needles.0.iter().filter_map(build).collect())
    }

    fn passes(&self, line: &[u8]) -> bool {
        self.0.iter().all(|group| group.is_match(line))
    }
}
