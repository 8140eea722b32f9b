//! Loki's configuration file and flags, read for Narvi.
#![forbid(unsafe_code)]

mod limits;

pub use crate::limits::{Limits, RATE_UNLIMITED};
