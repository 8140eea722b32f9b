//! Tests of the language over its public API.

mod naive_pipeline;
mod syntax_model;
mod syntax_tables;
