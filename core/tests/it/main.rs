//! Integration tests: what programs see of a database.

mod contents;
mod maintain;
mod process;
