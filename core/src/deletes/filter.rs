//! The query of a request, compiled, and run over batches.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use narvi_logql::{
    self as logql, Batch, Budget, LabelNeeds, Lines, MetadataColumn, Needs, Pipeline, Runner, Segment, SourceError,
    ValueNeeds, ast::Stage,
};
use narvi_types::{Selector, Tenant};
use parking_lot::Mutex;

use super::{Cuts, DeleteId, DeleteRequest, Pending};
use crate::{
    Error, ErrorKind, Result,
    manifest::{Manifest, MarkFile},
    retention::Horizon,
};

/// A request that can be applied.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) request: Arc<DeleteRequest>,
    pub(crate) selector: Selector,
    /// The stages, if one of them can drop a line; without, all lines in the range are dead.
    pub(crate) pipeline: Option<Pipeline>,
}

impl Filter {
    /// Compiles the query of a request.
    ///
    /// # Errors
    /// [`ErrorKind::Query`]: it cannot be parsed, or is a metric query.
    pub(crate) fn compile(request: Arc<DeleteRequest>) -> Result<Self> {
        let log = logql::parse_log(&request.query)?;
        // All labels, so that parsers read lines to their ends as in a log query: what is wrong there may matter.
        let needs = Needs::metric(LabelNeeds::All, ValueNeeds::One);
        let pipeline = Pipeline::compile(&log.stages, None, &needs)?;
        let drops = log.stages.iter().any(|stage| matches!(stage, Stage::LineFilter(_) | Stage::LabelFilter(_)));
        Ok(Self { request, selector: log.selector, pipeline: drops.then_some(pipeline) })
    }
}

/// The compiled requests of a database.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<HashMap<DeleteId, Arc<Filter>>>);

/// Compiled requests beyond those of the manifest that are kept before all are forgotten.
const SPARE: usize = 1000;

impl Book {
    /// The pending requests of a tenant, compiled.
    ///
    /// # Errors
    /// One cannot be compiled by this build: without it, deleted lines would be answered.
    pub(crate) fn pending(&self, manifest: &Manifest, tenant: &Tenant) -> Result<Vec<Arc<Filter>>> {
        let wanted = manifest.pending_deletes().filter(|request| request.tenant == *tenant);
        wanted.map(|request| self.filter(request, manifest.deletes.len())).collect()
    }

    /// What hides rows of a tenant, as of a manifest.
    ///
    /// # Errors
    /// As for [`Book::pending`].
    pub(crate) fn cuts(&self, manifest: &Manifest, tenant: &Tenant, horizon: Option<Horizon>) -> Result<Cuts> {
        let pending = self.pending(manifest, tenant)?.into_iter().map(|filter| {
            let of = |file: &&Arc<MarkFile>| file.request == filter.request.id;
            let files = manifest.marks.iter().filter(of).cloned().collect();
            Pending { filter, files }
        });
        Ok(Cuts { pending: pending.collect(), horizon })
    }

    fn filter(&self, request: &Arc<DeleteRequest>, requests: usize) -> Result<Arc<Filter>> {
        if let Some(filter) = self.0.lock().get(&request.id).filter(|filter| filter.request.is_same(request)) {
            return Ok(filter.clone());
        }
        let filter = Filter::compile(request.clone()).map_err(|error| {
            let (id, tenant) = (request.id, &request.tenant);
            let text = format!(
                "delete request {id} of tenant {tenant} cannot be applied: {error}; open the store with the release \
                 that made the request, or cancel it"
            );
            Error::new(ErrorKind::Unavailable, text).with_source(error)
        })?;
        let filter = Arc::new(filter);
        let mut filters = self.0.lock();
        if filters.len() > requests + SPARE {
            filters.clear();
        }
        filters.insert(request.id, filter.clone());
        Ok(filter)
    }
}

/// Runs the stages of requests over batches; keeps what they need from batch to batch.
#[derive(Debug)]
pub(crate) struct Judge {
    budget: Budget,
    runners: HashMap<DeleteId, Runner>,
}

impl Judge {
    /// What it keeps counts against a budget.
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), runners: HashMap::new() }
    }

    /// Adds the rows of a segment that a request hits, ascending.
    pub(crate) fn hits(
        &mut self,
        filter: &Filter,
        batch: &dyn Batch,
        segment: &Segment,
        out: &mut Vec<u32>,
    ) -> Result<(), SourceError> {
        let Some(pipeline) = &filter.pipeline else { return Ok(()) };
        let failed = |error| match error {
            logql::Error::Source(error) => error,
            logql::Error::Budget(error) => SourceError::Budget(error),
            error => SourceError::Unavailable(format!("cannot apply delete request {}: {error}", filter.request.id)),
        };
        let runner = match self.runners.entry(filter.request.id) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert(pipeline.runner(&self.budget).map_err(failed)?),
        };
        let run = runner.run(&Undead(batch), segment, filter.request.range, &mut |row| {
            out.push(row.row);
            Ok(())
        });
        // No labels are asked for, but a row with an error has all.
        runner.forget_series();
        run.map_err(failed)
    }
}

/// A batch whose rows are all alive, so that finding the dead ones does not ask for them.
struct Undead<'a>(&'a dyn Batch);

impl Batch for Undead<'_> {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        self.0.timestamps()
    }

    fn lengths(&self) -> Result<&[u32], SourceError> {
        self.0.lengths()
    }

    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        self.0.lines()
    }

    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError> {
        self.0.metadata()
    }

    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        Ok(&[])
    }
}
