//! Tests of the language over its public API.

mod eval_answers;
mod eval_logs;
mod eval_metric;
mod eval_support;
mod naive;
mod naive_pipeline;
mod stages;
mod syntax_model;
mod syntax_tables;
