//! What a cache is made of. The names are those of Loki's keys where it has one; how a file says them is another
//! crate's matter.

use std::{fmt, time::Duration};

/// A text that is not to be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "********" })
    }
}

/// One cache.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSettings {
    /// What keys of remote caches begin with, so that installations can share a server.
    pub prefix: String,
    /// What wrote the values: those of another version are misses. Narvi's own version unless said otherwise.
    pub version: String,
    /// In memory.
    pub embedded: EmbeddedSettings,
    /// Memcached servers.
    pub memcached: Option<MemcachedSettings>,
    /// Redis; not together with memcached.
    pub redis: Option<RedisSettings>,
    /// The queue of values on their way to a remote cache.
    pub background: BackgroundSettings,
    /// When a server is left alone.
    pub breaker: BreakerSettings,
    /// Values from this size on are compressed for a remote cache, if that makes them smaller. `None` for values that
    /// are compressed already.
    pub compress_from: Option<usize>,
    /// The longest that a question to a remote cache may take, however many keys it has.
    pub max_wait: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            embedded: EmbeddedSettings::default(),
            memcached: None,
            redis: None,
            background: BackgroundSettings::default(),
            breaker: BreakerSettings::default(),
            compress_from: None,
            max_wait: Duration::from_secs(2),
        }
    }
}

/// A cache in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Most bytes, keys and bookkeeping included; 0 for no limit, if there is one of items.
    pub max_bytes: u64,
    /// Most items; 0 for no limit.
    pub max_items: u64,
    /// How long values live; zero for ever.
    pub ttl: Duration,
    /// How often values that have expired are looked for, besides when they are asked for.
    pub purge_interval: Duration,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            max_bytes: 100 << 20,
            max_items: 0,
            ttl: Duration::from_secs(3600),
            purge_interval: Duration::from_secs(60),
        }
    }
}

/// Memcached servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcachedSettings {
    /// A name whose SRV records of `service` are the servers; not together with `addresses`.
    pub host: String,
    /// The service of `host`, for example `memcached`.
    pub service: String,
    /// Servers as `host:port`, `dns+host:port` (each of the host's addresses), `dnssrv+name` (each address of each SRV
    /// record) or `dnssrvnoa+name` (each SRV record).
    pub addresses: Vec<String>,
    /// How long values live; zero for ever.
    pub expiration: Duration,
    /// How long a server may take to answer a batch, and to take a connection.
    pub timeout: Duration,
    /// How many connections to a server are kept for later.
    pub max_idle_conns: usize,
    /// Larger values are not sent; 0 for no limit.
    pub max_item_size: usize,
    /// How many keys are asked for at once.
    pub batch_size: usize,
    /// How many batches are under way at once.
    pub parallelism: usize,
    /// How often names are looked up again.
    pub update_interval: Duration,
}

impl Default for MemcachedSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            service: "memcached".to_owned(),
            addresses: Vec::new(),
            expiration: Duration::ZERO,
            timeout: Duration::from_millis(100),
            max_idle_conns: 16,
            max_item_size: 0,
            batch_size: 4,
            parallelism: 5,
            update_interval: Duration::from_secs(60),
        }
    }
}

/// Redis, or what speaks like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// `host:port`; several with commas are nodes of a cluster or, with `master_name`, sentinels.
    pub endpoint: String,
    /// The name that sentinels know the master by.
    pub master_name: String,
    /// How long an answer, and a connection, may take.
    pub timeout: Duration,
    /// How long values live; zero for ever.
    pub expiration: Duration,
    /// The database.
    pub db: i64,
    /// Empty for none.
    pub username: String,
    /// Empty for none.
    pub password: Secret,
    /// For sentinels; empty for none.
    pub sentinel_username: String,
    /// For sentinels; empty for none.
    pub sentinel_password: Secret,
    /// Not supported.
    pub tls_enabled: bool,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            master_name: String::new(),
            timeout: Duration::from_millis(500),
            expiration: Duration::ZERO,
            db: 0,
            username: String::new(),
            password: Secret::default(),
            sentinel_username: String::new(),
            sentinel_password: Secret::default(),
            tls_enabled: false,
        }
    }
}

/// The queue of values on their way to a remote cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundSettings {
    /// How many send at once.
    pub workers: usize,
    /// Most values.
    pub max_entries: usize,
    /// Most bytes.
    pub max_bytes: usize,
}

impl Default for BackgroundSettings {
    fn default() -> Self {
        Self { workers: 1, max_entries: 500_000, max_bytes: 500 << 20 }
    }
}

/// When a server is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// After how many failures in a row; 0 for never.
    pub failures: u32,
    /// For how long; then one request is tried.
    pub pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(10) }
    }
}
