//! The label index of the Narvi log store: from label matchers and a time range to block references.
//!
//! A *table* is one immutable file. It holds the names of the packs it refers to and *parts*, one per tenant; a part
//! holds the tenant's label values, series, postings and block references. A flush writes one table with all its
//! tenants and periods; compaction merges tables and splits them by tenant and period ([`merge`] with a
//! [`MergeFilter`]).
//!
//! This crate takes bytes and gives bytes: a table is read from [`bytes::Bytes`], which may wrap a memory map, and
//! opening it touches the footer and the file's directory only. It knows no file system, no object store and no chunk
//! format. Everything read is untrusted: a damaged table gives an [`IndexError`] that names the section and offset, or
//! wrong answers where a checksum was not looked at, and never a panic or an allocation beyond a small multiple of the
//! file. Opening checks the checksums of directories and names; [`verify`] checks every byte and every invariant, and
//! is meant to run once on a file that came over a network. The format: `FORMAT.md`.
//!
//! ```
//! use narvi_index::{BlockRef, Table, TableBuilder};
//! use narvi_types::{Labels, MatchOp, Matcher, TimeRange};
//!
//! let mut builder = TableBuilder::new();
//! let pack = builder.pack("0001.pack");
//! let metadata_keys = builder.key_set(["trace_id"]);
//! let range = TimeRange::new(1_000, 2_000);
//! let block = BlockRef { pack, frame: 0, first_row: 0, rows: 7, line_bytes: 420, range, metadata_keys };
//! builder.add("acme", &Labels::from_pairs([("app", "api"), ("env", "prod")])?, block)?;
//! builder.add("acme", &Labels::from_pairs([("app", "web")])?, BlockRef { first_row: 7, ..block })?;
//!
//! let table = Table::open(builder.finish()?.into())?;
//! let part = table.part("acme")?.expect("the tenant was added");
//! let series = part.select(&[Matcher::new("app", MatchOp::Regex, "a.*")?])?;
//! assert_eq!(series.iter().collect::<Vec<_>>(), [0]);
//! assert_eq!(part.labels(0)?.to_string(), r#"{app="api", env="prod"}"#);
//! for found in part.blocks_of(&series, TimeRange::new(1_500, 9_000)) {
//!     let (_, block) = found?;
//!     assert_eq!((table.packs()[block.pack as usize].as_str(), block.rows), ("0001.pack", 7));
//!     assert_eq!(part.key_set(block.metadata_keys)?, ["trace_id"]);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod block;
mod builder;
mod check;
mod error;
mod format;
mod keys;
mod merge;
mod output;
mod part;
mod part_writer;
mod postings;
mod select;
mod series;
mod strings;
mod table;

pub use roaring::RoaringBitmap;

pub use crate::block::{BlockRef, Blocks};
pub use crate::builder::TableBuilder;
pub use crate::check::{Description, PartDescription, describe, verify};
pub use crate::error::{IndexError, Result};
pub use crate::format::{FORMAT_VERSION, OLDEST_READABLE_VERSION};
pub use crate::merge::{KeepAll, MergeFilter, MergeSummary, merge};
pub use crate::part::{BlockScan, Cardinality, Part, PartStats, SeriesIter};
pub use crate::table::Table;
