//! Loki's configuration file and flags, read for Narvi.
//!
//! [`Config::from_yaml`] reads a file's text, [`Flags::parse`] Loki's Go-style command line; [`Limits`] are what a
//! tenant may push and ask. A key that Loki knows and Narvi does not use is accepted and listed in
//! [`Config::warnings`]; a key that neither knows is refused with its line.
#![forbid(unsafe_code)]

mod apply;
mod apply_limits;
mod config;
mod envsubst;
mod error;
mod flags;
mod limits;
mod ruler;
mod schema;
mod tree;
mod units;

pub use crate::config::{Config, TARGETS};
pub use crate::envsubst::expand;
pub use crate::error::ConfigError;
pub use crate::flags::Flags;
pub use crate::limits::{Limits, RATE_UNLIMITED};
pub use crate::ruler::{ClientConfig, Relabel, RemoteWrite, RuleStorage, RulerConfig, Secret};
pub use crate::units::{parse_bytes, parse_duration};
