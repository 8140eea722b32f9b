//! What the evaluator asks of whoever holds the logs: parts of streams, read batch by batch and column by column.
//!
//! A [`Source`] splits a request into [`Part`]s that can be evaluated alone, on any thread. A part lists its segments (row
//! ranges that belong to one stream each) with summaries, so that counting may need no data at all, and opens into a
//! [`Batch`], whose columns are decoded when first asked for.

use std::{ops::Range, sync::Arc};

use narvi_types::{Direction, Labels, LabelsBuilder, Metadata, Selector, TimeRange};

use crate::{Budget, BudgetError};

/// What a leaf of a plan wants to see.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScanRequest {
    /// Which streams.
    pub selector: Selector,
    /// Which rows; both ends inside.
    pub range: TimeRange,
    /// The order in which parts are wanted: backward means those with the latest rows first.
    pub direction: Direction,
    /// Columns that the leaf may ask a batch for; a source may use it to fetch them together.
    pub columns: Columns,
    /// Text that wanted lines hold; a source may leave out rows that cannot hold it, and need not.
    pub needles: Needles,
    /// Only the streams of this shard.
    pub shard: Option<StreamShard>,
}

impl ScanRequest {
    /// Asks for all rows of the selected streams in the range, newest first, without hints.
    pub fn new(selector: Selector, range: TimeRange) -> Self {
        Self {
            selector,
            range,
            direction: Direction::Backward,
            columns: Columns::default(),
            needles: Needles::default(),
            shard: None,
        }
    }
}

/// The columns of a batch that a leaf may read. Segments and their summaries come always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "one flag per column; a new column must be decided everywhere")]
pub struct Columns {
    /// Times.
    pub timestamps: bool,
    /// Line lengths.
    pub lengths: bool,
    /// Lines.
    pub lines: bool,
    /// Structured metadata.
    pub metadata: bool,
}

/// A conjunction of disjunctions: a wanted line holds at least one needle of every group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Needles(pub Vec<NeedleGroup>);

/// Alternatives of which a wanted line holds at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct NeedleGroup {
    /// The texts.
    pub any: Vec<Vec<u8>>,
    /// Whether ASCII letters match in either case.
    pub ignore_case: bool,
}

/// One of several disjoint sets of streams: those whose [`Labels::hash64`] modulo `of` is `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct StreamShard {
    /// Which set, from 0.
    pub index: u32,
    /// How many sets.
    pub of: u32,
}

impl StreamShard {
    /// Whether the stream belongs to the shard.
    pub fn holds(self, labels: &Labels) -> bool {
        self.of <= 1 || labels.hash64() % u64::from(self.of) == u64::from(self.index)
    }
}

/// Whoever holds logs. Bound to one tenant, or to several that are queried as one.
pub trait Source: Sync {
    /// Finds the parts that may hold wanted rows, in the order of the request's direction (by the latest time for
    /// backward, by the earliest for forward). Rows may be outside the range; the evaluator checks times.
    ///
    /// Across all parts each row is alive exactly once: what is stored twice is listed in [`Batch::dead_rows`] of all
    /// parts but one.
    ///
    /// # Errors
    /// The index cannot be read, or the budget is used up.
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError>;
}

/// Rows that are read together: a frame of a pack, or a piece of a head.
pub trait Part: Send + Sync {
    /// Holds the times of all its segments.
    fn range(&self) -> TimeRange;

    /// The wanted streams in this part, disjoint, by first row. Rows outside all segments are not wanted.
    fn segments(&self) -> &[Segment];

    /// What is added to the labels of its rows when they have gone through the stages of a query; usually nothing.
    fn added(&self) -> Option<&AddedLabel> {
        None
    }

    /// Opens the part. Columns are decoded when first asked for.
    ///
    /// # Errors
    /// [`SourceError::Corrupt`] when the part cannot be read; the query goes on without it and says so.
    fn open(&self, budget: &Budget) -> Result<Box<dyn Batch + '_>, SourceError>;
}

/// A label that a source adds to rows behind all stages, which therefore do not see it; groupings do. So sources of several
/// tenants tell whose a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct AddedLabel {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What a label of that name is called instead, if the rows have one.
    pub former: String,
}

impl AddedLabel {
    /// The labels with this one.
    pub fn to(&self, labels: &Labels) -> Labels {
        let mut named = LabelsBuilder::from_labels(labels);
        if let Some(former) = labels.get(&self.name) {
            named.set(&self.former, former);
        }
        named.set(&self.name, &self.value);
        named.build().unwrap_or_else(|_| labels.clone())
    }
}

/// Rows of one stream inside a part, sorted by time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segment {
    /// The stream.
    pub labels: Labels,
    /// Its rows.
    pub rows: Range<u32>,
    /// Holds the times of the rows.
    pub range: TimeRange,
    /// Bytes of its lines.
    pub line_bytes: u64,
    /// Names that occur in the rows' structured metadata, sorted.
    pub metadata_keys: Arc<[Arc<str>]>,
    /// Whether every row is alive, so that `rows` and `line_bytes` are what a count would find.
    pub exact: bool,
}

impl Segment {
    /// Makes a segment without metadata whose rows are all alive.
    pub fn new(labels: Labels, rows: Range<u32>, range: TimeRange, line_bytes: u64) -> Self {
        Self { labels, rows, range, line_bytes, metadata_keys: Arc::default(), exact: true }
    }
}

/// An open part. Row numbers are those of [`Segment::rows`].
pub trait Batch {
    /// The time of every row, in nanoseconds; ascending inside a segment.
    ///
    /// # Errors
    /// The column is corrupt or the budget is used up; so for all columns.
    fn timestamps(&self) -> Result<&[i64], SourceError>;

    /// The length of every line in bytes.
    ///
    /// # Errors
    /// As for timestamps.
    fn lengths(&self) -> Result<&[u32], SourceError>;

    /// The lines.
    ///
    /// # Errors
    /// As for timestamps.
    fn lines(&self) -> Result<Lines<'_>, SourceError>;

    /// The structured metadata, if any row has some.
    ///
    /// # Errors
    /// As for timestamps.
    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError>;

    /// Rows that do not count, ascending: duplicates of rows elsewhere, and deleted ones. Usually none.
    ///
    /// # Errors
    /// As for timestamps.
    fn dead_rows(&self) -> Result<&[u32], SourceError>;
}

/// The lines of a batch: places in one buffer.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Lines<'a> {
    /// All bytes.
    pub buffer: &'a [u8],
    /// Where each row's line starts.
    pub starts: &'a [u32],
    /// How long each row's line is.
    pub lengths: &'a [u32],
    /// Whether the lines lie one behind the other in row order without gaps, so that a filter may run over the whole buffer
    /// and find the row of a hit by binary search.
    pub contiguous: bool,
}

impl<'a> Lines<'a> {
    /// The line of a row; empty for a row out of range.
    pub fn get(&self, row: u32) -> &'a [u8] {
        let (Some(&start), Some(&len)) = (self.starts.get(row as usize), self.lengths.get(row as usize)) else {
            return &[];
        };
        self.buffer.get(start as usize..start as usize + len as usize).unwrap_or(&[])
    }
}

/// Structured metadata of a batch: the distinct sets, and which one each row has.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct MetadataColumn {
    /// Distinct sets; the first is usually the empty one.
    pub sets: Vec<Metadata>,
    /// Index into `sets`, one per row.
    pub ids: Vec<u32>,
}

/// Why a source could not deliver.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Stored data is damaged; says which file and where.
    #[error("{0}")]
    Corrupt(String),
    /// Stored data cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// The budget is used up.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// Runs independent jobs. The evaluator starts no thread itself: its host may.
pub trait Executor: Sync {
    /// How many jobs can make progress at once.
    fn width(&self) -> usize;

    /// Calls `job` once with each number below `jobs`, in any order, perhaps at once, and returns when all are done.
    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync));
}

/// Runs jobs one after the other on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Inline;

impl Executor for Inline {
    fn width(&self) -> usize {
        1
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..jobs).for_each(job);
    }
}
