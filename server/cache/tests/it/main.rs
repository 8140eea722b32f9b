//! Caches with real servers behind them: what is stored comes back, and whatever happens to a server costs misses
//! alone.

mod fake;
mod memcached;
mod redis;
mod servers;
mod tiered;
