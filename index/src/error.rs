//! What can go wrong with a table, said so that an operator knows the section, the offset and the next step.

use std::io;

use crate::format::{FORMAT_VERSION, OLDEST_READABLE_VERSION};

/// The result of this crate's functions.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;

/// Why a table could not be built, read or merged. Offsets count from the first byte of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file does not start and end as a table does.
    #[error("not a narvi index table: the {place} does not hold the magic bytes; is the file complete?")]
    NotATable {
        /// `header` or `footer`.
        place: &'static str,
    },
    /// The file is of a version this build cannot read.
    #[error(
        "index table has format version {found}, this build reads {OLDEST_READABLE_VERSION} to {FORMAT_VERSION}; \
         read it with the release that wrote it, or rebuild it"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// The file has a section that must be understood and is not.
    #[error(
        "index table needs section kind {kind} at byte {offset}, which format version {FORMAT_VERSION} (the newest \
         this build knows) does not have; the file declares version {version}; read it with a newer release"
    )]
    UnknownSection {
        /// The section's kind.
        kind: u16,
        /// Where the section lies.
        offset: u64,
        /// The version the file declares.
        version: u32,
    },
    /// A section does not hold what its checksum promises.
    #[error(
        "checksum mismatch in section {section} at byte {offset}; restore the file or drop it and its packs' entries"
    )]
    Checksum {
        /// Name of the section.
        section: &'static str,
        /// Where the section begins.
        offset: u64,
    },
    /// A section holds an impossible value.
    #[error("corrupt section {section}: bad or truncated {what} at byte {offset}")]
    Corrupt {
        /// Name of the section.
        section: &'static str,
        /// Where the value lies, or the section if the value has no place of its own.
        offset: u64,
        /// What was being read.
        what: &'static str,
    },
    /// There is no series of that id.
    #[error("no series {id} in a part of {series}")]
    NoSuchSeries {
        /// The id asked for.
        id: u32,
        /// How many series the part has.
        series: u32,
    },
    /// There is no key set of that id.
    #[error("no key set {set} in a part of {sets}")]
    NoSuchKeySet {
        /// The id asked for.
        set: u32,
        /// How many sets the part has.
        sets: u32,
    },
    /// Something grew past what the format can address; write more and smaller tables.
    #[error("{what} exceed the {limit} that one part can hold; split the table")]
    TooLarge {
        /// What grew.
        what: &'static str,
        /// How many fit.
        limit: u64,
    },
    /// A block that no reader could use was offered to the builder.
    #[error("block refused: {0}")]
    Block(&'static str),
    /// Labels read from a table are no valid labels.
    #[error("corrupt section series: {0}")]
    Labels(#[from] narvi_types::PairError),
    /// The output could not be written.
    #[error("cannot write the index table: {0}")]
    Io(#[from] io::Error),
}
