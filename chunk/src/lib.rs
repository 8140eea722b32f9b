//! Packs: the files that hold the lines of the Narvi log store. Bytes in, bytes out.
//!
//! A *pack* holds *frames*: about 1 MiB of lines of one or many streams of one tenant, as columns (streams, metadata,
//! timestamps, lengths, lines) that are compressed and checksummed each on its own, so that a reader takes only what it
//! needs. A *block* is the range of rows that one stream has in a frame. `FORMAT.md` beside this crate describes every
//! byte.
//!
//! This crate does no I/O of its own, starts no thread, and knows nothing of labels beyond storing them: finding blocks
//! is the index's work, and filters are handed in as a [`LinePredicate`]. Everything that reads is written for
//! untrusted bytes: it does not panic, allocates within [`DecodeLimits`], and a damaged column costs that column only.
//!
//! ```
//! use bytes::Bytes;
//! use narvi_chunk::{BlockRows, Contains, FrameReader, LinePredicate, Pack, PackOptions, PackWriter, RowSet};
//! use narvi_types::Labels;
//!
//! let mut writer = PackWriter::new(PackOptions::default())?;
//! writer.tenant("acme")?;
//! let labels = Labels::from_pairs([("app", "api")])?;
//! let rows = BlockRows { timestamps: &[1, 2, 3], lines: &["GET /", "GET /favicon.ico", "POST /"], metadata: &[] };
//! let places = writer.block(&labels, &rows)?;
//! assert_eq!((places[0].frame, places[0].rows), (0, 3));
//! let file: Bytes = writer.finish()?.into_iter().flatten().collect();
//!
//! let pack = Pack::open(&file)?;
//! let frame = FrameReader::new(&pack, 0, &file)?;
//! assert_eq!(frame.timestamps(1..3)?, [2, 3]);
//! let (buffer, offsets) = (frame.lines()?, frame.offsets()?);
//! let lines = narvi_chunk::Lines::new(&buffer, &offsets).expect("offsets of a frame are checked");
//! let mut rows = RowSet::full(lines.len());
//! Contains::new(b"GET").retain(lines, &mut rows);
//! assert_eq!(rows.iter().collect::<Vec<_>>(), [0, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod codec;
mod column;
mod directory;
mod encode;
mod error;
mod format;
mod frame;
mod options;
mod pack;
mod reader;
mod rows;
mod scan;
mod source;
mod writer;

pub use crate::check::{ColumnSummary, Description, VerifyReport, describe, verify, verify_with};
pub use crate::codec::Codec;
pub use crate::directory::{ColumnInfo, FrameInfo, SectionInfo, TenantInfo};
pub use crate::encode::{EncodedFrame, encode_frame};
pub use crate::error::{ChunkError, Result};
pub use crate::format::{
    ColumnKind, FORMAT_VERSION, MAX_FRAME_BYTES, MAX_FRAME_ROWS, MAX_LINE_BYTES, MAX_PAGE_ROWS, MAX_PAIRS_BYTES,
    OLDEST_READABLE_VERSION, SectionKind,
};
pub use crate::frame::FrameRows;
pub use crate::options::{Compression, DecodeLimits, PackOptions};
pub use crate::pack::{OpenOptions, Pack};
pub use crate::reader::{FrameReader, MetadataColumn};
pub use crate::rows::{BlockRows, Rows};
pub use crate::scan::{Contains, LinePredicate, Lines, RowSet, scan_lines};
pub use crate::source::ReadAt;
pub use crate::writer::{BlockPlace, PackWriter};
