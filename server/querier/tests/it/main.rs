//! Queriers over three databases that share a store, as ingesters of one ring.

mod cluster;
mod look_ups;
mod rows;
mod tail;
