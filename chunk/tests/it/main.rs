//! The integration tests of the pack format, as one binary.
