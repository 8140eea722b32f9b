//! Pipelines: the stages of a query, compiled once and run over batches.
//!
//! Line filters on the stored line run over the whole buffer of a batch and leave a selection of rows; each of those goes
//! through the other stages as a [`row::Row`], which allocates nothing; its result labels become the number of a series.

mod compile;
mod decolorize;
mod drop_keep;
mod format;
mod hints;
mod json;
mod json_exact;
mod json_paths;
mod json_text;
mod keys;
mod label_filter;
mod line_filter;
mod logfmt;
mod needs;
mod parser;
mod pattern;
mod regexp;
mod reorder;
mod row;
mod runner;
mod seam;
mod search;
mod series;
mod string_match;
mod table;
mod unpack;
mod unwrap;

use std::sync::Arc;

pub use self::needs::{LabelNeeds, Needs, RowOut, SeriesLabels, ValueNeeds};
pub use self::runner::Runner;
use self::{compile::Program, line_filter::LineTest};
use crate::{
    Budget, Columns, Error, Needles,
    ast::{Stage, Unwrap},
};

/// The stages of a query, compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline(Arc<Program>);

impl Pipeline {
    /// Compiles the stages: once per query.
    ///
    /// # Errors
    /// A regular expression, template, path or pattern that Loki refuses; Loki's text.
    pub fn compile(stages: &[Stage], unwrap: Option<&Unwrap>, needs: &Needs) -> Result<Self, Error> {
        compile::compile(stages, unwrap, needs).map(|program| Self(Arc::new(program)))
    }

    /// The columns that it reads.
    pub fn columns(&self) -> Columns {
        self.0.columns()
    }

    /// Text that every wanted line holds; for [`ScanRequest::needles`](crate::ScanRequest::needles).
    pub fn needles(&self) -> Needles {
        Needles(self.0.line_tests.iter().filter_map(LineTest::needles).cloned().collect())
    }

    /// Whether no stage drops a row or changes a line or label, so that summaries of segments may be used. Structured
    /// metadata still joins the labels if the result needs them.
    pub fn is_identity(&self) -> bool {
        !self.0.nothing && self.0.line_tests.is_empty() && self.0.ops.is_empty() && self.0.unwrap.is_none()
    }

    /// Makes a runner: scratch space and caches of one thread, whose memory the budget pays for.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn runner(&self, budget: &Budget) -> Result<Runner, Error> {
        Runner::new(self, budget)
    }

    fn program(&self) -> &Program {
        &self.0
    }

    fn program_arc(&self) -> Arc<Program> {
        self.0.clone()
    }
}

impl Program {
    fn columns(&self) -> Columns {
        let rewrites = !self.ops.is_empty();
        let lines = self.needs.lines || !self.line_tests.is_empty() || self.ops.iter().any(|(op, _)| op.reads_line());
        let measures = self.needs.value == ValueNeeds::LineBytes && self.unwrap.is_none();
        let labels = self.needs.labels != LabelNeeds::None
            || self.unwrap.is_some()
            || rewrites && self.ops.iter().any(|(op, _)| op.touches_labels());
        Columns { timestamps: true, lengths: measures && !lines, lines, metadata: labels }
    }
}
