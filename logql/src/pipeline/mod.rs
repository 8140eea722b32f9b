//! Pipelines: the stages of a query, compiled once and run over batches.

mod needs;

use std::sync::Arc;

use narvi_types::TimeRange;

pub use self::needs::{LabelNeeds, Needs, RowOut, SeriesLabels, ValueNeeds};
use crate::{
    Batch, Columns, Error, Needles, Segment,
    ast::{Stage, Unwrap},
};

/// The stages of a query, compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pipeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {}

impl Pipeline {
    /// Compiles the stages: once per query.
    ///
    /// # Errors
    /// A regular expression, template, path or pattern that Loki refuses; Loki's text.
    pub fn compile(stages: &[Stage], unwrap: Option<&Unwrap>, needs: &Needs) -> Result<Self, Error> {
        let _ = (stages, unwrap, needs);
        Ok(Self(Arc::new(Inner {})))
    }

    /// The columns that it reads; timestamps always.
    pub fn columns(&self) -> Columns {
        Columns::default()
    }

    /// Text that every wanted line holds; for [`ScanRequest::needles`](crate::ScanRequest::needles).
    pub fn needles(&self) -> Needles {
        Needles::default()
    }

    /// Whether no stage drops a row or changes a line or label, so that summaries of segments may be used. Structured
    /// metadata still joins the labels if the result needs them.
    pub fn is_identity(&self) -> bool {
        false
    }

    /// Makes a runner: scratch space and caches of one thread.
    pub fn runner(&self) -> Runner {
        Runner { _pipeline: self.clone() }
    }
}

/// Runs a pipeline on one thread. Series ids are its own: those of another runner mean something else.
#[derive(Debug)]
pub struct Runner {
    _pipeline: Pipeline,
}

impl Runner {
    /// Calls the sink for every alive row of the segment inside the range that survives, in row order.
    ///
    /// # Errors
    /// Those of the batch and of the sink; result labels too long to be stored.
    pub fn run(
        &mut self,
        batch: &dyn Batch,
        segment: &Segment,
        range: TimeRange,
        sink: &mut dyn FnMut(RowOut<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _ = (batch, segment, range, sink);
        Err(Error::Invalid("pipelines are not supported yet".into()))
    }

    /// The labels of a series.
    ///
    /// # Panics
    /// If the id is not one that this runner gave out.
    pub fn series(&self, id: u32) -> &SeriesLabels {
        let _ = id;
        static EMPTY: std::sync::OnceLock<SeriesLabels> = std::sync::OnceLock::new();
        EMPTY.get_or_init(SeriesLabels::default)
    }

    /// How many series it has given out: ids are below this.
    pub fn series_len(&self) -> u32 {
        0
    }
}
