//! Answers: plain data.

use bytes::Bytes;
use narvi_types::{Labels, Metadata, Pairs};

use super::partial::Statistics;

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// What was asked for.
    pub data: Data,
    /// What the asker should know: data left out.
    pub warnings: Vec<String>,
    /// What was read.
    pub statistics: Statistics,
}

impl Answer {
    /// An answer for which nothing was read.
    pub fn new(data: Data) -> Self {
        Self { data, warnings: Vec::new(), statistics: Statistics::default() }
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: Loki's kinds of results")]
pub enum Data {
    /// Lines of a log query, by stream, sorted by the text of their labels.
    Streams(Vec<StreamResult>),
    /// Points of a metric range query, sorted by labels.
    Matrix(Vec<Series>),
    /// Points of a metric instant query, sorted by labels, unless the query sorts them.
    Vector(Vec<Sample>),
    /// The value of an instant query without any vector.
    Scalar {
        /// Milliseconds since the epoch.
        time_ms: i64,
        /// The number.
        value: f64,
    },
}

impl Default for Data {
    fn default() -> Self {
        Self::Streams(Vec::new())
    }
}

/// Lines with the same labels.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct StreamResult {
    /// The labels: all of them merged or, if categories are kept apart, those of the stream.
    pub labels: Labels,
    /// Lines in the order of the query.
    pub entries: Vec<ResultEntry>,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct ResultEntry {
    /// Nanoseconds since the epoch.
    pub ts: i64,
    /// The line after all stages.
    pub line: Bytes,
    /// Structured metadata; empty unless categories are kept apart.
    pub structured: Metadata,
    /// Labels that stages made; empty unless categories are kept apart.
    pub parsed: Pairs,
}

/// Points with the same labels.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Series {
    /// The labels.
    pub labels: Labels,
    /// Milliseconds since the epoch and value, ascending.
    pub points: Vec<(i64, f64)>,
}

/// A point of an instant query.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Sample {
    /// The labels.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// The value.
    pub value: f64,
}

/// A line of a log query, given as soon as it is certain to be the next.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Row {
    /// The labels: all of them merged or, if categories are kept apart, those of the stream.
    pub labels: Labels,
    /// Nanoseconds since the epoch.
    pub ts: i64,
    /// The line after all stages.
    pub line: Bytes,
    /// Structured metadata; empty unless categories are kept apart.
    pub structured: Metadata,
    /// Labels that stages made; empty unless categories are kept apart.
    pub parsed: Pairs,
}
