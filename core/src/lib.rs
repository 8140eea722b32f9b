//! Narvi: an embeddable log store that answers LogQL.
//!
//! A [`Db`] keeps log lines in a data directory: pushes go into a write-ahead log and memory, flushes into compressed
//! packs and an index, which may also lie in an object store. It is synchronous, cheap to clone and may be used from any
//! thread; it needs no async runtime and may be used within one.
//!
//! ```
//! use narvi::{Db, Entry, Labels, PushStream, Tenant, Timestamp};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let db = Db::open(path)?;
//! let labels = Labels::from_pairs([("app", "api")])?;
//! let entry = Entry::new(Timestamp::from_secs(1_700_000_000), "hello");
//! db.push(&Tenant::default(), vec![PushStream::new(labels, vec![entry])])?.wait()?;
//! db.flush()?;
//! db.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What lies on disk is described in `FORMAT.md` of this crate (manifest, write-ahead log), of narvi-chunk (packs) and of
//! narvi-index (tables). Features `aws`, `gcp` and `azure` add those stores to `object_store`; they change nothing else.
#![deny(unsafe_code)]

mod builder;
mod clock;
mod db;
mod delete_api;
mod deletes;
mod distribution;
mod error;
mod exchange;
mod failpoint;
mod head;
mod inspect;
mod look_up;
mod maintain;
mod manifest;
mod matchers;
mod mmap;
mod query;
mod read;
mod reader;
mod retention;
mod settings;
mod state;
mod store;
mod tail;
mod wal;
mod writer;

pub use narvi_chunk::{Compression, PackOptions};
pub use narvi_logql as logql;
pub use narvi_types::{
    Direction, Entry, Labels, LabelsBuilder, MatchOp, Matcher, Metadata, PairError, Pairs, Selector, Tenant,
    TenantError, TimeRange, Timestamp,
};
pub use object_store;

pub use crate::builder::Builder;
pub use crate::db::Db;
pub use crate::deletes::{DeleteId, DeleteIdError, DeleteRequest, DeleteStatus};
pub use crate::distribution::Distribution;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::exchange::{Heads, HeadsDetail, HeadsRequest, RemoteHeads, decode_push, encode_push};
pub use crate::inspect::{CheckEvent, CheckReport, check, inspect};
pub use crate::look_up::{IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, IndexTables, IndexWanted};
pub use crate::maintain::{CompactionSummary, MaintenanceStats, RetentionSummary};
pub use crate::manifest::{ManifestSummary, inspect_manifest};
pub use crate::query::{DbQuery, MemoryUsage, Rows, Snapshot};
pub use crate::read::{IndexStats, LookUps, StreamStats};
pub use crate::reader::{Reader, ReaderIndex, ReaderSettings, TableCopies};
pub use crate::retention::{Retention, RetentionPolicy, StreamRetention};
pub use crate::settings::{CompactionSettings, FlushSettings, RetentionSettings, Settings, WalSettings, WalSync};
pub use crate::store::{
    Fault, FaultStore, LocalStore, MemoryStore, ObjectInfo, ObjectStoreAdapter, ObservedStore, SpreadStore, Store,
    StoreError, StoreErrorKind, StoreOperation,
};
pub use crate::tail::{Tail, TailQuery};
pub use crate::wal::{WalSummary, inspect_wal};
pub use crate::writer::{
    Ack, BlockFigures, Dropped, FlushReason, OpenReport, PushStream, Subscription, TailBatch, WalStats, WriterStats,
};
