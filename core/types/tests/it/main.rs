//! Integration tests of narvi-types.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod go_regex;
