//! Looks up once which rows of packs a request to delete hits, and keeps that in files of marks.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use narvi_logql::{Budget, Columns, Part, SourceError};
use roaring::RoaringBitmap;

use super::Maintainer;
use crate::{
    Error, ErrorKind, Result,
    deletes::{DeleteId, Filter, Frames, Judge, Marks},
    manifest::{Delta, Manifest, MarkFile},
    read::{Catalog, FoundBlocks, StoreCatalog, frame_part},
};

/// Bytes of bitmaps after which a file is written.
const FILE_BYTES: usize = 4 << 20;
/// Files below this are written anew together with new marks.
const SMALL_BYTES: u64 = 1 << 20;

const POINTS: [&str; 2] = ["mark.commit", "mark.committed"];

impl Maintainer {
    /// Whether requests may hit rows that were not looked up. Costs no I/O.
    pub(super) fn marks_are_due(&self) -> bool {
        let manifest = self.writer.state().load().manifest.clone();
        manifest.sequence != self.marked.load(Ordering::Relaxed) && manifest.pending_deletes().next().is_some()
    }

    /// Looks up the rows that pending requests with filters hit, in packs that were not looked through yet. Gives the number
    /// of packs. Call with `running` held.
    ///
    /// # Errors
    /// The store fails, or the database is closed or its upkeep off. What was found before is kept.
    pub(super) fn mark(&self) -> Result<usize> {
        let (manifest, _) = self.writer.newest_manifest()?;
        let mut packs = 0;
        let tenants: BTreeSet<_> = manifest.pending_deletes().map(|request| request.tenant.clone()).collect();
        for tenant in tenants {
            for filter in self.book.pending(&manifest, &tenant)?.iter().filter(|filter| filter.pipeline.is_some()) {
                packs += self.mark_request(&manifest, filter)?;
            }
        }
        // The commits just made, and those of others meanwhile, are looked at next time.
        self.marked.store(manifest.sequence, Ordering::Relaxed);
        Ok(packs)
    }

    /// Looks up one request. Gives how many packs were looked through.
    fn mark_request(&self, manifest: &Arc<Manifest>, filter: &Filter) -> Result<usize> {
        let request = &filter.request;
        let catalog: Arc<dyn Catalog> = Arc::new(StoreCatalog::new(manifest.clone(), self.tables.clone()));
        let budget = Budget::unlimited();
        let found = catalog.blocks(&request.tenant, &filter.selector, request.range, &budget)?;
        let files: Vec<_> = manifest.marks.iter().filter(|file| file.request == request.id).cloned().collect();
        let known: Vec<_> = files.iter().filter_map(|file| Some((file, self.marks.open(file).ok()?))).collect();
        let is_known = |pack: &str| known.iter().any(|(_, marks)| marks.of_pack(pack).is_some());
        let unmarkable = self.unmarkable.lock().clone();
        let mut todo: BTreeMap<&Arc<str>, Vec<u32>> = BTreeMap::new();
        for (at, block) in (0u32..).zip(&found.blocks) {
            let Some(pack) = found.packs.get(block.pack as usize) else { continue };
            if !is_known(pack) && !unmarkable.contains(&(request.id, pack.clone())) {
                todo.entry(pack).or_default().push(at);
            }
        }
        if todo.is_empty() {
            return Ok(0);
        }
        let making = self.writer.begin_files(0);
        let mut output = MarkOutput {
            id: request.id,
            name: &making.name,
            marks: Marks::default(),
            bytes: 0,
            delta: Delta::default(),
        };
        let in_manifest: HashSet<&str> = manifest.packs.iter().map(|file| file.key.as_str()).collect();
        for (file, marks) in known.iter().filter(|(file, _)| file.bytes < SMALL_BYTES) {
            output.delta.remove.insert(file.key.clone());
            for (pack, frames) in marks.packs().filter(|(pack, _)| in_manifest.contains(pack)) {
                output.add(self, pack, frames.clone())?;
            }
        }
        // A file that cannot be read is of no use.
        let unread = files.iter().filter(|file| known.iter().all(|(read, _)| read.key != file.key));
        output.delta.remove.extend(unread.map(|file| file.key.clone()));
        let mut judge = Judge::new(&budget);
        let looked_through = todo.len();
        for (pack, mut blocks) in todo {
            match self.look_through(filter, (&catalog, &found), &mut blocks, &mut judge) {
                Ok(frames) => output.add(self, pack, frames)?,
                Err(SourceError::Corrupt(_)) => drop(self.unmarkable.lock().insert((request.id, pack.clone()))),
                Err(error) => {
                    self.switch.check()?;
                    let text = format!("cannot look for lines of delete request {}: {error}", request.id);
                    return Err(Error::new(ErrorKind::Unavailable, text));
                }
            }
        }
        output.end_file(self)?;
        let mut delta = output.delta;
        if delta.add_marks.is_empty() {
            return Ok(0);
        }
        delta.at_ms = self.writer.clock().now_ms();
        match self.writer.commit_change(&delta, POINTS) {
            // The request was cancelled meanwhile, or others were faster.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(0),
            committed => committed.map(|_| looked_through),
        }
    }

    /// The rows of one pack that a request hits, among its blocks.
    fn look_through(
        &self,
        filter: &Filter,
        (catalog, found): (&Arc<dyn Catalog>, &FoundBlocks),
        blocks: &mut [u32],
        judge: &mut Judge,
    ) -> Result<Frames, SourceError> {
        let place = |at: &u32| {
            let block = &found.blocks[*at as usize].block;
            (block.frame, block.first_row)
        };
        blocks.sort_unstable_by_key(place);
        let budget = Budget::unlimited();
        let columns = Columns { timestamps: true, lengths: true, lines: true, metadata: true };
        let mut frames = Frames::new();
        for blocks in blocks.chunk_by(|a, b| place(a).0 == place(b).0) {
            if self.switch.is_off() {
                return Err(SourceError::Unavailable(self.switch.error().to_string()));
            }
            // Whoever waits for a processor goes first.
            std::thread::yield_now();
            let part = frame_part((catalog, &self.packs), columns, found, blocks);
            let batch = part.open(&budget)?;
            let mut rows = Vec::new();
            for segment in part.segments() {
                judge.hits(filter, &*batch, segment, &mut rows)?;
            }
            if !rows.is_empty() {
                frames.insert(part.frame, Arc::new(RoaringBitmap::from_iter(rows)));
            }
        }
        Ok(frames)
    }
}

/// Files of marks being written.
struct MarkOutput<'a> {
    id: DeleteId,
    name: &'a str,
    marks: Marks,
    bytes: usize,
    delta: Delta,
}

impl MarkOutput<'_> {
    fn add(&mut self, maintainer: &Maintainer, pack: &str, frames: Frames) -> Result<()> {
        self.bytes += pack.len() + frames.values().map(|rows| rows.serialized_size() + 8).sum::<usize>();
        self.marks.insert(pack, frames);
        if self.bytes >= FILE_BYTES { self.end_file(maintainer) } else { Ok(()) }
    }

    fn end_file(&mut self, maintainer: &Maintainer) -> Result<()> {
        if self.marks.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.marks).encode(self.id));
        self.bytes = 0;
        let key = format!("marks/{}-{}.mark", self.name, self.delta.add_marks.len());
        let size = bytes.len() as u64;
        maintainer.writer.failpoints().hit("mark.put")?;
        maintainer.writer.store().put(&key, &[bytes])?;
        self.delta.add_marks.push(Arc::new(MarkFile { key, bytes: size, request: self.id }));
        Ok(())
    }
}
