//! Integration tests: what programs see of a database.

mod contents;
mod deletes;
mod maintain;
mod process;
mod retention;
mod shared;
