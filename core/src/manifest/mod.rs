//! The manifest: which files make up the store, and which WAL generations they cover.

mod codec;
mod commit;
mod inspect;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use narvi_types::{Tenant, TimeRange};

use crate::deletes::{DeleteId, DeleteRequest, DeleteStatus};

pub(crate) use self::commit::ManifestStore;
#[cfg(test)]
pub(crate) use self::commit::key_of;
pub use self::inspect::{ManifestSummary, inspect_manifest};

/// A snapshot of the store. Immutable; a commit makes the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The number of the commit; 0 is the empty store, which has no file.
    pub(crate) sequence: u64,
    /// Pack files, in the order in which they were added.
    pub(crate) packs: Vec<Arc<FileEntry>>,
    /// Index tables, in the order in which they were added.
    pub(crate) tables: Vec<Arc<FileEntry>>,
    /// The last WAL generation of each writer whose rows are in the files; with it all earlier ones.
    pub(crate) covered: BTreeMap<WriterId, u64>,
    /// Files that commits took out, which readers of older manifests may still read.
    pub(crate) retired: Vec<Retired>,
    /// Requests to delete lines, oldest first; those that were cancelled are gone.
    pub(crate) deletes: Vec<Arc<DeleteRequest>>,
    /// Which rows of packs requests hit, where that has been found out.
    pub(crate) marks: Vec<Arc<MarkFile>>,
}

/// Who writes a WAL: drawn at random for a data directory, kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WriterId(pub(crate) u64);

/// A pack or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Its key in the store.
    pub(crate) key: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// How often its rows were compacted; 0 comes from a flush.
    pub(crate) level: u8,
    /// Its only tenant, if it has one.
    pub(crate) tenant: Option<Tenant>,
    /// The number of its only period, if it has one: time divided by the period, rounded down.
    pub(crate) period: Option<i64>,
    /// First and last time of its rows.
    pub(crate) range: TimeRange,
    /// How many rows it holds or refers to.
    pub(crate) rows: u64,
    /// How long the rows of all its streams were to be kept when it was written, in seconds, if they were split by that;
    /// 0 for ever. A hint of what to merge with what: policies change.
    pub(crate) class: Option<u64>,
}

/// A file of rows that a request to delete hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkFile {
    /// Its key in the store.
    pub(crate) key: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// The request.
    pub(crate) request: DeleteId,
}

/// A file taken out by a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retired {
    /// Its key in the store.
    pub(crate) key: String,
    /// When the commit was made, in milliseconds since the epoch.
    pub(crate) at_ms: u64,
}

/// What a commit changes. It can be applied again to a newer manifest when another writer was faster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) add_packs: Vec<Arc<FileEntry>>,
    pub(crate) add_tables: Vec<Arc<FileEntry>>,
    /// Keys of packs and tables to take out.
    pub(crate) remove: BTreeSet<String>,
    /// The writer's generations up to this one are in the added files.
    pub(crate) covered: Option<(WriterId, u64)>,
    /// Retired files that were deleted and need no mention any more.
    pub(crate) forget: BTreeSet<String>,
    /// New requests to delete.
    pub(crate) add_deletes: Vec<Arc<DeleteRequest>>,
    /// Requests to take out, with their marks.
    pub(crate) cancel: BTreeSet<DeleteId>,
    /// Requests of which no line is left. Their marks are taken out.
    pub(crate) processed: BTreeSet<DeleteId>,
    /// Requests whose lines the added files leave out, or that made the removed ones superfluous: they must be pending.
    pub(crate) without: BTreeSet<DeleteId>,
    /// Marks of requests; nothing where the request is not pending any more.
    pub(crate) add_marks: Vec<Arc<MarkFile>>,
    /// When the commit is made, in milliseconds since the epoch.
    pub(crate) at_ms: u64,
}

/// Another commit came first that this one cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Conflict {
    /// A file to take out is not in the manifest.
    #[error("file {0} was taken out of the store by another commit")]
    File(String),
    /// Lines were left out that are to be answered again.
    #[error("delete request {0} was cancelled by another commit")]
    Cancelled(DeleteId),
}

/// For how long a processed request is still listed.
const KEEP_PROCESSED_MS: u64 = 30 * 24 * 3600 * 1000;
/// How many processed requests are kept at most.
const MAX_PROCESSED: usize = 1000;

impl Delta {
    /// Whether a manifest can show that the delta was committed: taking out files alone may have been someone else's.
    fn adds(&self) -> bool {
        self.covered.is_some()
            || !self.add_packs.is_empty()
            || !self.add_tables.is_empty()
            || !self.add_deletes.is_empty()
            || !self.add_marks.is_empty()
    }
}

impl Manifest {
    /// The manifest that follows this one.
    pub(crate) fn apply(&self, delta: &Delta) -> Result<Self, Conflict> {
        let mut next = self.clone();
        next.sequence += 1;
        let mut missing = delta.remove.clone();
        let mut take = |files: &mut Vec<Arc<FileEntry>>| files.retain(|file| !missing.remove(&file.key));
        take(&mut next.packs);
        take(&mut next.tables);
        next.marks.retain(|file| !missing.remove(&file.key));
        if let Some(key) = missing.pop_first() {
            return Err(Conflict::File(key));
        }
        let is_pending = |id: &DeleteId| self.pending_deletes().any(|request| request.id == *id);
        if let Some(id) = delta.without.iter().find(|id| !is_pending(id)) {
            return Err(Conflict::Cancelled(*id));
        }
        next.packs.extend(delta.add_packs.iter().cloned());
        next.tables.extend(delta.add_tables.iter().cloned());
        if let Some((writer, generation)) = delta.covered {
            let covered = next.covered.entry(writer).or_insert(generation);
            *covered = generation.max(*covered);
        }
        next.retired.retain(|file| !delta.forget.contains(&file.key));
        next.retired.extend(delta.remove.iter().map(|key| Retired { key: key.clone(), at_ms: delta.at_ms }));
        next.apply_deletes(delta);
        Ok(next)
    }

    /// Adds, cancels and completes requests to delete.
    fn apply_deletes(&mut self, delta: &Delta) {
        self.deletes.extend(delta.add_deletes.iter().cloned());
        self.deletes.retain(|request| !delta.cancel.contains(&request.id));
        for request in &mut self.deletes {
            if request.is_pending() && delta.processed.contains(&request.id) {
                Arc::make_mut(request).status = DeleteStatus::Processed { at_ms: delta.at_ms };
            }
        }
        let processed = self.deletes.iter().filter(|request| !request.is_pending()).count();
        let mut surplus = processed.saturating_sub(MAX_PROCESSED);
        self.deletes.retain(|request| {
            let DeleteStatus::Processed { at_ms } = request.status else { return true };
            let keep = surplus == 0 && delta.at_ms.saturating_sub(at_ms) < KEEP_PROCESSED_MS;
            surplus = surplus.saturating_sub(1);
            keep
        });
        self.marks.extend(delta.add_marks.iter().cloned());
        let pending: BTreeSet<DeleteId> = self.pending_deletes().map(|request| request.id).collect();
        let retired = &mut self.retired;
        self.marks.retain(|file| {
            let wanted = pending.contains(&file.request);
            if !wanted {
                retired.push(Retired { key: file.key.clone(), at_ms: delta.at_ms });
            }
            wanted
        });
    }

    /// A number that changes whenever the requests of a tenant do; 0 where there are none.
    pub(crate) fn deletes_version(&self, tenant: &Tenant) -> u64 {
        let mut of_tenant = self.deletes.iter().filter(|request| request.tenant == *tenant).peekable();
        if of_tenant.peek().is_none() {
            return 0;
        }
        // FNV-1a over what tells the requests apart.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for request in of_tenant {
            let text = format!("{} {:?};", request.id, request.status);
            hash = text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        }
        hash
    }

    /// The requests that hide lines, oldest first.
    pub(crate) fn pending_deletes(&self) -> impl Iterator<Item = &Arc<DeleteRequest>> {
        self.deletes.iter().filter(|request| request.is_pending())
    }

    /// Whether a delta is in this manifest already: its commit took place though its answer was lost.
    pub(crate) fn contains(&self, delta: &Delta) -> bool {
        let has = |file: &Arc<FileEntry>, files: &[Arc<FileEntry>]| files.iter().any(|f| f.key == file.key);
        if let Some((writer, generation)) = delta.covered {
            // A generation is committed once. Its files may have been compacted away since.
            return self.covered.get(&writer).is_some_and(|covered| *covered >= generation);
        }
        let marks = || self.marks.iter().map(|file| &file.key);
        let removed = |key: &String| {
            !self.packs.iter().chain(&self.tables).any(|f| f.key == *key) && !marks().any(|mark| mark == key)
        };
        let request = |id: &DeleteId| self.deletes.iter().find(|request| request.id == *id);
        let pending = |id: &DeleteId| request(id).is_some_and(|request| request.is_pending());
        delta.add_packs.iter().all(|f| has(f, &self.packs))
            && delta.add_tables.iter().all(|f| has(f, &self.tables))
            && delta.remove.iter().all(removed)
            && !self.retired.iter().any(|file| delta.forget.contains(&file.key))
            && delta.add_deletes.iter().all(|r| request(&r.id).is_some_and(|found| found.is_same(r)))
            && !delta.cancel.iter().any(|id| request(id).is_some())
            && !delta.processed.iter().any(pending)
            && delta.add_marks.iter().all(|file| marks().any(|mark| *mark == file.key) || !pending(&file.request))
    }

    /// The last generation of a writer that the files cover; 0 for none.
    pub(crate) fn covered_of(&self, writer: WriterId) -> u64 {
        self.covered.get(&writer).copied().unwrap_or(0)
    }

    /// Whether a key is of a file of this manifest, retired ones included.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let files = self.packs.iter().chain(&self.tables).map(|file| file.key.as_str());
        let files = files.chain(self.marks.iter().map(|file| file.key.as_str()));
        files.chain(self.retired.iter().map(|file| file.key.as_str())).collect()
    }
}
