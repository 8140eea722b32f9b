//! The compactor: says to a store, in Loki's words, how long lines are kept and whether deleted ones are removed, and counts
//! what the store's upkeep does under Loki's names, and logs it.
//!
//! The work itself, and the thread that does it, are the store's ([`narvi::Db::apply_retention`]).
#![forbid(unsafe_code)]

mod log;
mod metrics;
mod policy;

pub use crate::log::UpkeepLog;
pub use crate::metrics::Metrics;
pub use crate::policy::{RetentionOf, retention};
