//! Tests that keep the tree in order; see `tests/tidy.rs`. Nothing here is part of Narvi.
#![forbid(unsafe_code)]
