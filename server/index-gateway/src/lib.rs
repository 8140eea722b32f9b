//! The index gateway, and the way to it.
//!
//! [`IndexGateway`] answers look-ups in index tables, which it keeps on its disk, for queriers that have none. [`Gateways`] is
//! what a querier's [`Reader`](narvi::Reader) asks instead of opening tables: one gateway after the other until one
//! answers. Questions are about single tables, which never change, so that it does not matter which manifest a gateway knows.
#![forbid(unsafe_code)]

mod addresses;
mod gateways;
mod service;

pub use crate::addresses::{GatewayAddresses, RingGateways};
pub use crate::gateways::{GatewaySettings, Gateways};
pub use crate::service::IndexGateway;
