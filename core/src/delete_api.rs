//! Requests to delete lines, as the embedding program makes, lists and cancels them.

use std::{collections::BTreeSet, sync::Arc};

use narvi_types::{Tenant, TimeRange};

use crate::{
    Db, DeleteId, DeleteRequest, DeleteStatus, Error, ErrorKind, Result,
    clock::draw_u64,
    deletes::Filter,
    manifest::{Delta, Manifest},
};

/// How many requests of a tenant may be pending: each costs something in every query.
const MAX_PENDING: usize = 1000;
/// The longest query of a request; it is kept in every manifest.
const MAX_QUERY_BYTES: usize = 16 << 10;

const POINTS: [&str; 2] = ["delete.commit", "delete.committed"];

impl Db {
    /// Deletes the lines of a tenant that lie in a range of time (both ends inside) and that a log query selects: its
    /// selector, its line filters, its label filters. When it returns, the request is kept and no query that begins
    /// thereafter sees such a line, also of those that are pushed later, until the request is processed: once it can no
    /// longer be cancelled ([`RetentionSettings::cancel_period_secs`](crate::RetentionSettings::cancel_period_secs)), the
    /// upkeep removes the lines from all files. Lines pushed while that is done may stay.
    ///
    /// Costs one commit. Label names and values of hidden lines, and what is counted by whole blocks, are answered until
    /// their files are written anew, unless a request without filters hides the block as a whole.
    ///
    /// # Errors
    /// [`Query`](ErrorKind::Query): not a log query. [`Invalid`](ErrorKind::Invalid): the range is empty, or the query
    /// longer than 16 KiB. [`Busy`](ErrorKind::Busy): a thousand requests of the tenant are pending. The store fails.
    pub fn create_delete(&self, tenant: &Tenant, query: &str, range: TimeRange) -> Result<DeleteRequest> {
        if range.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the time range of a delete request must not be empty"));
        }
        if query.len() > MAX_QUERY_BYTES {
            let text = format!("the query of a delete request may have {MAX_QUERY_BYTES} bytes, not {}", query.len());
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let manifest = self.newest_manifest()?;
        if manifest.pending_deletes().filter(|request| request.tenant == *tenant).count() >= MAX_PENDING {
            let text = format!(
                "tenant {tenant} has {MAX_PENDING} delete requests that are not processed yet; wait, or cancel some"
            );
            return Err(Error::new(ErrorKind::Busy, text));
        }
        let id = loop {
            let id = DeleteId(draw_u64() as u32);
            if !manifest.deletes.iter().any(|request| request.id == id) {
                break id;
            }
        };
        let now_ms = self.inner.writer.clock().now_ms();
        let request = DeleteRequest {
            id,
            tenant: tenant.clone(),
            query: query.to_owned(),
            range,
            created_ms: now_ms,
            status: DeleteStatus::Received,
        };
        Filter::compile(Arc::new(request.clone()))?;
        let delta = Delta { add_deletes: vec![Arc::new(request.clone())], at_ms: now_ms, ..Delta::default() };
        self.inner.writer.commit_change(&delta, POINTS)?;
        Ok(request)
    }

    /// The requests of a tenant that were not cancelled, oldest first: those that are pending, and those that were processed
    /// in the last 30 days.
    ///
    /// In a store that other processes may change, those of the newest commit; the last ones known while it cannot be read.
    pub fn delete_requests(&self, tenant: &Tenant) -> Vec<DeleteRequest> {
        let of = |request: &&Arc<DeleteRequest>| request.tenant == *tenant;
        let manifest = self.newest_manifest().unwrap_or_else(|_| self.state().manifest.clone());
        manifest.deletes.iter().filter(of).map(|request| (**request).clone()).collect()
    }

    /// A number that changes whenever the requests of a tenant do, and 0 where there are none: answers that were kept since
    /// another number may hold lines that are deleted.
    pub fn deletes_version(&self, tenant: &Tenant) -> u64 {
        self.state().manifest.deletes_version(tenant)
    }

    /// The newest commit as far as others may have made some, else the one that is known.
    fn newest_manifest(&self) -> Result<Arc<Manifest>> {
        if self.inner.writer.is_shared() {
            return self.inner.writer.newest_manifest().map(|(manifest, _)| manifest);
        }
        Ok(self.state().manifest.clone())
    }

    /// The requests of all tenants, as this process knows them.
    pub fn all_delete_requests(&self) -> Vec<DeleteRequest> {
        self.state().manifest.deletes.iter().map(|request| (**request).clone()).collect()
    }

    /// Cancels a request: its lines are answered again. Says whether there was one. With `force` also when the time for
    /// that is over; lines that were removed from files already stay away.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): it was processed, or can no longer be cancelled. The store fails.
    pub fn cancel_delete(&self, tenant: &Tenant, id: DeleteId, force: bool) -> Result<bool> {
        let manifest = self.newest_manifest()?;
        let mut found = manifest.deletes.iter().filter(|request| request.tenant == *tenant);
        let Some(request) = found.find(|request| request.id == id) else { return Ok(false) };
        let now_ms = self.inner.writer.clock().now_ms();
        if !request.is_pending() {
            return Err(Error::new(ErrorKind::Invalid, format!("delete request {id} was processed already")));
        }
        let cancel_period_secs = self.settings().retention.cancel_period_secs;
        if !force && request.is_due(now_ms, cancel_period_secs) {
            let text = format!(
                "delete request {id} can no longer be cancelled: {cancel_period_secs} seconds have passed since it \
                 was made; cancel it by force to keep what is not removed yet"
            );
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let delta = Delta { cancel: BTreeSet::from([id]), at_ms: now_ms, ..Delta::default() };
        self.inner.writer.commit_change(&delta, POINTS)?;
        Ok(true)
    }
}
