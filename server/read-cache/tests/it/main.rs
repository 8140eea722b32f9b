//! Caches before a store: whatever they hold, lose or mix up, answers are those of the store.

mod chunks;
mod look_ups;
#[path = "../../../cache/tests/it/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of the caches themselves, which use all of it")]
mod servers;
mod spoilt;
