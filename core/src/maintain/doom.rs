//! What merges leave out: rows past retention, and rows of requests to delete that can no longer be cancelled.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use narvi_types::{Tenant, TimeRange};
use parking_lot::Mutex;

use crate::{
    Result,
    deletes::{Book, Cuts, DeleteId, MarkFiles, OpenCuts, Pending},
    manifest::Manifest,
    retention::Applied,
};

/// What is dead for good at one moment.
pub(super) struct Doom<'a> {
    manifest: &'a Manifest,
    applied: &'a Applied,
    book: &'a Book,
    marks: &'a MarkFiles,
    /// The requests that have waited long enough and whose lines are to be removed.
    due: BTreeSet<DeleteId>,
    known: Mutex<HashMap<Tenant, Arc<OpenCuts>>>,
}

impl<'a> Doom<'a> {
    pub(super) fn new(
        manifest: &'a Manifest,
        applied: &'a Applied,
        (book, marks): (&'a Book, &'a MarkFiles),
        wait_secs: u64,
    ) -> Self {
        let due = manifest.pending_deletes().filter(|request| {
            request.is_due(applied.now_ms(), wait_secs) && applied.policy(&request.tenant).process_deletes
        });
        let due = due.map(|request| request.id).collect();
        Self { manifest, applied, book, marks, due, known: Mutex::default() }
    }

    pub(super) fn due(&self) -> &BTreeSet<DeleteId> {
        &self.due
    }

    pub(super) fn applied(&self) -> &Applied {
        self.applied
    }

    /// What is dead of a tenant's rows.
    pub(super) fn of_tenant(&self, tenant: &Tenant) -> Result<Arc<OpenCuts>> {
        if let Some(cuts) = self.known.lock().get(tenant) {
            return Ok(cuts.clone());
        }
        let mut cuts = Cuts { pending: Vec::new(), horizon: self.applied.horizon(tenant) };
        // Compiled only where it is needed: a request of a later release must not hold up other tenants.
        if self.manifest.pending_deletes().any(|r| r.tenant == *tenant && self.due.contains(&r.id)) {
            let filters = self.book.pending(self.manifest, tenant)?;
            for filter in filters.into_iter().filter(|filter| self.due.contains(&filter.request.id)) {
                let id = filter.request.id;
                let files = self.manifest.marks.iter().filter(|file| file.request == id).cloned().collect();
                cuts.pending.push(Pending { filter, files });
            }
        }
        let cuts = Arc::new(cuts.open(self.marks, &TimeRange::ALL));
        self.known.lock().insert(tenant.clone(), cuts.clone());
        Ok(cuts)
    }
}
