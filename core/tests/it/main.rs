//! Integration tests: what programs see of a database.

mod process;
