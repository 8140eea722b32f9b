//! Look-ups in the index by another process, so that a reader needs neither disk nor memory for tables.
//!
//! A reader takes the manifest itself, which says which tables there are, which rows in memory they cover and what is deleted;
//! it asks others only what single tables hold ([`IndexQuestion`]). A table never changes and its name never comes back, so
//! an answer is right whichever manifest the one knows who gives it, and for as long as anyone cares to keep it: that each row
//! is seen once rests on the reader's own manifest alone.
//!
//! Questions and answers are bytes with a version. An answer ([`IndexAnswer`]) carries a checksum over the question, the
//! table and itself: what is damaged, or answers another question, is an error of whoever gave it.
//!
//! ```text
//! question := u8 version (1)  str tenant  wanted  matchers  varint tables table*
//! wanted   := u8 kind (0 blocks, 1 names, 2 values)  str label (kind 2 only)
//! matchers := varint count (u8 operator  str name  str value)*
//! table    := str key  i64 first  i64 last
//! answer   := u8 version (1)  u64 xxh3  body
//! texts    := varint count str*                                  body of kinds 1 and 2
//! blocks   := strings packs  strings words  varint sets (varint names word*)*  varint streams stream*     body of kind 0
//! strings  := varint count str*
//! stream   := varint labels (word name  word value)*  varint blocks block*
//! block    := varint pack  varint frame  varint first row  varint rows  varint line bytes  zigzag first time after
//!             the block before  varint its length  varint set
//! word     := varint, into words
//! ```

mod answer;
mod catalog;
mod question;
mod tables;

#[cfg(test)]
mod tests;

use std::fmt;

use narvi_logql::Budget;

pub(crate) use self::catalog::AskedCatalog;
pub use self::{
    answer::IndexAnswer,
    question::{IndexQuestion, IndexTable, IndexWanted},
    tables::IndexTables,
};
use crate::Result;

const VERSION: u8 = 1;

/// Who answers what tables hold: [`IndexTables`] in this process, or a way to others.
pub trait IndexLookUps: fmt::Debug + Send + Sync + 'static {
    /// Answers a question for each of some tables, in their order. Blocks, for a bounded time.
    ///
    /// # Errors
    /// [`ErrorKind::Query`](crate::ErrorKind::Query): the budget is used up. Any other: nobody can answer now.
    fn look_up(&self, question: &IndexQuestion, tables: &[IndexTable], budget: &Budget) -> Result<Vec<IndexAnswer>>;
}
