//! One log entry.

use bytes::Bytes;

use crate::{Metadata, Timestamp};

/// One line with its time and structured metadata. The line is bytes: it need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Entry {
    /// When the line was written.
    pub timestamp: Timestamp,
    /// The line, without its line break.
    pub line: Bytes,
    /// Structured metadata; empty for most lines, and then it costs no allocation.
    pub metadata: Metadata,
}

impl Entry {
    /// Makes an entry without metadata.
    pub fn new(timestamp: Timestamp, line: impl Into<Bytes>) -> Self {
        Self { timestamp, line: line.into(), metadata: Metadata::default() }
    }
}
