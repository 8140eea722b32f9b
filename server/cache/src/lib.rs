//! Byte caches for results, chunks and index look-ups.
//!
//! [`build()`] makes a [`Cache`] of what [`CacheSettings`] say: in memory, memcached, Redis, or memory before one of
//! these. A cache is never a reason to fail: what is down, slow, full, damaged or of another build is a miss, and
//! counted.
//!
//! Asking gives a future, because the server asks between other things; blocking code, which reads the store, has
//! [`Cache::get_many_blocking`]. Both work on any thread and in any runtime, or in none: connections live on a runtime
//! of the cache's own. Storing returns at once: what goes over the network waits in a bounded queue, so it needs no
//! second form.
//!
//! ```
//! use narvi_cache::{CacheSettings, EmbeddedSettings, Metrics, build};
//!
//! let settings = CacheSettings {
//!     embedded: EmbeddedSettings { enabled: true, ..EmbeddedSettings::default() },
//!     ..CacheSettings::default()
//! };
//! let cache = build(&settings, "results", &Metrics::default())?;
//! cache.set_many(vec![("key".into(), "value".into())]);
//! assert_eq!(cache.get_many_blocking(&["key".into(), "other".into()]), [Some("value".into()), None]);
//! # Ok::<(), narvi_cache::CacheError>(())
//! ```
#![forbid(unsafe_code)]

mod breaker;
mod build;
mod cache;
mod clock;
mod counted;
mod embedded;
mod envelope;
mod flight;
mod memcached;
mod metrics;
mod queue;
mod redis_client;
mod remote;
mod settings;
mod tiered;

pub use crate::build::{CacheError, build};
pub use crate::cache::{BoxFuture, Cache, block_on};
pub use crate::counted::{Counted, Stats};
pub use crate::flight::Flights;
pub use crate::memcached::{Reply, ReplyError, parse_reply};
pub use crate::metrics::Metrics;
pub use crate::settings::{
    BackgroundSettings, BreakerSettings, CacheSettings, EmbeddedSettings, MemcachedSettings, RedisSettings, Secret,
};
