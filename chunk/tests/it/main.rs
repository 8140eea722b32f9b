//! The integration tests of the pack format, as one binary.

mod damage;
mod golden;
mod model;
mod round_trip;
mod size;
mod writer;
