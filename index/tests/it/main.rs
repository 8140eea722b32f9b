//! Integration tests of the index: one binary.

mod corrupt;
mod golden;
mod merging;
mod model;
mod querying;
mod scale;
