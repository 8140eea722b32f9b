//! Gateways over loopback: a querier that asks them answers as one with tables of its own.

mod answers;
mod failures;
mod gateway;
