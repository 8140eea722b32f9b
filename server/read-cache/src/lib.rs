//! Caches of what is read from a shared store.
//!
//! [`chunks`] puts a cache before a store: parts of packs that were read once are not read again. Packs never change and
//! their names never come back, so what is cached under a name and a range is right for ever. Everything else, manifests
//! above all, is read from the store each time.
//!
//! [`look_ups`] does the same for look-ups in index tables, which never change either.
//!
//! A cache is a help and never trusted: each value carries a checksum over its key and bytes, and what does not pass is
//! read from the store.
#![forbid(unsafe_code)]

mod chunks;
mod look_ups;
mod sealed;

pub use crate::chunks::{ChunkCache, chunks};
pub use crate::look_ups::{LookUpCache, look_ups};
