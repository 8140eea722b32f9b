//! The narvi binary.
fn main() {}
