//! Encodings of single columns. They work on bytes that were checksummed and decompressed before, and still trust
//! nothing.

pub(crate) mod ints;
pub(crate) mod metadata;
pub(crate) mod pairs;
pub(crate) mod streams;
pub(crate) mod times;

/// Why a column cannot be decoded; the caller adds which and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ColumnError {
    /// The bytes make no sense.
    Bad(String),
    /// More bytes than the limit would be needed.
    TooLarge(u64),
}

impl From<narvi_types::wire::WireError> for ColumnError {
    fn from(error: narvi_types::wire::WireError) -> Self {
        Self::Bad(error.to_string())
    }
}

impl From<String> for ColumnError {
    fn from(detail: String) -> Self {
        Self::Bad(detail)
    }
}

impl From<&str> for ColumnError {
    fn from(detail: &str) -> Self {
        Self::Bad(detail.to_owned())
    }
}
