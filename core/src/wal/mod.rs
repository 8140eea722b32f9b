//! The write-ahead log: one segment file per generation, in the data directory. `FORMAT.md` describes the bytes.

mod folder;
mod inspect;
mod record;
mod replay;
mod segment;

#[cfg(test)]
mod tests;

pub use self::inspect::{WalSummary, inspect_wal};
pub(crate) use self::{
    folder::Wal,
    record::{RecordBuilder, StreamRows, decode},
    replay::replay,
    segment::{Poison, Segment},
};
