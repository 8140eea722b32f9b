//! What can go wrong with a query, in Loki's words.

use std::fmt;

use crate::{BudgetError, SourceError};

/// Where in the query text; lines and columns count from 1, as Loki prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// Why a query has no answer. `Display` is Loki's text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The query text is wrong: `parse error at line 1, col 5: ...`, or `parse error : ...` without a position.
    Parse {
        /// Where, if known.
        position: Option<Position>,
        /// Loki's text after the position.
        message: String,
    },
    /// The query is understood but asks for something that is refused; Loki answers 400 with this text.
    Invalid(String),
    /// A sample carried `__error__`; Loki answers 400 with a text over several lines.
    Pipeline(String),
    /// More series than allowed.
    SeriesLimit(usize),
    /// Something that goes wrong while evaluating and that Loki answers with 500.
    Evaluation(String),
    /// The budget is used up, the time is over, or the query was cancelled.
    Budget(BudgetError),
    /// The data could not be read.
    Source(SourceError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse { position: Some(p), message } => {
                write!(f, "parse error at line {}, col {}: {message}", p.line, p.column)
            }
            Self::Parse { position: None, message } => write!(f, "parse error : {message}"),
            Self::Invalid(message) | Self::Pipeline(message) | Self::Evaluation(message) => f.write_str(message),
            Self::SeriesLimit(limit) => write!(
                f,
                "maximum number of series ({limit}) reached for a single query; reduce the number of series with a \
                 narrower selector or an aggregation, or raise max_query_series"
            ),
            Self::Budget(error) => fmt::Display::fmt(error, f),
            Self::Source(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for Error {}

impl From<BudgetError> for Error {
    fn from(error: BudgetError) -> Self {
        Self::Budget(error)
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Budget(error) => Self::Budget(error),
            error => Self::Source(error),
        }
    }
}
