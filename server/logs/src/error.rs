//! Why logs cannot be stored or read.

/// What a client is to be told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The store of this process fails.
    #[error(transparent)]
    Store(#[from] narvi::Error),
    /// A query fails.
    #[error(transparent)]
    Query(#[from] narvi::logql::Error),
    /// Another process, or the lack of one, is the reason: an HTTP status and Loki's text.
    #[error("{message}")]
    Answer {
        /// The status of the answer over HTTP.
        status: u16,
        /// The text of the answer.
        message: String,
    },
}

impl LogsError {
    /// An answer of this status and text.
    pub fn answer(status: u16, message: impl Into<String>) -> Self {
        Self::Answer { status, message: message.into() }
    }
}

/// The text of an error and those of its causes.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
