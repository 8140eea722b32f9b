//! What can go wrong when packs are written and read.

use std::io;

use crate::{FORMAT_VERSION, OLDEST_READABLE_VERSION};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, ChunkError>;

/// Why a pack could not be written or read. Offsets count from the start of the pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The bytes could not be read.
    #[error("cannot read {what} ({len} bytes at offset {offset})")]
    Io {
        /// What was being read.
        what: &'static str,
        /// Where it lies.
        offset: u64,
        /// How long it is.
        len: u64,
        /// What the storage said.
        source: io::Error,
    },
    /// The file is no pack at all.
    #[error("not a pack: no pack magic at offset {offset}; the file is of another kind or was cut short")]
    NotAPack {
        /// Where the magic was expected.
        offset: u64,
    },
    /// Damaged bytes: a checksum or a value is wrong. Other frames can still be read.
    #[error("corrupt {what}{} at offset {offset}: {detail}", InFrame(*frame))]
    Corrupt {
        /// The section or column.
        what: &'static str,
        /// The frame, if the damage lies in one.
        frame: Option<u32>,
        /// Where the damaged section, column or page begins.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// A pack of a version, or with parts, that this version cannot read.
    #[error(
        "pack of format version {found} {why}; this program reads versions {OLDEST_READABLE_VERSION} to \
         {FORMAT_VERSION}: upgrade it, or rewrite the pack with the program that wrote it"
    )]
    Unsupported {
        /// Format version of the pack.
        found: u16,
        /// What is not supported.
        why: String,
    },
    /// More bytes or rows than the limits allow.
    #[error("{what}{} needs {need}, more than the limit of {limit}", InFrame(*frame))]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// The frame, if it lies in one.
        frame: Option<u32>,
        /// What is asked for.
        need: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The caller asked for a frame or rows that do not exist.
    #[error("{what} {asked} is out of range: there are {len}")]
    OutOfRange {
        /// What was asked for.
        what: &'static str,
        /// The number asked for.
        asked: u64,
        /// How many there are.
        len: u64,
    },
    /// The rows given to the writer are not sorted by timestamp.
    #[error("rows are not sorted: row {row} is older than the row before it")]
    Unsorted {
        /// The first row out of order.
        row: usize,
    },
    /// The rows given to the writer are of unequal number.
    #[error("rows differ in number: {timestamps} timestamps, {other} {what}")]
    RowCount {
        /// Number of timestamps.
        timestamps: usize,
        /// Number of the other.
        other: usize,
        /// What the other is.
        what: &'static str,
    },
    /// A block was given before a tenant was named.
    #[error("no tenant: name one before the first block")]
    NoTenant,
    /// A tenant was named again after another one; its frames must be contiguous.
    #[error("tenant {0} was already written: the frames of a tenant must follow each other")]
    TenantAgain(String),
    /// A setting is out of range.
    #[error("{name} is {value}, it must be from {min} to {max}")]
    BadOption {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: i64,
        /// Least legal value.
        min: i64,
        /// Greatest legal value.
        max: i64,
    },
    /// The compressor failed.
    #[error("cannot compress {what} with {codec}")]
    Compress {
        /// What was being compressed.
        what: &'static str,
        /// Name of the codec.
        codec: &'static str,
        /// What the compressor said.
        source: io::Error,
    },
}

/// Writes " of frame N", or nothing.
struct InFrame(Option<u32>);

impl std::fmt::Display for InFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(frame) => write!(f, " of frame {frame}"),
            None => Ok(()),
        }
    }
}
