//! What the result of a query needs from its pipeline, and what the pipeline hands back.

use narvi_types::{Labels, Metadata, Pairs};

/// What the result of a query needs. Plain data, the whole input besides the stages themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature: the evaluator must decide every field")]
pub struct Needs {
    /// Which labels identify a result series.
    pub labels: LabelNeeds,
    /// Whether [`RowOut::line`] is read. Otherwise it may be empty, and stages that only change the line are left out.
    pub lines: bool,
    /// What [`RowOut::value`] is when nothing is unwrapped.
    pub value: ValueNeeds,
    /// Whether [`SeriesLabels`] are told apart by category (a log query with `categorize-labels`). Only with
    /// [`LabelNeeds::All`].
    pub categorise: bool,
}

impl Needs {
    /// A log query: lines with all labels.
    pub fn log(categorise: bool) -> Self {
        Self { labels: LabelNeeds::All, lines: true, value: ValueNeeds::One, categorise }
    }

    /// A metric query: numbers only.
    pub fn metric(labels: LabelNeeds, value: ValueNeeds) -> Self {
        Self { labels, lines: false, value, categorise: false }
    }
}

/// Which labels of the result matter. A grouping other than [`LabelNeeds::All`] may be asked for only where Loki pushes
/// it into the extraction, since it has visible consequences: with [`LabelNeeds::By`] and [`LabelNeeds::None`] parsers
/// stop as soon as they have what they need, so that what is wrong further on in a line is not seen; and rows with an
/// error keep all labels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum LabelNeeds {
    /// All of them.
    All,
    /// Only these.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
    /// None.
    None,
}

/// What a row counts for when nothing is unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum ValueNeeds {
    /// Always 1.
    One,
    /// The length of the line after all stages, in bytes.
    LineBytes,
}

/// A row that survived.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct RowOut<'a> {
    /// Its number in the batch.
    pub row: u32,
    /// Its time in nanoseconds.
    pub ts: i64,
    /// The line after all stages; empty if [`Needs::lines`] is false.
    pub line: &'a [u8],
    /// The unwrapped value; else 1 or the length of the line.
    pub value: f64,
    /// Which labels, for [`Runner::series`](super::Runner::series).
    pub series: u32,
    /// Whether `__error__` is set and not asked to be kept by `by (__error__)`: a metric query must fail with
    /// [`Error::Pipeline`](crate::Error::Pipeline), naming [`SeriesLabels::labels`].
    pub error: bool,
}

/// The labels of a result series, interned by a [`Runner`](super::Runner).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesLabels {
    /// All labels merged, sorted, after grouping. May hold labels with empty values, which Loki's answers show.
    pub labels: Labels,
    /// The stream's own labels that remain. Only if [`Needs::categorise`].
    pub stream: Labels,
    /// Structured metadata that remains. Only if [`Needs::categorise`].
    pub structured: Metadata,
    /// Labels made by stages. Only if [`Needs::categorise`].
    pub parsed: Pairs,
}
