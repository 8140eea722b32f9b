//! The write-ahead log: one segment file per generation, in the data directory.
