//! Tests of the language over its public API.

mod syntax_model;
mod syntax_tables;
