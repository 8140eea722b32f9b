//! LogQL: parse, print, plan and evaluate over a [`Source`].
//!
//! This crate does no I/O and starts no thread. A program that holds logs implements [`Source`] (and, to use several
//! cores, [`Executor`]) and gets Loki's query language over its own data.
#![forbid(unsafe_code)]

pub mod ast;
mod budget;
mod error;
mod eval;
pub mod memory;
mod pipeline;
mod source;
mod syntax;
pub mod template;
pub mod value;

pub use crate::budget::{Budget, BudgetError, BudgetLimits, Charge};
pub use crate::error::{Error, Position};
pub use crate::eval::{
    Answer, Data, Leaf, LeafScope, MAX_POINTS, Params, Partial, Plan, Query, ResultEntry, Row, RowSummary, Sample,
    Series, Statistics, StreamResult, align_to_step, check_resolution, evaluate, evaluate_leaf, for_each_row,
};
pub use crate::pipeline::{LabelNeeds, Needs, Pipeline, RowOut, Runner, SeriesLabels, ValueNeeds};
pub use crate::source::{
    Batch, Columns, Executor, Inline, Lines, MetadataColumn, NeedleGroup, Needles, Part, ScanRequest, Segment, Source,
    SourceError, StreamShard,
};
pub use crate::syntax::{
    JsonPath, JsonSegment, PatternExpr, PatternPart, caret, parse, parse_label_pairs, parse_labels, parse_selector,
    pretty, require_matcher,
};
