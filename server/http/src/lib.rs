//! Loki's HTTP API over a Narvi store: decoding of pushes, forms of parameters, encoding of answers, routes.
//!
//! Make an [`App`] over a [`narvi::Db`], or over the parts of [`narvi_logs::Logs`] that a role has, and serve its router with
//! any listener.
#![forbid(unsafe_code)]

mod app;
mod cluster;
mod compress;
mod encode;
mod error;
mod exposition;
mod federation;
mod fields;
mod handlers;
mod host;
mod metrics;
mod params;
pub mod push;
mod respond;
mod routes;
mod slow;
mod tail;
mod tenant;

pub use crate::app::{App, HttpSettings};
pub use crate::cluster::{Cluster, Rings};
pub use crate::federation::ScopeAnswer;
pub use crate::host::Host;
pub use crate::metrics::StoreTimes;
pub use crate::respond::Responder;
pub use crate::tail::{TailProxy, TailProxyError};
