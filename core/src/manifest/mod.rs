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
    /// When the commit is made, in milliseconds since the epoch.
    pub(crate) at_ms: u64,
}

/// A file that a commit wanted to take out is not in the manifest: another commit took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) key: String,
}

impl Delta {
    /// Whether a manifest can show that the delta was committed: taking out alone may have been someone else's.
    fn adds(&self) -> bool {
        self.covered.is_some() || !self.add_packs.is_empty() || !self.add_tables.is_empty()
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
        if let Some(key) = missing.pop_first() {
            return Err(Conflict { key });
        }
        next.packs.extend(delta.add_packs.iter().cloned());
        next.tables.extend(delta.add_tables.iter().cloned());
        if let Some((writer, generation)) = delta.covered {
            let covered = next.covered.entry(writer).or_insert(generation);
            *covered = generation.max(*covered);
        }
        next.retired.retain(|file| !delta.forget.contains(&file.key));
        next.retired.extend(delta.remove.iter().map(|key| Retired { key: key.clone(), at_ms: delta.at_ms }));
        Ok(next)
    }

    /// Whether a delta is in this manifest already: its commit took place though its answer was lost.
    pub(crate) fn contains(&self, delta: &Delta) -> bool {
        let has = |file: &Arc<FileEntry>, files: &[Arc<FileEntry>]| files.iter().any(|f| f.key == file.key);
        if let Some((writer, generation)) = delta.covered {
            // A generation is committed once. Its files may have been compacted away since.
            return self.covered.get(&writer).is_some_and(|covered| *covered >= generation);
        }
        let removed = |key: &String| !self.packs.iter().chain(&self.tables).any(|f| f.key == *key);
        delta.add_packs.iter().all(|f| has(f, &self.packs))
            && delta.add_tables.iter().all(|f| has(f, &self.tables))
            && delta.remove.iter().all(removed)
            && !self.retired.iter().any(|file| delta.forget.contains(&file.key))
    }

    /// The last generation of a writer that the files cover; 0 for none.
    pub(crate) fn covered_of(&self, writer: WriterId) -> u64 {
        self.covered.get(&writer).copied().unwrap_or(0)
    }

    /// Whether a key is of a file of this manifest, retired ones included.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let files = self.packs.iter().chain(&self.tables).map(|file| file.key.as_str());
        files.chain(self.retired.iter().map(|file| file.key.as_str())).collect()
    }
}
