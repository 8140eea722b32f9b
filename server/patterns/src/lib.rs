//! Patterns of log lines, mined as they are pushed: which texts repeat with other values, how often, and when.
//!
//! Lines of one stream and level go through a tree of fixed depth, as described in "Drain: An Online Log Parsing Approach
//! with Fixed Depth Tree" (He, Zhu, Zheng, Lyu, 2017): the number of tokens, then the first tokens lead to a few clusters, and
//! the most similar one takes the line, its differing tokens becoming variables. Everything is kept in memory and
//! bounded; [`PatternLimits`] says by what.
#![forbid(unsafe_code)]

mod drain;
mod samples;
mod store;
mod tokens;

pub use crate::store::{FoundPattern, PatternLimits, PatternStore};
