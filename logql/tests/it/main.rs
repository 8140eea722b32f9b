//! Tests of the language over its public API.
mod naive_pipeline;
